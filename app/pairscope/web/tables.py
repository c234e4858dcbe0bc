"""The four tables: what each column is called, how a row is named, and what an export holds. One pattern for all."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

from pairscope.store.models import History, Job, Message, Process, Transfer
from pairscope.web import payload
from pairscope.web.words import stamp

PAGE = 50
"""Rows of one page."""


Field = tuple[str, Callable[[Any], Any]]
"""A name in an export, and how its value is had from a row."""


class Column(NamedTuple):
    """A column's heading; `rank` 1 stays on a phone, 2 needs a tablet, 3 a wide screen."""

    key: str
    title: LazyString
    rank: int = 1
    term: str = ""
    """The glossary's word for it, if it has one."""


class Table(NamedTuple):
    """One table page and its live updates."""

    name: str
    title: LazyString
    example: str
    """A filter that shows how to ask."""
    columns: Sequence[Column]
    name_of: Callable[[Any], str]
    """The row's id in the page: the same in the page and in an update."""
    order: Callable[[Any], Any]
    """The row's place: newest first is from large to small."""
    key: Callable[[str], tuple[Any, ...]]
    """The primary key that an id in the page names. Raises ValueError."""
    fields: Sequence[Field]
    """What an export holds of each row: ids and inodes as text, times and durations as the API has them."""


def _whole_numbers(name: str) -> tuple[Any, ...]:
    return tuple(int(part) for part in name[1:].split("-"))


def _process_key(name: str) -> tuple[Any, ...]:
    node, role, serial = name[1:].split("-")
    if not role.isascii():
        raise ValueError(role)  # MariaDB compares no other text with a role
    return int(node), role, int(serial)


def _text(identity: int | None) -> str | None:
    return None if identity is None else str(identity)


_PARTIES: Sequence[Field] = tuple(
    (name, operator.attrgetter(name))
    for name in ("sender_role", "sender_serial", "sender_pid", "receiver_role", "receiver_serial", "receiver_pid")
)


def _plain(*names: str) -> tuple[Field, ...]:
    return tuple((name, operator.attrgetter(name)) for name in names)


def _times(*names: str) -> tuple[Field, ...]:
    return tuple((name, lambda row, get=operator.attrgetter(name): stamp(get(row))) for name in names)


def _texts(*names: str) -> tuple[Field, ...]:
    return tuple((name, lambda row, get=operator.attrgetter(name): _text(get(row))) for name in names)


_UNEXPORTED = ("epoch", "change", "worker", "detail")
"""Columns that an export leaves out, unless a table names them: what they say is said by others, or for programs."""


def _with_rest(model: type[History], *fields: Field) -> tuple[Field, ...]:
    """The fields, and behind them as they are the columns that none of them shows: a new column needs no line here."""
    shown = {name.removesuffix("_ns") for name, _value in fields}
    keys = (column.key for column in model.__table__.columns)
    return (*fields, *_plain(*(key for key in keys if key not in shown and key not in _UNEXPORTED)))


MESSAGES = Table(
    "messages",
    _l("Messages"),
    "kind:task,result fds:>0",
    (
        Column("when", _l("Sent")),
        Column("what", _l("Message"), term="message"),
        Column("way", _l("From and to")),
        Column("size", _l("Size"), 2),
        Column("latency", _l("Latency"), 2, "latency"),
        Column("state", _l("State")),
        Column("job", _l("Job"), 3),
        Column("preview", _l("Payload"), 3),
    ),
    lambda row: f"m{row.id}",
    lambda row: row.id,
    _whole_numbers,
    _with_rest(
        Message,
        ("id", lambda row: str(row.id)),
        ("job", lambda row: _text(row.job)),
        *_plain("node", "kind"),
        *_PARTIES,
        *_plain("size", "fds", "flags"),
        *_times("sent", "received"),
        ("latency_ns", lambda row: row.latency),
        *_plain("state", "reason"),
        ("preview", lambda row: payload.gist(row.preview, 400)),
    ),
)

TRANSFERS = Table(
    "transfers",
    _l("Transfers"),
    "object:memfd proof:same",
    (
        Column("when", _l("Sent")),
        Column("what", _l("Descriptor"), term="descriptor"),
        Column("way", _l("From and to")),
        Column("object", _l("Object"), 2),
        Column("size", _l("Size"), 3),
        Column("access", _l("Access"), 3, "access mode"),
        Column("proof", _l("Proof"), 1, "kcmp"),
        Column("kind", _l("Message"), 3),
        Column("job", _l("Job"), 3),
    ),
    lambda row: f"t{row.message}-{row.position}",
    lambda row: (row.message, row.position),
    _whole_numbers,
    _with_rest(
        Transfer,
        ("message", lambda row: str(row.message)),
        ("position", lambda row: row.position),
        ("job", lambda row: _text(row.job)),
        *_plain("node", "kind"),
        *_PARTIES,
        *_plain("sender_fd", "receiver_fd", "object"),
        *_texts("device", "inode"),
        *_plain("access", "flags", "offset", "size", "link"),
        *_times("sent", "received"),
        *_plain("state", "proof", "proof_reason"),
    ),
)

JOBS = Table(
    "jobs",
    _l("Jobs"),
    "kind:digest state:failed",
    (
        Column("when", _l("Submitted")),
        Column("what", _l("Job")),
        Column("name", _l("File")),
        Column("size", _l("Size"), 2),
        Column("state", _l("State")),
        Column("worker", _l("Worker"), 3, "worker"),
        Column("took", _l("Took"), 2),
        Column("result", _l("Result"), 3),
    ),
    lambda row: f"j{row.id}",
    lambda row: row.id,
    _whole_numbers,
    _with_rest(
        Job,
        ("id", lambda row: str(row.id)),
        *_plain("node", "kind", "name", "size", "client_role", "client_serial", "client_pid", "state", "worker"),
        *_times("submitted", "started", "ended"),
        *_plain("reason", "result", "output", "output_media", "output_name"),
        *_times("expires", "output_gone"),
        *_plain("gone_reason"),
    ),
)

WORKERS = Table(
    "workers",
    _l("Workers"),
    "state:ended since:1d",
    (
        Column("when", _l("Started")),
        Column("what", _l("Worker"), term="worker"),
        Column("pid", _l("Process"), term="pid"),
        Column("state", _l("State")),
        Column("sandbox", _l("Sandbox"), 2, "sandbox"),
        Column("lived", _l("Lived"), 2),
        Column("exit", _l("Exit"), 2),
    ),
    lambda row: f"w{row.node}-{row.role}-{row.serial}",
    lambda row: (row.born, row.node, row.role, row.serial),
    _process_key,
    _with_rest(
        Process,
        *_plain("node", "role", "serial", "epoch", "pid", "uid"),
        *_times("born", "ready", "ended"),
        *_plain("exit", "asked", "sandbox"),
    ),
)

TABLES = {table.name: table for table in (MESSAGES, TRANSFERS, WORKERS, JOBS)}
