"""What may be asked of the record, each question by its name. Only SELECTs.

Pages are cut by key (never by OFFSET) and nothing counts a large table, so that an answer takes as long with a
hundred million rows as with a thousand. A `session` is one of SQLAlchemy's over an engine made with ``read_only=True``;
rows are instances of pairscope.store.models and stay usable when it is closed.

To follow a page without missing anything, take :func:`live_cursor` first and the page after it: a row that changes in
between is then told once more.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from pairscope.ipc.identity import time_of
from pairscope.store import cursor as cursors
from pairscope.store import histogram
from pairscope.store.cursor import Changed, CursorError, Key, Known
from pairscope.store.filter import BOUND, Filter, FilterError, parse
from pairscope.store.models import PACE_SECONDS, History, Job, Message, Position, Process, Quarantine, Rate, Transfer

__all__ = ["BOUND", "Changes", "CursorError", "Filter", "FilterError", "Pace", "Page", "parse"]


PATIENCE = 0.25
"""Seconds for which one page goes on searching where no index finds what is asked for. It stops between two searches of
BOUND rows, which take 6 to 60 ms each from memory."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Some rows, newest first."""

    rows: Sequence[Any]
    older: str | None
    """Cursor for `before`; None: nothing is older. Of a bounded filter it may come with few rows or none: the search
    goes on there."""
    newer: str | None
    """Cursor for `after`; None: this is where the newest are."""
    reached: int | None = None
    """Where a bounded search stopped before the page was full: all since then was looked at, in ns since 1970. None: it
    is complete or full."""


@dataclasses.dataclass(frozen=True)
class Changes:
    """Rows that were touched, in the order of each node's journal."""

    rows: Sequence[Any]
    cursor: str
    """Goes on behind these rows."""
    more: bool
    """True: there is more already."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """What went in PACE_SECONDS, over all nodes."""

    at: int
    """Begin, in ns since 1970."""
    messages: int
    p50: int | None
    """Latency in ns that half of them did not exceed; None: of none it is known. At most 5 % off."""
    p99: int | None


@dataclasses.dataclass(frozen=True)
class _Listing:
    model: type[History]
    key: tuple[InstrumentedAttribute[Any], ...]
    """The page's order, oldest first; ends in the primary key."""
    change_key: tuple[InstrumentedAttribute[Any], ...]
    """What tells rows of one change apart, within a node."""

    @property
    def types(self) -> tuple[type, ...]:
        return tuple(column.type.python_type for column in self.key)

    @property
    def change_types(self) -> tuple[type, ...]:
        return tuple(column.type.python_type for column in self.change_key)


_LISTINGS = {
    "messages": _Listing(Message, (Message.id,), (Message.id,)),
    "transfers": _Listing(Transfer, (Transfer.message, Transfer.position), (Transfer.message, Transfer.position)),
    "jobs": _Listing(Job, (Job.id,), (Job.id,)),
    "workers": _Listing(
        Process, (Process.born, Process.node, Process.role, Process.serial), (Process.role, Process.serial)
    ),
}


# ---- tables -----------------------------------------------------------------------------------------------------


def page(
    session: Session,
    table: str,
    filter: Filter | None = None,
    *,
    before: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """The newest rows of "messages", "transfers", "jobs" or "workers" that a filter lets through, at most `limit`.

    `before`: those just older than that cursor's place; `after`: those just newer. Raises CursorError. A bounded filter
    is searched for on and on, BOUND rows at a time, until the page is full or PATIENCE is over.
    """
    filter = filter or Filter("", table)
    until = time.monotonic() + PATIENCE
    found = _slice(session, table, filter, before, after, limit)
    while filter.bounded and after is None and found.older and len(found.rows) < limit and time.monotonic() < until:
        more = _slice(session, table, filter, found.older, None, limit - len(found.rows))
        found = Page([*found.rows, *more.rows], more.older, found.newer, more.reached)
    return found


def _slice(session: Session, table: str, filter: Filter, before: str | None, after: str | None, limit: int) -> Page:
    """A page as far as one search reaches."""
    listing = _LISTINGS[table]
    upwards = after is not None
    place = after if upwards else before
    key = cursors.row(place, table, listing.types) if place else None
    order = _walked(listing, filter)
    found = select(listing.model).where(*filter.conditions)
    if key is not None:
        found = found.where(_beyond(order, key, upwards))
    end = _end_of_search(session, listing, filter, key, upwards) if filter.bounded else None
    if end is not None:
        found = found.where(order[0] <= end if upwards else order[0] >= end)
    found = _walk(found, listing, filter).order_by(*_order(order, upwards)).limit(limit + 1)
    rows = list(session.scalars(found))
    more = len(rows) > limit
    del rows[limit:]
    if upwards:
        rows.reverse()

    def at(row: Any) -> str:
        return cursors.encode(cursors.Row(table, tuple(getattr(row, column.key) for column in listing.key)))

    def at_end() -> str | None:
        return None if end is None else cursors.encode(cursors.Row(table, _edge(listing, end, upwards)))

    oldest = at(rows[-1]) if rows else place
    newest = at(rows[0]) if rows else place
    if upwards:
        return Page(rows, oldest, newest if more else at_end())
    return Page(
        rows, oldest if more else at_end(), newest if before else None, None if more or end is None else time_of(end)
    )


def every(session: Session, table: str, filter: Filter | None = None, *, most: int, slice: int = 1000) -> Iterator[Any]:
    """The newest rows one after the other, at most `most`: for an export. Reads `slice` of them at a time."""
    before: str | None = None
    while most > 0:
        found = page(session, table, filter, before=before, limit=min(slice, most))
        yield from found.rows
        most -= len(found.rows)
        if found.older is None:
            return
        before = found.older
        session.expunge_all()


def live_cursor(session: Session) -> str:
    """The cursor of now: whatever is committed is known, whatever comes is a change."""
    return cursors.encode(Known({node: Changed(position) for node, position in _committed(session).items()}))


def changes(session: Session, table: str, filter: Filter | None, cursor: str, limit: int = 200) -> Changes:
    """Rows that were inserted or completed behind a cursor, at most `limit`. Raises CursorError.

    Each row comes as it is now, so one that changed twice may come once. A node that the cursor does not name is new.
    """
    listing = _LISTINGS[table]
    known = dict(cursors.known(cursor, table, listing.change_types))
    rows: list[Any] = []
    more = False
    for node, position in _committed(session).items():
        last = known.get(node, Changed(0))
        if last.change > position or (last.change == position and not last.key):
            continue
        some, reached = _changes_of_node(session, listing, filter, node, last, position, limit - len(rows))
        rows += some
        known[node] = reached
        if reached != Changed(position):
            more = True
            break
    keyed = any(changed.key for changed in known.values())
    return Changes(rows, cursors.encode(Known(known, table if keyed else "")), more)


def still(session: Session, table: str, filter: Filter, rows: Sequence[Key]) -> set[Key]:
    """Which of these rows, named by their primary keys, a filter lets through now: a live page drops the others.

    A message shown for ``state:sent`` is no longer sent when it is received; :func:`changes` tells only what fits.
    """
    model: Any = _LISTINGS[table].model
    key = tuple(model.__mapper__.primary_key)
    if not rows:
        return set()
    named = or_(*(and_(*(column == value for column, value in zip(key, row))) for row in rows))
    return {tuple(row) for row in session.execute(select(*key).where(named, *filter.conditions))}


# ---- one thing --------------------------------------------------------------------------------------------------


def message(session: Session, id: int) -> Message | None:
    return session.get(Message, id)


def transfers_of_message(session: Session, id: int) -> Sequence[Transfer]:
    """In the order of the control message."""
    return session.scalars(select(Transfer).where(Transfer.message == id).order_by(Transfer.position)).all()


def transfer(session: Session, message: int, position: int) -> Transfer | None:
    return session.get(Transfer, (message, position))


def job(session: Session, id: int) -> Job | None:
    return session.get(Job, id)


def messages_of_job(session: Session, id: int, most: int = 500) -> Sequence[Message]:
    """Oldest first."""
    return session.scalars(select(Message).where(Message.job == id).order_by(Message.id).limit(most)).all()


def transfers_of_job(session: Session, id: int, most: int = 500) -> Sequence[Transfer]:
    """Oldest first."""
    order = (Transfer.message, Transfer.position)
    return session.scalars(select(Transfer).where(Transfer.job == id).order_by(*order).limit(most)).all()


def transfers_of_object(session: Session, device: int, inode: int, most: int = 100) -> Sequence[Transfer]:
    """Where else the same object crossed, newest first. A number may be given to another object once the first is
    gone."""
    order = (Transfer.message.desc(), Transfer.position.desc())
    found = select(Transfer).where(Transfer.inode == inode, Transfer.device == device).order_by(*order).limit(most)
    return session.scalars(found).all()


def process(session: Session, node: int, role: str, serial: int) -> Process | None:
    return session.get(Process, (node, role, serial))


# ---- the whole --------------------------------------------------------------------------------------------------


def living(session: Session) -> Sequence[Process]:
    """Processes that have not ended, as far as the record goes."""
    return session.scalars(
        select(Process).where(Process.ended.is_(None)).order_by(Process.node, Process.role, Process.serial)
    ).all()


def positions(session: Session) -> Sequence[Position]:
    """How far each node's journal is in the record."""
    return session.scalars(select(Position).order_by(Position.node)).all()


def counts(session: Session) -> dict[str, int]:
    """Rows kept of "messages", "transfers", "jobs" and "processes": what the recorders have counted, so no table is
    read."""
    kept = {"messages": 0, "transfers": 0, "jobs": 0, "processes": 0}
    for position in positions(session):
        kept["messages"] += position.rows - position.pruned_messages
        kept["transfers"] += position.transfers - position.pruned_transfers
        kept["jobs"] += position.jobs - position.pruned_jobs
        kept["processes"] += position.processes - position.pruned_processes
    return kept


def rates(session: Session, minutes: int = 10) -> list[Pace]:
    """Messages and their latencies in steps of PACE_SECONDS, oldest first, without gaps; the last step is not over
    yet."""
    step = PACE_SECONDS * 1_000_000_000
    last = time.time_ns() // step * step
    first = last - minutes * 60_000_000_000 + step
    counted: dict[int, int] = {}
    latencies: dict[int, dict[int, int]] = {}
    nodes = [position.node for position in positions(session)]
    for rate in session.scalars(select(Rate).where(Rate.node.in_(nodes), Rate.at >= first)):
        counted[rate.at] = counted.get(rate.at, 0) + rate.messages
        merged = latencies.setdefault(rate.at, {})
        for number, times in histogram.decode(rate.latencies).items():
            merged[number] = merged.get(number, 0) + times
    return [
        Pace(
            at,
            counted.get(at, 0),
            histogram.quantile(latencies.get(at, {}), 0.5),
            histogram.quantile(latencies.get(at, {}), 0.99),
        )
        for at in range(first, last + 1, step)
    ]


def quarantined(session: Session, most: int = 50) -> Sequence[Quarantine]:
    """What did not become a row, newest first within a node."""
    order = (Quarantine.node, Quarantine.position.desc())
    return session.scalars(select(Quarantine).order_by(*order).limit(most)).all()


# ---- inside -----------------------------------------------------------------------------------------------------


def _committed(session: Session) -> dict[int, int]:
    found = session.execute(select(Position.node, Position.position).order_by(Position.node))
    return {node: position for node, position in found}  # noqa: C416 dict() would take a Result for a mapping


def _changes_of_node(
    session: Session, listing: _Listing, filter: Filter | None, node: int, last: Changed, position: int, limit: int
) -> tuple[list[Any], Changed]:
    """Rows of a node that changed behind `last`, up to `position`, and how far they reach."""
    model: Any = listing.model
    order = (model.change, *listing.change_key)
    index = f"ix_{model.__tablename__}_node_change_{'_'.join(column.key for column in listing.change_key)}"
    behind = _beyond(order, (last.change, *last.key), True) if last.key else model.change > last.change
    end = position
    if filter and filter.conditions and position - last.change > BOUND:
        # A viewer that was away for long: what the filter lets through may be rare among all that has changed.
        walk = _using(
            select(model.change).where(model.node == node, behind).order_by(*order).limit(BOUND), model, index
        ).subquery()
        count, furthest = session.execute(select(func.count(), func.max(walk.c.change))).one()
        end = furthest if count == BOUND else position
    found = select(model).where(model.node == node, behind, model.change <= end, *(filter.conditions if filter else ()))
    rows = list(session.scalars(_using(found, model, index).order_by(*order).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, Changed(end)
    del rows[limit:]
    if not rows:
        return rows, last
    return rows, Changed(rows[-1].change, tuple(getattr(rows[-1], column.key) for column in listing.change_key))


def _beyond(columns: Sequence[InstrumentedAttribute[Any]], key: Key, upwards: bool) -> ColumnElement[bool]:
    """Rows behind `key` in the order of `columns`.

    Not as a comparison of tuples, for which MariaDB uses no index; the first column alone bounds the range.
    """
    first, value = columns[0], key[0]
    if len(columns) == 1:
        return first > value if upwards else first < value
    rest = _beyond(columns[1:], key[1:], upwards)
    if upwards:
        return and_(first >= value, or_(first > value, rest))
    return and_(first <= value, or_(first < value, rest))


def _end_of_search(session: Session, listing: _Listing, filter: Filter, key: Key | None, upwards: bool) -> int | None:
    """The key's first number at which BOUND candidates have been looked at; None: there are not as many."""
    order = _walked(listing, filter)
    walk = select(order[0].label("place"))
    if filter.exact is not None:
        walk = walk.where(filter.exact)
    if key is not None:
        walk = walk.where(_beyond(order, key, upwards))
    if filter.descriptor is not None:
        walk = (
            _using(walk, Transfer, "PRIMARY")
            .order_by(*_order((Transfer.message, Transfer.position), upwards))
            .limit(BOUND)
        )
    else:
        walk = _walk(walk, listing, filter).order_by(*_order(order, upwards)).limit(BOUND)
    candidates = walk.subquery()
    extreme = func.max if upwards else func.min
    count, end = session.execute(select(func.count(), extreme(candidates.c.place))).one()
    return end if count == BOUND else None


def _edge(listing: _Listing, end: int, upwards: bool) -> Key:
    """A place just beyond all rows whose key begins with `end`, which have been looked at."""
    if len(listing.key) == 1:
        return (end,)
    return (end, cursors.LARGEST if upwards else -1)


def _walked(listing: _Listing, filter: Filter) -> tuple[InstrumentedAttribute[Any], ...]:
    """The columns in whose order rows are looked at: those of the listing, or the transfers' name for the same
    message."""
    return listing.key if filter.descriptor is None else (Transfer.message,)


def _walk(found: Select[Any], listing: _Listing, filter: Filter) -> Select[Any]:
    """Names the index to MariaDB: left to choose, it walked 250,000 rows of one kind where 100,000 by key were the
    bound."""
    if filter.descriptor is not None:
        # Transfers first, then each one's message: STRAIGHT_JOIN says so to MariaDB, the plus sign (no index for that
        # side) to SQLite.
        theirs: UnaryExpression[int] = UnaryExpression(Transfer.message.expression, operator=operators.custom_op("+"))
        found = (
            found.select_from(Transfer)
            .join(Message, Message.id == theirs)
            .where(Transfer.position == filter.descriptor)
        )
        for dialect in ("mysql", "mariadb"):
            found = found.prefix_with("STRAIGHT_JOIN", dialect=dialect)
        return _using(_using(found, Transfer, "PRIMARY"), Message, "PRIMARY")
    return _using(found, listing.model, filter.index or "PRIMARY") if filter.table != "workers" else found


def _using(found: Select[Any], model: type[History], index: str) -> Select[Any]:
    for dialect in ("mysql", "mariadb"):
        found = found.with_hint(model, f"FORCE INDEX (`{index}`)", dialect)
    return found


def _order(columns: Sequence[InstrumentedAttribute[Any]], upwards: bool) -> list[ColumnElement[Any]]:
    return [column.asc() if upwards else column.desc() for column in columns]
