"""Pages of a table: the newest rows, those before a cursor, those after it.

A page is cut by key, never by OFFSET, so that it takes as long with a hundred million rows as with a thousand.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Boolean, Select, select
from sqlalchemy.orm import Session

from pairscope.ipc.identity import time_of
from pairscope.store import cursor as cursors
from pairscope.store import withheld
from pairscope.store.filter import Filter
from pairscope.store.models import History
from pairscope.store.walk import LISTINGS, beyond, by_index, directed, edge, end_of_search, order_of

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


def page(
    session: Session,
    table: str,
    filter: Filter | None = None,
    *,
    before: str | None = None,
    after: str | None = None,
    limit: int = 50,
    plain: tuple[str, ...] = (),
) -> Page:
    """The newest rows of "messages", "transfers", "jobs" or "workers" that a filter lets through, at most `limit`.

    `before`: those just older than that cursor's place; `after`: those just newer. `plain`: rows are tuples of these
    columns instead of instances; those of the order must be among them. Raises CursorError. A bounded filter is
    searched for on and on, BOUND rows at a time, until the page is full or PATIENCE is over.
    """
    filter = filter or Filter("", table)
    withheld.refuse(session, filter)
    until = time.monotonic() + PATIENCE
    found = _slice(session, table, filter, before, after, limit, plain)
    while filter.bounded and after is None and found.older and len(found.rows) < limit and time.monotonic() < until:
        more = _slice(session, table, filter, found.older, None, limit - len(found.rows), plain)
        found = Page([*found.rows, *more.rows], more.older, found.newer, more.reached)
    return found


def _slice(
    session: Session,
    table: str,
    filter: Filter,
    before: str | None,
    after: str | None,
    limit: int,
    plain: tuple[str, ...],
) -> Page:
    """A page as far as one search reaches."""
    listing = LISTINGS[table]
    upwards = after is not None
    place = after if upwards else before
    key = cursors.row(place, table, listing.types) if place else None
    columns = order_of(listing, filter)
    columns_of = listing.model.__table__.columns
    chosen: Select[Any] = select(*(columns_of[name] for name in plain)) if plain else select(listing.model)
    found = chosen.where(*filter.conditions)
    if key is not None:
        found = found.where(beyond(columns, key, upwards))
    end = end_of_search(session, listing, filter, key, upwards) if filter.bounded else None
    if end is not None:
        found = found.where(columns[0] <= end if upwards else columns[0] >= end)
    found = by_index(found, listing, filter).order_by(*directed(columns, upwards)).limit(limit + 1)
    rows = _plain(session, found, shape(listing.model, plain)) if plain else list(session.scalars(found))
    more = len(rows) > limit
    del rows[limit:]
    if upwards:
        rows.reverse()

    def at(row: Any) -> str:
        return cursors.encode(cursors.Row(table, tuple(getattr(row, column.key) for column in listing.key)))

    def at_end() -> str | None:
        return None if end is None else cursors.encode(cursors.Row(table, edge(listing, end, upwards)))

    oldest = at(rows[-1]) if rows else place
    newest = at(rows[0]) if rows else place
    if upwards:
        return Page(rows, oldest, newest if more else at_end())
    return Page(
        rows, oldest if more else at_end(), newest if before else None, None if more or end is None else time_of(end)
    )


def _plain(session: Session, found: Select[Any], kind: Any) -> list[Any]:
    """The rows as the driver has them: SQLAlchemy's own cost half as much again as fetching them. It is asked where it
    does more than hand on, which is for what is true or false."""
    answer = session.connection().execute(found)
    with closing(answer):
        if any(isinstance(column["type"], Boolean) for column in found.column_descriptions):
            return [kind._make(row) for row in answer]
        return list(map(kind._make, answer.cursor.fetchall()))


@functools.cache
def shape(model: type[History], columns: tuple[str, ...]) -> Any:
    """The tuple of some of a model's columns, by name."""
    return collections.namedtuple(model.__name__, columns)


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
