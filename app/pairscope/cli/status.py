"""How the pool is: read from the supervisor's snapshot, which costs it nothing."""

from __future__ import annotations

import sys
import time

import click
import msgspec
from rich.text import Text

from pairscope import config
from pairscope.cli.command import DATABASE_AWAY, FAILED, as_json, pool_away
from pairscope.cli.output import BAD, GOOD, age, console, label, put_json, size, state, table
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
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
        raise pool_away(_("no supervisor has said anything lately in %(snapshot)s", snapshot=settings.snapshot))
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
                Text(_("ready") if check.ok else _("not ready"), GOOD if check.ok else BAD),
                Text(told(check.detail)),
            )
    if not all(check.ok for check in found.values()):
        sys.exit(DATABASE_AWAY if found["pool"].ok and found["journal"].ok else FAILED)


def _show(said: Snapshot) -> None:
    out = console()
    out.print(
        Text(
            _(
                "Pairscope %(version)s on %(name)s (node %(node)s), epoch %(epoch)s, %(state)s",
                version=said.version,
                name=said.node_name,
                node=said.node,
                epoch=said.epoch,
                state=_(said.state),
            ),
            "bold",
        )
    )
    now = time.time_ns()
    jobs = said.jobs
    out.print(
        label(_("jobs"))
        + _(
            "%(queued)s queued, %(running)s running, %(done)s done, %(failed)s failed, %(cancelled)s cancelled",
            queued=jobs.queued,
            running=jobs.running,
            done=jobs.done,
            failed=jobs.failed,
            cancelled=jobs.cancelled,
        )
    )
    out.print(
        label(_("record"))
        + _(
            "%(messages)s messages and %(fds)s descriptors in this epoch; %(lag)s records wait; journal %(bytes)s of "
            "%(limit)s",
            messages=said.messages.journaled,
            fds=said.transfers,
            lag=said.recorder.lag,
            bytes=size(said.journal.bytes),
            limit=size(said.journal.limit),
        )
    )
    unread = said.unread
    out.print(
        label(_("unread"))
        + _(
            "%(bytes)s of %(bytes_all)s and %(fds)s of %(fds_all)s descriptors wait for peers that do not read; "
            "%(let_go)s were let go",
            bytes=size(unread.bytes),
            bytes_all=size(unread.bytes_all),
            fds=unread.fds,
            fds_all=unread.fds_all,
            let_go=unread.let_go,
        )
    )
    out.print(
        label(_("connections"))
        + _(
            "%(count)s, of one user %(held)s of at most %(most)s",
            count=sum(said.connections.held.values()),
            held=max(said.connections.held.values(), default=0),
            most=said.connections.most,
        )
    )
    out.print(
        label(_("outputs"))
        + _(
            "%(count)s of %(most)s kept, %(bytes)s of %(limit)s",
            count=said.results.count,
            most=said.results.most,
            bytes=size(said.results.bytes),
            limit=size(said.results.limit),
        )
    )
    out.print()
    rows = table(
        _("worker"),
        "pid",
        _("state"),
        _("job"),
        _("sandbox"),
        _("done"),
        _("failed"),
        _("age"),
        right=(0, 1, 5, 6, 7),
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
