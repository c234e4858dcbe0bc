"""Who comes over the control socket, by user: how many connections a user may hold, how long his next one waits where
those before came for nothing, and which of them the log tells. Pure: it decides, and the clock is an argument; the
guests do.

The user is what the kernel tells of a caller and the caller cannot change at will: processes are made faster than they
are let go. A pause at the door costs others nothing, as whoever waits there sleeps. Refused at once, he would come
again at once.
"""

from __future__ import annotations

import dataclasses
import math

from pairscope.ipc.sentences import Answered

HELD_MOST = 512
"""Connections of one user; fewer where the process may have few descriptors, of which this is an eighth."""
FREE = 16.0
"""So many of a user may have come for nothing before the next one waits: a program that somebody writes fails often."""
FORGIVEN = 2.0
"""Of these so many are forgotten in a second,"""
OWED_MOST = 2 * FREE
"""and all that count in 8 seconds."""
PAUSE = 0.05
"""Seconds from one to the next of a user who has to wait."""
WAITING_MOST = 16
"""Callers of one user that may wait; the last of them comes in after 0.8 s."""
TOLD_MOST = 20
"""Lines of the log on clients of one user that were let go, in a PERIOD."""
PERIOD = 60.0
"""Seconds."""


@dataclasses.dataclass
class User:
    """What is known of one. Times in s of the caller's monotonic clock."""

    held: int = 0
    waiting: int = 0
    next: float = 0.0
    """When the last of those who wait comes in."""
    owed: float = 0.0
    """How many came for nothing, less what is forgotten at `counted`."""
    counted: float = 0.0
    told: int = 0
    untold: int = 0
    period: float = 0.0
    """When the lines are counted anew."""


class Comers:
    """Of one supervisor. `descriptors`: as many may this process have."""

    def __init__(self, descriptors: int) -> None:
        self.most = max(1, min(HELD_MOST, descriptors // 8))
        self._users: dict[int, User] = {}

    def _user(self, uid: int) -> User:
        return self._users.setdefault(uid, User())

    def held(self) -> dict[int, int]:
        """How many connections each user holds; those who wait count."""
        return {uid: user.held for uid, user in self._users.items() if user.held}

    # ---- the door

    def refused(self, uid: int) -> str:
        """Why nobody of that user comes in now, in words; empty: somebody may."""
        user = self._user(uid)
        if user.held >= self.most:
            return Answered.CONNECTIONS.say(number=uid, count=user.held, most=self.most)
        if user.waiting >= WAITING_MOST:
            return Answered.HASTY.say(number=uid, most=WAITING_MOST)
        return ""

    def comes(self, uid: int, now: float) -> float:
        """Counts one more of that user; returns when he comes in: now or later."""
        user = self._user(uid)
        user.held += 1
        if not user.waiting and self._owed(user, now) <= FREE:
            return now
        user.waiting += 1
        user.next = max(user.next, now) + PAUSE
        return user.next

    def waited(self, uid: int) -> None:
        """One who had to wait comes in."""
        self._user(uid).waiting -= 1

    def goes(self, uid: int, now: float, in_vain: bool = False) -> None:
        """One has gone. `in_vain`: he had not said what he is, or had to be let go."""
        user = self._user(uid)
        user.held -= 1
        if in_vain:
            user.owed = min(OWED_MOST, self._owed(user, now) + 1)

    @staticmethod
    def _owed(user: User, now: float) -> float:
        user.owed = max(0.0, user.owed - (now - user.counted) * FORGIVEN)
        user.counted = now
        return user.owed

    # ---- the log

    def tells(self, uid: int, now: float) -> bool:
        """Whether the log tells of one more of that user that was let go."""
        user = self._user(uid)
        if now >= user.period and not user.untold:
            user.told, user.period = 0, now + PERIOD
        if user.told < TOLD_MOST:
            user.told += 1
            return True
        user.untold += 1
        return False

    @property
    def telling(self) -> float:
        """When the earliest period ends in which it did not tell of everybody; inf: there is none."""
        return min((user.period for user in self._users.values() if user.untold), default=math.inf)

    def untold(self, now: float) -> list[tuple[int, int]]:
        """Of which users, and of how many of their clients, it did not tell in the periods that are over; once."""
        over = [(uid, user) for uid, user in self._users.items() if user.untold and user.period <= now]
        found = [(uid, user.untold) for uid, user in over]
        for _, user in over:
            user.untold = 0
        return found
