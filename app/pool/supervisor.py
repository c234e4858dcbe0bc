"""The supervisor: one thread, one selector, and the order that makes the record true.

Each turn of the loop reads what has come, decides, and then in this order: appends everything to the journal with one
write, sends, and only then reads again. So nothing is acknowledged that is not journaled, and one write serves all
messages of a turn. What a message with a job says besides of earlier ones comes after: its records go with the next turn's, or
are appended before this process sleeps. It waits for nothing but its selector and never talks to the database.
"""

from __future__ import annotations

import errno
import functools
import gc
import logging
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import Counter, deque
from typing import Any, Callable, Sequence

import msgspec

from app.config import Settings
from app.ipc import memfd
from app.ipc.channel import Arrival, Channel, ChannelBroken, ChannelClosed
from app.ipc.descriptor import look
from app.ipc.identity import LARGEST, TIME_SHIFT, Issuer, first_id_at
from app.ipc.nesting import excess
from app.ipc.passing import PACKET_MAX, close_all
from app.ipc.spin import Spin
from app.ipc.vocabulary import (
    CALLERS,
    LAB,
    REFUSALS,
    Accepted,
    Answer,
    JobSpec,
    More,
    Receipt,
    Refused,
    Release,
    Role,
    Stop,
    Task,
    Welcome,
    complete,
)
from app.journal.records import Born, Ended, Job, JobEnded, OutputGone, Ready
from app.journal.writer import JournalFull, Writer
from app.pool import children, lifecycle, snapshot
from app.pool.board import Board, EndedJob, Entry
from app.pool.control import Control
from app.pool.lifecycle import Action, Backoff, Event, State
from app.pool.members import ChildMember, Hand, Member, Station, Worker
from app.pool.requests import Requests
from app.pool.results import Results
from app.pool.tap import Tap
from app.pool.view import view

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
OUTBOX_MOST = 8192
"""Messages that may wait for a client that does not read; then its channel is closed."""
UNREPORTED_MOST = 65_536
"""Messages that a peer may leave without a receipt: more than what fits into an outbox, a socket and its own list together."""
RESULT_MOST = 8 * 1024
QUICK_MOST = 32 * 1024
"""Bytes of data beyond which a job gets a spare for its reply, and is not quick."""
RESERVE = 1.25
"""Times the journal's bound: up to there only new jobs are refused, so that a full pool can still be told what to do."""
MORE_EVERY = 0.05
"""Seconds between two times that an idle recorder is told of more: it commits twenty batches a second, not one for each message."""
REASON_MOST = 400
"""Characters of a reason: a peer may have written it."""
DISK_PAUSE_MS = 250
UNSAVED_IDS = 60_000 << TIME_SHIFT
"""A minute of ids: more than the kernel keeps from the disk."""
SCENARIOS_MOST = 32
"""Scenarios that may wait for a station: with two of them the last one begins within the time that a page waits."""
STATION_PAUSE = 5.0
"""Seconds that a scenario waits while no station is there."""
FINISH = 1.0
"""Seconds that the recorder gets at the end to drain what is there; the rest waits in the journal."""
HANDS_ALONE = "it is for a worker or a lab station to send"
"""Why a hello or a result of another client is refused."""


EMPTY = b"{}"
URGENT = frozenset(("submit", "result"))
"""Kinds on which a job waits: what their senders report besides comes after."""


def _modest(detail: dict[str, Any]) -> None:
    """Raises ChannelBroken for particulars of a sandbox that are longer or more deeply nested than they need be: the journal must be able to hold them."""
    if len(said := _json(detail)) > RESULT_MOST or excess(detail, 1000):
        raise ChannelBroken(f"the particulars of its sandbox have {len(said)} bytes or are nested deeply; expected at most {RESULT_MOST}, nearly flat")


def _json(said: dict[str, Any]) -> bytes:
    """What a worker said, for the record. Raises ChannelBroken for what msgpack can say and JSON cannot: extensions, odd keys, deep nesting."""
    try:
        return msgspec.json.encode(said)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ChannelBroken(f"what it said cannot be written as JSON: {error}") from None


class Supervisor:
    """Runs the pool of one node until it is told to stop."""

    def __init__(self, settings: Settings, *, wait_for_lock: bool = False) -> None:
        self.settings = settings
        requests = Requests(self)
        self.handlers: dict[str, Callable[[Any, Arrival, int], None]] = {
            "hello": self._hello,
            "submit": self._submit,
            "result": self._result,
            **requests.handlers,
        }
        self.quiet: dict[str, Callable[[Any, Arrival], None]] = {
            "enter": self._enter,
            "lookup": requests.lookup,
            "progress": self._progress,
            "leave": self._left,
            "receipt": self._receipt,
        }
        """Of housekeeping: these are not recorded."""
        complete(Role.SUPERVISOR.value, [*self.handlers, *self.quiet])
        self.epoll = select.epoll()
        self.watched: dict[int, Callable[[int], None]] = {}
        """What to do when a descriptor is ready."""
        self.buffer = memoryview(bytearray(PACKET_MAX))
        """Shared by all channels of this one thread."""
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
        self.serials = self.journal.serials
        last_id = self.journal.last_id
        damaged = self.journal.gaps or self.journal.cut
        if self.journal.lost or damaged and last_id >= first_id_at(time.time_ns(), settings.node):
            # Of damage alone only where the clock does not make ids grow: else each would put them a minute ahead of the time that they tell.
            # The database may have ids that the journal has not, and a clock that was set back would issue them again.
            last_id = max(last_id + UNSAVED_IDS, first_id_at(self.journal.begin * 1000, settings.node))
        self.issuer = Issuer(settings.node, last_id)
        self.tap = Tap(self.issuer)
        self.born = self.tap.now()
        self.first_id = self.issuer.last
        """Ids up to this one were issued by earlier epochs."""
        self.first_position = self.journal.position
        self.board = Board()
        self.results = Results(settings.results_bytes, settings.results_age, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self.catalogue: dict[str, JobSpec] = {}
        self.heard = False
        """A worker has said what workers can do."""
        self.workers: dict[int, Worker] = {}
        self.stations: dict[int, Station] = {}
        self.station_left = time.monotonic()
        """When a station was last lost, or this process began: one that went comes again in a moment."""
        self.clients: set[Member] = set()
        self.recorder: ChildMember | None = None
        self.wanted = settings.workers
        self.births: list[float] = []
        """When workers that died at birth may be replaced."""
        self.backoff = Backoff()
        self.recorder_backoff = Backoff()
        self.recorder_birth: float | None = 0.0
        self.recorder_idle = False
        self.progress: Any = None
        self.progress_heard = 0
        self.moved = 0
        """When the recorder last came further, or was born (ns since 1970)."""
        self.marks: deque[tuple[int, int]] = deque(maxlen=7200)
        """(position, time in ns) at each snapshot, to tell how old the oldest record is that waits."""
        self.crowded = False
        """The journal was at its bound after this epoch's last record: whoever would make it grow is to be looked at."""
        self.refusals = 0
        self.stuck = ""
        self.housekeeping: Counter[str] = Counter()
        """Of channels that are closed."""
        self.ended: list[EndedJob] = []
        """Jobs whose end is among the records of this turn."""
        self.reports: list[tuple[Member, list[Receipt]]] = []
        """What peers said of earlier messages in those of the last turns: looked at when nothing else has come, for nobody waits for it."""
        self.writable: dict[Member, None] = {}
        """Peers whose outbox is to be sent at the end of this turn, in the order in which that was decided."""
        self.stopping: float | None = None
        self.over = False
        """The journal has this supervisor's own end."""
        self.finished = False
        self.next_snapshot = 0.0
        self.last_snapshot = 0.0
        self.dirty = True
        self.due = 0.0
        """When to look what is due (s of the monotonic clock): a turn that only moves messages need not."""
        self.more_due = 0.0
        self.control = Control(settings)
        self._register(self.control.sock.fileno(), self._callers)
        self._listen_to_signals()
        # Messages make no cycles: a full collection in the midst of a burst would only find nothing.
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)

    # ---- the loop

    def run(self) -> None:
        """Serves until the pool has stopped.

        Raises JournalBroken when the journal can no longer be trusted, JournalFull when it had no room to the end of a stop.
        """
        log.info(
            "supervisor %d (pid %d, epoch %d) holds the journal at position %d%s",
            self.serials["supervisor"],
            os.getpid(),
            self.journal.epoch,
            self.journal.position,
            f"; {self.journal.cut} bytes of a torn tail are passed over" if self.journal.cut else "",
        )
        for stretch in self.journal.damage:
            log.error("the journal was damaged: %d bytes at byte %d of the segment that begins at position %d; they are kept as %s", stretch.size, stretch.offset, stretch.first, stretch.name)
        self.tap.records.append(Born("supervisor", self.serials["supervisor"], os.getpid(), os.geteuid(), self.born))
        self.tap.records.append(Ready("supervisor", self.serials["supervisor"], self.born, "", {}))
        try:
            poll, watched, look_at_clock, monotonic, spin = self.epoll.poll, self.watched, self.issuer.look_at_clock, time.monotonic, Spin(SPIN)
            tap, entries = self.tap, self.board.entries
            while not self.finished:
                now = monotonic()
                if now >= self.due or self.stopping is not None:
                    self._report()
                    self.due = math.inf
                    self._on_time(now)
                    self._flush()
                    if self.finished:
                        break
                    now = monotonic()
                    self.due = min(self.due, now + self._patience(now))
                ready = poll(0)
                if self.reports:
                    few = len(entries) <= FEW and len(self.reports) <= REPORTS_MOST
                    if few and not ready:
                        now = spin.give_way(now)  # whoever was told something in this turn may need this core, and answer
                        ready = poll(0)
                    if not (few and ready):
                        self._report()  # its records are appended with the next turn's, or before this process sleeps
                        if self.writable:
                            self._flush()
                if not ready:
                    ready = spin.ask(poll, now, self.board.running > 0)
                    if not ready:
                        if tap.records:
                            self._flush()
                        ready = poll(max(0.0, self.due - now))
                    spin.waited(monotonic() - now)
                look_at_clock()
                for fd, mask in ready:
                    if (react := watched.get(fd)) is not None:
                        react(mask)
                self._assign()
                self._flush()
        finally:
            self._leave()

    def look(self) -> None:
        """Something has happened that may make something else due."""
        self.dirty = True
        self.due = 0.0

    def _flush(self) -> None:
        """Journals what this turn recorded, then sends what it decided to send."""
        tap = self.tap
        while tap.records or self.writable:
            if tap.records:
                self._append(tap.take())
            writable, self.writable = self.writable, {}
            for member in writable:
                if member not in self.writable:  # what it was told since is to be journaled first
                    self._write(member)
        self.crowded = self.journal.beyond(1.0)
        if self.dirty and self.next_snapshot < self.due:
            self.due = self.next_snapshot
        if self.recorder_idle and self.progress is not None and self.journal.position > self.progress.position:
            now = time.monotonic()
            if now < self.more_due:
                self.due = min(self.due, self.more_due)
            elif (recorder := self.recorder) is not None:
                self.recorder_idle = False
                self.more_due = now + MORE_EVERY
                recorder.outbox.append(recorder.channel.prepare("more", More(self.journal.position)))
                self._write(recorder)

    def _append(self, records: list[Any]) -> None:
        self.journal.last_id = self.issuer.last
        while True:
            try:
                position = self.journal.append(records)
                break
            except JournalFull as error:
                if not self.stuck:
                    log.error("%s: nothing is acknowledged until it can; trying again every %d ms", error, DISK_PAUSE_MS)
                self.stuck = str(error)
                self._wait_for_room()
                if self.stopping is not None and time.monotonic() >= self.stopping + self.settings.stop_grace:
                    raise
        if self.stuck:
            log.warning("the journal can be written again")
            self.stuck = ""
            self.look()
        if self.ended:
            for ended in self.ended:
                ended.position = position
            self.ended.clear()

    def _wait_for_room(self) -> None:
        """The disk is full: only the recorder is heard, for what it has drained can be deleted, and whoever asks to stop."""
        now = time.monotonic()
        self._write_snapshot(now)
        recorder = self.recorder
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if recorder is None:
            if self.recorder_birth is not None and self.recorder_birth <= now:
                self._spawn_recorder()
        else:
            poll.register(recorder.child.pidfd, select.POLLIN)
            if recorder.open:
                poll.register(recorder.channel, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(DISK_PAUSE_MS)}
        if self._wakeup.fileno() in ready:
            self._signalled(0)
        if recorder is not None and recorder.child.pidfd in ready:
            self._died(recorder)
        elif recorder is not None and recorder.open and recorder.channel.fileno() in ready:
            self._read(recorder)

    def _not_sent(self, member: Member, reason: str) -> None:
        """What waits in the outbox is not sent."""
        while member.outbox:
            out = member.outbox.popleft()
            out.close()
            if out.envelope.id:
                self.tap.failed(member, out.envelope.id, "failed", reason)

    def _write(self, member: Member) -> None:
        """Sends what the peer has room for; the rest stays in its outbox until it has room again."""
        outbox = member.outbox
        if not member.open:
            return self._not_sent(member, f"{member} had closed its end")
        try:
            member.channel.transmit(outbox)
        except BlockingIOError:
            pass
        except OSError as error:
            self._not_sent(member, f"sendmsg to {member}: {error.strerror}")
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                # ETOOMANYREFS, ENOBUFS: the peer would wait for ever for what it will never get. Of its end, reading tells.
                return self.drop(member, f"sendmsg to it failed: {error.strerror}")
        if len(outbox) > OUTBOX_MOST:
            return self.drop(member, f"it read nothing while {OUTBOX_MOST} messages waited")
        if len(member.unreported) > UNREPORTED_MOST:
            return self.drop(member, f"it reported nothing of {UNREPORTED_MOST} messages")
        if member.writing or outbox:
            self._interest(member)

    def _interest(self, member: Member) -> None:
        writing = bool(member.outbox)
        if writing != member.writing and member.open:
            member.writing = writing
            self.epoll.modify(member.channel.fileno(), select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def say(
        self, member: Member, kind: str, payload: Any, job: int = 0, seq: int = 0, fds: Sequence[int] = (), kept: Sequence[int] = ()
    ) -> int:
        """Decides that a message shall be sent in this turn; returns its id, 0 for housekeeping. One that cannot even be made ends the channel."""
        try:
            out = member.channel.prepare(kind, payload, fds, 0, job, seq)
        except (OSError, ValueError, RecursionError) as error:
            close_all(kept)
            self.drop(member, f"{kind} cannot be sent to it: {error}")
            return 0
        identity = 0 if out.kind.housekeeping else self.tap.sending(member, out, kept)
        member.outbox.append(out)
        self.writable[member] = None
        return identity

    # ---- peers

    def _callers(self, _: int) -> None:
        # Each caller that is let in is two records at least: a journal at its bound must not grow by those who come again and again.
        closed = self._refusal("journal-full") if self.stopping is None and self.journal.beyond(RESERVE) else ""
        while (caller := self.control.accept(closed)) is not None:
            member = Member(Channel(caller.end, hears="client", blocking=False, buffer=self.buffer), "", 0, caller.pid, caller.uid)
            self.clients.add(member)
            self._watch(member)

    def _watch(self, member: Member) -> None:
        self._register(member.channel.fileno(), functools.partial(self._read, member))

    def _register(self, fd: int, react: Callable[[int], None]) -> None:
        self.epoll.register(fd, select.EPOLLIN)
        self.watched[fd] = react

    def _unregister(self, fd: int) -> None:
        self.epoll.unregister(fd)
        del self.watched[fd]

    def _read(self, member: Member, mask: int = IN, most: int = READ_MOST) -> None:
        """Takes what is there, up to `most` messages and the end of their packet. `mask`: for what the peer's end is ready, by epoll(7)."""
        if mask != IN and mask & OUT:
            self.writable[member] = None
            if mask == OUT:
                return
        while True:
            try:
                arrivals = member.channel.packet()
            except BlockingIOError:
                return
            except ChannelClosed:
                return self._closed(member)
            except ChannelBroken as error:
                return self.drop(member, str(error))
            for arrival in arrivals:
                if member.open:
                    try:
                        self._arrived(member, arrival)
                    except ChannelBroken as error:
                        self.drop(member, str(error))
                if arrival.fds:
                    arrival.close()
            most -= len(arrivals)
            if not member.open or (most <= 0 or not member.in_flight) and not member.channel.held:
                return

    def _arrived(self, member: Member, arrival: Arrival) -> None:
        envelope = arrival.envelope
        name = arrival.kind.name
        if envelope.receipts:
            self.reports.append((member, envelope.receipts))
            if name not in URGENT:
                self._report()
        handler = self.handlers.get(name)
        if handler is not None:
            if not member.role:
                raise ChannelBroken(f"{name} came before the client had said what it is")
            if self.crowded and not member.is_hand and self.stopping is None and self.journal.beyond(1.0 if name == "submit" else RESERVE):
                self.refusals += 1
                self.look()
                member.outbox.append(member.channel.prepare("refused", Refused("journal-full", self._refusal("journal-full")), seq=envelope.seq))
                self.writable[member] = None
                return
            if name == "submit":
                job = None
            elif name == "result":
                job = envelope.job
            else:
                job = getattr(arrival.payload, "job", envelope.job)
                if not 0 <= job <= LARGEST:
                    job = arrival.payload.job = 0
            handler(member, arrival, self.tap.arrived(member, arrival, job))
        elif (quiet := self.quiet.get(name)) is not None:
            quiet(member, arrival)
        else:
            if member.role:
                self.tap.arrived(member, arrival, 0)
            self.not_for(member, arrival, "nobody here has an answer to it")

    def not_for(self, member: Member, arrival: Arrival, why: str) -> None:
        """Refuses a recorded message of a kind that is declared, and not for this peer to send."""
        if isinstance(member, ChildMember) or not member.role:
            raise ChannelBroken(f"{arrival.kind.name} came, and {why}")
        self.refuse(member, arrival, "bad-request", f"{arrival.kind.name} came: {why}.")

    def _left(self, member: Member, arrival: Arrival) -> None:
        for job in arrival.payload.jobs:
            if (entry := self.board.entries.get(job)) is not None and entry.client is member:
                entry.client = None

    def _receipt(self, member: Member, arrival: Arrival) -> None:
        """Its header was all that it had to say."""

    def _report(self) -> None:
        """Records what peers have reported, and lets them close what they kept for the proofs that are now made."""
        reports, self.reports = self.reports, []
        for member, receipts in reports:
            for message in self.tap.reported(member, receipts):
                self.say(member, "release", Release(message))

    def _enter(self, member: Member, arrival: Arrival) -> None:
        role = arrival.payload.role
        if member.role or role not in CALLERS:
            raise ChannelBroken(f"a client calls itself {role!r}; expected web, lab or tool, once")
        member.role, member.serial = role, self._serial(role)
        if role == Role.LAB.value:
            member = self._station(member)
        self.tap.records.append(Born(role, member.serial, member.pid, member.uid, self.tap.now()))
        self.say(
            member,
            "welcome",
            Welcome(self.settings.node, self.journal.epoch, role, member.serial, os.getpid()),
            seq=arrival.envelope.seq,
        )
        self.look()

    def _station(self, member: Member) -> Station:
        """The same peer as one that takes scenarios."""
        station = Station(member.channel, member.serial, member.pid, member.uid)
        self.clients.discard(member)
        member.open = False
        self._unregister(member.channel.fileno())
        self._watch(station)
        self.stations[station.serial] = station
        return station

    def _serial(self, role: str) -> int:
        self.serials[role] = self.serials.get(role, 0) + 1
        return self.serials[role]

    def drop(self, member: Member, reason: str) -> None:
        """Ends this one channel for its peer's fault."""
        reason = reason[:REASON_MOST]
        log.warning("%s: %s; its channel is closed", member if member.role else f"a client with pid {member.pid}", reason)
        self._shut(member, reason)
        if isinstance(member, ChildMember):
            member.fault = reason
            children.send_signal(member.child, signal.SIGKILL)

    def _closed(self, member: Member) -> None:
        """End-of-file, everything before it read."""
        self._shut(member, "closed its end")
        if isinstance(member, ChildMember):
            # A child that closes its end is about to die; one that stays is killed when it is late.
            member.due = min(member.due or time.monotonic() + lifecycle.GRACE, time.monotonic() + lifecycle.GRACE)

    def _shut(self, member: Member, reason: str) -> None:
        if not member.open:
            return
        self._report()
        member.open = member.able = False
        self.look()
        self._unregister(member.channel.fileno())
        self._not_sent(member, f"{member}: {reason}")
        self.tap.closed(member, f"{member.role} {member.serial} ended before it reported" if member.role else reason)
        self.housekeeping.update(member.channel.housekeeping)
        member.channel.housekeeping.clear()  # a child stays in the picture until it is reaped
        member.channel.close()
        if isinstance(member, Station):
            del self.stations[member.serial]
            self.station_left = time.monotonic()
            self._bereave(member, reason, "its channel was closed for it")
        if not isinstance(member, ChildMember):
            self.clients.discard(member)
            for entry in self.board.entries.values():
                if entry.client is member:
                    entry.client = None
            if member.role:
                self.tap.records.append(Ended(member.role, member.serial, self.tap.now(), reason, False))

    # ---- children

    def _spawn(
        self, module: str, role: str, kind: type[ChildMember], arguments: list[str], environment: dict[str, str]
    ) -> ChildMember | None:
        now = time.monotonic()
        try:
            child = children.spawn(module, role, arguments, environment, self.buffer)
        except OSError as error:
            log.error("a %s cannot be started: %s; the next try follows", role, error.strerror)
            return None
        member = kind(child, role, self._serial(role), self.tap.now(), now)
        self.tap.records.append(Born(role, member.serial, child.pid, member.uid, member.born))
        self._watch(member)
        self._register(child.pidfd, lambda _: self._died(member))
        self.look()
        return member

    def _spawn_worker(self) -> None:
        arguments = [self.settings.worker_user, str(self.settings.output_max), str(os.getpid())]
        member = self._spawn("app.work.worker", "worker", Worker, arguments, children.worker_environment())
        if member is None:
            self.births.append(self.backoff.died_at_birth(time.monotonic()))
        else:
            assert isinstance(member, Worker)
            self.workers[member.serial] = member

    def _spawn_recorder(self) -> None:
        self.recorder_birth = None
        environment = children.recorder_environment(self.settings, self.journal.begin)
        self.recorder = self._spawn("app.recorder", "recorder", ChildMember, [], environment)
        self.recorder_idle = False
        if self.recorder is None:
            self.recorder_birth = self.recorder_backoff.died_at_birth(time.monotonic())

    def _step(self, member: ChildMember, event: Event) -> None:
        """Takes the lifecycle's decision and carries it out."""
        member.state, action = lifecycle.step(member.state, event)
        member.able = member.is_hand and member.open and member.state is State.READY
        now = time.monotonic()
        self.look()
        if action is Action.ASK:
            member.due = now + lifecycle.GRACE
            if member.role == "worker":
                assert isinstance(member, Worker)
                if not member.in_flight and member.open:
                    self.say(member, "stop", Stop("the pool is stopping" if self.stopping is not None else "it is no longer wanted"))
                elif member.in_flight:
                    member.due = member.in_flight[0].started + self._deadline(member.in_flight[0])
            elif member.open:
                self.say(member, "finish", None)
                member.due = now + FINISH
        elif action is Action.KILL:
            children.send_signal(member.child, signal.SIGKILL)
            member.due = None
        elif action in (Action.REPLACE, Action.BACK_OFF):
            backoff = self.backoff if member.role == "worker" else self.recorder_backoff
            if action is Action.REPLACE and (now - member.birth >= lifecycle.BRIEF or member.used):
                backoff.lived()
                when = now
            else:
                when = backoff.died_at_birth(now)
            if member.role == "recorder":
                self.recorder_birth = when
            elif when > now:
                self.births.append(when)

    def _died(self, member: ChildMember) -> None:
        """The pidfd says so. What it had sent is read first: it may have ended jobs."""
        while member.open and member.channel.readable:
            self._read(member, most=sys.maxsize)
        if member.open:
            # Somebody else holds its end as well, a debugger perhaps: end-of-file need never come.
            self._shut(member, "ended")
        self._unregister(member.child.pidfd)
        exit_words = children.reap(member.child)
        why = self._killed_for(member) if exit_words == "killed by SIGKILL" else ""
        self.tap.records.append(Ended(member.role, member.serial, self.tap.now(), exit_words + why, member.asked or member.state is State.STOPPING))
        asked = member.state is State.STOPPING
        if not asked:
            log.warning("%s %s%s%s", member, exit_words, why, " before it was ready" if member.state is State.STARTING else "")
        self._step(member, Event.DIED)
        if member.role == "recorder":
            self.recorder = None
            self.recorder_idle = False
            return
        assert isinstance(member, Worker)
        del self.workers[member.serial]
        self._bereave(member, exit_words, f"worker {member.serial} was killed for it")

    @staticmethod
    def _killed_for(member: ChildMember) -> str:
        """For which job or which fault this supervisor has killed it, in words that stand behind how it ended; empty: for none."""
        if member.fault:
            return f", for its fault: {member.fault}"
        head = member.in_flight[0] if isinstance(member, Worker) and member.in_flight else None
        if head is None or not (head.cancelled or head.late):
            return ""
        return f", to cancel job {head.id}" if head.cancelled else f", for job {head.id}: {head.late}"

    def _bereave(self, member: Hand, how: str, cost: str) -> None:
        """Somebody who takes jobs is gone: what it had in hand ends, what waited behind that goes back to the queue."""
        if member.in_flight:
            head = member.in_flight.popleft()
            if head.cancelled:
                self.end(head, "cancelled", f"{head.cancelled}; {cost}")
            elif head.late:
                self.end(head, "failed", f"{head.late}; {cost}")
            else:
                self.end(head, "failed", f"{member.role} {member.serial} died with the job in hand: {how}")
            for entry in member.in_flight:
                close_all([fd for fd in (entry.output, entry.spare) if fd >= 0])
                entry.output = entry.spare = -1
            self.board.give_back(member.in_flight)
            member.in_flight.clear()

    def _hello(self, member: Member, arrival: Arrival, _: int) -> None:
        if isinstance(member, Station):
            return self._station_ready(member, arrival)
        if not member.is_hand:
            return self.not_for(member, arrival, HANDS_ALONE)
        if not isinstance(member, Worker) or member.state not in (State.STARTING, State.STOPPING) or member.ready:
            raise ChannelBroken("a hello that nobody waits for")
        hello = arrival.payload
        _modest(hello.sandbox_detail)
        member.ready = self.tap.now()
        member.sandbox, member.detail = hello.sandbox, hello.sandbox_detail
        member.due = None
        self._step(member, Event.HELLO)
        self.tap.records.append(Ready("worker", member.serial, member.ready, member.sandbox, member.detail))
        # Never less than before: jobs that an older worker has in hand still need their deadline.
        self.catalogue |= {spec.name: spec for spec in hello.catalogue}
        self.heard = True
        for entry in list(self.board.queue):
            if (refusal := self._unfit(entry)) is not None:
                self.end(entry, "failed", refusal[1])

    def _station_ready(self, station: Station, arrival: Arrival) -> None:
        hello = arrival.payload
        if station.ready or [spec.name for spec in hello.catalogue] != [LAB]:
            raise ChannelBroken("a hello that nobody waits for")
        _modest(hello.sandbox_detail)
        station.ready, station.able = self.tap.now(), True
        station.sandbox, station.detail = hello.sandbox, hello.sandbox_detail
        self.tap.records.append(Ready(station.role, station.serial, station.ready, station.sandbox, station.detail))
        self.catalogue |= {LAB: hello.catalogue[0]}
        self.look()

    def _progress(self, _: Member, arrival: Arrival) -> None:
        progress = arrival.payload
        if self.recorder is not None and self.recorder.state is State.STARTING:
            self.recorder.ready = self.moved = self.tap.now()
            self.recorder.due = None
            self._step(self.recorder, Event.HELLO)
            self.tap.records.append(Ready("recorder", self.recorder.serial, self.recorder.ready, "", {}))
        before = self.progress
        if before is None or (progress.database, progress.stalled, progress.gaps) != (before.database, before.stalled, before.gaps):
            self.look()
        if before is None or progress.position != before.position:
            self.moved = self.tap.now()
        self.progress = progress
        self.progress_heard = self.tap.now()
        self.recorder_idle = progress.idle
        self.journal.forget(progress.position)
        self.board.forget(progress.position)
        while self.marks and self.marks[0][0] <= progress.position:
            self.marks.popleft()

    # ---- jobs

    def _refusal(self, code: str) -> str:
        particulars = {
            "unknown-kind": f"Known are: {', '.join(sorted(self.catalogue.keys() - {LAB}))}.",
            "queue-full": f"At most {self.settings.queue_max} may, with at most {self.settings.queue_bytes} bytes together.",
            "journal-full": f"Its bound is {self.settings.journal_limit} bytes; jobs that run are not affected.",
            "too-large": f"At most {self.settings.upload_max} bytes.",
        }
        return " ".join(filter(None, (REFUSALS[code], particulars.get(code))))

    def refuse(self, member: Member, arrival: Arrival, code: str, more: str = "", job: int = 0) -> None:
        reason = " ".join(filter(None, (self._refusal(code), more)))
        self.say(member, "refused", Refused(code, reason), job=job, seq=arrival.envelope.seq)

    def _unfit(self, entry: Entry) -> tuple[str, str] | None:
        """Why nobody can do this job: (code, sentence). None: somebody can, and the entry says whether it is quick."""
        spec = self.catalogue.get(entry.kind)
        if entry.kind == LAB:
            if not self.stations and time.monotonic() > self.station_left + STATION_PAUSE:
                return "lab-away", self._refusal("lab-away")
        elif spec is None:
            return "unknown-kind", self._refusal("unknown-kind")
        if entry.input < 0:
            if spec is None or spec.needs_input:
                return "needs-input", self._refusal("needs-input")
            entry.quick = spec.quick and not spec.output and len(entry.data) <= QUICK_MOST
        return None

    def _submit(self, member: Member, arrival: Arrival, identity: int) -> None:
        payload = arrival.payload
        if self.stopping is not None:
            return self.refuse(member, arrival, "stopping", job=identity)
        board, settings = self.board, self.settings
        kind, data, fds = payload.kind[:16], payload.data, arrival.fds
        if len(board.queue) + len(board.scenarios) >= settings.queue_max:
            return self.refuse(member, arrival, "queue-full", job=identity)
        if kind == LAB and len(board.scenarios) >= SCENARIOS_MOST:
            return self.refuse(member, arrival, "queue-full", f"Of scenarios at most {SCENARIOS_MOST} may.", job=identity)
        if not 1 <= payload.want <= 3:
            return self.refuse(member, arrival, "bad-request", f"want is {payload.want}; expected 1, 2 or 3.", job=identity)
        if payload.parameters and (why := excess(payload.parameters)):
            return self.refuse(member, arrival, "bad-request", f"Its parameters cannot be recorded: {why}.", job=identity)
        size = len(data)
        held = arrival.size
        input = -1
        if fds:
            input = fds[0]
            seen = look(input)
            if seen.object not in ("regular file", "memfd") or seen.access not in ("read", "read-write"):
                return self.refuse(
                    member, arrival, "bad-request", f"The input is a {seen.object} open for {seen.access}; expected a file open for reading.", job=identity
                )
            if seen.access != "read" and not memfd.is_sealed(input):
                return self.refuse(member, arrival, "bad-request", "The input can be written to; expected a read-only file or a sealed memfd.", job=identity)
            size = seen.size
            if size > settings.upload_max:
                return self.refuse(member, arrival, "too-large", f"The input has {size}.", job=identity)
            held += size
        if board.bytes + held > settings.queue_bytes and board.bytes:
            return self.refuse(member, arrival, "queue-full", f"They have {board.bytes}, this one {held}.", job=identity)
        name, want, seq = payload.name[:255], payload.want, arrival.envelope.seq
        entry = Entry(identity, kind, name, size, payload.parameters, data, input, held, member, seq, want)
        # Without a worker's hello nobody knows what workers can do: the job waits for one.
        if (self.heard or kind == LAB) and (refusal := self._unfit(entry)) is not None:
            entry.input = -1
            return self.refuse(member, arrival, refusal[0], job=identity)
        if fds:
            arrival.take()
        tap = self.tap
        tap.records.append(Job(identity, kind, name, size, arrival.received + tap.offset, member.role, member.serial, member.pid))
        if want & 1:
            self.say(member, "accepted", Accepted(identity, board.waiting), job=identity, seq=seq)
        board.add(entry)

    def _assign(self) -> None:
        """Gives jobs to workers, and scenarios to stations, for as long as both are there."""
        board = self.board
        queue, scenarios = board.queue, board.scenarios
        while queue and (hand := board.hand_for(queue[0], self.workers.values())) is not None:
            self._task(hand, queue.popleft())
        while scenarios and (hand := board.hand_for(scenarios[0], self.stations.values())) is not None:
            self._task(hand, scenarios.popleft())

    def _task(self, worker: Hand, entry: Entry) -> None:
        spec = self.catalogue[entry.kind]
        channel = worker.channel
        try:
            if entry.quick:
                out = channel.prepare("task", Task(entry.kind, entry.name, entry.parameters, entry.data), (), 0, entry.id)
            else:
                if spec.output and entry.output < 0:
                    entry.output = memfd.empty(f"output of {entry.kind}")
                if len(entry.data) > QUICK_MOST and entry.spare < 0:
                    entry.spare = memfd.empty(f"spare of {entry.kind}")
                fds = [fd for fd in (entry.input, entry.output, entry.spare) if fd >= 0]
                task = Task(entry.kind, entry.name, entry.parameters, entry.data, entry.input >= 0, entry.output >= 0, entry.spare >= 0)
                out = channel.prepare("task", task, fds=fds, job=entry.id)
        except (OSError, ValueError, RecursionError) as error:
            # No descriptor left for a memfd, a payload that grew beyond the bound with its new header, parameters nested too deeply.
            self.end(entry, "failed", f"it could not be given to a worker: {error}")
            return
        self.tap.sending(worker, out)
        worker.outbox.append(out)
        self.writable[worker] = None
        if not worker.in_flight:
            entry.started = now = time.monotonic()
            worker.due = due = now + spec.deadline
            if due < self.due:
                self.due = due
            channel.spare = entry.spare
        entry.state, entry.worker = "running", worker.serial
        self.dirty = True
        worker.in_flight.append(entry)

    def _deadline(self, entry: Entry) -> float:
        return self.catalogue[entry.kind].deadline

    def _result(self, member: Hand, arrival: Arrival, _: int) -> None:
        in_flight = member.in_flight
        if not in_flight or in_flight[0].id != arrival.envelope.job:
            if not member.is_hand:
                return self.not_for(member, arrival, HANDS_ALONE)
            raise ChannelBroken(f"a result for job {arrival.envelope.job}, which it has not in hand")
        payload = arrival.payload
        if not payload.ok:
            failure = payload.reason[:REASON_MOST] or "the worker gave no reason"
        elif why := excess(payload.result):
            failure = f"its answer cannot be recorded: {why}"
        else:
            failure = ""
        result, told = (EMPTY, {}) if failure else (_json(payload.result), payload.result)
        entry = in_flight.popleft()
        if in_flight:
            head = in_flight[0]
            head.started = now = time.monotonic()
            member.due = due = now + self.catalogue[head.kind].deadline
            if due < self.due:
                self.due = due
            member.channel.spare = head.spare
        else:
            member.due = None
            member.channel.spare = -1
        if failure:
            state, reason = "failed", failure
        elif entry.output >= 0:
            state, reason = self._keep_output(entry, time.monotonic())
        else:
            state, reason = "done", ""
        if state == "done":
            member.done += 1
        else:
            member.failed += 1
        self.end(entry, state, reason, result, told)
        if not in_flight and member.state is State.STOPPING:
            member.due = time.monotonic() + lifecycle.GRACE
            self.look()
            self.say(member, "stop", Stop("it is no longer wanted"))

    def _keep_output(self, entry: Entry, now: float) -> tuple[str, str]:
        """Seals the output and keeps it for download; the state and reason of the job."""
        try:
            memfd.seal(entry.output)
        except OSError as error:
            return "failed", f"its output could not be sealed: {error.strerror}"
        size = os.fstat(entry.output).st_size
        if size > self.settings.output_max:
            return "failed", f"its output has {size} bytes; at most {self.settings.output_max} are kept"
        entry.output_size = size
        spec = self.catalogue[entry.kind]
        self.results.add(entry.id, entry.output, size, spec.media, (entry.name or entry.kind) + spec.suffix, now)
        entry.output = -1
        self.look()
        return "done", ""

    def end(self, entry: Entry, state: str, reason: str, result: bytes = EMPTY, told: dict[str, Any] = {}) -> None:  # noqa: B006 never changed
        """Ends a job, exactly once: in the record, and to the client that waits. `result` is what the client is `told`, as JSON."""
        if len(result) > RESULT_MOST:
            shown = msgspec.json.encode({"note": f"a result of {len(result)} bytes; at most {RESULT_MOST} are recorded"})
        else:
            shown = result
        now = self.tap.now()
        ended = JobEnded(entry.id, state, now, reason, shown)
        if not entry.quick and (kept := self.results.get(entry.id)) is not None:
            ended.output, ended.media, ended.output_name = kept.size, kept.media, kept.name
            ended.expires = now + int(self.results.age * 1e9)
        self.tap.records.append(ended)
        client = entry.client
        if client is not None and client.open and entry.want & 2:
            answer = Answer(entry.id, state, told, reason, entry.worker, entry.output_size)
            self.say(client, "answer", answer, entry.id, entry.seq)
        if not entry.quick:  # a quick one has no descriptors
            close_all(entry.take_fds())
        self.ended.append(self.board.end(entry, state, reason, b"" if result is EMPTY else shown))
        self.dirty = True

    # ---- time

    def _on_time(self, now: float) -> None:
        """What is due."""
        for worker in list(self.workers.values()):
            if worker.due is not None and worker.due <= now:
                if worker.in_flight:
                    head = worker.in_flight[0]
                    head.late = head.late or f"it exceeded its deadline of {self._deadline(head):g} s"
                self._step(worker, Event.LATE)
        for station in list(self.stations.values()):
            if station.due is not None and station.due <= now:
                head = station.in_flight[0]
                head.late = f"it exceeded its deadline of {self._deadline(head):g} s"
                self.drop(station, f"job {head.id} exceeded its deadline")
        if self.board.scenarios and not self.stations:
            gone = self.station_left + STATION_PAUSE
            if gone <= now:
                for entry in list(self.board.scenarios):
                    self.end(entry, "failed", self._refusal("lab-away"))
            else:
                self.due = min(self.due, gone)
        recorder = self.recorder
        if recorder is not None and recorder.due is not None and recorder.due <= now:
            self._step(recorder, Event.LATE)
        for job, reason in self.results.expire(now):
            self.tap.records.append(OutputGone(job, self.tap.now(), reason))
            self.look()
        if self.stopping is not None:
            self._stop_further(now)
        else:
            self._people(now)
            if self.recorder is None and self.recorder_birth is not None and self.recorder_birth <= now:
                self._spawn_recorder()
        if now >= self.next_snapshot and (self.dirty or now - self.last_snapshot >= snapshot.HEARTBEAT):
            self._write_snapshot(now)

    def _people(self, now: float) -> None:
        """As many workers as are wanted: births that are due, and stops."""
        self.births = [when for when in self.births if when > now]
        alive = [worker for worker in self.workers.values() if worker.state in (State.STARTING, State.READY)]
        for _ in range(self.wanted - len(alive) - len(self.births)):
            self._spawn_worker()
        surplus = len(alive) - self.wanted
        if surplus > 0:
            for worker in sorted(alive, key=lambda worker: (len(worker.in_flight), -worker.serial))[:surplus]:
                worker.asked = True
                self._step(worker, Event.STOP)

    def _patience(self, now: float) -> float:
        """Seconds until something is due."""
        due = [now + snapshot.HEARTBEAT, max(self.next_snapshot, now) if self.dirty else now + snapshot.HEARTBEAT]
        due += [member.due for member in (*self.workers.values(), *self.stations.values()) if member.due is not None]
        if self.recorder is not None and self.recorder.due is not None:
            due.append(self.recorder.due)
        if (end := self.results.next_end()) is not None:
            due.append(end)
        if self.stopping is None:
            due += self.births
            if self.recorder is None and self.recorder_birth is not None:
                due.append(self.recorder_birth)
        elif (end := self.stopping + self.settings.stop_grace) > now:
            due.append(end)
        return max(0.0, min(due) - now)

    def _write_snapshot(self, now: float) -> None:
        self.tap.set_clock()
        at = self.tap.now()
        marked = self.marks[-1][0] if self.marks else self.progress.position if self.progress is not None else 0
        if marked < self.journal.position:
            self.marks.append((self.journal.position, at))
        snapshot.write(self.settings, view(self, at))
        self.dirty = self.progress is None or self.progress.position < self.journal.position  # whether it is stalled shows by time alone
        self.last_snapshot = now
        self.next_snapshot = now + snapshot.EVERY

    # ---- the end

    def _listen_to_signals(self) -> None:
        self._wakeup, writing = socket.socketpair()
        self._wakeup.setblocking(False)
        writing.setblocking(False)
        self._wakeup_writing = writing
        signal.set_wakeup_fd(writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._register(self._wakeup.fileno(), self._signalled)

    def _signalled(self, _: int) -> None:
        self._wakeup.recv(64)
        if self.stopping is None:
            log.info("asked to stop: no new jobs; %d run, %d wait", self.board.running, self.board.waiting)
            self.stopping = time.monotonic()
            self.look()

    def _stop_further(self, now: float) -> None:
        """Jobs first, then the workers, then the recorder, then this process."""
        assert self.stopping is not None
        if self.board.waiting or self.board.running:
            if now < self.stopping + self.settings.stop_grace:
                return
            for entry in [*self.board.queue, *self.board.scenarios]:
                self.end(entry, "failed", "the pool stopped before it began")
            for worker in self.workers.values():
                for entry in worker.in_flight:
                    entry.late = f"the pool stopped and waited {self.settings.stop_grace:g} s for it"
                children.send_signal(worker.child, signal.SIGKILL)
                worker.due = None
        for station in list(self.stations.values()):
            for entry in station.in_flight:
                entry.late = f"the pool stopped and waited {self.settings.stop_grace:g} s for it"
            self._flush()
            self._shut(station, "the pool stopped")
        for worker in self.workers.values():
            if worker.state in (State.STARTING, State.READY):
                worker.asked = True
                self._step(worker, Event.STOP)
                if worker.state is State.STOPPING and not worker.ready:
                    # It has nothing in hand; SIGTERM would find no ear in one that is stopped.
                    children.send_signal(worker.child, signal.SIGKILL)
        if self.workers:
            return
        for client in list(self.clients):
            self._flush()
            self._shut(client, "the pool stopped")
        if self.recorder is not None:
            if self.recorder.state is not State.STOPPING:
                self.tap.records.append(Ended("recorder", self.recorder.serial, self.tap.now(), "asked to finish", True))
                self._end_of_epoch()
                self.recorder.asked = True
                if self.recorder.state is State.STARTING:
                    self.recorder.state = State.READY
                self._step(self.recorder, Event.STOP)
            return
        self._end_of_epoch()
        self.finished = True

    def _end_of_epoch(self) -> None:
        """Says in the journal, once, that this supervisor has stopped in order."""
        if not self.over:
            self.over = True
            self.tap.records.append(Ended("supervisor", self.serials["supervisor"], self.tap.now(), "stopped", True))
            self._flush()

    def _leave(self) -> None:
        """Closes what this process owns; children that are left see their channel end."""
        self.control.close()
        for member in [*self.workers.values(), *([self.recorder] if self.recorder else [])]:
            if member.open:
                member.channel.close()
            os.close(member.child.pidfd)
        for member in [*self.clients, *self.stations.values()]:
            member.channel.close()
        for entry in self.board.entries.values():
            close_all(entry.take_fds())
        self.results.close()
        signal.set_wakeup_fd(-1)
        self._wakeup.close()
        self._wakeup_writing.close()
        self.epoll.close()
        self.settings.snapshot.unlink(missing_ok=True)
        self.journal.close()
        log.info("supervisor %d has stopped", self.serials["supervisor"])
