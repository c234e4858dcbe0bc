"""Who has been given a job and does not take it: a stopped or stuck worker. What waits with it goes to others.

A task that is sent cannot be recalled. So a worker that goes on does it as well, and what it then says is for nobody:
the job has one end. A job works on what it was handed, and nothing else, so that doing it twice costs only time.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from pairscope.ipc.vocabulary import LAB
from pairscope.pool.agenda import TAKEN, Agenda
from pairscope.pool.board import Entry
from pairscope.pool.floor import Floor
from pairscope.pool.members import Hand
from pairscope.pool.view import stopped

MOMENT = 0.02
"""Seconds: a hundred times what a quick job takes, and more than a core is kept from whoever wants it."""
STUCK = 0.25
"""Seconds after which what waits behind a quick job goes to others, also where no signal has stopped its worker."""
UNREAD = struct.Struct("i")


class Handover:
    """Looks every MOMENT while somebody has a job that may not have been taken."""

    def __init__(self, floor: Floor, agenda: Agenda) -> None:
        self._floor, self._agenda = floor, agenda
        self.planned = False
        """It is on the agenda."""

    def check_soon(self, now: float) -> None:
        """Somebody who was idle has been given a job."""
        self.planned = True
        self._agenda.put(TAKEN, now + MOMENT)

    def pass_time(self, now: float) -> None:
        """Looks who has taken what."""
        if self._agenda.due(TAKEN, now):
            self.planned = False
            hands: list[Hand] = [*self._floor.workers.values(), *self._floor.stations.values()]
            for hand in hands:
                if hand.in_flight and hand.open and self._waits(hand, now):
                    self.check_soon(now)

    def _waits(self, hand: Hand, now: float) -> bool:
        """Whether to look again, because the hand may not have taken what it has; hands that over if it has not, and
        another is free."""
        head = hand.in_flight[0]
        if not head.quick and _all_read(hand):
            head.slow = False
            return False
        if now - head.started < MOMENT and not head.moved:
            return True
        head.slow = True
        waiting = [entry for entry in hand.in_flight if not entry.moved]
        if not waiting:
            return False
        if not stopped(hand.pid):
            # A head that is stuck may be stuck by its own fault: it stays, until its deadline ends it.
            waiting = [entry for entry in waiting if entry is not head] if now - head.started >= STUCK else []
        if waiting and self._others(hand, waiting[0]):
            self._move(hand, waiting)
        return True

    def _others(self, hand: Hand, entry: Entry) -> bool:
        floor = self._floor
        hands = (floor.stations if entry.kind == LAB else floor.workers).values()
        return any(
            other is not hand and floor.board.has_room(other, entry) and not stopped(other.pid) for other in hands
        )

    def _move(self, hand: Hand, entries: list[Entry]) -> None:
        inputs: list[int] = []
        try:
            for entry in entries:
                inputs.append(os.dup(entry.input) if entry.input >= 0 else -1)
        except OSError:
            entries = entries[: len(inputs)]  # no descriptor left: the others stay for now
        self._floor.board.move(entries, inputs)
        self._agenda.changed = True
        if hand.in_flight[0].moved:
            self._agenda.strike(hand)  # it is late with nothing that anybody waits for


def _all_read(hand: Hand) -> bool:
    """Whether the hand has read everything that was sent to it. SIOCOUTQ, unix(7)."""
    (left,) = UNREAD.unpack(fcntl.ioctl(hand.channel.sock, termios.TIOCOUTQ, bytes(UNREAD.size)))
    return not left and not hand.outbox
