"""A fold under way: the rows that it has made or changed, and what else a batch adds up to. Pure.

What each type of record does to it stands in the files beside this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from pairscope.recorder.fold.rows import Rows
from pairscope.store import histogram, models

PACE_NS = models.PACE_SECONDS * 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Source:
    """Who wrote the records that come: the node, the epoch and its supervisor. A record does not say them itself."""

    node: int
    node_name: str
    epoch: int
    supervisor: int
    """Serial and pid of the epoch's supervisor: the other end of every message."""
    supervisor_pid: int


class Pace(msgspec.Struct):
    """What a batch adds to one step of rates."""

    messages: int = 0
    latencies: dict[int, int] = msgspec.field(default_factory=dict)


class Folding:
    """Rows of `known` are changed in place and move into `rows`."""

    def __init__(self, known: Rows, source: Source) -> None:
        self.rows = Rows()
        """Inserted and updated ones."""
        self.inserted = {"messages": 0, "transfers": 0, "jobs": 0, "processes": 0}
        """How many of them are new, by table."""
        self.paces: dict[int, Pace] = {}
        """By begin, in ns."""
        self.source = source
        """Of the next records: an Epoch among them changes it."""
        self.known = known
        """What the database holds, and no record has touched yet."""
        self.settled: dict[int, Any] = {}
        """Messages that were completed, by id."""

    def touch(self, table: str, key: Any) -> Any:
        """The row of that key, to be changed; None: it was pruned, or is in quarantine."""
        rows = getattr(self.rows, table)
        row = rows.get(key)
        if row is None:
            row = getattr(self.known, table).pop(key, None)
            if row is not None:
                rows[key] = row
        return row

    def open(self, table: str, is_open: Callable[[Any], bool]) -> list[Any]:
        """All rows of a table that are open, to be changed."""
        known = getattr(self.known, table)
        for key in [key for key, row in known.items() if is_open(row)]:
            self.touch(table, key)
        return [row for row in getattr(self.rows, table).values() if is_open(row)]

    def count(self, sent: int, latency: int | None, messages: int) -> None:
        """Adds `messages` that were sent at that time (ns since 1970), and a latency in ns, to the pace."""
        at = sent - sent % PACE_NS
        pace = self.paces.get(at)
        if pace is None:
            pace = self.paces[at] = Pace()
        pace.messages += messages
        if latency is not None:
            step = histogram.step(latency)
            pace.latencies[step] = pace.latencies.get(step, 0) + 1
