"""Is everything there that the pool needs? Read from its snapshot; the same words for the command line and for
``/readyz``."""

from __future__ import annotations

from typing import NamedTuple

from pairscope.pool.snapshot import Snapshot


class Check(NamedTuple):
    """Whether one thing that is needed is there."""

    ok: bool
    detail: str
    """In words."""


def checks(said: Snapshot | None) -> dict[str, Check]:
    """``pool``, ``journal`` and ``database``, by what the supervisor last said; the database as its recorder finds
    it."""
    if said is None:
        unknown = Check(False, "not known: the pool is away")
        return {"pool": Check(False, "no supervisor has said anything lately"), "journal": unknown, "database": unknown}
    ready = sum(worker.standing in ("idle", "busy") for worker in said.workers)
    stopped = sum(worker.standing == "stopped" for worker in said.workers)
    if said.state != "running":
        pool = Check(False, f"the supervisor (pid {said.supervisor.pid}) is {said.state}")
    else:
        pool = Check(
            ready > 0,
            f"{ready} of {said.wanted} workers ready{f', {stopped} stopped by a signal' if stopped else ''}, "
            f"supervisor pid {said.supervisor.pid}",
        )
    journal, recorder = said.journal, said.recorder
    if journal.stuck:
        kept = Check(False, f"nothing can be appended: {journal.stuck}")
    elif journal.bytes >= journal.limit:
        kept = Check(False, f"full: {journal.bytes} of {journal.limit} bytes wait for the database")
    else:
        kept = Check(True, f"{recorder.lag} records wait for the database")
    if recorder.gaps:  # what is lost is lost: it is told, and does not make the pool unfit
        kept = kept._replace(detail=f"{kept.detail}; gaps in the record: {recorder.gaps}, the newest: {recorder.gap}")
    if recorder.state == "ok":
        database = Check(True, f"{recorder.history} messages kept, at most {recorder.bound}")
    else:
        database = Check(
            False, f"the recorder is {recorder.state}" + (f": {recorder.trouble}" if recorder.trouble else "")
        )
    return {"pool": pool, "journal": kept, "database": database}
