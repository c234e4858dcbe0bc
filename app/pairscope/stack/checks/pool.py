"""The pool: supervisor, workers, operators, journal, recorder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from pairscope.files import SOURCE
from pairscope.sentence import phrase, phrase_of
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
        yield good(phrase("Running since"), phrase("after the last change"), since)
    else:
        yield bad(
            phrase("Running since"),
            phrase("after the last change"),
            since,
            phrase("%(path)s was changed after the pool was started: systemctl reload apache2", path=path),
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
        phrase("Operators' tokens"),
        phrase("as many as you like"),
        phrase("%(count)s valid; %(command)s makes more", count=count, command=scene.typed("pairscope token create")),
    )


@check("pool", "pool-ready", "pairscope status")
def _pool(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None and not os.access(scene.settings.run, os.R_OK | os.X_OK) and scene.settings.run.exists():
        yield unknown(
            phrase("Supervisor"),
            phrase("running"),
            phrase(
                "What it says stands in %(run)s, which this user may not enter. root can look: pairscope status",
                run=scene.settings.run,
            ),
        )
        return
    if said is None:
        yield bad(
            phrase("Supervisor"),
            phrase("running"),
            phrase("says nothing"),
            phrase("No supervisor has said anything lately: Apache starts it again; its log says why it ended."),
        )
        return
    yield good(
        phrase("Supervisor"),
        phrase("running"),
        phrase(
            "serial %(serial)s, process %(pid)s, epoch %(epoch)s, %(fds)s descriptors",
            serial=said.supervisor.serial,
            pid=said.supervisor.pid,
            epoch=said.epoch,
            fds=said.supervisor.fds,
        ),
    )
    ready = sum(worker.standing in ("idle", "busy") for worker in said.workers)
    stopped = sum(worker.standing == "stopped" for worker in said.workers)
    if ready >= said.wanted:
        yield good(
            phrase("Workers"), phrase("%(wanted)s ready", wanted=said.wanted), phrase("%(ready)s ready", ready=ready)
        )
    elif stopped:
        yield bad(
            phrase("Workers"),
            phrase("%(wanted)s ready", wanted=said.wanted),
            phrase("%(ready)s ready, %(stopped)s stopped", ready=ready, stopped=stopped),
            phrase("Workers are stopped by a signal: SIGCONT lets them go on."),
            Verdict.CRITICAL if not ready else Verdict.RECOMMENDED,
        )
    else:
        yield bad(
            phrase("Workers"),
            phrase("%(wanted)s ready", wanted=said.wanted),
            phrase("%(ready)s ready", ready=ready),
            phrase("Workers are missing: the pool starts them again, after a pause that doubles."),
            Verdict.CRITICAL if not ready else Verdict.RECOMMENDED,
        )
    levels = {worker.sandbox for worker in said.workers if worker.sandbox}
    if levels == {"landlock+seccomp"}:
        yield good(phrase("Sandbox of the workers"), phrase("Landlock and seccomp"), phrase("Landlock and seccomp"))
    else:
        yield bad(
            phrase("Sandbox of the workers"),
            phrase("Landlock and seccomp"),
            ", ".join(sorted(levels)) or phrase("not told yet"),
            phrase("Workers are confined by less than both."),
            Verdict.RECOMMENDED,
        )
    idle = sum(station.standing in ("idle", "busy") for station in said.stations)
    if idle:
        yield good(phrase("Lab stations"), phrase("one or more"), str(idle))
    else:
        yield bad(
            phrase("Lab stations"),
            phrase("one or more"),
            phrase("none"),
            phrase("No lab station is connected: scenarios cannot be run."),
            Verdict.RECOMMENDED,
        )


@check("pool", "pool-ready", "curl http://localhost:PORT/readyz")
def _record(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None:
        return
    journal, recorder = said.journal, said.recorder
    part = journal.bytes / journal.limit
    observed = phrase("%(bytes)s KiB of %(limit)s MiB", bytes=journal.bytes >> 10, limit=journal.limit >> 20)
    if journal.stuck:
        yield bad(
            phrase("Journal"),
            phrase("below its bound"),
            observed,
            phrase("Nothing can be appended: %(why)s.", why=journal.stuck),
        )
    elif part >= 1:
        yield bad(
            phrase("Journal"),
            phrase("below its bound"),
            observed,
            phrase("The journal has reached its bound: new jobs are refused until the database takes it."),
        )
    elif part > 0.5:
        yield bad(
            phrase("Journal"),
            phrase("below its bound"),
            observed,
            phrase("More than half of the journal's bound waits for the database."),
            Verdict.RECOMMENDED,
        )
    else:
        yield good(phrase("Journal"), phrase("below its bound"), observed)
    observed = phrase("%(lag)s records behind, process %(pid)s", lag=recorder.lag, pid=recorder.pid)
    refused = recorder.quarantined - recorder.gaps
    if recorder.state != "ok":
        yield bad(
            phrase("Recorder"),
            phrase("up to date"),
            recorder.state,
            phrase(
                "The recorder is %(state)s: %(why)s. What comes waits in the journal.",
                state=recorder.state,
                why=recorder.trouble,
            )
            if recorder.trouble
            else phrase("The recorder is %(state)s. What comes waits in the journal.", state=recorder.state),
        )
    if recorder.gaps or refused:
        yield bad(
            phrase("Record"),
            phrase("nothing in quarantine"),
            _aside(recorder.gaps, refused),
            phrase(
                "Not everything became a row; the table quarantine says what did not, and why. The newest gap: "
                "%(why)s.",
                why=recorder.gap,
            )
            if recorder.gap
            else phrase("Not everything became a row; the table quarantine says what did not, and why."),
            Verdict.RECOMMENDED if not recorder.gaps else Verdict.CRITICAL,
        )
    elif recorder.state == "ok" and recorder.lag_ns > LATE_NS:
        drift = phrase(
            "The recorder writes, and is behind: the oldest record that waits is %(seconds)s s old.",
            seconds=round(recorder.lag_ns / 1e9),
        )
        yield bad(phrase("Recorder"), phrase("up to date, nothing in quarantine"), observed, drift, Verdict.RECOMMENDED)
    elif recorder.state == "ok":
        yield good(phrase("Recorder"), phrase("up to date, nothing in quarantine"), observed)


def _aside(gaps: int, refused: int) -> str:
    """What stands in quarantine."""
    lacking = phrase_of("%(num)s gap", "%(num)s gaps", gaps)
    kept = phrase_of("%(num)s refused record", "%(num)s refused records", refused)
    if gaps and refused:
        return phrase("%(gaps)s and %(refused)s in quarantine", gaps=lacking, refused=kept)
    return phrase("%(what)s in quarantine", what=lacking if gaps else kept)
