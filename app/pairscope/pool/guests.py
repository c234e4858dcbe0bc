"""The guests: who comes over the control socket, from the first word to the end. Web, the command line, and the lab's
stations."""

from __future__ import annotations

import functools
import os
import time

from pairscope.ipc.channel import Arrival, Channel, ChannelBroken
from pairscope.ipc.payloads import Welcome
from pairscope.ipc.sentences import Broken, Gone, Undone
from pairscope.ipc.vocabulary import CALLERS, Role
from pairscope.journal.records import Born, Ended
from pairscope.pool.agenda import Agenda
from pairscope.pool.control import Control
from pairscope.pool.desk import Desk
from pairscope.pool.floor import Floor
from pairscope.pool.foreign import KEPT_ALL, KEPT_EACH, Foreign
from pairscope.pool.lines import Lines
from pairscope.pool.members import Member, Station
from pairscope.pool.watch import Watch

RESERVE = 1.25
"""Times the journal's bound: up to there only new jobs are refused, so that a full pool can still be told what to
do."""


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
        watch.add(control.sock.fileno(), self._callers)

    def _callers(self, _: int) -> None:
        # Each caller that is let in is two records at least: a journal at its bound must not grow by those who come
        # again and again.
        floor = self._floor
        closed = self._desk.refusal("journal-full") if floor.stopping is None and floor.journal.beyond(RESERVE) else ""
        while (caller := self._control.accept(closed)) is not None:
            member = Member(
                Channel(caller.end, hears="client", blocking=False, buffer=self._buffer), "", 0, caller.pid, caller.uid
            )
            member.channel.dispose = functools.partial(self._passed, member)
            floor.clients.add(member)
            self._watch.meet(member)

    def enter(self, member: Member, arrival: Arrival, _: None) -> None:
        floor, role = self._floor, arrival.payload.role
        if member.role or role not in CALLERS:
            raise ChannelBroken(Broken.NAME.say(name=repr(role)))
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

    def gone(self, member: Member, reason: str) -> None:
        """A guest's channel is closed."""
        floor = self._floor
        if isinstance(member, Station):
            del floor.stations[member.serial]
            floor.station_left = time.monotonic()
            self._desk.bereave(member, reason, Undone.CHANNEL_CLOSED.value)
        floor.clients.discard(member)
        self._desk.orphan(member)
        if member.role:
            floor.tap.records.append(Ended(member.role, member.serial, floor.tap.now(), reason, False))
