"""Messages and transfers: from *sent* and *outcome* to one row each. Pure."""

from __future__ import annotations

from typing import Any

from pairscope.ipc.sentences import Unproved
from pairscope.ipc.vocabulary import BY_CODE, Role
from pairscope.journal.records import HandedOver, Message, Outcome, Proof, Transfer
from pairscope.recorder.fold.fit import signed, word, words
from pairscope.recorder.fold.folding import Folding
from pairscope.recorder.fold.jobs import begin
from pairscope.recorder.fold.needs import TASK
from pairscope.recorder.fold.rows import MessageRow, TransferRow
from pairscope.store import models

_KINDS = {code: kind.name for code, kind in BY_CODE.items()}
_ROLES = frozenset(role.value for role in Role)


def message(fold: Folding, position: int, record: Message) -> None:
    """A message was sent, or has come. Its row is made by position (:mod:`pairscope.recorder.fold.rows`)."""
    source = fold.source
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
    if id not in fold.rows.messages and fold.known.messages.pop(id, None) is None:
        fold.inserted["messages"] += 1
        fold.count(sent, row.latency, 1)
    fold.rows.messages[id] = row
    if row.state != "sent":
        fold.settled[id] = row
    for transfer in record.transfers:
        _transfer(fold, transfer, row)
    if record.kind == TASK and record.job and not record.inbound:
        begin(fold, position, record.job, record.serial, sent)


def handed_over(fold: Folding, position: int, record: HandedOver) -> None:
    """A descriptor crossed between two others, in a message of one byte."""
    source = fold.source
    sender, receiver = word(record.sender, 16), word(record.role, 16)
    row = MessageRow(
        record.id, source.node, source.epoch, position, None, word(record.kind, 16), sender, 0, record.sender_pid,
        receiver, record.serial, record.pid, None, 1, 1, 0, record.at, record.at, None, "received", "", b"\0",
    )  # fmt: skip
    if row.id not in fold.rows.messages and fold.known.messages.pop(row.id, None) is None:
        fold.inserted["messages"] += 1
        fold.count(record.at, None, 1)
    fold.rows.messages[row.id] = fold.settled[row.id] = row
    _transfer(fold, record.transfer, row)


def _transfer(fold: Folding, record: Transfer, message: Any) -> None:
    """A descriptor went with it: the row repeats what a filter asks of its message."""
    key = (message.id, record.position)
    if key not in fold.rows.transfers and fold.known.transfers.pop(key, None) is None:
        fold.inserted["transfers"] += 1
    fold.rows.transfers[key] = TransferRow(
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


def outcome(fold: Folding, position: int, record: Outcome) -> None:
    """What became of a message that was sent, and so of its transfers."""
    row = fold.rows.messages.get(record.message) or fold.touch("messages", record.message)
    if row is None:
        return
    fold.settled[row.id] = row
    row.change = position
    row.state = record.state if record.state == "received" else word(record.state, 10)
    row.reason = words(record.reason, 200)
    row.flags = record.flags
    if record.received:
        first = row.latency is None
        row.received = record.received
        row.latency = record.received - row.sent
        if first:
            fold.count(row.sent, row.latency, 0)
    for number in range(row.fds):
        transfer = fold.touch("transfers", (record.message, number))
        if transfer is None:
            continue
        transfer.change = position
        transfer.state = row.state
        transfer.received = row.received
        if number < len(record.fds):
            transfer.receiver_fd = record.fds[number]
        if row.state != "received":
            close_proof(transfer, Unproved.NOT_ARRIVED.value if row.state == "failed" else row.reason)


def proof(fold: Folding, position: int, record: Proof) -> None:
    """A transfer was proved, or could not be."""
    transfer = fold.touch("transfers", (record.message, record.position))
    if transfer is not None:
        transfer.change = position
        transfer.proof = word(record.verdict, 10)
        transfer.proof_reason = words(record.reason, 200)


def close_proof(transfer: Any, reason: str) -> None:
    """Says why the proof of a transfer will not be made, unless it was."""
    if not transfer.proof:
        transfer.proof, transfer.proof_reason = "unproved", reason
