"""The tables: history, written by the recorder alone, and web's own.

History has no foreign keys: a row is complete or says what is missing. Times are BIGINT nanoseconds since 1970; ids are
signed 63-bit, given at the source; ``change`` is the journal position that last touched a row; identifiers compare byte
by byte. A filter for one exact value has an index that ends in the page's order; any other filter looks at a bounded
range of the primary key (see :mod:`pairscope.store.filter`). Each further index of messages costs about 1 us a row, of
about 14 us that MariaDB takes for it: none for what a bounded search finds as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, attributes, mapped_column

from pairscope.store.columns import NAMING, TABLE, Bytes, Id, LongBytes, LongWords, Word, Words

PREVIEW = 256
"""Bytes of a payload that history keeps."""


class History(DeclarativeBase):
    """Tables that only the recorder writes.

    SQLite keeps a value of any type in any column. What stands in a row that was read is always of its column's type:
    another value is replaced by an empty one, and told in `unreadable`.
    """

    metadata = MetaData(naming_convention=NAMING)

    __table__: ClassVar[Table]

    unreadable: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """By column, why its value cannot be shown."""
    withheld: ClassVar[frozenset[str]] = frozenset()
    """Columns whose value is shown after a login only: pairscope.store.withheld."""


class Own(DeclarativeBase):
    """Tables that web writes: with SQLite a file of their own."""

    metadata = MetaData(naming_convention=NAMING)

    __table__: ClassVar[Table]


class Message(History):
    """One message that crossed a pair: inserted when it is sent, completed when its outcome is known."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(Id(), primary_key=True, autoincrement=False)
    node: Mapped[int] = mapped_column(SmallInteger)
    epoch: Mapped[int] = mapped_column(Integer)
    change: Mapped[int] = mapped_column(BigInteger)
    job: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Word(16))
    sender_role: Mapped[str] = mapped_column(Word(16))
    sender_serial: Mapped[int] = mapped_column(Integer)
    sender_pid: Mapped[int] = mapped_column(Integer)
    receiver_role: Mapped[str] = mapped_column(Word(16))
    receiver_serial: Mapped[int] = mapped_column(Integer)
    receiver_pid: Mapped[int] = mapped_column(Integer)
    worker: Mapped[int | None] = mapped_column(Integer)
    """Serial of the worker at either end, for the filter."""
    size: Mapped[int] = mapped_column(BigInteger)
    fds: Mapped[int] = mapped_column(SmallInteger)
    flags: Mapped[int] = mapped_column(Integer)
    """msg_flags of recvmsg."""
    sent: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int | None] = mapped_column(BigInteger)
    latency: Mapped[int | None] = mapped_column(BigInteger)
    """ns from sent to received."""
    state: Mapped[str] = mapped_column(Word(10))
    """``sent`` (in flight), ``received``, ``failed`` or ``unknown``."""
    reason: Mapped[str] = mapped_column(Words(200), default="")
    preview: Mapped[bytes] = mapped_column(Bytes(PREVIEW))

    __table_args__ = (
        Index(None, "node", "change", "id"),
        Index(None, "kind", "id"),
        Index(None, "worker", "id"),
        Index(None, "job", "id"),
        Index(None, "state", "id"),
        TABLE,
    )


class Transfer(History):
    """One descriptor that crossed with a message: what it refers to, its number at both ends, and the proof."""

    __tablename__ = "transfers"
    message: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    node: Mapped[int] = mapped_column(SmallInteger)
    epoch: Mapped[int] = mapped_column(Integer)
    change: Mapped[int] = mapped_column(BigInteger)
    job: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Word(16))
    """Of the message."""
    sender_role: Mapped[str] = mapped_column(Word(16))
    sender_serial: Mapped[int] = mapped_column(Integer)
    sender_pid: Mapped[int] = mapped_column(Integer)
    receiver_role: Mapped[str] = mapped_column(Word(16))
    receiver_serial: Mapped[int] = mapped_column(Integer)
    receiver_pid: Mapped[int] = mapped_column(Integer)
    worker: Mapped[int | None] = mapped_column(Integer)
    sent: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Word(10))
    """Of the message."""
    sender_fd: Mapped[int] = mapped_column(Integer)
    receiver_fd: Mapped[int | None] = mapped_column(Integer)
    object: Mapped[str] = mapped_column(Word(24))
    device: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)
    access: Mapped[str] = mapped_column(Word(12))
    flags: Mapped[int] = mapped_column(Integer)
    offset: Mapped[int | None] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    link: Mapped[str] = mapped_column(Words(255))
    proof: Mapped[str] = mapped_column(Word(10))
    """``same``, ``different``, ``unproved``; empty while it is not made."""
    proof_reason: Mapped[str] = mapped_column(Words(200), default="")

    __table_args__ = (
        Index(None, "node", "change", "message", "position"),
        Index(None, "kind", "message", "position"),
        Index(None, "worker", "message", "position"),
        Index(None, "job", "message", "position"),
        Index(None, "object", "message", "position"),
        Index(None, "proof", "message", "position"),
        Index(None, "inode", "message", "position"),
        TABLE | {"sqlite_with_rowid": False},
    )


class Job(History):
    """One job: submitted, begun, ended, and what became of its output."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(Id(), primary_key=True, autoincrement=False)
    node: Mapped[int] = mapped_column(SmallInteger)
    epoch: Mapped[int] = mapped_column(Integer)
    change: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Word(16))
    name: Mapped[str] = mapped_column(Words(255))
    size: Mapped[int] = mapped_column(BigInteger)
    client_role: Mapped[str] = mapped_column(Word(16))
    client_serial: Mapped[int] = mapped_column(Integer)
    client_pid: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Word(10))
    """``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    worker: Mapped[int | None] = mapped_column(Integer)
    submitted: Mapped[int] = mapped_column(BigInteger)
    started: Mapped[int | None] = mapped_column(BigInteger)
    ended: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Words(400), default="")
    result: Mapped[str] = mapped_column(LongWords(), default="")
    """JSON."""
    output: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes; 0: there is none."""
    output_media: Mapped[str] = mapped_column(Word(80), default="")
    output_name: Mapped[str] = mapped_column(Words(255), default="")
    expires: Mapped[int | None] = mapped_column(BigInteger)
    output_gone: Mapped[int | None] = mapped_column(BigInteger)
    gone_reason: Mapped[str] = mapped_column(Words(200), default="")

    __table_args__ = (
        Index(None, "node", "change", "id"),
        Index(None, "kind", "id"),
        Index(None, "worker", "id"),
        Index(None, "state", "id"),
        TABLE,
    )


IN_ORDER = ("exited 0", "closed its end")
"""Exits of processes that were not asked to end, and did not die either."""
KILLED_FOR = "killed by SIGKILL, "
"""How the exit of a worker begins that its supervisor killed for a job: who else kills one gives no reason."""


class Process(History):
    """Every process that took part. Its serial counts within its role on its node, over restarts."""

    __tablename__ = "processes"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(Word(16), primary_key=True)
    serial: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(Integer)
    change: Mapped[int] = mapped_column(BigInteger)
    pid: Mapped[int] = mapped_column(Integer)
    uid: Mapped[int] = mapped_column(Integer)
    born: Mapped[int] = mapped_column(BigInteger)
    ready: Mapped[int | None] = mapped_column(BigInteger)
    ended: Mapped[int | None] = mapped_column(BigInteger)
    exit: Mapped[str] = mapped_column(Words(200), default="")
    """In words; empty while it lives."""
    asked: Mapped[bool] = mapped_column(Boolean, default=False)
    sandbox: Mapped[str] = mapped_column(Word(24), default="")
    detail: Mapped[str] = mapped_column(LongWords(), default="")
    """JSON."""

    __table_args__ = (
        Index(None, "node", "change", "role", "serial"),
        Index(None, "role", "born", "node", "serial"),
        Index(None, "ended"),
        TABLE,
    )


class Position(History):
    """How far each node's journal is drained: committed with the rows, so that a crash gives each message exactly
    once."""

    __tablename__ = "positions"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    node_name: Mapped[str] = mapped_column(Words(64))
    epoch: Mapped[int] = mapped_column(BigInteger)
    """Fence: where the epoch of the newest supervisor begins whose recorder was here. An older one's cannot commit."""
    position: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)
    supervisor: Mapped[int] = mapped_column(Integer)
    """Serial and pid of the epoch's supervisor: the other end of every message."""
    supervisor_pid: Mapped[int] = mapped_column(Integer)
    journal_epoch: Mapped[int] = mapped_column(Integer, default=0)
    """Epoch of the last record drained: a recorder may still be draining what an older supervisor left."""
    rows: Mapped[int] = mapped_column(BigInteger, default=0)
    """Messages ever recorded on this node."""
    transfers: Mapped[int] = mapped_column(BigInteger, default=0)
    jobs: Mapped[int] = mapped_column(BigInteger, default=0)
    processes: Mapped[int] = mapped_column(BigInteger, default=0)
    pruned_messages: Mapped[int] = mapped_column(BigInteger, default=0)
    """Messages that this node's recorder has deleted, of any node: what is kept is the sum of rows less the sum of
    this."""
    pruned_transfers: Mapped[int] = mapped_column(BigInteger, default=0)
    pruned_jobs: Mapped[int] = mapped_column(BigInteger, default=0)
    pruned_processes: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (TABLE,)


PACE_SECONDS = 10
"""What one row of rates counts."""


class Rate(History):
    """How many messages were sent in ten seconds, and how long they took: what a chart needs without reading the
    messages."""

    __tablename__ = "rates"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Begin, in ns since 1970."""
    messages: Mapped[int] = mapped_column(Integer)
    latencies: Mapped[bytes] = mapped_column(LargeBinary)
    """A histogram: app/pairscope/store/histogram.py."""

    __table_args__ = (TABLE,)


class Quarantine(History):
    """What did not become a row and did not stop all others: a record that the database refused alone, or (empty
    record) a gap in the journal."""

    __tablename__ = "quarantine"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Words(400))
    record: Mapped[bytes] = mapped_column(LongBytes())
    """As in the journal: msgpack."""

    __table_args__ = (TABLE,)


class Token(Own):
    """An operator's token: only its SHA-256 is kept."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str] = mapped_column(Word(64), unique=True)
    name: Mapped[str] = mapped_column(Words(80))
    created: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[int | None] = mapped_column(BigInteger)
    once: Mapped[bool] = mapped_column(Boolean, default=False)
    """True: a login link, gone after its first use."""

    __table_args__ = (TABLE,)


class Run(Own):
    """A run of the lab: stored by web when somebody asked for the run, not when somebody looks at it."""

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(Word(16), primary_key=True)
    """Random: whoever knows it may look."""
    created: Mapped[int] = mapped_column(BigInteger)
    scenario: Mapped[str] = mapped_column(Word(40))
    """Name in the gallery; empty: the visitor's own."""
    title: Mapped[str] = mapped_column(Words(200))
    verdict: Mapped[str] = mapped_column(Word(12))
    steps: Mapped[int] = mapped_column(Integer)
    took: Mapped[int] = mapped_column(BigInteger)
    asked_by: Mapped[str] = mapped_column(Word(64))
    """Address, as a key to count by; empty: an operator."""
    kept: Mapped[bool] = mapped_column(Boolean, default=False)
    """True: somebody shared it, so it is never pruned."""
    job: Mapped[int | None] = mapped_column(BigInteger)
    """Its job in history; None: it was opened from a file."""
    parent: Mapped[str] = mapped_column(Word(16), default="")
    """The run whose text it was made from."""
    data: Mapped[bytes] = mapped_column(LongBytes())
    """The run as JSON, compressed by zlib."""

    __table_args__ = (
        Index(None, "kept", "created"),
        Index(None, "scenario", "created"),
        Index(None, "asked_by", "created"),
        Index(None, "job"),
        TABLE,
    )


class StoredRecording(Own):
    """A recording of a real program, which an operator has handed in: docs/recorder.md."""

    __tablename__ = "recordings"
    id: Mapped[str] = mapped_column(Word(16), primary_key=True)
    """Random."""
    created: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Words(200))
    """Of the file, as it was handed in."""
    command: Mapped[str] = mapped_column(Words(200))
    steps: Mapped[int] = mapped_column(Integer)
    processes: Mapped[int] = mapped_column(Integer)
    passages: Mapped[int] = mapped_column(Integer)
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    """True: whoever may read may look at it, and it is never pruned."""
    data: Mapped[bytes] = mapped_column(LongBytes())
    """The file, as it is."""

    __table_args__ = (Index(None, "shared", "created"), TABLE)


# ---- what a row holds when it is read

_EMPTY: dict[type, Any] = {int: 0, str: "", bytes: b"", bool: False}


@cache
def _columns(model: type[History]) -> tuple[tuple[str, type, bool], ...]:
    return tuple(
        (name, column.type.python_type, bool(column.nullable)) for name, column in model.__table__.columns.items()
    )


@event.listens_for(History, "load", propagate=True)
def _check(row: History, _context: object) -> None:
    for name, (instead, why) in unfit(type(row), row.__dict__).items():
        attributes.set_committed_value(row, name, instead)
        row.unreadable = {**row.unreadable, name: why}  # type: ignore[misc]  # this row's own


def unfit(model: type[History], held: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Of the columns in `held` those whose value is not of their type: what is put in its place, and why."""
    found = {}
    for name, kind, nullable in _columns(model):
        value = held.get(name, held)
        if type(value) is kind or value is held or (value is None and nullable):
            continue
        why = UNFIT % {"found": f"{value!r:.60}", "expected": EXPECTED[kind]}
        found[name] = (None if nullable else _EMPTY[kind], why)
    return found


UNFIT = "it holds %(found)s, expected %(expected)s"
EXPECTED = {int: "a whole number", str: "text", bytes: "bytes", bool: "true or false"}
