"""Rows of tables as HTML, each made once and kept, for pages and for their updates.

A row is known by all that its template shows: its values, what of them is withheld or cannot be read, the language,
the prefix of addresses, and whether there is a pool. So a row that changes is another one, and what an operator was
shown is never what a stranger gets: in a stranger's row the values that are withheld are empty ones. Ages are left out
of what is kept, and put in when it is shown. To make a row of messages takes some 0.4 ms, to find it 0.01.
"""

from __future__ import annotations

import collections
import functools
import re
import threading
import time
from typing import Any, NamedTuple

from flask import Flask, current_app, g, request
from flask_babel import get_locale
from jinja2.runtime import Context
from jinja2.utils import pass_context
from markupsafe import Markup, escape

from pairscope.web import reach
from pairscope.web.shell.guard import attempt
from pairscope.web.tables import Table
from pairscope.web.words import Ages

MOST_BYTES = 4 << 20
"""Of HTML, in one process; beyond it the row that nobody has asked for the longest goes."""
_AGE = re.compile(r'(<time datetime="([0-9T:.-]+)Z" title="[^"]*" data-ago>)[^<]*(?=</time>)')


class Made(NamedTuple):
    """A row's HTML, in pieces with an age between each two."""

    pieces: tuple[str, ...]
    times: tuple[int, ...]
    """Of these ages, ns since 1970, to the millisecond."""
    size: int


def made(html: str) -> Made:
    """The row without its ages."""
    pieces, times, last = [], [], 0
    for found in _AGE.finditer(html):
        pieces.append(html[last : found.end(1)])
        times.append(Ages.ns(found[2]))
        last = found.end()
    return Made((*pieces, html[last:]), tuple(times), len(html))


class Kept:
    """The rows that one process keeps. Threads share it."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._rows: collections.OrderedDict[object, Made] = collections.OrderedDict()
        self.bytes = self.found = self.missed = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: object) -> Made | None:
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                self.missed += 1
            else:
                self.found += 1
                self._rows.move_to_end(key)
            return row

    def put(self, key: object, row: Made) -> None:
        with self._lock:
            before = self._rows.pop(key, None)
            self.bytes += row.size - (before.size if before else 0)
            self._rows[key] = row
            while self.bytes > self._most:
                self.bytes -= self._rows.popitem(last=False)[1].size


def kept() -> Kept:
    """This application's."""
    return current_app.extensions["pairscope.rows"]


def key(table: Table, row: Any) -> object:
    """What a row is known by."""
    if "row_key" not in g:
        g.row_key = (str(get_locale()), request.script_root, reach.snapshot() is not None)
    return (
        table.name,
        *map(row.__dict__.get, _columns(row.__class__)),
        row.withheld,
        tuple(row.unreadable.items()),
        g.row_key,
    )


@functools.cache
def _columns(model: Any) -> tuple[str, ...]:
    return tuple(model.__mapper__.column_attrs.keys())


@pass_context
def shown(context: Context, table: Table, row: Any) -> Markup:
    """A row of a table; where it cannot be made, a row that says so, which is not kept."""
    name = key(table, row)
    found = kept().get(name)
    if found is None:
        html, whole = attempt(context, f"rows/{table.name}.html", "rows/unreadable.html", row=row, table=table)
        found = made(html)
        if whole:
            kept().put(name, found)
    if not found.times:
        return Markup(found.pieces[0])  # noqa: S704  # a template escaped it
    if "ages" not in g:
        g.ages = Ages(time.time_ns())
    told: list[str] = []
    for piece, at in zip(found.pieces, found.times):
        told += (piece, escape(g.ages.of(at)))
    return Markup("".join((*told, found.pieces[-1])))  # noqa: S704  # a template escaped it


def register(app: Flask) -> None:
    """Gives the templates ``shown``."""
    app.extensions["pairscope.rows"] = Kept()
    app.jinja_env.globals["shown"] = shown
