"""How the pool is: read from the supervisor's snapshot, which costs it nothing."""

from __future__ import annotations

import sys
import time

import click
import msgspec
from rich.text import Text

from pairscope import config
from pairscope.cli.command import DATABASE_AWAY, FAILED, as_json, pool_away
from pairscope.cli.output import BAD, GOOD, age, console, put_json, size, state, table
from pairscope.client.readiness import checks
from pairscope.pool import snapshot as snapshots
from pairscope.pool.snapshot import Snapshot


@click.command()
@as_json
def status(as_json: bool) -> None:
    """Show the pool, its workers, journal and database.

    The exit status is 0 if all is ready, 3 if the pool is away, 4 if the database is, 1 if anything else is not ready.
    """
    settings = config.load()
    said = snapshots.read(settings, time.time_ns())
    if said is None:
        if as_json:
            put_json({"ready": False, "pool": None})
        raise pool_away(f"no supervisor has said anything lately in {settings.snapshot}")
    found = checks(said)
    if as_json:
        put_json(
            {
                "ready": all(check.ok for check in found.values()),
                "checks": {name: check._asdict() for name, check in found.items()},
                "pool": msgspec.to_builtins(said),
            }
        )
    else:
        _show(said)
        out = console()
        for name, check in found.items():
            out.print(
                Text(f"{name:9}", "bold"),
                Text("ready" if check.ok else "not ready", GOOD if check.ok else BAD),
                Text(check.detail),
            )
    if not all(check.ok for check in found.values()):
        sys.exit(DATABASE_AWAY if found["pool"].ok and found["journal"].ok else FAILED)


def _show(said: Snapshot) -> None:
    out = console()
    out.print(
        Text(
            f"Pairscope {said.version} on {said.node_name} (node {said.node}), epoch {said.epoch}, {said.state}", "bold"
        )
    )
    now = time.time_ns()
    jobs = said.jobs
    out.print(
        f"jobs      {jobs.queued} queued, {jobs.running} running, {jobs.done} done, {jobs.failed} failed, "
        f"{jobs.cancelled} cancelled"
    )
    out.print(
        f"record    {said.messages.journaled} messages and {said.transfers} descriptors in this epoch; "
        f"{said.recorder.lag} records wait; journal {size(said.journal.bytes)} of {size(said.journal.limit)}"
    )
    unread = said.unread
    out.print(
        f"unread    {size(unread.bytes)} of {size(unread.bytes_all)} and {unread.fds} of {unread.fds_all} descriptors "
        f"wait for peers that do not read; {unread.let_go} were let go"
    )
    out.print(f"outputs   {said.results.count} kept, {size(said.results.bytes)} of {size(said.results.limit)}")
    out.print()
    rows = table(
        "worker",
        "pid",
        "state",
        "job",
        "sandbox",
        "done",
        "failed",
        "age",
        right=("worker", "pid", "done", "failed", "age"),
    )
    for worker in sorted(said.workers, key=lambda worker: worker.serial):
        job = f"{worker.kind} {worker.job}" if worker.job else "-"
        rows.add_row(
            str(worker.serial), str(worker.pid), state(worker.standing), job, worker.sandbox or "-", str(worker.done),
            str(worker.failed),
            age((now - worker.born) / 1e9),
        )  # fmt: skip
    out.print(rows)
    out.print()
