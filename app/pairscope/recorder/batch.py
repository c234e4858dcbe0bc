"""A batch's rows on their way into the database: folded in portions, and upserted while the next portion is folded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Table, select

from pairscope.recorder.fold import Batch, Fold
from pairscope.recorder.load import slices
from pairscope.recorder.tables import JOBS, MESSAGES, PROCESSES, RATES, TRANSFERS
from pairscope.recorder.upsert import SIZES, Block, Upsert, send
from pairscope.store import histogram

PORTION = 300
"""Records that are folded at once, while the server works on the messages that those before have completed."""

Key = TypeVar("Key", int, tuple[int, int], tuple[str, int])
"""Of a row in its table."""
Work = tuple[Table, list[Any]]
"""Rows for a table."""


class BatchWriter:
    """Folds batches of one node's records and upserts the rows. `mariadb`: by prepared statements of many rows;
    otherwise by SQLite's executemany."""

    def __init__(self, node: int, mariadb: bool) -> None:
        self._node = node
        self._mariadb = mariadb
        self._upserts = {table: Upsert(table) for table in (MESSAGES, TRANSFERS, JOBS, PROCESSES, RATES)}
        self._most = 0
        """Bytes of values in one statement; 0: the server was not asked yet."""

    def write(self, connection: Connection, fold: Fold, batch: Batch, meanwhile: Callable[[], None]) -> int:
        """Folds a batch and upserts its rows, each portion in the order of its keys. Returns how many rows these are.
        Raises what the database raises.

        Unsorted batches of several writers deadlocked; of two sorted ones the second waits.
        """
        if self._mariadb:
            work = self._as_it_settles(fold, batch)
        else:
            fold.feed(batch)
            work = iter([(MESSAGES, [*fold.take_settled(), *fold.unsettled()])])
        written = self._upsert(connection, itertools.chain(work, self._others(fold)), meanwhile)
        self._upsert(connection, [(RATES, self._rates(connection, fold))])
        return written

    @staticmethod
    def _as_it_settles(fold: Fold, batch: Batch) -> Iterator[Work]:
        """Messages as they are completed: the server begins while the rest of the batch is still to be folded."""
        waiting: list[Any] = []
        for start in range(0, len(batch), PORTION):
            fold.feed(batch[start : start + PORTION])
            waiting += fold.take_settled()
            full = len(waiting) - len(waiting) % SIZES[0]
            yield MESSAGES, waiting[:full]
            del waiting[:full]
        yield MESSAGES, waiting + fold.unsettled()

    @staticmethod
    def _others(fold: Fold) -> Iterator[Work]:
        yield TRANSFERS, _in_order(fold.rows.transfers)
        yield JOBS, _in_order(fold.rows.jobs)
        yield PROCESSES, _in_order(fold.rows.processes)

    def _upsert(
        self, connection: Connection, work: Iterable[Work], meanwhile: Callable[[], None] = lambda: None
    ) -> int:
        """Writes rows, and returns how many."""
        written = 0

        def counted() -> Iterator[Work]:
            nonlocal written
            for table, rows in work:
                written += len(rows)
                if rows:
                    yield table, rows

        if self._mariadb:
            self._most = self._most or self._longest(connection)
            send(connection, self._blocks(counted()), meanwhile)
        else:
            for table, rows in counted():
                connection.exec_driver_sql(self._upserts[table].sqlite, [msgspec.structs.astuple(row) for row in rows])
        return written

    def _rates(self, connection: Connection, fold: Fold) -> list[Any]:
        """The steps of the pace that a batch adds to, with what was counted before."""
        paces = fold.paces
        for times in slices(paces):
            counted = select(RATES.c.at, RATES.c.messages, RATES.c.latencies).where(
                RATES.c.node == self._node, RATES.c.at.in_(times)
            )
            for at, messages, latencies in connection.execute(counted):
                paces[at].messages += messages
                for step, number in histogram.decode(latencies).items():
                    paces[at].latencies[step] = paces[at].latencies.get(step, 0) + number
        return [
            _RateRow(self._node, at, paces[at].messages, histogram.encode(paces[at].latencies)) for at in sorted(paces)
        ]

    @staticmethod
    def _longest(connection: Connection) -> int:
        """Bytes of values in one statement. The server does not refuse a packet beyond its limit, but breaks the
        connection; what is not values has room in the other half."""
        return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()) // 2

    def _blocks(self, work: Iterable[Work]) -> Iterator[Block]:
        for table, rows in work:
            yield from self._upserts[table].blocks(rows, self._most)


class _RateRow(msgspec.Struct):
    node: int
    at: int
    messages: int
    latencies: bytes


def _in_order(rows: dict[Key, Any]) -> list[Any]:
    """Rows in the order of their keys."""
    return [rows[key] for key in sorted(rows)]
