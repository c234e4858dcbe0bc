"""Problems: what is answered when a request cannot be done, as JSON where a program asks. RFC 9457.

A problem has a kind (the end of its ``type``), a status and a detail in words: what was wrong, what was expected. Pages
show the same detail; only the form differs.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from flask import Response, request
from flask_babel import gettext as _
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from pairscope.client.away import PoolAway, PoolRefused, PoolStuck
from pairscope.ipc.vocabulary import REFUSALS
from pairscope.store import errors, runs
from pairscope.store.errors import Fault
from pairscope.store.errors import Kind as Cause
from pairscope.web.recorded import translated
from pairscope.web.words import size

MEDIA = "application/problem+json"


class Kind(NamedTuple):
    """One kind of problem."""

    status: int
    title: str


_REFUSED = {
    "unknown-kind": 400,
    "bad-request": 400,
    "needs-input": 400,
    "unknown-job": 404,
    "no-output": 404,
    "expired": 410,
    "unknown-worker": 404,
    "queue-full": 503,
    "journal-full": 503,
    "stopping": 503,
    "out-of-range": 400,
    "too-large": 413,
    "lab-away": 503,
}

KINDS: dict[str, Kind] = {
    **{code: Kind(_REFUSED.get(code, 409), title) for code, title in REFUSALS.items()},
    "not-found": Kind(404, "There is nothing at this address."),
    "unknown-message": Kind(404, "There is no such message, or history does not keep it any more."),
    "other-node": Kind(404, "Another node has it, if anybody does."),
    "unknown-transfer": Kind(404, "There is no such transfer, or history does not keep it any more."),
    "wrong-argument": Kind(400, "An argument is not as it must be."),
    "empty-input": Kind(400, "The file is empty."),
    "wrong-host": Kind(400, "This site does not answer to that host name."),
    "wrong-method": Kind(405, "This address does not take this method."),
    "wrong-media": Kind(415, "The body is not of the media type that is expected."),
    "wrong-query": Kind(400, "The query cannot be understood."),
    "wrong-scenario": Kind(400, "The text is no scenario."),
    "wrong-run": Kind(400, "The file is no run."),
    "wrong-recording": Kind(400, "The file is no recording."),
    "wrong-program": Kind(400, "This is no program that can be run."),
    "no-programs": Kind(409, "Programs are not run here."),
    "unknown-scenario": Kind(404, "The gallery has no such scenario."),
    "unknown-run": Kind(404, "There is no such run, or it is not kept any more."),
    "unreadable": Kind(500, "What is recorded here cannot be shown."),
    "too-many-runs": Kind(429, "Too many runs came from this address."),
    "run-failed": Kind(500, "The run did not come to its end."),
    "too-many-requests": Kind(429, "Too many requests of this kind come from this address."),
    "too-busy": Kind(503, "Too many requests of this kind are in progress."),
    "lab-busy": Kind(503, "The lab is busy."),
    "wrong-cursor": Kind(400, "The cursor cannot be understood."),
    "login-needed": Kind(401, "This needs an operator."),
    "wrong-token": Kind(401, "The token is not an operator's."),
    "forged": Kind(403, "The request does not come from a page of this site."),
    "forbidden": Kind(403, "This is not allowed."),
    "too-many-attempts": Kind(429, "Too many wrong tokens came from this address."),
    "pool-away": Kind(503, "The pool is away."),
    "pool-stuck": Kind(503, "The pool cannot record anything now."),
    "database-away": Kind(503, "The database is away."),
    "undecided": Kind(503, "It cannot be told yet."),
    "unavailable": Kind(503, "This cannot be done now."),
    "internal": Kind(500, "Pairscope made a mistake."),
}
"""Every kind of problem with its status and its title."""

_BY_STATUS = {
    400: "bad-request",
    401: "login-needed",
    403: "forbidden",
    404: "not-found",
    405: "wrong-method",
    410: "expired",
    413: "too-large",
    415: "wrong-media",
    429: "too-many-attempts",
    500: "internal",
    503: "unavailable",
}

DATABASE_AWAY = (SQLAlchemyError,)
"""What is raised when the database does not do what it is asked; why, :func:`pairscope.store.errors.of` says."""


class Problem(HTTPException):
    """A request that cannot be done. Its `members` are further members of the JSON object."""

    def __init__(self, kind: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = KINDS[kind].status
        self.title = KINDS[kind].title
        self.members = members
        self.headers = headers or {}

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [*super().get_headers(environ, scope), *self.headers.items()]


def of(error: Exception) -> Problem | None:
    """The problem that an exception means, or None if it means a mistake of our own."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, PoolRefused):
        kind = error.code if error.code in KINDS else "unavailable"
        title = KINDS[kind].title
        particulars = error.reason.removeprefix(title).strip()  # the title stands beside it
        return Problem(
            kind, translated(particulars) or title, headers={"Retry-After": "2"} if KINDS[kind].status == 503 else None
        )
    if isinstance(error, PoolStuck):
        words = _(
            "%(reason)s What is recorded can still be read; jobs are done when there is room again.",
            reason=_sentence(translated(str(error))),
        )
        return Problem("pool-stuck", words, headers={"Retry-After": "5"})
    if isinstance(error, PoolAway):
        words = _(
            "%(reason)s What is recorded can still be read; try again when it is back.",
            reason=_sentence(translated(str(error))),
        )
        return Problem("pool-away", words, headers={"Retry-After": "2"})
    if isinstance(error, runs.Unreadable):
        return Problem(
            "unreadable", _("What is stored of this run is none any more: %(reason)s.", reason=str(error).rstrip("."))
        )
    if not isinstance(error, HTTPException) and (fault := errors.of(error)) is not None:
        return _of_database(fault)
    if isinstance(error, HTTPException) and error.code is not None and error.code >= 400:
        kind = _BY_STATUS.get(error.code, "bad-request" if error.code < 500 else "unavailable")
        problem = Problem(kind, _told(error, kind))
        if error.code not in _BY_STATUS:
            problem.code, problem.title = error.code, error.name
        problem.headers = {
            name: value for name, value in error.get_headers() if name not in ("Content-Type", "Content-Length")
        }
        return problem
    return None


def _of_database(fault: Fault) -> Problem:
    """A value that no column holds is the asker's; everything else is the server's trouble, and passes."""
    if fault.kind is Cause.VALUE:
        return Problem(
            "wrong-argument",
            _("The database cannot look for what was asked: %(reason)s.", reason=translated(fault.words).rstrip(".")),
        )
    words = _("%(reason)s Jobs still run, and are recorded when it is back.", reason=database_trouble(fault))
    return Problem("database-away", words, headers={"Retry-After": "5"})


def database_trouble(fault: Fault) -> str:
    """Why the database cannot be asked, as a sentence or two."""
    reason = translated(fault.words).rstrip(".")
    if not fault.answered and fault.kind is not Cause.HOST:
        return _("The database does not answer: %(reason)s.", reason=reason)
    told = {
        Cause.BUSY: _("Somebody else holds what was asked for."),
        Cause.TABLES: _(
            "It answers, but its tables are missing, or others than expected: pairscope migrate makes them."
        ),
        Cause.RIGHTS: _("It answers, but a right is missing."),
        Cause.LOGIN: _("It refuses the login."),
        Cause.CONNECTIONS: _("It has no room for another connection."),
        Cause.ROOM: _("It has no room left."),
        Cause.READ_ONLY: _("It takes no changes now."),
        Cause.LATE: _("It took longer than it may."),
        Cause.CLUSTER: _("Its node is not part of the cluster now, or refuses queries."),
        Cause.HOST: _("The name of its host is not known."),
    }.get(fault.kind, "")
    return " ".join(
        filter(None, (_("The database cannot be used now."), told, _("It says: %(reason)s.", reason=reason)))
    )


def _told(error: HTTPException, kind: str) -> str:
    """What the error says of this request; Werkzeug's general sentences give way to ours."""
    if error.description and error.description != type(error).description:
        return error.description
    if error.code == 413 and request.max_content_length:
        bound = size(request.max_content_length)
        return _("The body exceeds the bound of %(bound)s. Nothing was kept; the pool is unaffected.", bound=bound)
    if not wanted():
        return f"{request.method} {request.path[:100]}"  # the title stands above it
    where = " GET /api/v1/openapi.json lists the addresses and their methods." if error.code in (404, 405) else ""
    return f"{request.method} {request.path[:100]}: {_(KINDS[kind].title)}{where}"


def answer(problem: Problem) -> Response:
    """The problem as a response for a program."""
    body = {
        # without url_for, which wants a host that is ours
        "type": f"{request.script_root}/api/v1/problems/{problem.kind}",
        "title": problem.title,
        "status": problem.code,
        "detail": problem.description,
        **problem.members,
    }
    said = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    return Response(said, status=problem.code, headers=problem.headers, content_type=MEDIA)


def wanted() -> bool:
    """True if a program asks, so that an error is answered as JSON and a missing login not with a page."""
    return request.path.startswith(("/api/", "/metrics", "/readyz", "/healthz"))


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
