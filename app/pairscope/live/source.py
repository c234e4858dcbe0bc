"""What is shown, asked of the application itself: the very views and templates that answer a page that asks.

It sees what a stranger without a login sees, or what an operator does. Every call may wait for the database: it is made
in the thread of :mod:`pairscope.live.asker` alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask, Response, g, render_template
from sqlalchemy import func, select
from werkzeug.test import create_environ

from pairscope.live.subject import Subject
from pairscope.store import errors, queries
from pairscope.store.filter import memory
from pairscope.web import reach
from pairscope.web.access.operator import Operator
from pairscope.web.shell.listing import Update
from pairscope.web.tables import PAGE, TABLES


class Told(NamedTuple):
    """An answer of a view."""

    status: int
    """200: something has changed; 204: nothing; 503 and others: it cannot be told, and the body is the page of that."""
    body: str
    seen: str
    """What the parts of the page show now."""


class Trouble(Exception):
    """The application cannot tell; the text is the page that says so."""


class Source:
    """The application, and how it is asked."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        settings = app.extensions["pairscope"].settings
        host = settings.trusted_hosts[0].removeprefix(".") if settings.trusted_hosts else "localhost"
        self._base = f"http://{host}{settings.prefix}"
        server = os.environ.get("PAIRSCOPE_SERVER", "")
        self._server = tuple(int(part) for part in server.split(".") if part.isdecimal())
        self._letters: memory.Letters | None = None

    # ---- the database. Each raises Trouble.

    def now(self) -> tuple[str, str]:
        """The cursor of now, and its positions."""
        with self._asking("strip", "en", False):
            cursor = queries.live_cursor(reach.history())
            return cursor, queries.places(cursor)

    def changes(self, table: str, operator: bool, cursor: str, limit: int) -> tuple[queries.Changes, bool]:
        """Rows of a table that changed behind a cursor. True: something was committed while they were read; one of them
        that this touched again is missing, and comes behind it."""
        with self._asking(table, "en", operator):
            places = reach.places()
            committed = {place.node: place.position for place in places}
            found = queries.changes(reach.history(), table, None, cursor, limit, committed)
            return found, bool(found.rows) and reach.places() != places

    def newest(self, subject: Subject) -> Sequence[Any]:
        """The rows of its page."""
        with self._asking(subject.view, subject.language, subject.operator):
            chosen = queries.parse(subject.text, subject.table)
            return queries.page(reach.history(), subject.table, chosen, limit=PAGE).rows

    def letters(self) -> memory.Letters:
        """What the database's LOWER makes of letters."""
        if self._letters is None:
            with self._asking("strip", "en", False):
                lowered = reach.history().scalar(select(func.lower(memory.CAPITALS)))
                self._letters = memory.letters(lowered or "")
        return self._letters

    # ---- as pages get it

    def rows(self, subject: Subject, update: Update) -> str:
        """A fragment with rows. Raises Trouble."""
        with self._asking(subject.view, subject.language, subject.operator):
            at = queries.places(update.cursor)
            return render_template(
                "update.html", changed=(), seen="", at=at, update=update, table=TABLES[subject.table]
            )

    def parts(self, view: str, language: str, operator: bool, seen: str) -> Told:
        """The parts of a page that are not as `seen`. A fault of the application is an answer like others, 500."""
        with self._request(view, language, operator, only="parts", seen=seen):
            try:
                response = self._app.full_dispatch_request()
            except Exception as error:
                response = self._app.handle_exception(error)
            return Told(
                response.status_code, response.get_data(as_text=True), response.headers.get("Pairscope-Seen", "")
            )

    @contextmanager
    def _asking(self, view: str, language: str, operator: bool) -> Iterator[None]:
        with self._request(view, language, operator):
            try:
                yield
            except Exception as error:
                if errors.of(error) is None:
                    response: Response = self._app.handle_exception(error)
                else:
                    response = self._app.make_response(self._app.handle_user_exception(error))
                raise Trouble(response.get_data(as_text=True)) from error

    @contextmanager
    def _request(self, view: str, language: str, operator: bool, **arguments: str) -> Iterator[None]:
        environ = create_environ(
            f"/live/{view}",
            self._base,
            query_string=arguments,
            headers={"Accept-Language": language, "Accept": "text/html"},
        )
        environ["pairscope.inner"] = True  # pairscope.web.live
        if self._server:
            environ["mod_wsgi.version"] = self._server  # the strip names who serves
        with self._app.request_context(environ):
            if operator:
                g.operator = Operator("", "live")
            yield
