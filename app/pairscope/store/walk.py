"""The order in which rows are read, the index that serves it, and how far a search goes: for pages and for changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from pairscope.store import cursor as cursors
from pairscope.store.cursor import Key
from pairscope.store.filter import Filter
from pairscope.store.models import History, Job, Message, Process, Transfer

BOUND = 20_000
"""Rows that a query looks at, at most, where no index finds what is asked for. Of 100,000, a query from a cold MariaDB
took 1.4 s."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """How the rows of one table stand in a page and among the changes."""

    model: type[History]
    key: tuple[InstrumentedAttribute[Any], ...]
    """The page's order, oldest first; ends in the primary key."""
    change_key: tuple[InstrumentedAttribute[Any], ...]
    """What tells rows of one change apart, within a node."""

    @property
    def types(self) -> tuple[type, ...]:
        """Of the values of `key`, which a cursor must have."""
        return tuple(column.type.python_type for column in self.key)

    @property
    def change_types(self) -> tuple[type, ...]:
        """Of the values of `change_key`."""
        return tuple(column.type.python_type for column in self.change_key)


LISTINGS = {
    "messages": Listing(Message, (Message.id,), (Message.id,)),
    "transfers": Listing(Transfer, (Transfer.message, Transfer.position), (Transfer.message, Transfer.position)),
    "jobs": Listing(Job, (Job.id,), (Job.id,)),
    "workers": Listing(
        Process, (Process.born, Process.node, Process.role, Process.serial), (Process.role, Process.serial)
    ),
}


def beyond(columns: Sequence[InstrumentedAttribute[Any]], key: Key, upwards: bool) -> ColumnElement[bool]:
    """Rows behind `key` in the order of `columns`.

    Not as a comparison of tuples, for which MariaDB uses no index; the first column alone bounds the range.
    """
    first, value = columns[0], key[0]
    if len(columns) == 1:
        return first > value if upwards else first < value
    rest = beyond(columns[1:], key[1:], upwards)
    if upwards:
        return and_(first >= value, or_(first > value, rest))
    return and_(first <= value, or_(first < value, rest))


def end_of_search(session: Session, listing: Listing, filter: Filter, key: Key | None, upwards: bool) -> int | None:
    """Where a bounded search ends: the first number of the key at which BOUND candidates have been looked at. None:
    there are not as many."""
    columns = order_of(listing, filter)
    found = select(columns[0].label("place"))
    if filter.exact is not None:
        found = found.where(filter.exact)
    if key is not None:
        found = found.where(beyond(columns, key, upwards))
    if filter.descriptor is not None:
        columns = (Transfer.message, Transfer.position)
        found = using(found, Transfer, "PRIMARY")
    else:
        found = by_index(found, listing, filter)
    candidates = found.order_by(*directed(columns, upwards)).limit(BOUND).subquery()
    extreme = func.max if upwards else func.min
    count, end = session.execute(select(func.count(), extreme(candidates.c.place))).one()
    return end if count == BOUND else None


def edge(listing: Listing, end: int, upwards: bool) -> Key:
    """A place just beyond all rows whose key begins with `end`, which have been looked at."""
    if len(listing.key) == 1:
        return (end,)
    return (end, cursors.LARGEST if upwards else -1)


def order_of(listing: Listing, filter: Filter) -> tuple[InstrumentedAttribute[Any], ...]:
    """The columns by whose order rows are read: the listing's key, or the transfers' name for the same message."""
    return listing.key if filter.descriptor is None else (Transfer.message,)


def by_index(found: Select[Any], listing: Listing, filter: Filter) -> Select[Any]:
    """Names the filter's index to MariaDB, which chose worse: it walked 250,000 rows of one kind where 100,000 by key
    were the bound."""
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
        return using(using(found, Transfer, "PRIMARY"), Message, "PRIMARY")
    return using(found, listing.model, filter.index or "PRIMARY") if filter.table != "workers" else found


def using(found: Select[Any], model: type[History], index: str) -> Select[Any]:
    """The same by that index of the model's table, whatever MariaDB would choose."""
    for dialect in ("mysql", "mariadb"):
        found = found.with_hint(model, f"FORCE INDEX (`{index}`)", dialect)
    return found


def directed(columns: Sequence[InstrumentedAttribute[Any]], upwards: bool) -> list[ColumnElement[Any]]:
    """The columns as ORDER BY takes them: from old to new, or from new to old."""
    return [column.asc() if upwards else column.desc() for column in columns]
