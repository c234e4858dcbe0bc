"""What may be asked of the record, each question by its name. Only SELECTs.

Pages are cut by key (never by OFFSET) and nothing counts a large table, so that an answer takes as long with a
hundred million rows as with a thousand. A `session` is one of SQLAlchemy's over an engine made with ``read_only=True``;
rows are instances of pairscope.store.models and stay usable when it is closed.

Pages stand in :mod:`pairscope.store.pages`, what follows them in :mod:`pairscope.store.changes`; ask for both here.

A filter that looks into what the session withholds is refused with FilterError (pairscope.store.withheld).

To follow a page without missing anything, take :func:`live_cursor` first and the page after it: a row that changes in
between is then told once more.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pairscope.store import histogram
from pairscope.store.changes import Changes, changes, live_cursor, still
from pairscope.store.cursor import CursorError, places
from pairscope.store.filter import Filter, FilterError, parse
from pairscope.store.models import PACE_SECONDS, Job, Message, Position, Process, Quarantine, Rate, Transfer
from pairscope.store.pages import Page, every, page
from pairscope.store.walk import BOUND

__all__ = [
    "BOUND", "Changes", "CursorError", "Filter", "FilterError", "Pace", "Page", "changes", "counts", "every", "job",
    "live_cursor", "living", "message", "messages_of_job", "page", "parse", "places", "positions", "process",
    "quarantined", "rates", "still", "transfer", "transfers_of_job", "transfers_of_message", "transfers_of_object",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pace:
    """What went in PACE_SECONDS, over all nodes."""

    at: int
    """Begin, in ns since 1970."""
    messages: int
    p50: int | None
    """Latency in ns that half of them did not exceed; None: of none it is known. At most 5 % off."""
    p99: int | None


# ---- one thing: None where there is none, or it was pruned -------------------------------------------------------


def message(session: Session, id: int) -> Message | None:
    """By its id."""
    return session.get(Message, id)


def transfers_of_message(session: Session, id: int) -> Sequence[Transfer]:
    """In the order of the control message."""
    return session.scalars(select(Transfer).where(Transfer.message == id).order_by(Transfer.position)).all()


def transfer(session: Session, message: int, position: int) -> Transfer | None:
    """The descriptor at that position (from 0) of a message."""
    return session.get(Transfer, (message, position))


def job(session: Session, id: int) -> Job | None:
    """By its id."""
    return session.get(Job, id)


def messages_of_job(session: Session, id: int, most: int = 500) -> Sequence[Message]:
    """Oldest first."""
    return session.scalars(select(Message).where(Message.job == id).order_by(Message.id).limit(most)).all()


def transfers_of_job(session: Session, id: int, most: int = 500) -> Sequence[Transfer]:
    """Oldest first."""
    order = (Transfer.message, Transfer.position)
    return session.scalars(select(Transfer).where(Transfer.job == id).order_by(*order).limit(most)).all()


def transfers_of_object(session: Session, device: int, inode: int, most: int = 100) -> Sequence[Transfer]:
    """Where else the same object crossed, newest first. A number may be given to another object once the first is
    gone."""
    order = (Transfer.message.desc(), Transfer.position.desc())
    found = select(Transfer).where(Transfer.inode == inode, Transfer.device == device).order_by(*order).limit(most)
    return session.scalars(found).all()


def process(session: Session, node: int, role: str, serial: int) -> Process | None:
    """By its role and its serial on that node."""
    return session.get(Process, (node, role, serial))


# ---- the whole --------------------------------------------------------------------------------------------------


def living(session: Session) -> Sequence[Process]:
    """Processes that have not ended, as far as the record goes."""
    return session.scalars(
        select(Process).where(Process.ended.is_(None)).order_by(Process.node, Process.role, Process.serial)
    ).all()


def positions(session: Session) -> Sequence[Position]:
    """How far each node's journal is in the record."""
    return session.scalars(select(Position).order_by(Position.node)).all()


def counts(session: Session) -> dict[str, int]:
    """Rows kept of "messages", "transfers", "jobs" and "processes": what the recorders have counted, so no table is
    read."""
    kept = {"messages": 0, "transfers": 0, "jobs": 0, "processes": 0}
    for position in positions(session):
        kept["messages"] += position.rows - position.pruned_messages
        kept["transfers"] += position.transfers - position.pruned_transfers
        kept["jobs"] += position.jobs - position.pruned_jobs
        kept["processes"] += position.processes - position.pruned_processes
    return kept


def rates(session: Session, minutes: int = 10) -> list[Pace]:
    """Messages and their latencies in steps of PACE_SECONDS, oldest first, without gaps; the last step is not over
    yet."""
    step = PACE_SECONDS * 1_000_000_000
    last = time.time_ns() // step * step
    first = last - minutes * 60_000_000_000 + step
    counted: dict[int, int] = {}
    latencies: dict[int, dict[int, int]] = {}
    nodes = [position.node for position in positions(session)]
    for rate in session.scalars(select(Rate).where(Rate.node.in_(nodes), Rate.at >= first)):
        counted[rate.at] = counted.get(rate.at, 0) + rate.messages
        merged = latencies.setdefault(rate.at, {})
        for number, times in histogram.decode(rate.latencies).items():
            merged[number] = merged.get(number, 0) + times
    return [
        Pace(
            at,
            counted.get(at, 0),
            histogram.quantile(latencies.get(at, {}), 0.5),
            histogram.quantile(latencies.get(at, {}), 0.99),
        )
        for at in range(first, last + 1, step)
    ]


def quarantined(session: Session, most: int = 50) -> Sequence[Quarantine]:
    """What did not become a row, newest first within a node."""
    order = (Quarantine.node, Quarantine.position.desc())
    return session.scalars(select(Quarantine).order_by(*order).limit(most)).all()
