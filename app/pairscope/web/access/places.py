"""How many requests may be in progress that hold a thread for long, in all and from one address; the others are refused
at once.

Four kinds of them: a request with a body, which a slow sender draws out; an export, which the database draws out; the
download of an output, which a slow reader draws out; a run of the lab, which waits for those before it. Under Apache
they have a group of processes of their own with more threads than all shares together (deploy/apache/site.conf.j2), so
that a refusal never waits for a thread. A place is held until the answer is made; if it is streamed, until it is read.

A page needs no place. But one that has waited for a thread for longer than PATIENCE is refused unmade, which takes a
millisecond: so a burst of 200 pages makes nobody after it wait for 200 pages. mod_wsgi says when the waiting began; a
process that has just begun refuses none, because all waited for it.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Response, current_app, g, request
from flask_babel import gettext as _

from pairscope.web import problems
from pairscope.web.access.attempts import Attempts
from pairscope.web.problems import Problem

View = TypeVar("View", bound=Callable[..., Any])


class Share(NamedTuple):
    """How many of one kind there may be at a time."""

    all: int
    each: int
    """Of one address."""


SHARES = {"body": Share(512, 384), "export": Share(4, 3), "output": Share(64, 32), "run": Share(32, 24)}
"""Together below the threads of the group `bulk`, pairscope.lamp.installation. A run of the lab takes its
place when its body has come; the pool lets no more of them wait."""


PATIENCE = 0.5
"""Seconds that a page may have waited for a thread."""
ARRIVED = "pairscope.arrived"
"""Key of a request's environ, by which the embedded server says the same as mod_wsgi: us since 1970."""
ASKING = 8.0
"""Seconds that a poll of a page may have waited, under the embedded server, too: the page gives up after ten. To answer
it costs hardly more than to refuse it; refused after two seconds, of 500 pages on a busy machine hardly one was
answered."""
WARM = 10.0
"""Seconds that a process gets to serve those who waited for its beginning."""


def late(queued: str, now: float, born: float, patience: float = PATIENCE) -> bool:
    """Whether a page waited too long. `queued`: when Apache sent it to the processes of web, in us since 1970, as
    mod_wsgi says; empty under another server. `now`, `born`: seconds since 1970."""
    return queued.isdecimal() and now - int(queued) / 1e6 > patience and now - born > WARM


def too_late(environ: Mapping[str, Any], app: Flask) -> bool:
    """Whether the poll of a page waited too long."""
    return late(_queued(environ), time.time(), app.extensions["born"], ASKING)


def arrived(environ: Mapping[str, Any]) -> float:
    """When a request came to the server, s since 1970; now, where the server does not say."""
    queued = _queued(environ)
    return int(queued) / 1e6 if queued.isdecimal() else time.time()


def _queued(environ: Mapping[str, Any]) -> str:
    found: str = environ.get("mod_wsgi.queue_start") or environ.get(ARRIVED) or ""
    return found


class Places:
    """The places of one kind. Counted in one process."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._held: collections.Counter[str] = collections.Counter()

    def take(self, who: str) -> str:
        """Takes a place for an address: empty, or which bound it would exceed, ``each`` or ``all``."""
        with self._lock:
            if self._held[who] >= self._share.each:
                return "each"
            if self._held.total() >= self._share.all:
                if not self._held[who]:
                    del self._held[who]
                return "all"
            self._held[who] += 1
            return ""

    def leave(self, who: str) -> None:
        """Gives it back."""
        with self._lock:
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]

    def held(self) -> int:
        """How many are held."""
        with self._lock:
            return self._held.total()


def holds(kind: str) -> Callable[[View], View]:
    """Marks a view whose answer takes long: it needs a place of this kind."""

    def mark(view: View) -> View:
        view.place = kind  # type: ignore[attr-defined]
        return view

    return mark


def enter() -> Response | None:
    """Takes a place for this request if it needs one. Refuses it beyond the address' share (429) and beyond all (503),
    and refuses a page that has waited too long (503)."""
    view = current_app.view_functions.get(request.endpoint or "")
    body = request.content_length or request.headers.get("Transfer-Encoding")
    kind = getattr(view, "place", None) or ("body" if body else None)
    if kind is None:
        if request.blueprint == "live":
            waited = too_late(request.environ, current_app)
        else:
            queued = request.environ.get("mod_wsgi.queue_start", "")
            waited = late(queued, time.time(), current_app.extensions["born"])
        if not waited:
            return None
        words = _("All of Pairscope's web processes are busy. Try again in a moment.")
        return _refused(Problem("too-busy", words, headers={"Retry-After": "2"}))
    try:
        g.place = _taken(kind)
    except Problem as problem:
        return _refused(problem)
    return None


@contextlib.contextmanager
def place(kind: str) -> Iterator[None]:
    """A place of this kind for what stands within. Raises Problem: 429 beyond the address' share, 503 beyond all."""
    leave = _taken(kind)
    try:
        yield
    finally:
        leave()


def _taken(kind: str) -> Callable[[], None]:
    """Takes a place; returns what gives it back."""
    places: Places = current_app.extensions["places"][kind]
    who = Attempts.place(request.remote_addr)
    match places.take(who):
        case "each":
            words = _(
                "%(address)s has %(count)s requests of this kind in progress, as many as one address may. Try again "
                "when one has ended.",
                address=request.remote_addr,
                count=SHARES[kind].each,
            )
            raise Problem("too-many-requests", words, headers={"Retry-After": "5"})
        case "all":
            words = _(
                "%(count)s requests of this kind are in progress, as many as there may be. Try again in a moment.",
                count=SHARES[kind].all,
            )
            raise Problem("too-busy", words, headers={"Retry-After": "2"})
    return functools.partial(places.leave, who)


def _refused(problem: Problem) -> Response:
    """The answer: to a program as every problem, to a person in a line.

    Not as a page: that asks the database how it is. It took 4.5 ms of processor time instead of 0.3, and of 200 that
    were refused at once most waited for one of the connections."""
    if problems.wanted():
        raise problem
    return Response(f"{problem.description}\n", problem.code, problem.headers, content_type="text/plain; charset=utf-8")


class _Reading:
    """A streamed answer that gives its place back when it has been read, or given up."""

    def __init__(self, answer: Any, leave: Callable[[], None]) -> None:
        self._answer = answer
        self._parts = iter(answer)
        self._leave: Callable[[], None] | None = leave

    def __iter__(self) -> _Reading:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._parts)
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        try:
            if close := getattr(self._answer, "close", None):
                close()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        leave, self._leave = self._leave, None
        if leave:
            leave()


def keep(response: Response) -> Response:
    """Keeps the place until a streamed answer has been read."""
    if response.is_streamed and (leave := g.pop("place", None)):
        # Not call_on_close: nobody calls that where the answer is passed through.
        response.response = _Reading(response.response, leave)
    return response


def give_back(_error: BaseException | None) -> None:
    """Gives back the place of a request that is over."""
    if leave := g.pop("place", None):
        leave()


def register(app: Flask) -> None:
    """Before every other look at a request."""
    app.extensions["born"] = time.time()
    app.extensions["places"] = {kind: Places(share) for kind, share in SHARES.items()}
    app.before_request(enter)
    app.after_request(keep)
    app.teardown_request(give_back)
