"""The health strip: L A M P and Pool as named lamps, node, recorder lag, journal backlog, age of the last row.

It reads the snapshot file and one row of the database, never the control socket: looking must not make traffic.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import zlib
from typing import NamedTuple

from flask import Flask, current_app, g, request
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy.engine import make_url

from pairscope.store import errors, queries
from pairscope.web import reach
from pairscope.web.drawing.system import Surroundings, recorder_state
from pairscope.web.recorded import translated
from pairscope.web.words import duration, number, size

MOST_KEPT = 50


class Lamp(NamedTuple):
    """One light of the health strip."""

    name: str
    state: str
    """``good``, ``attention``, ``failed`` or ``unknown``: unknown stands for what is not used here, too."""
    word: str
    detail: str


class Health(NamedTuple):
    """What the strip says."""

    lamps: list[Lamp]
    node: str
    lag: str
    lag_state: str
    backlog: str
    backlog_state: str
    trouble: str
    """Why the recorder cannot go on, in its own or the supervisor's words; empty: it can."""
    gaps: str
    """How many stretches of the record are missing, in words; empty: none is."""
    gap: str
    """Why the newest of them is, as it was recorded."""
    last: int | None
    """When the last row was committed, ns since 1970."""


def health() -> Health:
    """The strip of this request."""
    if "health" not in g:
        g.health = _health()
    return g.health


def database_name() -> str:
    """The database as people call it. One driver speaks to MySQL and MariaDB: which one it is, the server says."""
    name = _product(reach.settings().history_url)
    _last()  # has asked it something, if it answers
    return "MariaDB" if name == "MySQL" and getattr(reach.history().get_bind().dialect, "is_mariadb", False) else name


@functools.cache
def _product(url: str) -> str:
    return {"sqlite": "SQLite", "mysql": "MySQL", "mariadb": "MariaDB"}.get(make_url(url).get_backend_name(), "?")


def server() -> str:
    """The HTTP server that runs this application."""
    version = request.environ.get("mod_wsgi.version")
    if version:
        return "Apache · mod_wsgi " + ".".join(map(str, version))
    return (
        "waitress"
        if "waitress" in sys.modules
        else request.environ.get("SERVER_SOFTWARE", "").split("/")[0] or _("test client")
    )


def surroundings() -> Surroundings:
    """What stands around the pool, for the drawing of the system."""
    return Surroundings(server(), os.getpid(), database_name(), _database().state)


def _last() -> int | None:
    """When the last row was committed; None where there is none, or the database is away (kept in g)."""
    if "last_row" not in g:
        g.last_row, g.database_away = None, False
        try:
            g.last_row = max((position.at for position in queries.positions(reach.history())), default=None)
        except Exception as error:
            if errors.of(error) is None:
                raise
            say_away()
            reach.give_up()  # a session whose connection was lost in the midst refuses everything else
    return g.last_row


def say_away() -> None:
    """The strip of this request says that the database is away, and does not ask it."""
    g.last_row, g.database_away = None, True


def _database() -> Lamp:
    name = database_name()
    snapshot = reach.snapshot()
    said = snapshot.recorder.database if snapshot else ""
    if g.database_away:
        return Lamp(
            "MariaDB" if name != "SQLite" else name,
            "failed",
            _("away"),
            _("The database does not answer this web process. Jobs still run and are recorded when it returns."),
        )
    if said not in ("", "ok"):
        return Lamp("MariaDB" if name != "SQLite" else name, "attention", _("recorder waits"), translated(said))
    if name == "SQLite":
        return Lamp("MariaDB", "unknown", "SQLite", _("The record lives in SQLite here; MariaDB is not used."))
    return Lamp(name, "good", _("answers"), _("%(name)s answers.", name=name))


@functools.cache
def _kernel() -> str:
    return ".".join(platform.release().split("-")[0].split(".")[:2])


def _pool() -> Lamp:
    snapshot = reach.snapshot()
    if snapshot is None:
        return Lamp(
            _("Pool"),
            "failed",
            _("not running"),
            _("No supervisor has said anything for some seconds. Pages show what is recorded."),
        )
    if snapshot.state == "stopping":
        return Lamp(_("Pool"), "attention", _("stopping"), _("It ends what it has, and takes nothing new."))
    if snapshot.cramped:
        return Lamp(_("Pool"), "attention", _("disk full"), translated(snapshot.cramped))
    alive = len(snapshot.workers)
    word = ngettext("%(num)s worker", "%(num)s workers", alive)
    stopped = sum(worker.standing == "stopped" for worker in snapshot.workers)
    return Lamp(
        _("Pool"),
        "good" if alive >= snapshot.wanted and not stopped else "attention",
        _("%(count)s stopped", count=stopped) if stopped else word,
        _("supervisor %(pid)s, %(wanted)s wanted", pid=snapshot.supervisor.pid, wanted=snapshot.wanted),
    )


def _health() -> Health:
    apache = request.environ.get("mod_wsgi.version")
    web = (
        Lamp("Apache", "good", "mod_wsgi", server())
        if apache
        else Lamp("Apache", "unknown", server(), _("This is the embedded server; Apache is not used."))
    )
    lamps = [
        Lamp("Linux", "good", _kernel(), platform.release()),
        web,
        _database(),
        Lamp("Python", "good", platform.python_version(), platform.python_implementation()),
        _pool(),
    ]
    snapshot = reach.snapshot()
    settings = reach.settings()
    if snapshot is None:
        return Health(lamps, f"{settings.node_name} · {settings.node}", "–", "", "–", "", "", "", "", _last())
    recorder, journal = snapshot.recorder, snapshot.journal
    if recorder.state in ("dead", "stopped", "stalled"):
        lag, lag_state = recorder_state(recorder)[1], "failed"
        if recorder.lag:
            lag += ", " + _("%(count)s wait", count=number(recorder.lag))
    elif recorder.lag:
        lag = _("%(count)s behind", count=number(recorder.lag)) + (
            f", {duration(recorder.lag_ns)}" if recorder.lag_ns >= 2_000_000_000 else ""
        )
        lag_state = "attention" if recorder.lag_ns > 5e9 or recorder.state != "ok" else ""
    else:
        lag, lag_state = _("up to date"), ""
    full = journal.bytes / journal.limit if journal.limit else 0
    backlog = size(journal.bytes) + (f" ({full:.0%})" if full >= 0.01 else "")
    state = "failed" if journal.stuck else "attention" if full > 0.5 else ""
    gaps = ngettext("%(num)s gap", "%(num)s gaps", recorder.gaps) if recorder.gaps else ""
    node = f"{snapshot.node_name} · {snapshot.node}"
    return Health(
        lamps,
        node,
        lag,
        lag_state,
        translated(journal.stuck) or backlog,
        state,
        translated(recorder.trouble),
        gaps,
        translated(recorder.gap),
        _last(),
    )


def digest(shown: object) -> int:
    """A number that is another one when what is shown is."""
    return zlib.crc32(repr(shown).encode())


def signature() -> int:
    """The strip's; the age of the last row ticks by itself. Kept for as long as what it tells: each poll asks."""
    snapshot = reach.snapshot()
    _last()
    key = (snapshot.at if snapshot else None, g.database_away, database_name(), str(get_locale()), server())
    kept: dict[object, int] = current_app.extensions["pairscope.strips"]
    if key not in kept:
        found = health()
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[key] = digest((found[1:-1], [lamp[:3] for lamp in found.lamps]))
    return kept[key]


def register(app: Flask) -> None:
    app.extensions["pairscope.strips"] = {}
