"""Jobs: submitted, begun, ended, and their outputs let go. Pure."""

from __future__ import annotations

from pairscope.journal.records import JobEnded, JobStarted, JobSubmitted, OutputGone
from pairscope.recorder.fold.fit import safe, word, words
from pairscope.recorder.fold.folding import Folding
from pairscope.recorder.fold.rows import JobRow


def submitted(fold: Folding, position: int, record: JobSubmitted) -> None:
    """A job waits."""
    if record.id not in fold.rows.jobs and fold.known.jobs.pop(record.id, None) is None:
        fold.inserted["jobs"] += 1
    fold.rows.jobs[record.id] = JobRow(
        id=record.id,
        node=fold.source.node,
        epoch=fold.source.epoch,
        change=position,
        kind=word(record.kind, 16),
        name=words(record.name, 255),
        size=record.size,
        client_role=word(record.role, 16),
        client_serial=record.serial,
        client_pid=record.pid,
        state="queued",
        worker=None,
        submitted=record.at,
        started=None,
        ended=None,
        reason="",
        result="",
        output=0,
        output_media="",
        output_name="",
        expires=None,
        output_gone=None,
        gone_reason="",
    )


def started(fold: Folding, position: int, record: JobStarted) -> None:
    """A worker has it, as older journals say."""
    begin(fold, position, record.id, record.worker, record.at)


def begin(fold: Folding, position: int, job: int, worker: int, at: int) -> None:
    """The worker with that serial has the job since `at`, in ns since 1970."""
    row = fold.touch("jobs", job)
    if row is not None:
        row.change = position
        row.state = "running"
        row.worker = worker
        row.started = at


def ended(fold: Folding, position: int, record: JobEnded) -> None:
    """It has ended, and how."""
    row = fold.touch("jobs", record.id)
    if row is not None:
        row.change = position
        row.state = word(record.state, 10)
        row.ended = record.at
        row.reason = words(record.reason, 400)
        row.result = safe(record.result.decode("utf-8", "backslashreplace"))
        row.output = record.output
        row.output_media = word(record.media, 80)
        row.output_name = words(record.output_name, 255)
        row.expires = record.expires or None


def output_gone(fold: Folding, position: int, record: OutputGone) -> None:
    """Its output is not kept any longer."""
    row = fold.touch("jobs", record.job)
    if row is not None:
        row.change = position
        row.output_gone = record.at
        row.gone_reason = words(record.reason, 200)
