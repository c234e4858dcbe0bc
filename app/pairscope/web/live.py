"""Live updates: what has changed since a cursor, made by the same queries and the same templates as the page. Pages ask
for it, and so does live, once for all whom it pushes it to (docs/live.md).

An update is a fragment of HTML: rows to put in place or on top, and parts of the page to replace. ``cursor`` says up to
where the rows are known, ``seen`` what the parts showed; if neither is another one now, the answer is 204 and nothing
is rendered. ``push=1`` asks for a ticket beside it. ``only=rows`` leaves the parts out, ``only=parts`` the rows.

Strangers who ask for the same at the same moment get one answer, made and compressed once (shell/moment.py). To an
operator nothing is given that was made for somebody else but rows (shell/rendered.py): a part of the page may hold the
token of his forms.
"""

from __future__ import annotations

import functools
import gzip
import math
from collections.abc import Callable
from typing import Any, ParamSpec

from flask import Blueprint, Flask, Response, g, render_template, request
from flask_babel import get_locale
from flask_babel import gettext as _

from pairscope.store.cursor import CursorError, places
from pairscope.store.filter import FilterError, parse
from pairscope.web import compression, reach
from pairscope.web.access import is_operator, reader_required
from pairscope.web.pages import jobs, overview, workers
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import listing, moment, pushed, strip, unchanged
from pairscope.web.shell.moment import Answer
from pairscope.web.tables import PAGE, TABLES

blueprint = Blueprint("live", __name__, url_prefix="/live")
NOTHING = Answer(204, {}, b"", b"")
INNER = "pairscope.inner"
"""Key of a request's environ: True if live asks, on behalf of all to whom it pushes."""
ONE_S_OWN = frozenset(("q", "push"))
"""With a filter a row may come or go by time alone (``since:5m``), and a ticket is another one each time."""
LEVEL = 1
"""Of gzip: 54 kB of rows take 0.12 ms and become 3.0 kB; at 6, as pages have it, 0.26 ms and 2.6 kB."""

P = ParamSpec("P")


def shared(view: Callable[P, Answer]) -> Callable[P, Response]:
    """A view that gives an Answer, made once for all strangers who ask for it at the same moment. One with nothing in
    it is given again, while nothing changes, where it came from rows and the pool alone (shell/unchanged.py)."""

    @functools.wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Response:
        make = functools.partial(view, *args, **kwargs)
        now = moment.now()
        if operator := is_operator():
            answer = make()
        else:
            key = (request.path, request.query_string, str(get_locale()), request.script_root, strip.server())
            answer = now.once(key, make)
            if answer is NOTHING and request.endpoint == "live.table" and not ONE_S_OWN & request.args.keys():
                unchanged.steady(request.environ, not _rows_only())
        g.shown = answer.shown
        secret = operator or compression.secret(request.environ)
        return _response(answer, not secret and compression.taken(request.environ))

    return answered


def _response(answer: Answer, packed: bool) -> Response:
    packed = packed and bool(answer.packed)
    response = Response(answer.packed if packed else answer.body, answer.status, mimetype="text/html")
    response.headers.update(answer.headers)
    if answer.packed:
        response.headers["Vary"] = "Accept-Encoding"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


@blueprint.before_request
def _paced() -> Response | None:
    """Refuses whoever asks too often, in a line; tells the others when to ask again."""
    if request.environ.get(INNER):
        return None
    told = unchanged.told(request.environ)
    if not told.refused:
        g.again = told.again
        return None
    why = (
        _("Too many pages at %(address)s ask what has changed.", address=request.remote_addr)
        if told.refused == "each"
        else _("Too many pages ask what has changed.")
    )
    seconds = math.ceil(told.again)
    again = _("Ask again in %(seconds)s s.", seconds=seconds)
    return Response(
        f"{why} {again}\n",
        429 if told.refused == "each" else 503,
        {"Retry-After": str(seconds)},
        content_type="text/plain; charset=utf-8",
    )


@blueprint.get("/<any(messages, transfers, jobs, workers):name>")
@reader_required
@shared
def table(name: str) -> Answer:
    """Changed rows of a table page."""
    context: dict[str, Any] = {}
    if _rows_only():
        return _answer(name, {}, context)
    parts = {"strip": strip.signature()}
    if name == "workers":
        context["pool"] = reach.snapshot()
        parts["pool"] = workers.pool_signature()
    return _answer(name, parts, context)


@blueprint.get("/strip", endpoint="strip")
@reader_required
@shared
def strip_alone() -> Answer:
    """The health strip, for a page of which nothing else changes: it tells that the server is there."""
    parts = {"strip": strip.signature()}
    changed = _changed(parts)
    return _render(parts, changed) if changed else NOTHING


@blueprint.after_request
def _clock(response: Response) -> Response:
    """Nobody keeps an answer."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.update(unchanged.fresh(g.get("again", 0.0)))
    return response


@blueprint.after_request
def _next_ticket(response: Response) -> Response:
    """Whoever asks, and would be pushed to by a ticket, gets the next one with the answer."""
    if request.args.get("push") == "1" and response.status_code in (200, 204):
        view = (request.view_args or {}).get("name") or str(request.endpoint).rpartition(".")[2]
        rows = g.get("shown") or request.args.get("moving", "").split(",")
        if address := pushed.ticket(view, request.args.get("q", "").strip(), rows):
            response.headers["Pairscope-Push"] = address
    return response


@blueprint.get("/overview", endpoint="overview")
@reader_required
@shared
def overview_page() -> Answer:
    """The overview: its drawing, its charts, its last messages."""
    if _rows_only():
        return _answer("messages", {}, {}, limit=overview.LAST)
    points = overview.rates()
    parts = {
        "strip": strip.signature(),
        "system": overview.system_signature(),
        "rates": overview.rates_signature(points),
    }
    context = {"points": points}
    return _answer("messages", parts, context, limit=overview.LAST)


@blueprint.get("/jobs/<int:id>")
@reader_required
@shared
def job(id: int) -> Answer:
    """The page of a job: drawn again when one of its rows was touched."""
    parts = {"strip": strip.signature(), "job": jobs.signature(id)}
    changed = _changed(parts)
    if not changed:
        return NOTHING
    context = jobs.story(id) if "job" in changed else {}
    return _render(parts, changed, **context)


def _answer(name: str, parts: dict[str, Any], context: dict[str, Any], limit: int = 0) -> Answer:
    shown = TABLES[name]
    limit = limit or min(max(request.args.get("limit", PAGE, int), 1), PAGE)
    try:
        chosen = parse(request.args.get("q", "").strip(), name)
        moving = [part for part in request.args.get("moving", "").split(",") if part]
        cursor = request.args.get("cursor", "")
        update = None
        if request.args.get("only") != "parts":
            update = listing.since(reach.history(), shown, chosen, cursor, moving, limit)
    except FilterError as error:
        raise Problem("wrong-query", translated(error.args[0])) from None
    except CursorError as error:
        raise Problem("wrong-cursor", translated(error.args[0])) from None
    changed = _changed(parts)
    if update is None and not changed:
        return NOTHING
    if "system" in changed:
        context.update(overview.system_context())
    if "rates" in changed:
        context.update(overview.rates_context(context["points"]))
    names = (*moving, *map(shown.name_of, update.rows if update else ()))
    return _render(parts, changed, table=shown, update=update, **context)._replace(shown=names)


def _rows_only() -> bool:
    return request.args.get("only") == "rows"


def _changed(parts: dict[str, Any]) -> set[str]:
    """Parts that are not as the viewer has seen them. `seen` is ``name:signature`` for each, with commas between."""
    seen = dict(part.partition(":")[::2] for part in request.args.get("seen", "").split(","))
    return {name for name, signature in parts.items() if seen.get(name) != str(signature)}


def said(parts: dict[str, Any]) -> str:
    """The signatures as the page hands them back."""
    return ",".join(f"{name}:{signature}" for name, signature in parts.items())


def _render(parts: dict[str, Any], changed: set[str], **context: Any) -> Answer:
    context.setdefault("update", None)
    update, seen = context["update"], said(parts)
    at = places(update.cursor) if update else ""
    body = render_template("update.html", changed=changed, seen=seen, at=at, **context).encode()
    headers = {"Pairscope-Seen": seen}
    if update:
        headers |= {"Pairscope-Cursor": update.cursor, "Pairscope-At": at}
    packed = gzip.compress(body, LEVEL, mtime=0) if len(body) >= compression.LEAST and not is_operator() else b""
    return Answer(200, headers, body, packed)


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)
