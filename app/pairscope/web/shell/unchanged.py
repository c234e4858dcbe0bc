"""A poll that is answered before Flask sees it: it asks what was answered with nothing before, and all that this answer
came from is still the same.

Most of what a poll took was Flask's own way from a request to an answer, and on a quiet machine that code is not in the
processor's caches: the same 204 took 0.6 ms in a row and 1.8 ms with 20 ms between two. What is asked again here is
only what can change: how far the record is committed, and what the supervisor last said. The view has said of its
answer that it came from nothing else (:func:`steady`). Nothing here decides who may see what. A question that names
somebody goes the whole way, as does one that was not answered there before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Flask, current_app

from pairscope.web.access import COOKIE
from pairscope.web.access.attempts import Attempts
from pairscope.web.access.pace import Told
from pairscope.web.access.places import arrived, too_late
from pairscope.web.shell import moment
from pairscope.web.shell.moment import Moment

MOST = 256
"""Questions that one process keeps; beyond it all are forgotten."""
LONGEST = 1024
"""Characters of one that is kept."""
PACED = "pairscope.paced"
"""Key of a request's environ: what pairscope.web.access.pace has told it already."""
CAME_FROM = "pairscope.came-from"
"""Key of a request's environ: what its answer came from."""
ALWAYS_NEW = ("Pairscope-Clock", "Pairscope-Again")

Wsgi = Callable[..., Iterable[bytes]]
Headers = list[tuple[str, str]]


class Kept(NamedTuple):
    """An answer with nothing in it."""

    came_from: object
    parts: bool
    """True: it tells of the pool, too, and not of rows alone."""
    status: str
    headers: Headers


def state(now: Moment, parts: bool) -> object:
    """All that an answer can come from that tells of rows, and of the pool where it has `parts`; None: not known."""
    if now.places is None:
        return None
    return now.places, (now.snapshot.at if now.snapshot else 0) if parts else None


def steady(environ: dict[str, Any], parts: bool) -> None:
    """The answer to this request came from its moment alone, and is the same for all strangers who ask it."""
    environ[CAME_FROM] = state(moment.now(), parts), parts


def told(environ: dict[str, Any]) -> Told:
    """What pairscope.web.access.pace says to this request; it is counted once."""
    if PACED not in environ:
        environ[PACED] = _paced(current_app, environ)
    found: Told = environ[PACED]
    return found


class Unchanged:
    """A WSGI application, PEP 3333. Threads share it."""

    def __init__(self, app: Flask, application: Wsgi) -> None:
        self._app, self._application = app, application
        self._kept: dict[object, Kept] = {}
        self.answered = 0
        """Here."""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        question = _question(environ)
        if question is None:
            return self._application(environ, start)
        kept = self._kept.get(question)
        if kept is not None and self._still(environ, kept):
            self.answered += 1
            start(kept.status, kept.headers + fresh(environ[PACED].again))
            return ()
        said: list[Any] = []

        def begin(*answer: Any) -> Any:
            said[:] = answer
            return start(*answer)

        body = self._application(environ, begin)
        if CAME_FROM in environ and said[0].startswith("204 "):
            if len(self._kept) >= MOST:
                self._kept.clear()
            headers = [(name, value) for name, value in said[1] if name not in ALWAYS_NEW]
            came_from, parts = environ[CAME_FROM]
            self._kept[question] = Kept(came_from, parts, said[0], headers)
        return body

    def _still(self, environ: dict[str, Any], kept: Kept) -> bool:
        if too_late(environ, self._app):
            return False
        environ[PACED] = told = _paced(self._app, environ)
        if told.refused:
            return False
        try:
            now = moment.at(self._app, environ)
        except Exception:  # the view meets it again, and says what it is
            return False
        return kept.came_from is not None and state(now, kept.parts) == kept.came_from


def fresh(again: float) -> Headers:
    """What this machine's clock says, in ms since 1970: the page tells ages by it. And after how many seconds the page
    shall ask again, where many do."""
    clock = ("Pairscope-Clock", str(time.time_ns() // 1_000_000))
    return [clock, ("Pairscope-Again", f"{again:.1f}")] if again else [clock]


def _question(environ: dict[str, Any]) -> object:
    """All of a request that its answer may depend on; None: it goes the whole way."""
    get = environ.get
    path, query = get("PATH_INFO", ""), get("QUERY_STRING", "")
    if not path.startswith("/live/") or get("REQUEST_METHOD") != "GET" or len(query) > LONGEST:
        return None
    if COOKIE in get("HTTP_COOKIE", "") or "HTTP_AUTHORIZATION" in environ:
        return None  # somebody in particular
    if get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        return None  # a body needs a place
    said = (get(name) for name in ("SCRIPT_NAME", "HTTP_HOST", "wsgi.url_scheme", "HTTP_ACCEPT_LANGUAGE"))
    return path, query, *said


def _paced(app: Flask, environ: dict[str, Any]) -> Told:
    waited = time.time() - arrived(environ)
    who = Attempts.place(environ.get("REMOTE_ADDR"))
    found: Told = app.extensions["pace"].take(who, time.monotonic(), waited)
    return found


def register(app: Flask) -> None:
    made = app.extensions["pairscope.unchanged"] = Unchanged(app, app.wsgi_app)
    app.wsgi_app = made  # type: ignore[method-assign, assignment]  # as Flask's own page says
