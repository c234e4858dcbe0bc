"""How often pages may ask what has changed: from one address, and in all. Pure: the clock is an argument.

Each answer says after how many seconds the page shall ask again, where more pages ask than can be answered each second.
How many there are, nobody says; but one that asks once in `n` seconds, as it was told, counts as one if each of its
requests counts for `n`. So they come to a rate that can be borne, and no page is refused. Who does not heed it empties
a bucket, which is filled at that rate, and is refused at once.

What can be borne depends on what else the machine does. So who has waited for a thread is told to ask again after ten
times as long: while a queue forms, all ask less often. On two cores with a load of 17, where web had a quarter of one,
500 pages got 66 answers a second, and 152 polls none at all.
"""

from __future__ import annotations

import collections
import math
import threading
from typing import NamedTuple


class Rate(NamedTuple):
    """What can be borne."""

    each_second: float
    burst: float


EACH, ALL = Rate(150.0, 750.0), Rate(300.0, 1500.0)
"""Polls of one address, and in all; in each process of web. A poll takes 1 to 2 ms: they take half a core at most."""
AGAIN_MOST = 10.0
"""Seconds that a page is told to wait at most, and how long who is refused."""
WAITED, QUEUE = 10.0, 0.1
"""Times of what a request waited for a thread, if that was longer than so many seconds."""
REFUSED = 5.0
SPAN = 2.0
"""Seconds over which pages are counted."""
SHARE = 0.75
"""Of the rate that pages come to: the bucket of a burst has to fill again."""
ADDRESSES = 10_000


class Told(NamedTuple):
    """What becomes of a request."""

    refused: str
    """Empty; or which bucket is empty, ``each`` or ``all``."""
    again: float
    """Seconds until the page shall ask again; 0: as it likes."""


class _Asked(NamedTuple):
    """What was asked before."""

    level: float
    """Of the bucket."""
    pages: float
    at: float

    def by(self, now: float, rate: Rate) -> _Asked:
        """The same at a later time."""
        passed = max(0.0, now - self.at)
        level = min(rate.burst, self.level + passed * rate.each_second)
        return _Asked(level, self.pages * math.exp(-passed / SPAN), now)

    def again(self, rate: Rate) -> float:
        wanted = SHARE * rate.each_second
        return min(AGAIN_MOST, self.pages / wanted) if self.pages > wanted else 0.0

    def and_one(self, again: float) -> _Asked:
        return _Asked(self.level - 1, self.pages + max(1.0, again) / SPAN, self.at)


class Pace:
    """What was asked of one process. Threads share it."""

    def __init__(self, each: Rate = EACH, all: Rate = ALL) -> None:
        self._each, self._all = each, all
        self._lock = threading.Lock()
        self._asked = _Asked(all.burst, 0.0, 0.0)
        self._of: collections.OrderedDict[str, _Asked] = collections.OrderedDict()
        """By address."""

    def take(self, who: str, now: float, waited: float = 0.0) -> Told:
        """A request of an address, at `now` (seconds, monotonic), which has `waited` for a thread (seconds)."""
        with self._lock:
            own = self._of.pop(who, _Asked(self._each.burst, 0.0, now)).by(now, self._each)
            whole = self._asked.by(now, self._all)
            refused = "each" if own.level < 1 else "all" if whole.level < 1 else ""
            queue = min(AGAIN_MOST, WAITED * waited) if waited > QUEUE else 0.0
            again = max(own.again(self._each), whole.again(self._all), queue)
            if not refused:  # each counts by its own words: who heeds none of one address' makes nobody else wait
                own, whole = own.and_one(own.again(self._each)), whole.and_one(whole.again(self._all))
            self._of[who], self._asked = own, whole
            if len(self._of) > ADDRESSES:
                self._of.popitem(last=False)
        return Told(refused, max(again, REFUSED) if refused else again)
