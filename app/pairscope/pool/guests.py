"""The guests: who comes over the control socket, from the first word to the end. Web, the command line, and the lab's
stations."""

from __future__ import annotations

import functools
import logging
import math
import os
import time

from pairscope.ipc.channel import Arrival, Channel, ChannelBroken
from pairscope.ipc.payloads import Welcome
from pairscope.ipc.sentences import Broken, Gone, Undone
from pairscope.ipc.vocabulary import CALLERS, Role
from pairscope.journal.records import Born, Ended
from pairscope.pool.agenda import COMING, LISTEN, SILENT, UNTOLD, Agenda
from pairscope.pool.control import Caller, Control
from pairscope.pool.desk import Desk
from pairscope.pool.floor import Floor
from pairscope.pool.foreign import KEPT_ALL, KEPT_EACH, Foreign
from pairscope.pool.lines import Lines
from pairscope.pool.members import Member, Station
from pairscope.pool.watch import Watch

log = logging.getLogger("pairscope.supervisor")

RESERVE = 1.25
"""Times the journal's bound: up to there only new jobs are refused, so that a full pool can still be told what to
do."""


CALLERS_MOST = 4
"""Callers that are looked at in one turn: those who are in get theirs."""
ENTER_WITHIN = 30.0
"""Seconds within which a client is to say what it is. It does so in its first message."""
REST = 0.01
"""Seconds for which nobody is looked at who comes, where one had to be refused: he would be there again at once."""


class Guests:
    """A method is the handler of the kind of messages whose name it has. All three are housekeeping."""

    hears = ("enter", "leave", "receipt")

    def __init__(
        self,
        floor: Floor,
        lines: Lines,
        agenda: Agenda,
        watch: Watch,
        desk: Desk,
        control: Control,
        foreign: Foreign,
        buffer: memoryview,
    ) -> None:
        """`buffer` is shared by the channels of all guests."""
        self._floor, self._lines, self._agenda, self._watch, self._desk, self._control = (
            floor,
            lines,
            agenda,
            watch,
            desk,
            control,
        )
        self._foreign = foreign
        self._buffer = buffer
        self._comers = floor.comers
        self._waiting: list[tuple[float, Caller]] = []
        """Who comes in later, and when."""
        self._silent: dict[Member, float] = {}
        """Who has not said what it is, and until when it may; the earliest first."""
        watch.add(control.sock.fileno(), self._callers)

    # ---- the door

    def _callers(self, _: int) -> None:
        # Each caller that is let in is two records at least: a journal at its bound must not grow by those who come
        # again and again.
        floor, control, comers, now = self._floor, self._control, self._comers, time.monotonic()
        full = floor.stopping is None and floor.journal.beyond(RESERVE)
        for _ in range(CALLERS_MOST):
            if (caller := control.accept()) is None:
                return
            if why := self._desk.refusal("journal-full") if full else comers.refused(caller.uid):
                control.refuse(caller, why)
                self._watch.listen(control.sock.fileno(), on=False)
                self._agenda.put(LISTEN, now + REST)
            elif (when := comers.comes(caller.uid, now)) > now:
                self._waiting.append((when, caller))
                self._agenda.sooner(COMING, when)
            else:
                self._let_in(caller, now)

    def _let_in(self, caller: Caller, now: float) -> None:
        end = self._control.hand(caller)
        if end is None:
            return self._comers.goes(caller.uid, now)
        channel = Channel(end, hears="client", blocking=False, buffer=self._buffer)
        member = Member(channel, "", 0, caller.pid, caller.uid)
        member.channel.dispose = functools.partial(self._passed, member)
        self._floor.clients.add(member)
        self._watch.meet(member)
        self._silent[member] = now + ENTER_WITHIN
        self._agenda.sooner(SILENT, now + ENTER_WITHIN)

    def pass_time(self, now: float) -> None:
        """Lets those in who have waited, lets those go who say nothing, and tells of whom the log did not."""
        if self._agenda.due(LISTEN, now) and (fd := self._control.sock.fileno()) >= 0:
            self._watch.listen(fd, on=True)
        if self._agenda.due(COMING, now):
            waiting, self._waiting = self._waiting, []
            for when, caller in waiting:
                if when > now:
                    self._waiting.append((when, caller))
                    self._agenda.sooner(COMING, when)
                else:
                    self._comers.waited(caller.uid)
                    self._let_in(caller, now)
        if self._agenda.due(SILENT, now):
            while self._silent and (first := next(iter(self._silent.items())))[1] <= now:
                del self._silent[first[0]]
                self._lines.fail(first[0], Gone.SILENT.say(seconds=f"{ENTER_WITHIN:g}"))
            if self._silent:
                self._agenda.put(SILENT, next(iter(self._silent.values())))
        if self._agenda.due(UNTOLD, now):
            for uid, count in self._comers.untold(now):
                log.warning("%d more clients of user %d were let go, which are not shown", count, uid)
            if self._comers.telling < math.inf:
                self._agenda.put(UNTOLD, self._comers.telling)

    # ---- inside

    def enter(self, member: Member, arrival: Arrival, _: None) -> None:
        floor, role = self._floor, arrival.payload.role
        if member.role or role not in CALLERS:
            raise ChannelBroken(Broken.NAME.say(name=repr(role[:40])))
        self._silent.pop(member, None)
        member.role = role
        member.serial = floor.serials[role] = floor.serials.get(role, 0) + 1
        if role == Role.LAB.value:
            member = self._station(member)
        floor.tap.records.append(Born(role, member.serial, member.pid, member.uid, floor.tap.now()))
        welcome = Welcome(floor.settings.node, floor.journal.epoch, role, member.serial, os.getpid())
        self._lines.say(member, "welcome", welcome, seq=arrival.envelope.seq)
        self._agenda.wake()

    def _station(self, member: Member) -> Station:
        """The same peer as one that takes scenarios."""
        station = Station(member.channel, member.serial, member.pid, member.uid)
        station.channel.dispose = functools.partial(self._passed, station)
        self._floor.clients.discard(member)
        member.open = False
        self._watch.remove(member.channel.fileno())
        self._watch.meet(station)
        self._floor.stations[station.serial] = station
        return station

    def leave(self, member: Member, arrival: Arrival, _: None) -> None:
        for job in arrival.payload.jobs:
            if (entry := self._floor.board.entries.get(job)) is not None and entry.client is member:
                entry.client = None

    def receipt(self, member: Member, arrival: Arrival, _: None) -> None:
        """Its header was all that it had to say."""

    def _passed(self, member: Member, fds: list[int]) -> None:
        """Lets descriptors go that a guest has passed. Those that must not be closed are kept, and counted."""
        count = self._foreign.let_go(fds)
        if not count:
            return
        kept = len(self._foreign.kept)
        member.foreign += count
        if member.foreign > KEPT_EACH:
            self._lines.fail(member, Gone.FOREIGN.say(count=member.foreign, most=KEPT_EACH))
        if kept > KEPT_ALL:
            # The next one of the same user would find no place either.
            why = Gone.FOREIGN_USER.say(number=member.uid, count=kept, most=KEPT_ALL)
            self._control.barred[member.uid] = why
            for other in [*self._floor.clients, *self._floor.stations.values()]:
                if other.uid == member.uid:
                    self._lines.fail(other, why)

    def tells(self, member: Member) -> bool:
        """Whether the log tells of one more guest that is let go for his fault."""
        told = self._comers.tells(member.uid, time.monotonic())
        if not told:
            self._agenda.sooner(UNTOLD, self._comers.telling)
        return told

    def gone(self, member: Member, reason: str) -> None:
        """A guest's channel is closed."""
        floor, now, uid = self._floor, time.monotonic(), member.uid
        # A station's channel is closed to end its run: that is nobody's fault.
        in_vain = not member.role or (bool(member.fault) and not isinstance(member, Station))
        self._comers.goes(uid, now, in_vain)
        self._silent.pop(member, None)
        if isinstance(member, Station):
            del floor.stations[member.serial]
            floor.station_left = time.monotonic()
            self._desk.bereave(member, reason, Undone.CHANNEL_CLOSED.value)
        floor.clients.discard(member)
        self._desk.orphan(member)
        if member.role:
            floor.tap.records.append(Ended(member.role, member.serial, floor.tap.now(), reason, False))
