"""What a request can reach: the settings, history, the pool's client and its last snapshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import flask
from flask import Flask, g
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from pairscope.client.client import Client
from pairscope.config import Settings
from pairscope.pool import snapshot as snapshots
from pairscope.store import errors
from pairscope.store.engine import Away, engine
from pairscope.store.places import Place, Places
from pairscope.store.withheld import withhold
from pairscope.web.turns import Turns


class Reach:
    """One for each application. Connects to nothing before the first use."""

    def __init__(self, settings: Settings, turns: Turns) -> None:
        self.settings, self.turns = settings, turns
        self._lock = threading.Lock()
        self._engines: dict[str, Engine] = {}
        self._away: dict[object, Away] = {}
        self._places: Places | None = None
        self.client = Client(settings, role="web", aside=turns.aside)
        """Gives each thread a pair of its own."""
        self.may_see: Callable[[], bool] = lambda: False
        """Whether who asks may see what history withholds from strangers; pairscope.web.access knows."""

    def engine(self, url: str, *, read_only: bool) -> Engine:
        """The one engine of a database; reading history and writing web's own tables are different users of it, and of
        what is known of its server."""
        key = f"{read_only} {url}"
        with self._lock:
            if key not in self._engines:
                place = make_url(url)
                away = self._away.setdefault((place.host, place.port, place.query.get("unix_socket")), Away())
                self._engines[key] = engine(url, read_only=read_only, away=away)
            return self._engines[key]

    def places(self) -> tuple[Place, ...]:
        """How far the record is committed. Raises what the database's driver raises."""
        engine = self.engine(self.settings.history_url, read_only=True)
        with self._lock:
            self._places = self._places or Places(engine)
        return self._places.look()

    def close(self) -> None:
        """Closes this thread's pair and all idle database connections."""
        self.client.close()
        if self._places is not None:
            self._places.close()
        for made in self._engines.values():
            made.dispose()


def _reach() -> Reach:
    return flask.current_app.extensions["pairscope"]


def settings() -> Settings:
    """The settings of this application."""
    return _reach().settings


def history() -> Session:
    """A session on history for this request; SELECT only. Closed when the request ends. For a stranger it withholds
    what needs a login: pairscope.store.withheld."""
    if "history" in g:
        return g.history
    session = _session("history", settings().history_url, read_only=True)
    if not _reach().may_see():
        withhold(session)
    return session


def places() -> tuple[Place, ...]:
    """How far the record is committed, looked up now. Raises what the database's driver raises."""
    return _reach().places()


def further_history() -> Callable[[], Session]:
    """What makes further sessions on history like this request's, for an answer that goes on after its view; who calls
    it closes each."""
    made, may_see = _reach().engine(settings().history_url, read_only=True), _reach().may_see()

    def begin() -> Session:
        session = Session(made)
        if not may_see:
            withhold(session)
        return session

    return begin


def own() -> Session:
    """A session on web's own tables for this request; the caller commits."""
    return _session("own", settings().web_url, read_only=False)


def client() -> Client:
    """The pool's client; this thread's pair in it."""
    return _reach().client


def snapshot() -> snapshots.Snapshot | None:
    """What the supervisor last said of itself, read once for each request; None: it never did."""
    if "snapshot" not in g:
        g.snapshot = snapshots.read(settings(), time.time_ns())
    return g.snapshot


def _session(name: str, url: str, *, read_only: bool) -> Session:
    if name not in g:
        g.setdefault(name, Session(_reach().engine(url, read_only=read_only)))
    return g.get(name)


def give_up() -> None:
    """Ends the sessions of this request, whatever state they are in; the next use begins new ones.

    A server that says 'not now' says it to the ROLLBACK, too: closing a session then raised, and the answer became a
    bare 500.
    """
    for name in ("history", "own"):
        session: Any = g.pop(name, None)
        if session is None:
            continue
        try:
            session.close()
        except Exception as error:
            if errors.of(error) is None:
                raise
            with suppress(Exception):
                session.invalidate()


def _leave(_error: BaseException | None) -> None:
    give_up()
    _reach().client.settle()


def turns() -> Turns:
    """The turns of this process, for an answer that goes on after its view."""
    return _reach().turns


def register(app: Flask, configured: Settings, turns: Turns) -> Reach:
    """Gives the application its reach and closes at the end of each request what it opened."""
    app.extensions["pairscope"] = reach = Reach(configured, turns)
    app.teardown_appcontext(_leave)
    return reach
