"""Runs of the lab: stored, found again, shared, pruned. Web's own table: each function commits what it changes."""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, defer

from pairscope.lab.run import Run as Recorded
from pairscope.lab.run import decode, encode
from pairscope.store.models import Run

T = TypeVar("T")
_AS_TOLD = msgspec.json.Decoder(dict[str, Any])
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""No letter of it is taken for another."""
LENGTH = 13
"""Letters of an id: 65 bits."""


def store(
    own: Session,
    run: Recorded,
    *,
    keep: int,
    scenario: str = "",
    asked_by: str = "",
    job: int | None = None,
    parent: str = "",
) -> Run:
    """Stores a run and returns its row. Prunes the oldest beyond `keep` that nobody has shared."""
    row = Run(
        id="".join(secrets.choice(ALPHABET) for _ in range(LENGTH)),
        created=time.time_ns(),
        scenario=scenario,
        title=next((text for word, text in run.about if word == "title"), "")[:200],
        verdict=run.verdict,
        steps=len(run.steps),
        took=run.took_ns,
        asked_by=asked_by[:64],
        kept=False,
        job=job,
        parent=parent,
        data=zlib.compress(encode(run), 6),
    )
    own.add(row)
    own.flush()
    oldest = own.scalar(
        select(Run.created).where(Run.kept.is_(False)).order_by(Run.created.desc()).offset(keep).limit(1)
    )
    if oldest is not None:
        own.execute(delete(Run).where(Run.kept.is_(False), Run.created <= oldest))
    own.commit()
    return row


def could_be(identity: str) -> bool:
    """Whether a text is written as the id of a run is. MariaDB compares only ASCII with an id."""
    return len(identity) == LENGTH and set(identity) <= set(ALPHABET)


def find(own: Session, identity: str) -> Run | None:
    """The row of a run; None: it was never stored, or is not kept any more, or no run is called that."""
    return own.get(Run, identity) if could_be(identity) else None


class Unreadable(ValueError):
    """What is stored of a run cannot be read as one; the text says why."""


def opened(row: Run) -> Recorded:
    """The run itself. Raises Unreadable."""
    return _decoded(row, decode)


def told(row: Run) -> dict[str, Any]:
    """The run's JSON as it is stored, for whoever passes it on. Raises Unreadable."""
    return _decoded(row, _AS_TOLD.decode)


def _decoded(row: Run, by: Callable[[bytes], T]) -> T:
    try:
        return by(zlib.decompress(row.data))
    except (zlib.error, msgspec.MsgspecError, RecursionError, ValueError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def newest(own: Session, limit: int, scenario: str | None = None) -> list[Run]:
    """The last runs, without their data; of one scenario of the gallery, if that is said."""
    query = select(Run).options(defer(Run.data)).order_by(Run.created.desc()).limit(limit)
    if scenario is not None:
        query = query.where(Run.scenario == scenario)
    return list(own.scalars(query))


def share(own: Session, identity: str) -> bool:
    """Keeps a run for good; False: there is no such run."""
    if not identity.isascii():
        return False
    found = own.execute(update(Run).where(Run.id == identity).values(kept=True)).rowcount  # type: ignore[attr-defined]  # an UPDATE's result counts them
    own.commit()
    return bool(found)


def of_job(own: Session, job: int) -> str | None:
    """The id of the run that a job has made."""
    return own.scalar(select(Run.id).where(Run.job == job).limit(1))


def recent(own: Session, asked_by: str, seconds: float) -> int:
    """How many runs somebody has asked for lately."""
    since = time.time_ns() - int(seconds * 1e9)
    return own.scalar(select(func.count()).select_from(Run).where(Run.asked_by == asked_by, Run.created > since)) or 0
