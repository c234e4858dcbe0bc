"""From journal records to rows, without a database: what a batch needs to know, and what it makes of it. Pure.

A batch is folded over the rows that it touches: a message that is sent and received within one batch becomes one
complete row. Folding the same batch over the same rows gives the same rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Table

from pairscope.ipc.vocabulary import BY_CODE, BY_NAME, CALLERS, Role
from pairscope.journal.records import (
    Born,
    Ended,
    Epoch,
    JobEnded,
    JobStarted,
    JobSubmitted,
    Message,
    Outcome,
    OutputGone,
    Proof,
    Ready,
    Record,
    Transfer,
)
from pairscope.store import histogram, models

Batch = Sequence[tuple[int, Record]]
"""Records with their positions, in order."""

PACE_NS = models.PACE_SECONDS * 1_000_000_000
LARGEST = (1 << 63) - 1
_KINDS = {code: kind.name for code, kind in BY_CODE.items()}
TASK = BY_NAME["task"].code
"""With it a job begins to run."""
_ROLES = frozenset(role.value for role in Role)
GONE = "gone with the supervisor"
"""How its children end: they see the end of their channel, and workers get a signal besides. Of clients only the pair
is known to have ended."""


def _row_type(table: Table) -> Any:
    """A mutable row with the table's columns as fields, in their order."""
    return msgspec.defstruct(f"{table.name}_row", [(column.key, Any) for column in table.columns], gc=False)


MessageRow = _row_type(models.Message.__table__)
TransferRow = _row_type(models.Transfer.__table__)
JobRow = _row_type(models.Job.__table__)
ProcessRow = _row_type(models.Process.__table__)


@dataclasses.dataclass
class Rows:
    """Rows by their keys."""

    messages: dict[int, Any] = dataclasses.field(default_factory=dict)
    transfers: dict[tuple[int, int], Any] = dataclasses.field(default_factory=dict)
    jobs: dict[int, Any] = dataclasses.field(default_factory=dict)
    processes: dict[tuple[str, int], Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Source:
    """Who wrote the records that come: the node, the epoch and its supervisor. A record does not say them itself."""

    node: int
    node_name: str
    epoch: int
    supervisor: int
    """Serial and pid of the epoch's supervisor: the other end of every message."""
    supervisor_pid: int


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


class Pace(msgspec.Struct):
    """What a batch adds to one step of rates."""

    messages: int = 0
    latencies: dict[int, int] = msgspec.field(default_factory=dict)


def needs(batch: Batch) -> Needs:
    """Which rows must be known to fold a batch."""
    found = Needs()
    messages: set[int] = set()
    jobs: set[int] = set()
    processes: set[tuple[str, int]] = set()
    for _position, record in batch:
        if type(record) is Message:
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


def fold(batch: Batch, known: Rows, source: Source) -> Fold:
    """Folds a whole batch over the rows that it needs."""
    folding = Fold(known, source)
    folding.feed(batch)
    return folding


class Fold:
    """Folds records, all at once or some after the other, over the rows that they need.

    Rows of `known` are changed in place and move into the result.
    """

    def __init__(self, known: Rows, source: Source) -> None:
        self.rows = Rows()
        """Inserted and updated ones."""
        self.inserted = {"messages": 0, "transfers": 0, "jobs": 0, "processes": 0}
        """How many of them are new, by table."""
        self.paces: dict[int, Pace] = {}
        """By begin, in ns."""
        self.source = source
        """Of the next records: an Epoch among them changes it."""
        self._known = known
        self._settled: dict[int, Any] = {}

    def feed(self, batch: Batch) -> None:
        """Folds some more records."""
        for position, record in batch:
            _HANDLERS[type(record)](self, position, record)

    def take_settled(self) -> list[Any]:
        """Messages that were completed since this was last asked, by id: most likely nothing more is heard of them."""
        settled, self._settled = self._settled, {}
        return [settled[id] for id in sorted(settled)]

    def unsettled(self) -> list[Any]:
        """Messages that are still open, by id."""
        return sorted((row for row in self.rows.messages.values() if row.state == "sent"), key=lambda row: row.id)

    # ---- messages and transfers

    def _message(self, position: int, record: Message) -> None:
        source = self.source
        id, sent, received = record.id, record.sent or record.received, record.received or None
        role = record.role if record.role in _ROLES else word(record.role, 16)
        if record.inbound:
            from_role, from_serial, from_pid = role, record.serial, record.pid
            to_role, to_serial, to_pid = "supervisor", source.supervisor, source.supervisor_pid
        else:
            from_role, from_serial, from_pid = "supervisor", source.supervisor, source.supervisor_pid
            to_role, to_serial, to_pid = role, record.serial, record.pid
        row = MessageRow(
            id,
            source.node,
            source.epoch,
            position,
            record.job or None,
            _KINDS.get(record.kind) or f"kind {record.kind}",
            from_role,
            from_serial,
            from_pid,
            to_role,
            to_serial,
            to_pid,
            record.serial if role == "worker" else None,
            record.size,
            record.fds,
            record.flags,
            sent,
            received,
            received - sent if received and record.sent else None,
            "received" if received or record.inbound else "sent",
            "",
            record.preview[: models.PREVIEW],
        )
        if id not in self.rows.messages and self._known.messages.pop(id, None) is None:
            self.inserted["messages"] += 1
            self._count(sent, row.latency, 1)
        self.rows.messages[id] = row
        if row.state != "sent":
            self._settled[id] = row
        for transfer in record.transfers:
            self._transfer(transfer, row)
        if record.kind == TASK and record.job and not record.inbound:
            self._started(position, record.job, record.serial, sent)

    def _transfer(self, record: Transfer, message: Any) -> None:
        key = (message.id, record.position)
        if key not in self.rows.transfers and self._known.transfers.pop(key, None) is None:
            self.inserted["transfers"] += 1
        self.rows.transfers[key] = TransferRow(
            message=message.id,
            position=record.position,
            node=message.node,
            epoch=message.epoch,
            change=message.change,
            job=message.job,
            kind=message.kind,
            sender_role=message.sender_role,
            sender_serial=message.sender_serial,
            sender_pid=message.sender_pid,
            receiver_role=message.receiver_role,
            receiver_serial=message.receiver_serial,
            receiver_pid=message.receiver_pid,
            worker=message.worker,
            sent=message.sent,
            received=message.received,
            state=message.state,
            sender_fd=record.sender_fd,
            receiver_fd=None if record.receiver_fd < 0 else record.receiver_fd,
            object=word(record.object, 24),
            device=signed(record.device),
            inode=signed(record.inode),
            access=word(record.access, 12),
            flags=record.flags,
            offset=None if record.offset < 0 else record.offset,
            size=record.size,
            link=words(record.link, 255),
            proof=word(record.proof, 10),
            proof_reason=words(record.reason, 200),
        )

    def _outcome(self, position: int, record: Outcome) -> None:
        row = self.rows.messages.get(record.message) or self._touch("messages", record.message)
        if row is None:
            return
        self._settled[row.id] = row
        row.change = position
        row.state = record.state if record.state == "received" else word(record.state, 10)
        row.reason = words(record.reason, 200)
        row.flags = record.flags
        if record.received:
            first = row.latency is None
            row.received = record.received
            row.latency = record.received - row.sent
            if first:
                self._count(row.sent, row.latency, 0)
        for number in range(row.fds):
            transfer = self._touch("transfers", (record.message, number))
            if transfer is None:
                continue
            transfer.change = position
            transfer.state = row.state
            transfer.received = row.received
            if number < len(record.fds):
                transfer.receiver_fd = record.fds[number]
            if row.state != "received":
                self._close_proof(transfer, "the descriptor did not arrive" if row.state == "failed" else row.reason)

    def _proof(self, position: int, record: Proof) -> None:
        transfer = self._touch("transfers", (record.message, record.position))
        if transfer is not None:
            transfer.change = position
            transfer.proof = word(record.verdict, 10)
            transfer.proof_reason = words(record.reason, 200)

    @staticmethod
    def _close_proof(transfer: Any, reason: str) -> None:
        if not transfer.proof:
            transfer.proof, transfer.proof_reason = "unproved", reason

    def _count(self, sent: int, latency: int | None, messages: int) -> None:
        at = sent - sent % PACE_NS
        pace = self.paces.get(at)
        if pace is None:
            pace = self.paces[at] = Pace()
        pace.messages += messages
        if latency is not None:
            step = histogram.step(latency)
            pace.latencies[step] = pace.latencies.get(step, 0) + 1

    # ---- jobs

    def _job(self, position: int, record: JobSubmitted) -> None:
        if record.id not in self.rows.jobs and self._known.jobs.pop(record.id, None) is None:
            self.inserted["jobs"] += 1
        self.rows.jobs[record.id] = JobRow(
            id=record.id,
            node=self.source.node,
            epoch=self.source.epoch,
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

    def _job_started(self, position: int, record: JobStarted) -> None:
        self._started(position, record.id, record.worker, record.at)

    def _started(self, position: int, job: int, worker: int, at: int) -> None:
        row = self._touch("jobs", job)
        if row is not None:
            row.change = position
            row.state = "running"
            row.worker = worker
            row.started = at

    def _job_ended(self, position: int, record: JobEnded) -> None:
        row = self._touch("jobs", record.id)
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

    def _output_gone(self, position: int, record: OutputGone) -> None:
        row = self._touch("jobs", record.job)
        if row is not None:
            row.change = position
            row.output_gone = record.at
            row.gone_reason = words(record.reason, 200)

    # ---- processes

    def _born(self, position: int, record: Born) -> None:
        self._process(position, record.role, record.serial, record.pid, record.uid, record.at)

    def _process(self, position: int, role: str, serial: int, pid: int, uid: int, at: int) -> None:
        key = (role, serial)
        if key not in self.rows.processes and self._known.processes.pop(key, None) is None:
            self.inserted["processes"] += 1
        self.rows.processes[key] = ProcessRow(
            node=self.source.node,
            role=word(role, 16),
            serial=serial,
            epoch=self.source.epoch,
            change=position,
            pid=pid,
            uid=uid,
            born=at,
            ready=None,
            ended=None,
            exit="",
            asked=False,
            sandbox="",
            detail="",
        )

    def _ready(self, position: int, record: Ready) -> None:
        row = self._touch("processes", (record.role, record.serial))
        if row is not None:
            row.change = position
            row.ready = record.at
            row.sandbox = word(record.sandbox, 24)
            row.detail = safe(msgspec.json.encode(record.detail).decode()) if record.detail else ""

    def _ended(self, position: int, record: Ended) -> None:
        row = self._touch("processes", (record.role, record.serial))
        if row is not None:
            row.change = position
            row.ended = record.at
            row.exit = words(record.exit, 200)
            row.asked = record.asked
        if record.role == "supervisor":
            self._decide(position, record.at, "stopped", "stopped")

    # ---- the end of a supervisor

    def _epoch(self, position: int, record: Epoch) -> None:
        self._decide(position, record.at, "died", f"epoch {record.epoch} found it gone")
        self.source = Source(record.node, words(record.node_name, 64), record.epoch, record.serial, record.pid)
        self._process(position, "supervisor", record.serial, record.pid, -1, record.at)

    def _decide(self, position: int, at: int, how: str, exit: str) -> None:
        """Nothing more will be heard of what is open. `exit` is how the supervisor itself ended, if its own row is
        open."""
        for row in self._open("messages", lambda row: row.state == "sent"):
            row.state = "unknown"
            row.reason = f"the supervisor of epoch {row.epoch} {how} before the outcome was known"
            row.change = position
            self._settled[row.id] = row
        for row in self._open("transfers", lambda row: row.state == "sent" or not row.proof):
            row.state = "unknown" if row.state == "sent" else row.state
            self._close_proof(row, f"the supervisor of epoch {row.epoch} {how} before the proof was made")
            row.change = position
        for row in self._open("jobs", lambda row: row.state in ("queued", "running")):
            row.reason = f"the supervisor of epoch {row.epoch} {how} while the job was {row.state}"
            row.state = "failed"
            row.ended = at
            row.change = position
        for row in self._open("jobs", lambda row: row.output and row.output_gone is None):
            row.output_gone = at
            row.gone_reason = f"the supervisor of epoch {row.epoch} {how}, and kept it no longer"
            row.change = position
        for row in self._open("processes", lambda row: row.ended is None):
            row.ended = at
            row.exit = (
                f"its pair ended with supervisor {self.source.supervisor}"
                if row.role in CALLERS
                else exit
                if row.role == "supervisor"
                else GONE
            )
            row.change = position

    def _open(self, table: str, is_open: Any) -> Iterable[Any]:
        known = getattr(self._known, table)
        for key in [key for key, row in known.items() if is_open(row)]:
            self._touch(table, key)
        return [row for row in getattr(self.rows, table).values() if is_open(row)]

    def _touch(self, table: str, key: Any) -> Any:
        """The row of that key, to be changed; None: it was pruned, or is in quarantine."""
        rows = getattr(self.rows, table)
        row = rows.get(key)
        if row is None:
            row = getattr(self._known, table).pop(key, None)
            if row is not None:
                rows[key] = row
        return row


_HANDLERS: dict[type, Any] = {
    Epoch: Fold._epoch,
    Born: Fold._born,
    Ready: Fold._ready,
    Ended: Fold._ended,
    Message: Fold._message,
    Outcome: Fold._outcome,
    Proof: Fold._proof,
    JobSubmitted: Fold._job,
    JobStarted: Fold._job_started,
    JobEnded: Fold._job_ended,
    OutputGone: Fold._output_gone,
}
"""What is done with each type. Kept by no fold: bound methods made it a cycle, and the rows of each batch stayed until
a collection."""


# ---- what fits a column -----------------------------------------------------------------------------------------


def safe(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogate (a file name that is no UTF-8)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\u2400").encode("utf-8", "backslashreplace").decode()


def words(text: str, length: int) -> str:
    """Text for people, at most `length` characters; what is cut ends in an ellipsis."""
    text = safe(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def word(text: str, length: int) -> str:
    """An identifier in ASCII, at most `length` characters."""
    if not text.isascii() or "\0" in text:
        text = text.replace("\0", "?").encode("ascii", "replace").decode()
    return text if len(text) <= length else text[: length - 2] + ".."


def signed(number: int) -> int:
    """A device or inode number, which the kernel counts without a sign, as a database keeps it: above 2**63 in two's
    complement."""
    return number if number <= LARGEST else number - (1 << 64)
