"""From journal records to rows, without a database: what a batch needs to know, and what it makes of it. Pure.

A batch is folded over the rows that it touches: a message that is sent and received within one batch becomes one
complete row. Folding the same batch over the same rows gives the same rows.
"""

from __future__ import annotations

from typing import Any

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
)
from pairscope.recorder.fold import jobs, messages, processes
from pairscope.recorder.fold.fit import safe, signed, word, words
from pairscope.recorder.fold.folding import Folding, Pace, Source
from pairscope.recorder.fold.needs import Batch, Needs, needs
from pairscope.recorder.fold.rows import JobRow, MessageRow, ProcessRow, Rows, TransferRow

__all__ = [
    "Batch", "Fold", "JobRow", "MessageRow", "Needs", "Pace", "ProcessRow", "Rows", "Source", "TransferRow", "fold",
    "needs", "safe", "signed", "word", "words",
]  # fmt: skip

HANDLERS: dict[type, Any] = {
    Epoch: processes.epoch,
    Born: processes.born,
    Ready: processes.ready,
    Ended: processes.ended,
    Message: messages.message,
    HandedOver: messages.handed_over,
    Outcome: messages.outcome,
    Proof: messages.proof,
    JobSubmitted: jobs.submitted,
    JobStarted: jobs.started,
    JobEnded: jobs.ended,
    OutputGone: jobs.output_gone,
}
"""What is done with each type. Kept by no fold: bound methods made it a cycle, and the rows of each batch stayed until
a collection."""


def fold(batch: Batch, known: Rows, source: Source) -> Fold:
    """Folds a whole batch over the rows that it needs."""
    folding = Fold(known, source)
    folding.feed(batch)
    return folding


class Fold(Folding):
    """Folds records, all at once or some after the other, over the rows that they need."""

    def feed(self, batch: Batch) -> None:
        """Folds some more records."""
        for position, record in batch:
            HANDLERS[type(record)](self, position, record)

    def take_settled(self) -> list[Any]:
        """Messages that were completed since this was last asked, by id: most likely nothing more is heard of them."""
        settled, self.settled = self.settled, {}
        return [settled[id] for id in sorted(settled)]

    def unsettled(self) -> list[Any]:
        """Messages that are still open, by id."""
        return sorted((row for row in self.rows.messages.values() if row.state == "sent"), key=lambda row: row.id)
