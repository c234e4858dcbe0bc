"""Many rows of a table, from the newest on, as plain tuples and a slice at a time: for an export.

A slice is one page, so no statement takes longer than a page does, and no more than one slice is in memory. Each has a
session of its own: between two of them nothing is held of the database, however slowly they are read.

Instances of a model took three times as long as their columns, and PyMySQL half of what was left
(:mod:`pairscope.store.rows`). So a row is a tuple here, and what an instance sees to when it is loaded
(:mod:`pairscope.store.models`, :mod:`pairscope.store.withheld`) is seen to here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from pairscope.store import withheld
from pairscope.store.filter import Filter
from pairscope.store.models import History, unfit
from pairscope.store.pages import page
from pairscope.store.walk import LISTINGS

FIRST = 50
"""Rows of the first slice: somebody waits for it."""
SLICE = 4000
"""Rows of the others: what a session and a statement cost is little beside them, and they take some megabytes."""


class Flaw(NamedTuple):
    """What of a row is not shown; an empty value stands in its place."""

    unreadable: Mapping[str, str]
    """By column, why its value cannot be shown."""
    withheld: frozenset[str]
    """Columns whose value needs a login."""


class Slice(NamedTuple):
    """Some rows, newest first."""

    rows: Sequence[Any]
    """Each is a tuple with the table's columns by name."""
    flaws: Mapping[int, Flaw]
    """Of some of them, by their place in `rows`."""
    older: str | None
    """Cursor of the next slice; None: this was the last. Of a search, a slice may have no rows and still go on."""


def slices(
    begin: Callable[[], Session], table: str, columns: Collection[str], filter: Filter, before: str | None, most: int
) -> Iterator[Slice]:
    """At most `most` rows that the filter lets through, those older than the cursor `before` if that is given.

    Of `columns` those are read that the table has, and those of its order. `begin` makes a session for each slice.
    Raises CursorError, FilterError, and what the database raises.
    """
    listing = LISTINGS[table]
    key = {column.key for column in listing.key}
    read = tuple(
        name for name in (column.key for column in listing.model.__table__.columns) if name in columns or name in key
    )
    limit = FIRST
    while most > 0:
        with begin() as session:
            found = page(session, table, filter, before=before, limit=min(limit, most), plain=read)
            rows, flaws = _looked_at(session, listing.model, list(found.rows))
        yield Slice(rows, flaws, found.older)
        if found.older is None:
            return
        before = found.older
        most -= len(rows)
        limit = SLICE


def _looked_at(session: Session, model: type[History], rows: list[Any]) -> tuple[list[Any], dict[int, Flaw]]:
    """The rows without what cannot or may not be shown."""
    flaws: dict[int, Flaw] = {}
    if session.get_bind().dialect.name == "sqlite":  # its columns hold values of any type
        fitting: set[tuple[type, ...]] = set()
        for place, row in enumerate(rows):
            if (types := tuple(map(type, row))) in fitting:
                continue
            if bad := unfit(model, row._asdict()):
                rows[place] = row._replace(**{name: instead for name, (instead, _why) in bad.items()})
                flaws[place] = Flaw({name: why for name, (_instead, why) in bad.items()}, frozenset())
            else:
                fitting.add(types)
    if withheld.is_withheld(session):
        table = model.__tablename__
        needed = [
            (name, operator.attrgetter(name))
            for name in (*withheld.COLUMNS.get(table, ()), *(("kind",) if table == "jobs" else ()))
        ]
        at = {name: place for place, name in enumerate(rows[0]._fields)} if rows else {}
        usual: dict[tuple[str, ...], Flaw] = {}
        for place, row in enumerate(rows):
            unreadable = flaws[place].unreadable if place in flaws else {}
            gone = withheld.taken(table, {name: value(row) for name, value in needed}, unreadable)
            if not gone:
                continue
            values = list(row)
            for name, instead in gone.items():
                values[at[name]] = instead
            rows[place] = row._make(values)  # _replace takes three times as long
            if unreadable:
                left = {name: why for name, why in unreadable.items() if name not in gone}
                flaws[place] = Flaw(left, frozenset(gone))
            else:
                columns = tuple(gone)
                flaws[place] = usual.get(columns) or usual.setdefault(columns, Flaw({}, frozenset(gone)))
    return rows, flaws
