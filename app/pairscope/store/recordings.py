"""Recordings of real programs: stored whole, found again, shared, pruned. Web's own table: each function commits what
it changes. What stands in one, pairscope.trace knows."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, defer

from pairscope.store.models import StoredRecording
from pairscope.store.runs import ALPHABET, LENGTH, could_be

KEEP = 50
"""So many that nobody has shared."""


def store(
    own: Session, data: bytes, *, name: str, command: str, steps: int, processes: int, passages: int
) -> StoredRecording:
    """Stores a file of format 2 and returns its row. Prunes the oldest beyond KEEP that nobody has shared."""
    row = StoredRecording(
        id="".join(secrets.choice(ALPHABET) for _ in range(LENGTH)),
        created=time.time_ns(),
        name=name[:200],
        command=command[:200],
        steps=steps,
        processes=processes,
        passages=passages,
        shared=False,
        data=data,
    )
    own.add(row)
    own.flush()
    made, private = StoredRecording.created, StoredRecording.shared.is_(False)
    oldest = own.scalar(select(made).where(private).order_by(made.desc()).offset(KEEP).limit(1))
    if oldest is not None:
        own.execute(delete(StoredRecording).where(private, made <= oldest))
    own.commit()
    return row


def find(own: Session, identity: str) -> StoredRecording | None:
    """The row of a recording without its data, which is read when it is asked for; None: there is none."""
    if not could_be(identity):
        return None
    query = select(StoredRecording).options(defer(StoredRecording.data)).where(StoredRecording.id == identity)
    return own.scalar(query)


def newest(own: Session, limit: int, *, shared_only: bool) -> list[StoredRecording]:
    """The last ones, without their data."""
    query = select(StoredRecording).options(defer(StoredRecording.data))
    query = query.order_by(StoredRecording.created.desc()).limit(limit)
    return list(own.scalars(query.where(StoredRecording.shared.is_(True)) if shared_only else query))


def share(own: Session, identity: str, shared: bool) -> None:
    """Shows it to whoever may read, and keeps it for good; or takes that back."""
    own.execute(update(StoredRecording).where(StoredRecording.id == identity).values(shared=shared))
    own.commit()


def remove(own: Session, identity: str) -> None:
    """Deletes it."""
    own.execute(delete(StoredRecording).where(StoredRecording.id == identity))
    own.commit()
