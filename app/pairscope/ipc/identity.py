"""Ids: signed 63-bit, given at the source, ordered by time, unique over restarts and nodes.

From the top: 41 bits of milliseconds since 2024-01-01T00:00:00Z (until 2093), 10 bits of node, 12 bits of sequence.
A clock that steps back does not: an id is never below the last one issued.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BEGIN_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z in ms since 1970."""
NODE_SHIFT, TIME_SHIFT = 12, 22
SEQUENCE = (1 << NODE_SHIFT) - 1
LARGEST = (1 << 63) - 1


class Issuer:
    """Issues the ids of one node. ``last`` is the last id issued before, from the journal."""

    def __init__(self, node: int, last: int = 0, clock: Callable[[], int] = time.time_ns) -> None:
        if not 0 <= node < 1024:
            raise ValueError(f"node is {node}; expected 0 to 1023")
        self._node = node << NODE_SHIFT
        self._clock = clock
        self.last = last if node_of(last) == node or not last else ((last >> TIME_SHIFT) + 1) << TIME_SHIFT | self._node
        self._next = self._behind(self.last)
        """What :meth:`another` will issue: it is asked for each message, and decides nothing but what comes after."""

    def issue(self) -> int:
        """The next id."""
        self.read_clock()
        return self.another()

    def another(self) -> int:
        """The next id of the same time: cheap, for many that come at once."""
        self.last = last = self._next
        self._next = last + 1 if last & SEQUENCE != SEQUENCE else self._behind(last)
        return last

    def read_clock(self) -> None:
        """From now on ids tell the present time, to the millisecond, unless that would be below the last one issued."""
        present = (self._clock() // 1_000_000 - BEGIN_MS) << TIME_SHIFT | self._node
        if present > self.last:
            self._next = present

    def _behind(self, last: int) -> int:
        """The id that comes next at the same time; of the next millisecond where that one has no more."""
        return last + 1 if last & SEQUENCE != SEQUENCE else ((last >> TIME_SHIFT) + 1) << TIME_SHIFT | self._node


def time_of(identity: int) -> int:
    """When the id was issued: ns since 1970, to the millisecond."""
    return ((identity >> TIME_SHIFT) + BEGIN_MS) * 1_000_000


def node_of(identity: int) -> int:
    """The node that issued the id."""
    return (identity >> NODE_SHIFT) & 1023


def first_id_at(ns: int, node: int = 0) -> int:
    """The smallest id that `node` could have issued at that time (ns since 1970)."""
    return max(0, (ns // 1_000_000 - BEGIN_MS) << TIME_SHIFT | node << NODE_SHIFT)
