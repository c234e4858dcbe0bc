"""What is said of a job that has no row, and of an output that is not handed over: no more than is known here.

The supervisor knows the jobs in hand and the outputs that it keeps; history knows the jobs whose rows stand, of every
node that records into it. Neither knows what another node's supervisor has.
"""

from __future__ import annotations

import time

from flask_babel import gettext as _

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.ipc.identity import node_of
from pairscope.store import queries
from pairscope.store.models import Job
from pairscope.web import problems, reach
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.words import clock


def job(identity: int) -> Problem:
    """Neither history nor this node's pool has the job."""
    if (node := node_of(identity)) != reach.settings().node:
        return Problem(
            "unknown-job",
            _(
                "History has no job %(id)s. Its id is of node %(node)s: whether it is on its way from there, "
                "only that node's pool knows.",
                id=identity,
                node=node,
            ),
        )
    return Problem(
        "unknown-job",
        _("There is no job %(id)s: it was never accepted, or history does not keep it any more.", id=identity),
    )


def output(identity: int, refused: PoolRefused) -> Exception:
    """Why this node's pool, which has refused it so, hands over no output of the job."""
    if refused.code not in ("unknown-job", "expired"):
        return refused
    try:
        row: Job | None = queries.job(reach.history(), identity)
    except problems.DATABASE_AWAY:
        reach.give_up()  # a server that says 'not now' says it to a ROLLBACK, too
        return Problem(
            "undecided",
            _(
                "This pool keeps no output of job %(id)s. Whether there was one stands in history, and the "
                "database does not answer.",
                id=identity,
            ),
            headers={"Retry-After": "5"},
        )
    if row is None:
        return _output_without_row(identity)
    if row.ended is None:
        return Problem(
            "no-output",
            _(
                "The job %(kind)s %(id)s has not ended, as far as history knows: it has no output yet.",
                kind=row.kind,
                id=identity,
            ),
        )
    if not row.output_name:
        why = translated(row.reason) or _("what it found is in its result")
        return Problem(
            "no-output",
            _("The job %(kind)s %(id)s has no output: %(why)s.", kind=row.kind, id=identity, why=why.rstrip(".")),
        )
    if row.node != reach.settings().node and not row.output_gone:
        return Problem(
            "other-node", _("The output of job %(id)s is not here: %(why)s.", id=identity, why=_elsewhere(row.node))
        )
    why = gone(row) or _("this pool does not have it, and why is not recorded yet")
    return Problem("expired", _("The output of job %(id)s is not kept any longer: %(why)s.", id=identity, why=why))


def without_row(identity: int) -> Problem:
    """History has no such job, and this node's pool has just said that it has none in hand: its records may still wait
    in the journal."""
    waits = _waits(identity)
    if waits is None:
        return _undecided(identity)
    if waits:
        words = _(
            "The pool has job %(id)s no longer in hand, and its row, which says how it ended, is on its way to "
            "history.",
            id=identity,
        )
        return Problem("undecided", words, headers={"Retry-After": "2"})
    return job(identity)


def _waits(identity: int) -> bool | None:
    """Whether this node's pool knows the job, or a record of it may wait in the journal; None: it cannot be asked."""
    if node_of(identity) != reach.settings().node:
        return False
    try:
        return reach.client().lookup(identity).known
    except PoolAway:
        return None


def _undecided(identity: int) -> Problem:
    words = _("Job %(id)s is not in history, and the pool cannot be asked whether it is on the way there.", id=identity)
    return Problem("undecided", words, headers={"Retry-After": "2"})


def _output_without_row(identity: int) -> Problem:
    waits = _waits(identity)
    if waits is None:
        return _undecided(identity)
    if waits:
        return Problem(
            "expired",
            _(
                "This pool has job %(id)s and keeps no output of it; its row, which says why, is on its way to "
                "history.",
                id=identity,
            ),
        )
    return job(identity)


def gone(row: Job) -> str:
    """Why a job's output is certainly not kept any longer; empty: that is not known."""
    if row.output_gone:
        return translated(row.gone_reason) or _("why is not recorded")
    said = reach.snapshot()
    if said is not None and said.node == row.node and said.epoch > row.epoch:
        return _("the pool of epoch %(epoch)s, which kept it, has ended", epoch=row.epoch)
    if row.expires and row.expires < time.time_ns():
        return _("it was kept until %(time)s UTC at most", time=clock(row.expires)[:8])
    return ""


def doubtful(row: Job) -> str:
    """Why it is not known whether a job's output is still kept; empty: this node's pool is there to be asked."""
    if row.node != reach.settings().node:
        return _elsewhere(row.node)
    if reach.snapshot() is None:
        return _("the pool that kept it is not running, or does not say anything")
    return ""


def _elsewhere(node: int) -> str:
    return _("the pool of node %(node)s kept it, and only that node knows whether it still does", node=node)
