"""Live updates: what has changed since a cursor, made by the same queries and the same templates as the page. Pages ask
for it, and so does live, once for all whom it pushes it to (docs/live.md).

An update is a fragment of HTML: rows to put in place or on top, and parts of the page to replace. ``cursor`` says up to
where the rows are known, ``seen`` what the parts showed; if neither is another one now, the answer is 204 and nothing
is rendered. ``only=rows`` leaves the parts out, ``only=parts`` the rows.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request

from pairscope.store.cursor import CursorError, places
from pairscope.store.filter import FilterError, parse
from pairscope.web import reach
from pairscope.web.access import reader_required
from pairscope.web.pages import jobs, overview, workers
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import listing, strip
from pairscope.web.tables import PAGE, TABLES

blueprint = Blueprint("live", __name__, url_prefix="/live")


@blueprint.get("/<any(messages, transfers, jobs, workers):name>")
@reader_required
def table(name: str) -> Any:
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
def strip_alone() -> Any:
    """The health strip, for a page of which nothing else changes: it tells that the server is there."""
    parts = {"strip": strip.signature()}
    changed = _changed(parts)
    return _render(parts, changed) if changed else Response(status=204)


@blueprint.after_request
def _clock(response: Response) -> Response:
    """What this machine's clock says, in ms since 1970: the page tells ages by it. Nobody keeps an answer."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Pairscope-Clock"] = str(time.time_ns() // 1_000_000)
    return response


@blueprint.get("/overview", endpoint="overview")
@reader_required
def overview_page() -> Any:
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
def job(id: int) -> Any:
    """The page of a job: drawn again when one of its rows was touched."""
    parts = {"strip": strip.signature(), "job": jobs.signature(id)}
    changed = _changed(parts)
    if not changed:
        return Response(status=204)
    context = jobs.story(id) if "job" in changed else {}
    return _render(parts, changed, **context)


def _answer(name: str, parts: dict[str, Any], context: dict[str, Any], limit: int = 0) -> Any:
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
        return Response(status=204)
    if "system" in changed:
        context.update(overview.system_context())
    if "rates" in changed:
        context.update(overview.rates_context(context["points"]))
    return _render(parts, changed, table=shown, update=update, **context)


def _rows_only() -> bool:
    return request.args.get("only") == "rows"


def _changed(parts: dict[str, Any]) -> set[str]:
    """Parts that are not as the viewer has seen them. `seen` is ``name:signature`` for each, with commas between."""
    seen = dict(part.partition(":")[::2] for part in request.args.get("seen", "").split(","))
    return {name for name, signature in parts.items() if seen.get(name) != str(signature)}


def said(parts: dict[str, Any]) -> str:
    """The signatures as the page hands them back."""
    return ",".join(f"{name}:{signature}" for name, signature in parts.items())


def _render(parts: dict[str, Any], changed: set[str], **context: Any) -> Response:
    context.setdefault("update", None)
    update, seen = context["update"], said(parts)
    at = places(update.cursor) if update else ""
    body = render_template("update.html", changed=changed, seen=seen, at=at, **context)
    response = Response(body, mimetype="text/html", headers={"Cache-Control": "no-store", "Pairscope-Seen": seen})
    if update:
        response.headers["Pairscope-Cursor"], response.headers["Pairscope-At"] = update.cursor, at
    return response


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)
