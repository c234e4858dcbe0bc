"""What a stream shows, asked of the application itself: the very views that answer a page that asks, as a stranger
without a login sees them."""

from __future__ import annotations

import os
from typing import NamedTuple

from flask import Flask
from werkzeug.test import create_environ

from pairscope.store import queries
from pairscope.web import reach


class Told(NamedTuple):
    """An answer of a view."""

    status: int
    """200: something has changed; 204: nothing; 503 and others: it cannot be told, and the body is the page of that."""
    body: str
    cursor: str
    """Up to where the rows are known now; empty where the view has no rows."""
    at: str
    """The same, as positions that can be compared: pairscope.store.cursor.places."""
    seen: str
    """What the parts of the page show now; empty where they were not looked at."""


class Source:
    """The application, and how it is asked."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        settings = app.extensions["pairscope"].settings
        host = settings.trusted_hosts[0].removeprefix(".") if settings.trusted_hosts else "localhost"
        self._base = f"http://{host}{settings.prefix}"
        server = os.environ.get("PAIRSCOPE_SERVER", "")
        self._server = tuple(int(part) for part in server.split(".") if part.isdecimal())

    def now(self) -> tuple[str, str]:
        """The cursor of now, and its positions. Raises what the database's driver raises."""
        with self._app.app_context():
            cursor = queries.live_cursor(reach.history())
            return cursor, queries.places(cursor)

    def ask(self, path: str, language: str, **arguments: str) -> Told:
        """Asks a view below /live. A fault of the application is an answer like others, 500."""
        environ = create_environ(
            f"/live/{path}",
            self._base,
            query_string=arguments,
            headers={"Accept-Language": language, "Accept": "text/html"},
        )
        if self._server:
            environ["mod_wsgi.version"] = self._server  # the strip names who serves
        with self._app.request_context(environ):
            try:
                response = self._app.full_dispatch_request()
            except Exception as error:
                response = self._app.handle_exception(error)
            head = response.headers
            return Told(
                response.status_code,
                response.get_data(as_text=True),
                head.get("Pairscope-Cursor", ""),
                head.get("Pairscope-At", ""),
                head.get("Pairscope-Seen", ""),
            )
