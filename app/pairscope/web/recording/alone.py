"""The application that shows one recording, or two, to one person: neither pool nor database, and nothing can be
changed.

Whoever knows the address reads it, also another user of this machine. So the address has 128 random bits in it, and any
other is answered as one that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, render_template, request, url_for
from flask_babel import Babel
from werkzeug.exceptions import HTTPException, SecurityError

import pairscope
from pairscope.trace.file import NoRecording
from pairscope.trace.reading import Reading
from pairscope.web import words
from pairscope.web.access.headers import HEADERS
from pairscope.web.address import Number
from pairscope.web.languages import preferred
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.recording import as_scenario, comparison, pages
from pairscope.web.shell import assets

HOSTS = ["localhost", "127.0.0.1"]
"""Another name in Host is a page of somebody else's that had its name lead here: DNS rebinding."""
FRAME = "recording/frame.html"
Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Ways:
    """Where the pages of one of them are. `before`: what its endpoints begin with."""

    def __init__(self, before: str) -> None:
        self._before = before

    def passages(self, **more: Any) -> str:
        return url_for(f"{self._before}passages", **more)

    def step(self, number: int, **more: Any) -> str:
        return url_for(f"{self._before}step", number=number, **more)

    def transcript(self) -> str:
        return url_for(f"{self._before}transcript")

    def source(self) -> str:
        return url_for(f"{self._before}source")

    def scenario(self, **more: Any) -> str:
        return url_for(f"{self._before}scenario", **more)

    scenario_file = scenario


def create_app(reading: Reading, name: str, key: str, other: tuple[Reading, str] | None = None) -> Application:
    """The WSGI application. `name`: what the recording is called, `key`: the first part of every address, `other`: a
    second recording with its name, to be compared with."""
    app = Flask("pairscope.web")
    app.url_map.converters["int"] = Number
    app.config.update(TRUSTED_HOSTS=HOSTS, BABEL_TRANSLATION_DIRECTORIES="translations", MAX_CONTENT_LENGTH=0)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    both = [(pages.Shown(reading, name), Ways(""))]
    if other is not None:
        both.append((pages.Shown(*other), Ways("other_")))
    Babel(app, locale_selector=preferred)
    words.register(app)
    assets.register(app)
    app.jinja_env.globals.update(version=pairscope.__version__, language=preferred)
    pages.add_filters(app)
    for (showing, ways), before in zip(both, ("", "other_")):
        _mount(app, showing, ways, before, compared=other is not None)
    if other is not None:
        app.add_url_rule("/compare", "compare", lambda: comparison.comparison(both, frame=FRAME, query=""))
    app.register_error_handler(HTTPException, _wrong)
    app.register_error_handler(NoRecording, lambda error: _said(422, translated(error.args[0])))

    @app.after_request
    def _finish(response: Response) -> Response:
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return _below(f"/{key}", app)


def _mount(app: Flask, showing: pages.Shown, ways: Ways, before: str, *, compared: bool) -> None:
    """The pages of one recording."""
    at = "/other" if before else ""

    def passages() -> str:
        return pages.passages(showing, ways, frame=FRAME, compare=url_for("compare") if compared else None)

    app.add_url_rule(f"{at}/", f"{before}passages", passages)
    app.add_url_rule(
        f"{at}/steps/<int:number>",
        f"{before}step",
        lambda number: pages.step(showing, ways, number, frame=FRAME),
    )
    app.add_url_rule(f"{at}/transcript", f"{before}transcript", lambda: pages.transcript(showing))
    app.add_url_rule(f"{at}/scenario", f"{before}scenario", lambda: as_scenario.file(showing))
    app.add_url_rule(f"{at}/source", f"{before}source", lambda: pages.source_file(showing))


def _wrong(error: HTTPException) -> tuple[str, int]:
    if isinstance(error, SecurityError):
        return "", 400  # without a host that is ours there are no addresses to put into a page
    return _said(error.code or 500, str(error.description) if isinstance(error, Problem) else "")


def _said(status: int, detail: str) -> tuple[str, int]:
    return render_template("recording/wrong.html", status=status, detail=detail), status


def _below(prefix: str, app: Flask) -> Application:
    """The application under a prefix of its addresses, and nothing elsewhere."""

    def serve(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(prefix + "/"):
            start("404 Not Found", [("Content-Length", "0"), ("Cache-Control", "no-store")])
            return []
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = prefix, path[len(prefix) :]
        return app.wsgi_app(environ, start)

    return serve
