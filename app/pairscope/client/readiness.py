"""Is everything there that the pool needs? Read from its snapshot; the same words for the command line and for
``/readyz``."""

from __future__ import annotations

from typing import NamedTuple

from pairscope.pool.snapshot import Snapshot
from pairscope.sentence import phrase


class Check(NamedTuple):
    """Whether one thing that is needed is there."""

    ok: bool
    detail: str
    """In words."""


def checks(said: Snapshot | None) -> dict[str, Check]:
    """``pool``, ``journal`` and ``database``, by what the supervisor last said; the database as its recorder finds
    it."""
    if said is None:
        unknown = Check(False, phrase("not known: the pool is away"))
        return {
            "pool": Check(False, phrase("no supervisor has said anything lately")),
            "journal": unknown,
            "database": unknown,
        }
    ready = sum(worker.standing in ("idle", "busy") for worker in said.workers)
    stopped = sum(worker.standing == "stopped" for worker in said.workers)
    if said.state != "running":
        pool = Check(
            False, phrase("the supervisor (pid %(pid)s) is %(state)s", pid=said.supervisor.pid, state=said.state)
        )
    else:
        pool = Check(
            ready > 0,
            phrase(
                "%(ready)s of %(wanted)s workers ready, %(stopped)s stopped by a signal, supervisor pid %(pid)s",
                ready=ready,
                wanted=said.wanted,
                stopped=stopped,
                pid=said.supervisor.pid,
            )
            if stopped
            else phrase(
                "%(ready)s of %(wanted)s workers ready, supervisor pid %(pid)s",
                ready=ready,
                wanted=said.wanted,
                pid=said.supervisor.pid,
            ),
        )
    if said.cramped:
        pool = pool._replace(detail=phrase("%(workers)s; %(why)s", workers=pool.detail, why=said.cramped))
    journal, recorder = said.journal, said.recorder
    if journal.stuck:
        kept = Check(False, phrase("nothing can be appended: %(why)s", why=journal.stuck))
    elif journal.bytes >= journal.limit:
        kept = Check(
            False,
            phrase(
                "full: %(bytes)s of %(limit)s bytes wait for the database", bytes=journal.bytes, limit=journal.limit
            ),
        )
    else:
        kept = Check(True, phrase("%(lag)s records wait for the database", lag=recorder.lag))
    if recorder.gaps:  # what is lost is lost: it is told, and does not make the pool unfit
        kept = kept._replace(
            detail=phrase(
                "%(kept)s; gaps in the record: %(count)s, the newest: %(why)s",
                kept=kept.detail,
                count=recorder.gaps,
                why=recorder.gap,
            )
        )
    if recorder.state == "ok":
        database = Check(
            True, phrase("%(history)s messages kept, at most %(bound)s", history=recorder.history, bound=recorder.bound)
        )
    else:
        database = Check(
            False,
            phrase("the recorder is %(state)s: %(why)s", state=recorder.state, why=recorder.trouble)
            if recorder.trouble
            else phrase("the recorder is %(state)s", state=recorder.state),
        )
    return {"pool": pool, "journal": kept, "database": database}
