"""Rows that have changed lately, kept in memory for all who follow a table without a filter.

Each change is read from the database once for each process and for each view of it (with what is withheld, and
without), when the first one asks for it. Who asks from a cursor that lies within is told from memory; who was away for
longer, or has a filter, asks the database as before. Both give the same rows (:mod:`pairscope.store.changes`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from pairscope.store import changes, pages, withheld
from pairscope.store.changes import Changes
from pairscope.store.cursor import Changed, Known, encode, known
from pairscope.store.walk import LISTINGS

MOST = 500
"""Changed rows of one table that are kept: more than one update of a page carries."""


class Window:
    """The last changes of one table. Threads share it. Its sessions must all withhold the same."""

    def __init__(self, table: str, most: int = MOST) -> None:
        self._table, self._most = table, most
        self._types = LISTINGS[table].change_types
        self._key = LISTINGS[table].model.__mapper__.primary_key_from_instance
        self._lock = threading.Lock()
        self._begin: dict[int, int] = {}
        """By node, the change behind which it knows all rows."""
        self._reach: dict[int, int] = {}
        """By node, the last change that it knows."""
        self._begun = False
        self._rows: dict[tuple[Any, ...], Any] = {}
        """By primary key, in the order in which they were read."""
        self._newest: dict[int, tuple[dict[int, int], Sequence[Any]]] = {}
        self.reads = 0
        """How often the database was asked."""

    def since(self, session: Session, committed: Mapping[int, int], cursor: str, limit: int) -> Changes | None:
        """What has changed since a cursor; None: that lies before what is kept, so ask the database. `committed`: how
        far each node's rows are. Beyond `limit` rows there are `more`, and the cursor is behind all of them. Raises
        CursorError, and what the database's driver raises."""
        asked = {node: Changed(0) for node in committed} | known(cursor, self._table, self._types)
        with self._lock:
            self._follow(session, dict(committed), limit)
            if any(last.key or last.change < self._begin.get(node, 0) for node, last in asked.items()):
                return None
            if all(change <= asked[node].change for node, change in self._reach.items()):
                return Changes([], encode(Known(asked)), False)  # most polls
            rows = [row for row in self._rows.values() if row.change > asked[row.node].change]
            for node, change in self._reach.items():
                if change > asked[node].change:
                    asked[node] = Changed(change)
        return Changes(rows[:limit], encode(Known(asked)), len(rows) > limit)

    def newest(self, session: Session, limit: int) -> Sequence[Any]:
        """The newest page, of at most `limit` rows: read once for all who ask before anything more is committed."""
        with self._lock:
            before, rows = self._newest.get(limit, (None, ()))
            if before != self._reach:
                self.reads += 1
                rows = pages.page(session, self._table, None, limit=limit).rows
                _own(session, rows)
                self._newest = {limit: (self._reach, rows)}
            return rows

    def _follow(self, session: Session, committed: dict[int, int], limit: int) -> None:
        """Reads what has been committed meanwhile."""
        if not self._begun or any(committed.get(node, 0) < at for node, at in self._reach.items()):
            # It begins; or the record is another one now. What another thread looked up before looks the same.
            return self._begin_at(committed)
        if committed == self._reach:
            return None
        self.reads += 1
        cursor = encode(Known({node: Changed(change) for node, change in self._reach.items()}))
        found = changes.changes(session, self._table, None, cursor, limit, committed)
        if found.more:
            return self._begin_at(committed)
        _own(session, found.rows)
        for row in found.rows:
            key = tuple(self._key(row))
            self._rows.pop(key, None)
            self._rows[key] = row
        self._reach = committed
        while len(self._rows) > self._most:
            gone = self._rows.pop(next(iter(self._rows)))
            self._begin[gone.node] = max(self._begin.get(gone.node, 0), gone.change)
        return None

    def _begin_at(self, committed: dict[int, int]) -> None:
        self._begin, self._reach, self._rows, self._begun = dict(committed), committed, {}, True


def _own(session: Session, rows: Sequence[Any]) -> None:
    """Takes rows out of their session, so that it neither reads them anew nor forgets them when it ends."""
    for row in rows:
        session.expunge(row)


class Windows:
    """Those of one process, by table and by whether what needs a login is withheld."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, bool], Window] = {}

    def of(self, table: str, session: Session) -> Window:
        """The window of those who see what this session gives out."""
        name = (table, withheld.is_withheld(session))
        with self._lock:
            if name not in self._made:
                self._made[name] = Window(table)
            return self._made[name]
