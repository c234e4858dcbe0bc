"""The supervisor: one thread, one selector, and the order that makes the record true.

Each turn reads what has come, and then settles: it loses who was marked, gives out jobs, appends everything to the
journal with one write, and sends. So nothing is acknowledged that is not journaled, and one write serves all messages
of a turn. A message may also report how earlier ones arrived. These reports are looked at later, since nobody waits for
them: their records go with the next turn's, or are appended before this process sleeps. It waits for nothing but its
selector and never talks to the database. docs/processes.md tells of its rooms.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import resource
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from pairscope.config import HURRY, Settings
from pairscope.ipc.channel import Arrival, ChannelBroken, ChannelClosed
from pairscope.ipc.identity import LARGEST
from pairscope.ipc.passing import PACKET_MAX, close_all
from pairscope.ipc.sentences import Answered, Broken, Gone, Unsent
from pairscope.ipc.spin import Spin
from pairscope.ipc.vocabulary import Role, complete
from pairscope.journal.records import Record
from pairscope.journal.writer import JournalFull, Writer
from pairscope.pool import snapshot
from pairscope.pool.agenda import Agenda
from pairscope.pool.control import Control
from pairscope.pool.crew import Crew
from pairscope.pool.desk import Desk
from pairscope.pool.disk import Disk
from pairscope.pool.floor import Floor
from pairscope.pool.foreign import Foreign
from pairscope.pool.guests import RESERVE, Guests
from pairscope.pool.history import History
from pairscope.pool.lines import Lines
from pairscope.pool.members import ChildMember, Member
from pairscope.pool.memory import Memory
from pairscope.pool.opening import begin
from pairscope.pool.requests import Requests
from pairscope.pool.stop import OrderlyStop
from pairscope.pool.tap import issuer
from pairscope.pool.view import view
from pairscope.pool.watch import Watch

log = logging.getLogger("pairscope.supervisor")

SPIN = 150e-6
"""Seconds for which a turn asks again before it sleeps, while a job is in hand and where it pays."""
FEW = 4
"""Jobs that have not ended: so few, and somebody waits for each. Of more it is better to do what there is to do."""
REPORTS_MOST = 64
"""Messages whose reports may wait for a turn in which nothing else has come."""
IN, OUT = int(select.EPOLLIN), int(select.EPOLLOUT)
READ_MOST = 64
"""Messages, to the end of their packet, taken from one channel in one turn: the others get theirs."""
DISK_PAUSE_MS = 250
URGENT = frozenset(("submit", "result"))
"""Kinds on which a job waits: what their senders report besides comes after."""
ROOMS = (Desk, Crew, Guests, History, Requests)
"""Who handles messages: each says which kinds, and its method of that name is the handler."""


class Supervisor:
    """Runs the pool of one node until it is told to stop."""

    def __init__(self, settings: Settings, *, wait_for_lock: bool = False) -> None:
        complete(Role.SUPERVISOR.value, [kind for room in ROOMS for kind in room.hears])
        self.journal = Writer(
            settings.journal,
            node=settings.node,
            node_name=settings.node_name,
            segment_bytes=settings.journal_segment,
            limit=settings.journal_limit,
            sync=settings.journal_sync,
            wait=wait_for_lock,
        )
        settings.spool.mkdir(parents=True, exist_ok=True, mode=0o770)
        buffer = memoryview(bytearray(PACKET_MAX))  # shared by all channels of this one thread
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.floor = floor = Floor(settings, self.journal, issuer(self.journal, settings.node), descriptors)
        self.tap = floor.tap
        self.agenda = agenda = Agenda(snapshot.EVERY, snapshot.HEARTBEAT)
        self.watch = watch = Watch(self._read, self._died)
        self.lines = lines = Lines(floor.tap, watch, agenda, floor.unread)
        self.disk = disk = Disk(self.journal, lines, watch, self._settle)
        self.foreign = foreign = Foreign(floor.mounts)
        self.control = Control(settings, foreign.hang_up)
        self.desk = desk = Desk(floor, lines, agenda)
        self.crew = crew = Crew(floor, lines, agenda, watch, desk, foreign, buffer)
        self.guests = Guests(floor, lines, agenda, watch, desk, self.control, foreign, buffer)
        self.history = History(floor, lines, agenda, crew)
        rooms = (desk, crew, self.guests, self.history, Requests(floor, lines, agenda, desk, crew))
        self.handlers: dict[str, Callable[[Any, Arrival, Any], None]] = {
            kind: getattr(room, kind) for room in rooms for kind in room.hears
        }
        """For each kind: who sent it, what came, and what the tap saw of it, which is nothing of housekeeping."""
        self.stop = OrderlyStop(
            *(floor, lines, agenda, watch, desk, crew, disk.to_the_end, self._show, self.control),
            HURRY if wait_for_lock else math.inf,
        )
        self.memory = Memory()
        self.crowded = False
        """The journal was at its bound after the last record: whoever would make it grow is to be looked at."""
        # Messages make no cycles: a full collection in the midst of a burst would only find nothing.
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)

    # ---- the turn

    def run(self) -> None:
        """Serves until the pool has stopped.

        Raises JournalBroken when the journal can no longer be trusted, JournalFull when it had no room to the end of a
        stop, MemoryError when it has no memory left.
        """
        begin(self.floor)
        try:
            floor, agenda, lines, tap, memory = self.floor, self.agenda, self.lines, self.tap, self.memory
            poll, reactions, monotonic = self.watch.poll, self.watch.reactions, time.monotonic
            entries, spin = floor.board.entries, Spin(SPIN)
            while True:
                now = monotonic()
                if now >= agenda.next or floor.stopping is not None:
                    lines.report()
                    agenda.begin()
                    memory.check()  # every HEARTBEAT at least: a limit may be set meanwhile, by prlimit(2)
                    self._on_time(now)
                    self._settle()
                    if self.stop.finished:
                        break
                    agenda.rest(now)
                    now = monotonic()
                ready = poll(0)
                if lines.reports:
                    few = len(entries) <= FEW and len(lines.reports) <= REPORTS_MOST
                    if few and not ready:
                        # whoever was told something in this turn may need this core, and answer
                        now = spin.give_way(now)
                        ready = poll(0)
                    if not (few and ready):
                        lines.report()  # its records are appended with the next turn's, or before this process sleeps
                        if lines.writable:
                            self._settle()
                if not ready:
                    ready = spin.ask(poll, now, floor.board.running > 0)
                    if not ready:
                        if tap.records or lines.lost:
                            self._settle()
                        self.disk.flush()
                        ready = poll(max(0.0, agenda.next - now))
                    spin.waited(monotonic() - now)
                floor.issuer.read_clock()
                if memory.limited:
                    memory.check()
                for fd, mask in ready:
                    if (react := reactions.get(fd)) is not None:
                        react(mask)
                    if memory.limited:
                        memory.check()
                self._settle()
        finally:
            self._leave()

    def _settle(self) -> None:
        """What follows from what came: the lost are lost, jobs given out, all of it is journaled, and only then sent.
        Until nothing follows."""
        floor, board, lines, tap, history = self.floor, self.floor.board, self.lines, self.tap, self.history
        while True:
            if lines.lost:
                self._lose()
            if board.queue:
                self.desk.assign(board.queue, floor.workers.values())
            if board.scenarios:
                self.desk.assign(board.scenarios, floor.stations.values())
            if tap.records:
                self._append(tap.take())
            if history.to_tell:
                history.more()
            if self.disk.count:
                self.disk.appended()
            if lines.writable:
                lines.write()
            if not (tap.records or lines.writable or lines.lost):
                break
        self.crowded = self.journal.beyond(1.0)
        if (agenda := self.agenda).changed and agenda.soon < agenda.next:
            agenda.heed()

    def _on_time(self, now: float) -> None:
        """What is due."""
        self.crew.late(now)
        self.crew.words.pass_time(now)
        self.foreign.again()
        self.desk.pass_time(now)
        self.guests.pass_time(now)
        self.history.pass_time(now)
        if self.floor.stopping is not None:
            self.stop.further(now)
        else:
            self.crew.people(now)
        if self.agenda.to_show(now):
            self._show(now)

    def _show(self, now: float) -> None:
        """Writes the snapshot."""
        self.tap.set_clock()
        at = self.tap.now()
        self.history.mark(at)
        snapshot.write(self.floor.settings, view(self.floor, at))
        self.agenda.shown(now, self.history.behind)  # whether it is stalled shows by time alone

    # ---- what comes

    def _read(self, member: Member, mask: int = IN, most: int = READ_MOST) -> None:
        """Takes what is there, up to `most` messages and the end of their packet. `mask`: for what the peer's end is
        ready, by epoll(7)."""
        if mask != IN and mask & OUT:
            self.lines.resume(member)
            if mask == OUT:
                return
        while member.open:
            try:
                arrivals = member.channel.packet()
            except BlockingIOError:
                return
            except ChannelClosed:
                return self.lines.part(member, Gone.CLOSED.value)
            except ChannelBroken as error:
                return self.lines.fail(member, str(error))
            for arrival in arrivals:
                if member.open:
                    try:
                        self._arrived(member, arrival)
                    except ChannelBroken as error:
                        self.lines.fail(member, str(error))
                if arrival.fds:
                    member.channel.dispose(arrival.take())
            most -= len(arrivals)
            if (most <= 0 or not member.in_flight) and not member.channel.held:
                return

    def _arrived(self, member: Member, arrival: Arrival) -> None:
        envelope, kind = arrival.envelope, arrival.kind
        name = kind.name
        if envelope.receipts:
            self.lines.reports.append((member, envelope.receipts))
            if name not in URGENT:
                self.lines.report()
        try:
            handler = self.handlers[name]
        except KeyError:
            if member.role:
                self.tap.arrived(member, arrival, 0)
            return self.desk.not_for(member, arrival, Answered.NO_ANSWER.value)
        if kind.housekeeping:
            return handler(member, arrival, None)
        if not member.role:
            raise ChannelBroken(Broken.NAMELESS.say(kind=name))
        if (
            self.crowded
            and not member.is_hand
            and self.floor.stopping is None
            and self.journal.beyond(1.0 if name == "submit" else RESERVE)
        ):
            return self.desk.turn_away(member, arrival)
        job: int | None
        if name == "submit":
            job = None
        elif name == "result":
            job = envelope.job
        else:
            job = getattr(arrival.payload, "job", envelope.job)
            if not 0 <= job <= LARGEST:
                job = arrival.payload.job = 0
        handler(member, arrival, self.tap.arrived(member, arrival, job))

    def _died(self, member: ChildMember) -> None:
        """The pidfd says so. What it had sent is read first: it may have ended jobs."""
        while member.open and member.channel.readable:
            self._read(member, most=sys.maxsize)
        self.lines.died(member)

    # ---- the lost

    def _lose(self) -> None:
        """Loses who was marked: the one place in which a channel is closed, a peer forgotten, and a child buried."""
        lines = self.lines
        lines.report()  # what was reported before the end counts
        while lines.lost:
            member = next(iter(lines.lost))
            del lines.lost[member]
            if member.loss:
                self._hang_up(member)
            if isinstance(member, ChildMember) and member.dead:
                self.crew.bury(member)

    def _hang_up(self, member: Member) -> None:
        reason, member.loss = member.loss, ""
        if member.fault and (isinstance(member, ChildMember) or self.guests.tells(member)):
            log.warning("%s: %s; its channel is closed", member.called, reason)
        self.watch.remove(member.channel.fileno())
        self.lines.unsent(member, Unsent.PEER.say(peer=member, why=reason))
        self.tap.closed(member, Unsent.UNREPORTED.say(who=member.role, count=member.serial) if member.role else reason)
        self.floor.housekeeping.update(member.channel.housekeeping)
        member.channel.housekeeping.clear()  # a child stays in the picture until it is reaped
        self.foreign.hang_up(member.channel.sock)
        if isinstance(member, ChildMember):
            self.crew.cut_off(member)
        else:
            self.guests.gone(member, reason)

    # ---- the journal

    def _append(self, records: list[Record]) -> None:
        floor, journal, ended = self.floor, self.journal, self.desk.ended
        journal.last_id = floor.issuer.last
        while True:
            try:
                position = journal.append(records)
                break
            except JournalFull as error:
                if not floor.stuck:
                    log.error(
                        "%s: nothing is acknowledged until it can; trying again every %d ms", error, DISK_PAUSE_MS
                    )
                floor.stuck = str(error)
                self._wait_for_room()
                if self.stop.late(time.monotonic()):
                    raise
        if floor.stuck:
            log.warning("the journal can be written again")
            floor.stuck = ""
            self.agenda.wake()
        if ended:
            for job in ended:
                job.position = position
            ended.clear()

    def _wait_for_room(self) -> None:
        """The disk is full: only the recorder is heard, for what it has drained can be deleted, and whoever asks to
        stop."""
        now = time.monotonic()
        self._show(now)
        recorder = self.floor.recorder
        poll = select.poll()
        poll.register(self.stop.signals, select.POLLIN)
        if recorder is None:
            self.crew.recorder(now)
        else:
            poll.register(recorder.child.pidfd, select.POLLIN)
            if recorder.open:
                poll.register(recorder.channel, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(DISK_PAUSE_MS)}
        if self.stop.signals.fileno() in ready:
            self.stop.signalled()
        if recorder is not None and recorder.child.pidfd in ready:
            self._died(recorder)
        elif recorder is not None and recorder.open and recorder.channel.fileno() in ready:
            self._read(recorder)
        self._lose()

    # ---- the end

    def _leave(self) -> None:
        """Closes what this process owns; children that are left see their channel end.

        The journal's lock is let go of first, once no name is left that the next supervisor would make anew: whatever
        else may wait keeps nobody.
        """
        floor = self.floor
        self.control.leave()
        if not floor.relieved:  # what it says last is that whoever asks waits for the successor
            floor.settings.snapshot.unlink(missing_ok=True)
        self.journal.close()
        log.info("supervisor %d has stopped", floor.serials["supervisor"])
        children = [*floor.workers.values(), *([floor.recorder] if floor.recorder else [])]
        for member in [*children, *floor.clients, *floor.stations.values()]:
            self.foreign.hang_up(member.channel.sock)
        self.foreign.hang_up(self.control.sock)
        for child in children:
            os.close(child.child.pidfd)
        for entry in floor.board.entries.values():
            close_all(entry.take_fds())
        floor.results.close()
        self.crew.words.close()
        self.stop.close()
        self.memory.close()
        self.watch.close()
        self.foreign.close()
