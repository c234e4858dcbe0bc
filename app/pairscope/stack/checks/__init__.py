"""What the stack is really like, step by step: ``run(settings)`` for the page, the API and ``pairscope checks``.

Everything is read: files, /proc, the pool's snapshot, and the database by the accounts that this process has. No
program is started, for web forks nothing. Whoever may see less is told which row he may not see. No row holds a secret.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

from sqlalchemy.engine import make_url

from pairscope.config import Settings
from pairscope.lamp import box
from pairscope.pool import snapshot as snapshots
from pairscope.sentence import Sentence, phrase
from pairscope.stack.check import CHECKS, TITLES, Scene
from pairscope.stack.checks import apache, linux, mysql, pool, python  # noqa: F401 each says what it looks at, in the order of the page
from pairscope.stack.step import Verdict
from pairscope.store import errors
from pairscope.store.engine import Away, engine

KEPT = 3.0
"""Seconds for which one look serves all who ask."""
_lock = threading.Lock()
_kept: dict[str, tuple[float, Report]] = {}


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was looked at."""

    chapter: str
    step: str
    """Of the guide; empty: of none."""
    title: str
    command: str
    """What a person would type here to look at the same; empty: there is nothing to look at."""
    expected: str
    observed: str
    verdict: Verdict
    drift: str
    detail: tuple[str, ...] = ()
    """More of what was observed, a line each: for operators."""


@dataclasses.dataclass(frozen=True)
class Report:
    at: int
    """ns since 1970."""
    rows: tuple[Row, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(row.verdict is verdict for row in self.rows)


def run(settings: Settings, fresh: bool = False) -> Report:
    """Looks at everything, or gives what was found in the last three seconds. While another thread looks, what it found
    before."""
    name = settings.source + str(settings.state)
    kept = _kept.get(name)
    if kept and not fresh and time.monotonic() < kept[0] + KEPT:
        return kept[1]
    if not _lock.acquire(blocking=fresh or kept is None):
        return kept[1]  # type: ignore[index]  # a database that does not answer holds one thread of web, not all
    try:
        kept = _kept.get(name)
        if kept and not fresh and time.monotonic() < kept[0] + KEPT:
            return kept[1]
        report = _run(settings)
        _kept[name] = time.monotonic(), report
        return report
    finally:
        _lock.release()


def _run(settings: Settings) -> Report:
    now = time.time_ns()
    url = make_url(settings.history_url)
    made = (
        None
        if url.get_backend_name() == "sqlite"
        else engine(settings.history_url, read_only=True, away=Away(), pool_size=1)
    )
    scene = Scene(settings, snapshots.read(settings, now), _box(), made)
    rows = []
    for chapter, step, command, look in CHECKS:
        try:
            for finding in look(scene):
                shown = scene.typed(command) if finding.looked_at else ""
                rows.append(
                    Row(
                        chapter,
                        step,
                        finding.what,
                        shown,
                        finding.expected,
                        finding.observed,
                        finding.verdict,
                        finding.drift,
                        finding.detail,
                    )
                )
        except Exception as error:
            fault = errors.of(error)
            if fault is None and not isinstance(error, (OSError, box.BoxError)):
                raise
            reason = fault.words if fault is not None and not isinstance(error, OSError) else error
            rows.append(
                Row(
                    chapter,
                    step,
                    Sentence(TITLES.get(step, chapter)),
                    scene.typed(command),
                    phrase("an answer"),
                    phrase("none"),
                    Verdict.UNKNOWN,
                    _why(error, reason),
                )
            )
    if made is not None:
        made.dispose()
    return Report(now, tuple(rows))


def _why(error: Exception, reason: object) -> str:
    if isinstance(error, PermissionError) and error.filename:
        return phrase(
            "It cannot be seen from here: this user may not read %(path)s. root can look.", path=error.filename
        )
    return phrase("It could not be looked at: %(why)s.", why=str(reason))


def _box() -> dict[str, Any] | None:
    try:
        return box.choices()
    except box.BoxError:
        return None
