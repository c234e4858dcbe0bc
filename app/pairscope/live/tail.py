"""The tail of a table: the rows of the last commits in memory, each read once, whoever follows them with whatever
filter."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from pairscope.live.source import Source
from pairscope.store import queries
from pairscope.store.cursor import CursorError

KEPT_SECONDS = 10.0
"""A page that was loaded, or lost its connection, within that time goes on without asking."""
KEPT_ROWS = 1000
STEP = 200
"""Rows that are read at a time."""
STEPS = 5
"""Such reads for one batch. Who is further behind goes on from now, and pages get the newest rows anew."""
IDLE = 60.0
"""Seconds without anybody who follows after which it forgets where it stood."""


class Batch(NamedTuple):
    """Rows that were read together, in the order of their changes."""

    number: int
    at: float
    """s of the monotonic clock."""
    start: str
    """From where to where it reaches, as positions; it ends where the next one starts."""
    rows: list[Any]


class Tail:
    """Of one table, as an operator or a stranger may see it."""

    def __init__(self, table: str, operator: bool, source: Source) -> None:
        self.table, self._operator, self._source = table, operator, source
        self.cursor = self.at = ""
        """Up to where all batches together reach."""
        self.number = 0
        """Of the last batch."""
        self._kept: deque[Batch] = deque()
        self._rows = 0
        self.left = float("-inf")
        """When somebody last followed."""
        self.trouble = ""
        """The page that says why it cannot be read; empty: it can."""

    def begin(self, cursor: str = "") -> None:
        """From now on, or from where another one ended. Raises Trouble."""
        with contextlib.suppress(CursorError):
            self.cursor, self.at = cursor, queries.places(cursor)
            return
        self.cursor, self.at = self._source.now()

    def forget(self) -> None:
        """Nobody follows, and nobody will go on from here."""
        self.cursor = self.at = self.trouble = ""
        self.number += 2  # whoever would go on sees that something is missing
        self._kept.clear()
        self._rows = 0

    def read(self, now: float) -> None:
        """Reads on. Raises Trouble."""
        start, cursor, rows = self.at, self.cursor, list[Any]()
        for _ in range(STEPS):
            changes, touched = self._source.changes(self.table, self._operator, cursor, STEP)
            rows += changes.rows
            cursor = changes.cursor
            if not changes.more and not touched:
                break
        else:
            if changes.more:
                self.forget()
                return self.begin()
        if cursor == self.cursor:
            return
        self.cursor, self.at = cursor, queries.places(cursor)
        self.number += 1
        self._kept.append(Batch(self.number, now, start, rows))
        self._rows += len(rows)
        while self._kept[0].at < now - KEPT_SECONDS or (self._rows > KEPT_ROWS and len(self._kept) > 1):
            self._rows -= len(self._kept.popleft().rows)

    def oldest(self, now: float) -> tuple[int, str]:
        """From where one may go on who was not here: a batch's number, behind which those that are kept begin, and
        their start."""
        for batch in self._kept:
            if batch.at >= now - KEPT_SECONDS:
                return batch.number - 1, batch.start
        return self.number, self.at

    def behind(self, number: int) -> Iterator[Batch] | None:
        """The batches behind one; None: one of them is not kept any more."""
        if number < self.number and (not self._kept or self._kept[0].number > number + 1):
            return None
        return (batch for batch in self._kept if batch.number > number)
