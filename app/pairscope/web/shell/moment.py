"""What is so now, read once for all who ask at the same time: up to where the record is committed, and what the
supervisor last said.

Whoever asks is told what was read after the request came to the server, never what was read before. So one alone reads
for itself; those who have waited for a thread meanwhile, and those who come together, share what the first of them
reads, and the answers that are made of it. The more ask, the less each costs.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask, current_app, g, request

from pairscope.pool import snapshot as snapshots
from pairscope.pool.snapshot import Snapshot
from pairscope.store import errors
from pairscope.store.places import Place
from pairscope.store.recent import Windows
from pairscope.web.access.places import arrived
from pairscope.web.reach import Reach
from pairscope.web.shell import strip

MOST_ANSWERS = 256
"""Of one moment that are kept; others are made for whoever asks alone."""


class Answer(NamedTuple):
    """What is sent to all who ask for the same."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    packed: bytes
    """The body compressed with gzip; empty where that is not worth it."""
    shown: tuple[str, ...] = ()
    """Ids of the rows that the page shows with it, as far as is known."""


class _Shared:
    """An answer that somebody makes while others wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answer: Answer | None = None


class Moment:
    """What was read at one time."""

    def __init__(self, began: float, places: tuple[Place, ...] | None, snapshot: Snapshot | None) -> None:
        self.began = began
        """When the reading began, s since 1970."""
        self.places = places
        """How far each node's rows are committed; None: the database does not tell."""
        self.snapshot = snapshot
        self._lock = threading.Lock()
        self._answers: dict[object, _Shared] = {}
        self.made = 0

    def once(self, key: object, make: Callable[[], Answer]) -> Answer:
        """The answer of that key: made by who asks first, shared with those who ask meanwhile and later. Raises what
        `make` raises, and then the next one tries."""
        with self._lock:
            if key not in self._answers and len(self._answers) >= MOST_ANSWERS:
                shared = _Shared()
            else:
                shared = self._answers.setdefault(key, _Shared())
        with shared.lock:
            if shared.answer is None:
                self.made += 1
                shared.answer = make()
            return shared.answer


class Moments:
    """The moments of one process, of which the last one is kept. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Moment | None = None
        self.read = 0

    def since(self, arrived: float, read: Callable[[float], Moment]) -> Moment:
        """A moment that was read after `arrived` (s since 1970). Who waits here for somebody else's reading takes that
        if it began after his own request came, and reads otherwise. Raises what `read` raises."""
        with self._lock:
            if self._last is None or self._last.began < arrived:
                self.read += 1
                self._last = read(time.time())
            return self._last


def now() -> Moment:
    """The moment of this request. What the strip shows comes from it, too."""
    if "moment" not in g:
        g.moment = at(current_app, request.environ)
        g.snapshot = g.moment.snapshot
        if g.moment.places is None:
            strip.say_away()
        else:
            g.last_row, g.database_away = max((place.at for place in g.moment.places), default=None), False
    return g.moment


def at(app: Flask, environ: Mapping[str, Any]) -> Moment:
    """The moment of a request, also of one that has no context."""
    moments: Moments = app.extensions["pairscope.moments"]
    return moments.since(arrived(environ), functools.partial(_read, app.extensions["pairscope"]))


def windows() -> Windows:
    """The rows that have changed lately, as this process keeps them."""
    return current_app.extensions["pairscope.recent"]


def _read(reach: Reach, began: float) -> Moment:
    places: Any = None
    try:
        places = reach.places()
    except Exception as error:
        if errors.of(error) is None:
            raise
    return Moment(began, places, snapshots.read(reach.settings, time.time_ns()))


def register(app: Flask) -> None:
    app.extensions["pairscope.moments"], app.extensions["pairscope.recent"] = Moments(), Windows()
