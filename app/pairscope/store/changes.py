"""What has changed in a table since a cursor: the rows that were inserted or completed, node by node."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from pairscope.store import cursor as cursors
from pairscope.store import walk as walks
from pairscope.store import withheld
from pairscope.store.cursor import Changed, Key, Known
from pairscope.store.filter import Filter
from pairscope.store.models import Position
from pairscope.store.places import Place
from pairscope.store.walk import LISTINGS, Listing, beyond, using


@dataclasses.dataclass(frozen=True)
class Changes:
    """Rows that were touched, in the order of each node's journal."""

    rows: Sequence[Any]
    cursor: str
    """Goes on behind these rows."""
    more: bool
    """True: there is more already."""


def committed(session: Session) -> tuple[Place, ...]:
    """How far the record is committed, node by node."""
    return tuple(Place(*found) for found in session.execute(_COMMITTED))


def live_cursor(session: Session) -> str:
    """The cursor of now: whatever is committed is known, whatever comes is a change."""
    return cursors.encode(Known({place.node: Changed(place.position) for place in committed(session)}))


def changes(
    session: Session,
    table: str,
    filter: Filter | None,
    cursor: str,
    limit: int = 200,
    positions: Mapping[int, int] | None = None,
) -> Changes:
    """Rows that were inserted or completed behind a cursor, at most `limit`. Raises CursorError.

    Each row comes as it is now, so one that changed twice may come once. A node that the cursor does not name is new.
    `positions`: how far each node is committed, where it was just read.
    """
    withheld.refuse(session, filter or Filter("", table))
    listing = LISTINGS[table]
    known = dict(cursors.known(cursor, table, listing.change_types))
    rows: list[Any] = []
    more = False
    if positions is None:
        positions = {place.node: place.position for place in committed(session)}
    for node, position in positions.items():
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
    withheld.refuse(session, filter)
    model: Any = LISTINGS[table].model
    key = tuple(model.__mapper__.primary_key)
    if not rows:
        return set()
    named = or_(*(and_(*(column == value for column, value in zip(key, row))) for row in rows))
    return {tuple(row) for row in session.execute(select(*key).where(named, *filter.conditions))}


_COMMITTED = select(Position.node, Position.position, Position.at).order_by(Position.node)


def _changes_of_node(
    session: Session, listing: Listing, filter: Filter | None, node: int, last: Changed, position: int, limit: int
) -> tuple[list[Any], Changed]:
    """Rows of a node that changed behind `last`, up to `position`, and how far they reach."""
    model: Any = listing.model
    order = (model.change, *listing.change_key)
    index = f"ix_{model.__tablename__}_node_change_{'_'.join(column.key for column in listing.change_key)}"
    behind = beyond(order, (last.change, *last.key), True) if last.key else model.change > last.change
    end = position
    if filter and filter.conditions and position - last.change > walks.BOUND:
        # A viewer that was away for long: what the filter lets through may be rare among all that has changed.
        walk = using(
            select(model.change).where(model.node == node, behind).order_by(*order).limit(walks.BOUND), model, index
        ).subquery()
        count, furthest = session.execute(select(func.count(), func.max(walk.c.change))).one()
        end = furthest if count == walks.BOUND else position
    found = select(model).where(model.node == node, behind, model.change <= end, *(filter.conditions if filter else ()))
    rows = list(session.scalars(using(found, model, index).order_by(*order).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, Changed(end)
    del rows[limit:]
    if not rows:
        return rows, last
    return rows, Changed(rows[-1].change, tuple(getattr(rows[-1], column.key) for column in listing.change_key))
