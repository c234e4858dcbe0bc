"""What the database holds, seen from outside: tables with their sizes and indexes, and the newest rows of each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, Index, LargeBinary, Table, UniqueConstraint, func, select, text, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pairscope.ipc.identity import first_id_at
from pairscope.store import cursor
from pairscope.store.models import PACE_SECONDS, History, Own, Position, Rate

COUNT_MOST = 100_000
"""Rows of a table without a counter that are counted; beyond that the answer is an estimate or a bound."""
HIDDEN = {("tokens", "digest")}
"""Columns that nobody is shown."""
DESCRIPTIONS = {
    "messages": "One row for each message that crossed a pair.",
    "transfers": "One row for each descriptor that crossed by SCM_RIGHTS.",
    "jobs": "One row for each job.",
    "processes": "Every process that took part.",
    "positions": "How far each node's journal is drained, and what was ever recorded.",
    "rates": "Messages and latencies in ten seconds, for the chart.",
    "quarantine": "Records that did not become rows, and gaps.",
    "tokens": "Operators' tokens: only their SHA-256 is kept.",
    "runs": "Runs of the lab.",
    "recordings": "Recordings of real programs.",
}


@dataclasses.dataclass(frozen=True)
class IndexInfo:
    """One index of a table, as the database has it."""

    name: str
    columns: tuple[str, ...]
    unique: bool


@dataclasses.dataclass(frozen=True)
class TableInfo:
    """One table. Sizes in bytes; None: this database does not say."""

    name: str
    line: str
    """``history``, which the recorder writes, or ``own``, which web writes."""
    description: str
    rows: int
    exact: bool
    """False: at least so many, or the database's estimate."""
    data: int | None
    indexes: int | None
    engine: str
    partitions: int
    definitions: tuple[IndexInfo, ...]
    hour: int | None
    """Rows that came in the last hour; None: not known of this table."""


def tables(history: Session, own: Session) -> list[TableInfo]:
    """All tables of this program. `history` and `own` are sessions on the databases that hold them."""
    found = []
    counted = _counters(history)
    for session, line, metadata in ((history, "history", History.metadata), (own, "own", Own.metadata)):
        sizes = _sizes(session)
        for name, table in metadata.tables.items():
            rows, exact = (
                (counted[name], True) if name in counted else _count(session, table, sizes.get(name, {}).get("rows"))
            )
            size = sizes.get(name, {})
            found.append(
                TableInfo(
                    name,
                    line,
                    DESCRIPTIONS.get(name, ""),
                    rows,
                    exact,
                    size.get("data"),
                    size.get("indexes"),
                    size.get("engine", session.get_bind().dialect.name),
                    size.get("partitions", 0),
                    _definitions(table),
                    _last_hour(session, table),
                )
            )
    return found


def _definitions(table: Table) -> tuple[IndexInfo, ...]:
    primary = IndexInfo("PRIMARY", tuple(column.name for column in table.primary_key), True)
    others = sorted(table.indexes, key=lambda index: str(index.name))
    unique = [
        IndexInfo(str(constraint.name or "unique"), tuple(column.name for column in constraint.columns), True)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    ]
    return (primary, *(_info(index) for index in others), *unique)


def _info(index: Index) -> IndexInfo:
    return IndexInfo(str(index.name), tuple(column.name for column in index.columns), bool(index.unique))


def _counters(history: Session) -> dict[str, int]:
    """Rows of the tables that the recorder counts as it writes: COUNT(*) of ten million rows takes seconds."""
    row = history.execute(
        select(
            func.sum(Position.rows - Position.pruned_messages),
            func.sum(Position.transfers - Position.pruned_transfers),
            func.sum(Position.jobs - Position.pruned_jobs),
            func.sum(Position.processes - Position.pruned_processes),
        )
    ).one()
    return {name: int(count or 0) for name, count in zip(("messages", "transfers", "jobs", "processes"), row)}


def _count(session: Session, table: Table, estimate: int | None) -> tuple[int, bool]:
    some = select(*table.primary_key).limit(COUNT_MOST + 1).subquery()
    rows = session.scalar(select(func.count()).select_from(some)) or 0
    return (rows, True) if rows <= COUNT_MOST else (max(rows, estimate or 0), False)


def _last_hour(session: Session, table: Table) -> int | None:
    hour = time.time_ns() - 3600 * 10**9
    if table.name == "messages":
        return int(session.scalar(select(func.sum(Rate.messages)).where(Rate.at >= hour - PACE_SECONDS * 10**9)) or 0)
    key = {"jobs": "id", "transfers": "message"}.get(table.name)
    if key is None:
        return None
    since = select(table.c[key]).where(table.c[key] >= first_id_at(hour)).limit(COUNT_MOST).subquery()
    return session.scalar(select(func.count()).select_from(since)) or 0


def _sizes(session: Session) -> dict[str, dict[str, Any]]:
    """By table: bytes of data and indexes, the engine, the database's own estimate of rows, partitions."""
    if session.get_bind().dialect.name == "sqlite":
        return _sqlite_sizes(session)
    found = session.execute(
        text(
            "SELECT t.table_name, t.data_length, t.index_length, t.engine, t.table_rows, "
            "(SELECT COUNT(*) FROM information_schema.partitions p WHERE p.table_schema = t.table_schema AND "
            "p.table_name = t.table_name "
            "AND p.partition_name IS NOT NULL) FROM information_schema.tables t WHERE t.table_schema = DATABASE()"
        )
    )
    return {
        name: {
            "data": int(data or 0),
            "indexes": int(indexes or 0),
            "engine": engine,
            "rows": int(rows or 0),
            "partitions": int(partitions),
        }
        for name, data, indexes, engine, rows, partitions in found
    }


def _sqlite_sizes(session: Session) -> dict[str, dict[str, Any]]:
    try:
        pages = session.execute(
            text(
                "SELECT m.tbl_name, m.type, SUM(d.pgsize) FROM dbstat('main', 1) d JOIN sqlite_master m ON "
                "m.name = d.name GROUP BY 1, 2"
            )
        ).all()
    except DBAPIError:
        return {}  # dbstat is not compiled into every SQLite
    found: dict[str, dict[str, Any]] = {}
    for name, kind, size in pages:
        entry = found.setdefault(name, {"data": 0, "indexes": 0})
        entry["data" if kind == "table" else "indexes"] += int(size)
    return found


# ---- rows


@dataclasses.dataclass(frozen=True)
class RowsPage:
    """Some rows of a table, newest first by its key."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    older: str | None
    """Cursor of the next page; None: this was the last."""


def find(name: str) -> tuple[str, Table] | None:
    """The line and the table of that name; None: there is none."""
    for line, metadata in (("history", History.metadata), ("own", Own.metadata)):
        if name in metadata.tables:
            return line, metadata.tables[name]
    return None


def rows(session: Session, table: Table, before: str | None, limit: int, hidden: Collection[str] = ()) -> RowsPage:
    """The page of rows before a cursor, by the primary key downwards, without the columns `hidden`. Raises
    CursorError."""
    columns = [
        column for column in table.columns if (table.name, column.name) not in HIDDEN and column.name not in hidden
    ]
    keys = list(table.primary_key)
    query = (
        select(*(_shown(column) for column in columns), *keys).order_by(*(key.desc() for key in keys)).limit(limit + 1)
    )
    if before:
        types = tuple(key.type.python_type for key in keys)
        at = cursor.row(before, table.name, types)
        query = query.where(keys[0] < at[0] if len(keys) == 1 else tuple_(*keys) < tuple_(*at))
    found: Sequence[Any] = session.execute(query).all()
    page = found[:limit]
    older = cursor.encode(cursor.Row(f"{table.name}", tuple(page[-1][len(columns) :]))) if len(found) > limit else None
    return RowsPage(tuple(column.name for column in columns), [tuple(row[: len(columns)]) for row in page], older)


def _shown(column: Column[Any]) -> Any:
    """The column as it is selected: a long blob only by its length."""
    if isinstance(column.type, LargeBinary) and column.type.length is None:
        return func.length(column).label(column.name)
    return column
