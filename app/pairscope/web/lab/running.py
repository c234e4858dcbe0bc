"""Has the pool run a scenario, and stores the run."""

from __future__ import annotations

import time

from flask import request
from flask_babel import gettext as _

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.lab import TIMES_MAX, gallery
from pairscope.lab.exports import Outcome, tally
from pairscope.lab.language import TEXT_MAX, parse
from pairscope.lab.model import ScenarioError
from pairscope.lab.run import Run as Recorded
from pairscope.lab.run import decode
from pairscope.store import runs
from pairscope.store.models import Run
from pairscope.web import reach
from pairscope.web.access import Attempts, is_operator, place
from pairscope.web.lab.job import in_the_pool
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated

PATIENCE = 20.0
"""Seconds that a request waits for its run: in the queue, and the run's own five."""
MOST, SPAN = 30, 60
"""Runs that one address may ask for within so many seconds; operators as many as they like."""


def scenario_text(name: str) -> str:
    """The text of a scenario of the gallery. Raises Problem (404)."""
    try:
        return gallery.text(name)
    except gallery.UnknownScenario as unknown:
        raise Problem("unknown-scenario", _unknown(unknown.name)) from None


def _unknown(name: str) -> str:
    return _(
        "No scenario of the gallery is named %(name)s; there are: %(names)s.",
        name=repr(name[:40]),
        names=", ".join(gallery.names()),
    )


def check(text: str) -> None:
    """Raises Problem (400) with line and column for what is no scenario."""
    try:
        parse(text)
    except ScenarioError as error:
        raise Problem(
            "wrong-scenario",
            translated(error.args[0]),
            line=error.place.line,
            column=error.place.column,
            found=error.found,
            expected=error.expected,
        ) from None


def may_write() -> bool:
    """Whether who asks may run a text of his own."""
    return is_operator() or reach.settings().lab_open


def perform(text: str, *, scenario: str = "", parent: str = "", patience: float = PATIENCE) -> Run:
    """Runs it and stores the run. Raises Problem for a text that is no scenario or may not be run, PoolRefused,
    PoolAway."""
    if not scenario and not may_write():
        raise Problem(
            "login-needed",
            _("Running a scenario of your own needs an operator here; those of the gallery are open to everybody."),
        )
    if len(text) > TEXT_MAX:
        raise Problem(
            "too-large",
            _("The text has %(size)s characters; expected at most %(most)s.", size=len(text), most=TEXT_MAX),
        )
    with place("run"):
        return _performed(text, scenario, parent, patience)


def _performed(text: str, scenario: str, parent: str, patience: float) -> Run:
    check(text)
    asked_by = "" if is_operator() else Attempts.place(request.remote_addr)
    if asked_by and runs.recent(reach.own(), asked_by, SPAN) >= MOST:
        raise Problem(
            "too-many-runs",
            _(
                "%(most)s runs were asked for from %(address)s within a minute. Try again in a moment.",
                most=MOST,
                address=request.remote_addr,
            ),
            headers={"Retry-After": "10"},
        )
    # A run takes seconds. Fifteen that held a connection so long kept everybody else from the database.
    reach.give_up()
    job, run = _played(text, scenario, patience)
    return runs.store(
        reach.own(), run, keep=reach.settings().lab_runs, scenario=scenario, asked_by=asked_by, job=job, parent=parent
    )


class Batches(Attempts):
    """Scenarios run many times, for each address."""

    MOST = 2


_batches = Batches()


def perform_often(text: str, *, scenario: str = "", times: int = TIMES_MAX) -> tuple[list[tuple[Outcome, Run]], int]:
    """Runs it `times` times, one after the other through the same queue as all runs, for PATIENCE seconds at most.
    Gives each outcome with the row of its first run, which is stored, and how many runs were made. Raises as perform()
    does, where not even one was made."""
    if not scenario and not may_write():
        raise Problem(
            "login-needed",
            _("Running a scenario of your own needs an operator here; those of the gallery are open to everybody."),
        )
    check(text)
    asked_by = "" if is_operator() else Attempts.place(request.remote_addr)
    now = time.monotonic()
    if asked_by and (seconds := _batches.wait(request.remote_addr, now)):
        raise Problem(
            "too-many-runs",
            _(
                "%(address)s has had scenarios run many times just now. Try again in a moment.",
                address=request.remote_addr,
            ),
            headers={"Retry-After": str(int(seconds) + 1)},
        )
    if asked_by:
        _batches.wrong(request.remote_addr, now)
    jobs: dict[int, int] = {}
    made: list[Recorded] = []
    with place("run"):
        while len(made) < times and (left := now + PATIENCE - time.monotonic()) > 0:
            try:
                job, run = _played(text, scenario, left)
            except (Problem, PoolRefused, PoolAway):
                if not made:
                    raise
                break
            jobs[id(run)] = job
            made.append(run)
    found = tally(made)
    keep = reach.settings().lab_runs
    return [
        (one, runs.store(reach.own(), one.run, keep=keep, scenario=scenario, asked_by=asked_by, job=jobs[id(one.run)]))
        for one in found
    ], len(made)


def _played(text: str, scenario: str, patience: float) -> tuple[int, Recorded]:
    job, data = in_the_pool("scenario", text.encode(), scenario or _("a scenario"), patience)
    return job, decode(data)


def find(identity: str) -> Run:
    """The row of a run. Raises Problem (404)."""
    row = runs.find(reach.own(), identity)
    if row is None:
        raise Problem(
            "unknown-run",
            _(
                "There is no run %(id)s: it was never stored, or is not kept any more because nobody had shared it.",
                id=identity[:20],
            ),
        )
    return row
