"""What must be read from the database before a batch can be folded. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import (
    Born,
    Ended,
    Epoch,
    HandedOver,
    JobEnded,
    JobStarted,
    JobSubmitted,
    Message,
    Outcome,
    OutputGone,
    Proof,
    Ready,
    Record,
)

Batch = Sequence[tuple[int, Record]]
"""Records with their positions, in order."""

TASK = BY_NAME["task"].code
"""With it a job begins to run."""


@dataclasses.dataclass
class Needs:
    """Rows that a batch touches and does not insert itself."""

    messages: set[int] = dataclasses.field(default_factory=set)
    transfers: set[int] = dataclasses.field(default_factory=set)
    """Messages whose transfers are needed, besides those in `messages`."""
    jobs: set[int] = dataclasses.field(default_factory=set)
    processes: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    all_open: bool = False
    """True: every row of the node that is still open, because a supervisor's end decides it."""


def needs(batch: Batch) -> Needs:
    """Which rows must be known to fold a batch."""
    found = Needs()
    messages: set[int] = set()
    jobs: set[int] = set()
    processes: set[tuple[str, int]] = set()
    for _position, record in batch:
        if type(record) is HandedOver:
            messages.add(record.id)
        elif type(record) is Message:
            messages.add(record.id)
            if record.kind == TASK and record.job not in jobs and record.job:
                found.jobs.add(record.job)
        elif type(record) is Outcome:
            if record.message not in messages:
                found.messages.add(record.message)
        elif type(record) is Proof:
            if record.message not in messages:
                found.transfers.add(record.message)
        elif type(record) is JobSubmitted:
            jobs.add(record.id)
        elif type(record) is JobEnded or type(record) is JobStarted:
            if record.id not in jobs:
                found.jobs.add(record.id)
        elif type(record) is OutputGone:
            if record.job not in jobs:
                found.jobs.add(record.job)
        elif type(record) is Born:
            processes.add((record.role, record.serial))
        elif type(record) is Epoch:
            found.all_open = True
        elif type(record) is Ready or type(record) is Ended:
            if (record.role, record.serial) not in processes:
                found.processes.add((record.role, record.serial))
            if type(record) is Ended and record.role == "supervisor":
                found.all_open = True
    return found
