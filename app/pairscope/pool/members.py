"""The supervisor's peers: what it keeps of each of them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from pairscope.ipc.channel import Channel, Outgoing
from pairscope.ipc.vocabulary import Role
from pairscope.pool.board import Entry
from pairscope.pool.children import Child
from pairscope.pool.lifecycle import State
from pairscope.pool.tap import Peer


class Member(Peer):
    """A peer in the loop: its outbox, and what the selector does for it."""

    is_hand = False
    """True: it takes jobs."""
    hears_late = True
    """True: it is told what is acknowledged, once that is on the disk where it is to be."""
    in_flight: Sequence[Entry] = ()
    """The jobs that it has in hand, and from whom more may therefore have come than one packet; to ask anybody else
    costs as much as a message."""

    def __init__(self, channel: Channel, role: str, serial: int, pid: int, uid: int) -> None:
        super().__init__(channel, role, serial, pid, uid)
        self.outbox: deque[Outgoing] = deque()
        self._marked = 1
        """The mark of the last message that was found waiting in the outbox: see backlog()."""
        self.foreign = 0
        """Descriptors that it has passed and that are kept for ever."""
        self.queued_jobs = self.queued_bytes = 0
        """Of its jobs that have not ended, as the board counts them."""
        self.unread_bytes = self.unread_fds = 0
        """What waits for it, as unread.py has counted it."""
        self.counted = False
        """Something waits for it by that count."""
        self.open = True
        """False: it is marked, and gets nothing any more. lines.py marks."""
        self.loss = ""
        """Why, until the supervisor has lost it."""
        self.fault = ""
        """Why its channel was closed, if what it said or did was no way to go on."""
        self.able = False
        """True: it takes jobs, and may get one."""
        self.writing = False
        """True: the selector looks for room in its socket."""

    @property
    def called(self) -> str:
        """What the log calls it."""
        return str(self) if self.role else f"a client with pid {self.pid}"

    def backlog(self) -> int:
        """Bytes of the messages in the outbox, without long payloads.

        Each message that is found waiting is marked once with the bytes up to its end. So those that go at once, which
        are nearly all, cost nothing, and one that waits long is not counted again and again.
        """
        outbox = self.outbox
        if not outbox:
            return 0
        fresh = list(takewhile(lambda out: not out.mark, reversed(outbox)))
        for out in reversed(fresh):
            self._marked += len(out.raw) if out.spill < 0 else 0
            out.mark = self._marked
        first = outbox[0]
        return outbox[-1].mark - first.mark + (len(first.raw) if first.spill < 0 else 0)


class ChildMember(Member):
    """A child of the supervisor: worker or recorder."""

    hears_late = False

    def __init__(self, child: Child, role: str, serial: int, born: int, now: float) -> None:
        super().__init__(child.channel, role, serial, child.pid, os.geteuid())
        self.child = child
        self.state = State.STARTING
        self.born = born
        self.ready = 0
        self.birth = now
        """s of the monotonic clock."""
        self.asked = False
        self.dead = False
        """True: its process has ended, which is told by its pidfd. lines.py marks."""

    @property
    def used(self) -> bool:
        """True: it has been of use, so that its death says nothing against the next one's birth."""
        return False


class Worker(ChildMember):
    is_hand = True

    def __init__(self, child: Child, role: str, serial: int, born: int, now: float) -> None:
        super().__init__(child, role, serial, born, now)
        self.in_flight: deque[Entry] = deque()
        self.sandbox = ""
        self.detail: dict[str, Any] = {}
        self.done = 0
        self.failed = 0

    @property
    def used(self) -> bool:
        return bool(self.done or self.failed or self.in_flight)


class Station(Member):
    """A lab station: takes scenarios as a worker takes jobs, one at a time, but came over the control socket and is
    another user's process.

    It is not this process's child: to end what it has in hand, its channel is closed. Then it kills its run and comes
    again.
    """

    is_hand = True
    hears_late = False

    def __init__(self, channel: Channel, serial: int, pid: int, uid: int) -> None:
        super().__init__(channel, Role.LAB.value, serial, pid, uid)
        self.in_flight: deque[Entry] = deque()
        self.born = time.time_ns()
        self.ready = 0
        self.sandbox = ""
        self.detail: dict[str, Any] = {}
        self.done = 0
        self.failed = 0

    @property
    def state(self) -> State:
        return State.READY if self.ready else State.STARTING


Hand = Worker | Station
"""Who takes jobs."""
