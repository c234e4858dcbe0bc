"""Workers: those alive, all that ever took part, and one of them."""

from __future__ import annotations

import re
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.pool.snapshot import WorkerView
from pairscope.store import queries
from pairscope.store.filter import parse
from pairscope.store.models import Process
from pairscope.store.told import told
from pairscope.web import reach
from pairscope.web.access import operator_required, reader_required
from pairscope.web.drawing.system import worker_state
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import listing, strip
from pairscope.web.shell.face import process_state
from pairscope.web.tables import MESSAGES

RECENT = 20


@blueprint.get("/workers")
@reader_required
def workers() -> Any:
    """The table of workers."""
    return listing.answer(
        "workers",
        "workers.html",
        f",pool:{pool_signature()}",
        pool=reach.snapshot(),
        empty=_("No process fits. Ask for less."),
        nothing=_("No worker yet. The first ones appear when the pool starts."),
    )


@blueprint.get("/workers/<int:serial>")
@reader_required
def worker(serial: int) -> Any:
    """One worker: how it stands, how it is confined, what it had."""
    own = reach.settings().node
    node = request.args.get("node", own, int)
    snapshot = reach.snapshot() if node == own else None
    alive = next((worker for worker in snapshot.workers if worker.serial == serial), None) if snapshot else None
    found: Process | None = queries.process(reach.history(), node, "worker", serial) if 0 <= node < 1024 else None
    if found is None and alive is None:
        if node != own:
            raise Problem(
                "unknown-worker",
                _("History has no worker %(serial)s of node %(node)s.", serial=serial, node=str(node)[:20]),
            )
        raise Problem("unknown-worker", _("There is no worker %(serial)s, alive or in history.", serial=serial))
    if found is None:
        assert alive is not None
        found = Process(
            node=node,
            role="worker",
            serial=serial,
            pid=alive.pid,
            uid=-1,
            born=alive.born,
            ready=alive.ready or None,
            ended=None,
            sandbox=alive.sandbox,
            exit="",
            asked=False,
            detail="",
        )
    query = f"worker:{serial}" if len(queries.positions(reach.history())) < 2 else f"worker:{serial} node:{node}"
    recent = listing.read(reach.history(), MESSAGES, parse(query, "messages"), None, None, RECENT)
    return render_template(
        "worker.html",
        serial=serial,
        node=node,
        query=query,
        process=found,
        alive=alive,
        standing=worker_state(alive) if alive else process_state(found),
        sentence=_sentence(alive, found),
        detail=alive.detail if alive and alive.detail else told(found.detail),
        table=MESSAGES,
        rows=recent.rows,
        limit=RECENT,
        empty=_("It has no message in history yet."),
        live_url=url_for("live.table", name="messages", q=query, limit=RECENT),
        live_cursor=recent.cursor,
        section="pages.workers",
    )


def _sentence(alive: WorkerView | None, process: Process) -> str:
    if alive and alive.stopped:
        return _("A signal has stopped it: it does nothing, and what it has in hand waits, until it gets SIGCONT.")
    if alive:
        return _("It is alive and takes jobs over its pair with the supervisor.")
    if process.ended is None and process.node != reach.settings().node:
        return _("It is another node's, and its end is not recorded: how it stands now, that node's own pages say.")
    if process.ended is None:
        return _("The pool is not running or has not told its end, so whether it lives is not known.")
    return _("It is not alive any more; its messages stay in history.")


def pool_signature() -> int:
    """Another number when the table of living workers would be another one."""
    snapshot = reach.snapshot()
    return strip.digest((snapshot.workers, snapshot.wanted, snapshot.stations)) if snapshot else 0


@blueprint.post("/workers/scale")
@operator_required
def scale() -> Any:
    """Asks for another number of workers."""
    text = request.form.get("workers", "")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Problem(
            "bad-request", _("The number of workers is %(text)r; expected a whole number from 1.", text=text[:20])
        )
    flash(translated(reach.client().scale(int(text))), "good")
    return redirect(url_for("pages.workers"), 303)


@blueprint.post("/workers/<int:serial>/signal")
@operator_required
def signal(serial: int) -> Any:
    """Sends a signal to a worker."""
    flash(translated(reach.client().signal(serial, request.form.get("signal", ""))), "good")
    return redirect(url_for("pages.workers"), 303)
