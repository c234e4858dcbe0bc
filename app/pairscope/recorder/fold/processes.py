"""Processes: born, ready, ended; and what the end of a supervisor decides. Pure."""

from __future__ import annotations

import msgspec

from pairscope.ipc.sentences import Gone, Undone, Unproved, Unsent
from pairscope.ipc.vocabulary import CALLERS
from pairscope.journal.records import Born, Ended, Epoch, Ready
from pairscope.recorder.fold.fit import safe, word, words
from pairscope.recorder.fold.folding import Folding, Source
from pairscope.recorder.fold.messages import close_proof
from pairscope.recorder.fold.rows import ProcessRow

GONE = Gone.WITH_SUPERVISOR.value
"""How its children end: they see the end of their channel, and workers get a signal besides. Of clients only the pair
is known to have ended."""


def born(fold: Folding, position: int, record: Born) -> None:
    """A process takes part."""
    _process(fold, position, record.role, record.serial, record.pid, record.uid, record.at)


def _process(fold: Folding, position: int, role: str, serial: int, pid: int, uid: int, at: int) -> None:
    key = (role, serial)
    if key not in fold.rows.processes and fold.known.processes.pop(key, None) is None:
        fold.inserted["processes"] += 1
    fold.rows.processes[key] = ProcessRow(
        node=fold.source.node,
        role=word(role, 16),
        serial=serial,
        epoch=fold.source.epoch,
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


def ready(fold: Folding, position: int, record: Ready) -> None:
    """A child is ready, in which sandbox."""
    row = fold.touch("processes", (record.role, record.serial))
    if row is not None:
        row.change = position
        row.ready = record.at
        if record.uid >= 0:
            row.uid = record.uid
        row.sandbox = word(record.sandbox, 24)
        row.detail = safe(msgspec.json.encode(record.detail).decode()) if record.detail else ""


def ended(fold: Folding, position: int, record: Ended) -> None:
    """A process takes part no longer. A supervisor's end decides what it left open."""
    row = fold.touch("processes", (record.role, record.serial))
    if row is not None:
        row.change = position
        row.ended = record.at
        row.exit = words(record.exit, 200)
        row.asked = record.asked
    if record.role == "supervisor":
        _decide(fold, position, record.at, Gone.STOPPED.value, Gone.STOPPED.value)


def epoch(fold: Folding, position: int, record: Epoch) -> None:
    """A supervisor has taken over: what an earlier one left open is decided, and its own process is born."""
    _decide(fold, position, record.at, Gone.DIED.value, Gone.FOUND.say(count=record.epoch))
    fold.source = Source(record.node, words(record.node_name, 64), record.epoch, record.serial, record.pid)
    _process(fold, position, "supervisor", record.serial, record.pid, -1, record.at)


def _decide(fold: Folding, position: int, at: int, how: str, exit: str) -> None:
    """Nothing more will be heard of what is open. `exit` is how the supervisor itself ended, if its own row is
    open."""
    for row in fold.open("messages", lambda row: row.state == "sent"):
        row.state = "unknown"
        row.reason = Unsent.SUPERVISOR.say(count=row.epoch, how=how)
        row.change = position
        fold.settled[row.id] = row
    for row in fold.open("transfers", lambda row: row.state == "sent" or not row.proof):
        row.state = "unknown" if row.state == "sent" else row.state
        close_proof(row, Unproved.SUPERVISOR.say(count=row.epoch, how=how))
        row.change = position
    for row in fold.open("jobs", lambda row: row.state in ("queued", "running")):
        while_it = Undone.QUEUED if row.state == "queued" else Undone.RUNNING
        row.reason = while_it.say(count=row.epoch, how=how)
        row.state = "failed"
        row.ended = at
        row.change = position
    for row in fold.open("jobs", lambda row: row.output and row.output_gone is None):
        row.output_gone = at
        row.gone_reason = Undone.OUTPUT.say(count=row.epoch, how=how)
        row.change = position
    for row in fold.open("processes", lambda row: row.ended is None):
        row.ended = at
        row.exit = (
            Gone.PAIR.say(count=fold.source.supervisor)
            if row.role in CALLERS
            else exit
            if row.role == "supervisor"
            else GONE
        )
        row.change = position
