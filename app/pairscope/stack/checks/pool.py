"""The pool: supervisor, workers, operators, journal, recorder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from pairscope.files import SOURCE
from pairscope.stack import system
from pairscope.stack.check import Scene, check
from pairscope.stack.step import Finding, Verdict, bad, good, unknown

LATE_NS = 5_000_000_000
"""As the health strip has it."""


@check(
    "pool",
    "pool-restart",
    "stat /run/pairscope/pool/control.sock; find /opt/pairscope/code/app -newer /run/pairscope/pool/control.sock",
)
def _started(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    try:
        began = os.stat(scene.settings.control).st_ctime
    except FileNotFoundError:
        return  # told of the supervisor
    newest, path = system.newest([SOURCE, Path("/etc/pairscope"), Path("/etc/apache2/sites-available/pairscope.conf")])
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(began))
    if newest <= began:
        yield good("Running since", "after the last change", since)
    else:
        yield bad(
            "Running since",
            "after the last change",
            since,
            f"{path} was changed after the pool was started: systemctl reload apache2",
            Verdict.RECOMMENDED,
        )


@check("pool", "pool-operator", "pairscope token list")
def _operators(scene: Scene) -> Iterator[Finding]:
    if scene.away or scene.engine is None:
        return
    with scene.engine.connect() as connection:
        count = connection.scalar(
            text("SELECT COUNT(*) FROM tokens WHERE expires IS NULL OR expires > :now"), {"now": time.time_ns()}
        )
    yield good(
        "Operators' tokens", "as many as you like", f"{count} valid; {scene.typed('pairscope token create')} makes more"
    )


@check("pool", "pool-ready", "pairscope status")
def _pool(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None and not os.access(scene.settings.run, os.R_OK | os.X_OK) and scene.settings.run.exists():
        yield unknown(
            "Supervisor",
            "running",
            f"What it says stands in {scene.settings.run}, which this user may not enter. root can look: "
            "pairscope status",
        )
        return
    if said is None:
        yield bad(
            "Supervisor",
            "running",
            "says nothing",
            "No supervisor has said anything lately: Apache starts it again; its log says why it ended.",
        )
        return
    yield good(
        "Supervisor",
        "running",
        f"serial {said.supervisor.serial}, process {said.supervisor.pid}, epoch {said.epoch}, "
        f"{said.supervisor.fds} descriptors",
    )
    ready = sum(worker.standing in ("idle", "busy") for worker in said.workers)
    stopped = sum(worker.standing == "stopped" for worker in said.workers)
    if ready >= said.wanted:
        yield good("Workers", f"{said.wanted} ready", f"{ready} ready")
    elif stopped:
        yield bad(
            "Workers",
            f"{said.wanted} ready",
            f"{ready} ready, {stopped} stopped",
            "Workers are stopped by a signal: SIGCONT lets them go on.",
            Verdict.CRITICAL if not ready else Verdict.RECOMMENDED,
        )
    else:
        yield bad(
            "Workers",
            f"{said.wanted} ready",
            f"{ready} ready",
            "Workers are missing: the pool starts them again, after a pause that doubles.",
            Verdict.CRITICAL if not ready else Verdict.RECOMMENDED,
        )
    levels = {worker.sandbox for worker in said.workers if worker.sandbox}
    if levels == {"landlock+seccomp"}:
        yield good("Sandbox of the workers", "Landlock and seccomp", "Landlock and seccomp")
    else:
        yield bad(
            "Sandbox of the workers",
            "Landlock and seccomp",
            ", ".join(sorted(levels)) or "not told yet",
            "Workers are confined by less than both.",
            Verdict.RECOMMENDED,
        )
    idle = sum(station.standing in ("idle", "busy") for station in said.stations)
    if idle:
        yield good("Lab stations", "one or more", str(idle))
    else:
        yield bad(
            "Lab stations",
            "one or more",
            "none",
            "No lab station is connected: scenarios cannot be run.",
            Verdict.RECOMMENDED,
        )


@check("pool", "pool-ready", "curl http://localhost:PORT/readyz")
def _record(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None:
        return
    journal, recorder = said.journal, said.recorder
    part = journal.bytes / journal.limit
    observed = f"{journal.bytes >> 10} KiB of {journal.limit >> 20} MiB"
    if journal.stuck:
        yield bad("Journal", "below its bound", observed, f"Nothing can be appended: {journal.stuck}.")
    elif part >= 1:
        yield bad(
            "Journal",
            "below its bound",
            observed,
            "The journal has reached its bound: new jobs are refused until the database takes it.",
        )
    elif part > 0.5:
        yield bad(
            "Journal",
            "below its bound",
            observed,
            "More than half of the journal's bound waits for the database.",
            Verdict.RECOMMENDED,
        )
    else:
        yield good("Journal", "below its bound", observed)
    observed = f"{recorder.lag} records behind, process {recorder.pid}"
    aside = [
        f"{number} {what}{'s' if number > 1 else ''}"
        for number, what in ((recorder.gaps, "gap"), (recorder.quarantined - recorder.gaps, "refused record"))
        if number
    ]
    if recorder.state != "ok":
        yield bad(
            "Recorder",
            "up to date",
            recorder.state,
            f"The recorder is {recorder.state}{f': {recorder.trouble}' if recorder.trouble else ''}. What "
            "comes waits in the journal.",
        )
    if aside:
        newest = f" The newest gap: {recorder.gap}." if recorder.gap else ""
        yield bad(
            "Record",
            "nothing in quarantine",
            f"{' and '.join(aside)} in quarantine",
            f"Not everything became a row; the table quarantine says what did not, and why.{newest}",
            Verdict.RECOMMENDED if not recorder.gaps else Verdict.CRITICAL,
        )
    elif recorder.state == "ok" and recorder.lag_ns > LATE_NS:
        drift = (
            f"The recorder writes, and is behind: the oldest record that waits is {recorder.lag_ns / 1e9:.0f} s old."
        )
        yield bad("Recorder", "up to date, nothing in quarantine", observed, drift, Verdict.RECOMMENDED)
    elif recorder.state == "ok":
        yield good("Recorder", "up to date, nothing in quarantine", observed)
