"""The tables: history, written by the recorder alone, and web's own.

History has no foreign keys: a row is complete or says what is missing. Times are BIGINT nanoseconds since 1970;
ids are signed 63-bit, given at the source; ``change`` is the journal position that last touched a row; identifiers
compare byte by byte. Every filter that a page offers has an index that ends in the page's order.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, MetaData, SmallInteger, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}


def Word(length: int) -> String:
    """An identifier: ASCII, compared byte by byte on every database."""
    return String(length).with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def Words(length: int) -> String:
    """Text for people."""
    return String(length).with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def LongWords() -> Text:
    return Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def Bytes(length: int) -> LargeBinary:
    return LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


PREVIEW = 256
"""Bytes of a payload that history keeps."""


class History(DeclarativeBase):
    """Tables that only the recorder writes."""

    metadata = MetaData(naming_convention=NAMING)


class Own(DeclarativeBase):
    """Tables that web writes: with SQLite a file of their own."""

    metadata = MetaData(naming_convention=NAMING)


class Message(History):
    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
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
        Index(None, "fds", "id"),
        Index(None, "size", "id"),
        Index(None, "state", "id"),
    )


class Transfer(History):
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
        Index(None, "size", "message", "position"),
        Index(None, "proof", "message", "position"),
        Index(None, "inode", "message", "position"),
    )


class Job(History):
    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
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
        Index(None, "size", "id"),
    )


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

    __table_args__ = (Index(None, "node", "change"), Index(None, "role", "born"))


class Position(History):
    """How far each node's journal is drained: committed with the rows, so that a crash gives each message exactly once."""

    __tablename__ = "positions"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    node_name: Mapped[str] = mapped_column(Words(64))
    epoch: Mapped[int] = mapped_column(Integer)
    """Fence: a recorder of an older epoch cannot commit."""
    position: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[int] = mapped_column(BigInteger)
    supervisor: Mapped[int] = mapped_column(Integer)
    """Serial and pid of the epoch's supervisor: the other end of every message."""
    supervisor_pid: Mapped[int] = mapped_column(Integer)
    rows: Mapped[int] = mapped_column(BigInteger, default=0)
    """Messages ever recorded on this node."""


class Quarantine(History):
    """A record that the database refused alone: kept here instead of stopping all others."""

    __tablename__ = "quarantine"
    node: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Words(400))
    record: Mapped[bytes] = mapped_column(LargeBinary)


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
