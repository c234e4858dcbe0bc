"""Reads from the database what a batch needs before it can be folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select

from pairscope.recorder.fold import JobRow, MessageRow, Needs, ProcessRow, Rows, TransferRow
from pairscope.recorder.tables import JOBS, MESSAGES, PROCESSES, TRANSFERS

KEYS = 1000
"""Keys that one SELECT names at most."""


def load(connection: Connection, node: int, wanted: Needs) -> Rows:
    """The rows that a batch needs, and those of its node that are open where a supervisor's end decides them."""
    known = Rows()
    mine = MESSAGES.c.node == node

    def read(table: Table, row_type: Any, *conditions: Any) -> Iterator[Any]:
        for row in connection.execute(select(table).where(*conditions)):
            yield row_type(*row)

    for keys in slices(wanted.messages):
        known.messages |= {row.id: row for row in read(MESSAGES, MessageRow, MESSAGES.c.id.in_(keys))}
    for keys in slices(wanted.jobs):
        known.jobs |= {row.id: row for row in read(JOBS, JobRow, JOBS.c.id.in_(keys))}
    if wanted.all_open:
        kept = and_(JOBS.c.output > 0, JOBS.c.output_gone.is_(None))
        is_open = or_(JOBS.c.state.in_(("queued", "running")), kept), JOBS.c.node == node
        known.messages |= {row.id: row for row in read(MESSAGES, MessageRow, MESSAGES.c.state == "sent", mine)}
        known.jobs |= {row.id: row for row in read(JOBS, JobRow, *is_open)}
        known.transfers |= _by_place(read(TRANSFERS, TransferRow, TRANSFERS.c.proof == "", TRANSFERS.c.node == node))
        is_open = PROCESSES.c.ended.is_(None), PROCESSES.c.node == node
        known.processes |= {(row.role, row.serial): row for row in read(PROCESSES, ProcessRow, *is_open)}
    carrying = wanted.transfers | {row.id for row in known.messages.values() if row.fds}
    for keys in slices(carrying):
        known.transfers |= _by_place(read(TRANSFERS, TransferRow, TRANSFERS.c.message.in_(keys)))
    for role, serials in _grouped(wanted.processes).items():
        chosen = PROCESSES.c.node == node, PROCESSES.c.role == role, PROCESSES.c.serial.in_(serials)
        known.processes |= {(row.role, row.serial): row for row in read(PROCESSES, ProcessRow, *chosen)}
    return known


def slices(keys: Iterable[int]) -> Iterator[Sequence[int]]:
    """The keys in their order, KEYS at a time."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), KEYS):
        yield ordered[start : start + KEYS]


def _by_place(rows: Iterable[Any]) -> dict[tuple[int, int], Any]:
    return {(row.message, row.position): row for row in rows}


def _grouped(keys: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for role, serial in sorted(keys):
        found.setdefault(role, []).append(serial)
    return found
