"""Errors in words: a page for people, JSON for programs, from the same problem."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, render_template, request
from flask_babel import gettext as _
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ClientDisconnected, HTTPException, InternalServerError

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.store.outage import Outage
from pairscope.store.runs import Unreadable
from pairscope.web import problems
from pairscope.web.shell import strip

AGAIN = 5
"""Seconds after which a page that could not be shown for now asks again."""


def page(error: Exception) -> Any:
    """The answer to a request that ended with this error."""
    if isinstance(error, HTTPException) and (error.code is None or error.code < 400):
        return error
    if isinstance(error, ClientDisconnected):
        # Who hung up reads no page. Two hundred took 8 ms of processor time each, and the database's connections.
        return "", error.code
    problem = problems.of(error)
    if problem is None:
        current_app.logger.exception("%s %s failed", request.method, request.path)
        problem = problems.Problem(
            "internal",
            _("This is a mistake of Pairscope, and it is in its log. Nothing that was recorded is affected."),
        )
    if problem.kind == "database-away":
        outage().say(problem.description or "")
        strip.say_away()
    if problems.wanted():
        return problems.answer(problem)
    # what sent something must not send it again
    again = AGAIN if problem.code == 503 and request.method == "GET" else 0
    body = render_template("error.html", problem=problem, advice=_advice(problem), again=again)
    headers = [
        (name, value)
        for name, value in problem.headers.items()
        if name.lower() not in ("content-type", "content-length", "www-authenticate")
    ]
    return body, problem.code, headers


def outage() -> Outage:
    """This process's, of its database."""
    return current_app.extensions["pairscope.outage"]


def _advice(problem: problems.Problem) -> str:
    """What to do next."""
    return {
        400: _("Go back, correct what is named above, and send it again."),
        401: _("Log in with an operator's token; the server printed a login link when it started."),
        403: _("Load the page again and repeat what you did there."),
        404: _missing(problem.kind),
        405: _("Use the links and buttons of the pages."),
        410: _("Submit the job again to get its output again."),
        413: _("Choose a smaller file."),
        429: _("Wait for the time that is named above."),
        503: _("This page loads itself again every %(seconds)s seconds until it is answered.", seconds=AGAIN)
        if request.method == "GET"
        else _("Go back, and send it again in some seconds."),
    }.get(problem.code or 500, _("Load the page again; if it happens again, the server's log has the reason."))


def _missing(kind: str) -> str:
    """What to do where there is nothing: only what history kept can have been pruned."""
    if kind in ("unknown-message", "unknown-transfer", "unknown-job", "unknown-worker"):
        return _(
            "It may have been pruned: history keeps a bounded number of messages, the newest. The tables show "
            "what is there."
        )
    return {
        "unknown-scenario": _("The lab's page shows the gallery."),
        "unknown-run": _("The lab's page shows the last runs, and runs the scenario again."),
        "no-output": _("What the job found is on its page."),
        "other-node": _("Ask a web process of that node."),
    }.get(kind, _("Use the links of the pages; an address that was typed may have a slip in it."))


def register(app: Flask) -> None:
    """Answers every error with its page or problem."""
    app.extensions["pairscope.outage"] = Outage(app.logger)
    for kind in (HTTPException, SQLAlchemyError, Unreadable, PoolAway, PoolRefused, InternalServerError):
        app.register_error_handler(kind, page)
    if not app.testing:
        app.register_error_handler(Exception, page)
