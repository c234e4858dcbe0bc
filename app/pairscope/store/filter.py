"""The filter's language: ``kind:result worker:2 size:>=4KiB -state:unknown "some text"``.

Terms stand side by side and all must hold. ``field:value`` compares, ``field:a,b`` takes any of several, ``field:>5``
orders, ``-`` before a term negates it, a bare or quoted word searches text. Values may be written as the pages show
them (:data:`SHOWN`). What cannot be read raises :class:`FilterError` with the column at which it stands.

A term for one exact value of an indexed field is found wherever it is in history, and so are messages with descriptors,
by their transfers. Any other is looked for among :data:`BOUND` rows at a time (:attr:`Filter.bounded`), so that no
query reads a whole table; the page's `older` cursor goes on from there.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, false, func, not_, or_
from sqlalchemy.orm import InstrumentedAttribute

from pairscope.ipc.identity import TIME_SHIFT, first_id_at
from pairscope.ipc.vocabulary import CALLERS, JOB_STATES, KINDS, MESSAGE_STATES, PROOFS
from pairscope.store.models import IN_ORDER, KILLED_FOR, Job, Message, Process, Transfer

BOUND = 20_000
"""Rows that a query looks at, at most, where no index finds what is asked for. Of 100,000, a query from a cold MariaDB
took 1.4 s."""
LENGTH = 1000
"""Characters that a filter may have."""
LARGEST = (1 << 63) - 1
MOST_FDS = 253
"""Descriptors that one control message can carry: SCM_MAX_FD."""
SHORTEST = 1 << TIME_SHIFT
"""No id is smaller, but those of the first millisecond that ids count: what is, is the end of one that was copied from
a table."""
SHOWN = {"in flight": "sent", "waiting": "queued", "proved": "same", "not made yet": ""}
"""What a page shows instead of a state's or a proof's own word: app/pairscope/web/shell/face.py."""
SHOWN_SANDBOXES = {"Landlock + seccomp": "landlock+seccomp", "seccomp only": "seccomp", "not said yet": ""}


class FilterError(ValueError):
    """What was wrong and what was expected, and at which character (from 0) of the filter it stands."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


@dataclasses.dataclass(frozen=True)
class Filter:
    """What a page shows of one table."""

    text: str
    table: str
    conditions: tuple[ColumnElement[bool], ...] = ()
    exact: ColumnElement[bool] | None = None
    """The one condition, also in `conditions`, that an index serves in the page's order."""
    index: str = ""
    """That index's name."""
    descriptor: int | None = None
    """Only messages with a descriptor at this position of their control message fit: the transfers' key is walked for
    them."""
    bounded: bool = False
    """True: a page comes from at most BOUND rows, newest first; its `older` cursor continues behind them."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One term as it was written: where, and what."""

    column: int
    negated: bool
    field: str
    """Empty: a text to search for."""
    values: tuple[tuple[int, str, str], ...]
    """(column, operator, value) of each alternative."""


Read = Callable[[str, str, int], ColumnElement[bool]]
"""(operator, value, column) -> condition; raises FilterError."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a table's filter, with what a page says of it."""

    name: str
    explanation: str
    example: str
    read: Read
    ordered: bool = False
    """True: takes ``>``, ``>=``, ``<`` and ``<=``."""
    index: str = ""
    """The index that serves one exact value in the page's order."""
    in_order: bool = False
    """True: bounds the page's own order."""


# ---- values ---------------------------------------------------------------------------------------------------


def _one_of(attribute: InstrumentedAttribute[str], words: Mapping[str, str] | Sequence[str]) -> Read:
    known = words if isinstance(words, Mapping) else {word: word for word in words}

    def read(_operator: str, value: str, column: int) -> ColumnElement[bool]:
        found = known.get(value.lower(), value.lower())
        if found not in known.values():
            raise FilterError(f"{value!r} is not known here; expected one of {_written(known)}", column)
        return attribute == found

    return read


def _with_shown(words: Sequence[str]) -> dict[str, str]:
    """The words, and those that a page shows for some of them."""
    return {word: word for word in words} | {shown: word for shown, word in SHOWN.items() if word in words}


def _written(words: Iterable[str], between: str = ", ") -> str:
    """Words as a filter takes them."""
    return between.join(f'"{word}"' if " " in word else word for word in words)


def _word(attribute: InstrumentedAttribute[str], shown: Mapping[str, str] = {}) -> Read:
    known = {word.lower(): meant for word, meant in shown.items()}

    def read(_operator: str, value: str, column: int) -> ColumnElement[bool]:
        if value.lower() in known:
            return attribute == known[value.lower()]
        if not re.fullmatch(r"[\w.+-]{1,24}", value, re.ASCII):
            raise FilterError(f"{value!r} is no name; expected letters, digits, '-', '_', '.' or '+'", column)
        return attribute == value

    return read


def _either(read_sender: Read, read_receiver: Read) -> Read:
    return lambda operator, value, column: or_(
        read_sender(operator, value, column), read_receiver(operator, value, column)
    )


def _compare(attribute: InstrumentedAttribute[Any], operator: str, value: int) -> ColumnElement[bool]:
    match operator:
        case ">":
            return attribute > value
        case ">=":
            return attribute >= value
        case "<":
            return attribute < value
        case "<=":
            return attribute <= value
    return attribute == value


def _number(
    attribute: InstrumentedAttribute[Any], units: Mapping[str, int] = {}, expected: str = "a whole number"
) -> Read:
    def read(operator: str, value: str, column: int) -> ColumnElement[bool]:
        return _compare(attribute, operator, _amount(value, column, units, expected))

    return read


def _identity(attribute: InstrumentedAttribute[Any]) -> Read:
    """An id, whole: the end of one that a table shows could be found by looking at every row only."""
    whole = _number(attribute)

    def read(operator: str, value: str, column: int) -> ColumnElement[bool]:
        if re.fullmatch(r"(\u2026|\.\.\.)\d+", value, re.ASCII) or (
            re.fullmatch(r"\d{1,7}", value, re.ASCII) and int(value) < SHORTEST
        ):
            where = "it ends the address of the job's page, to which the short one links"
            raise FilterError(
                f"{value!r} is the end of an id, as tables show it; expected the whole id: {where}", column
            )
        return whole(operator, value, column)

    return read


def _amount(value: str, column: int, units: Mapping[str, int], expected: str) -> int:
    found = re.fullmatch(r"(\d{1,19})(\.\d{1,9})?\s*([a-zA-Zµ]*)", value, re.ASCII if not units else 0)
    if not found or ((found[3] or found[2]) and not units) or found[3].lower() not in {"", *units}:
        raise FilterError(f"{value!r} is not {expected}", column)
    whole, fraction, unit = found.groups()
    factor = units.get(unit.lower(), 1)
    amount = int(whole) * factor + (int(float(fraction) * factor) if fraction else 0)
    if amount > LARGEST:
        raise FilterError(f"{value!r} is too large; expected at most {LARGEST}", column)
    return amount


SIZES = {
    "b": 1,
    "kib": 1 << 10,
    "k": 1 << 10,
    "mib": 1 << 20,
    "m": 1 << 20,
    "gib": 1 << 30,
    "g": 1 << 30,
    "kb": 1000,
    "mb": 10**6,
    "gb": 10**9,
}
DURATIONS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
AGES = {"s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}


def _size(attribute: InstrumentedAttribute[int]) -> Read:
    return _number(attribute, SIZES, "a size such as 4096, 4KiB or 1.5MiB")


def _duration(attribute: InstrumentedAttribute[Any]) -> Read:
    return _number(attribute, DURATIONS, "a duration such as 500us, 5ms or 1.5s")


def _since(start: Callable[[int], ColumnElement[bool]]) -> Read:
    """`start` makes the condition of a time in ns since 1970."""

    def read(_operator: str, value: str, column: int) -> ColumnElement[bool]:
        if re.fullmatch(r"\d+(\.\d+)?[a-zA-Z]+", value, re.ASCII):
            return start(max(0, time.time_ns() - _amount(value, column, AGES, "an age such as 30s, 10m, 2h or 7d")))
        try:
            moment = datetime.fromisoformat(value)
            return start(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000_000))
        except (ValueError, OverflowError):
            expected = "expected an age such as 10m, 2h or 7d, or a time in UTC such as 2026-01-31T12:00"
            raise FilterError(f"{value!r} is no time; {expected}", column) from None

    return read


def _life(_operator: str, value: str, column: int) -> ColumnElement[bool]:
    match value.lower():
        case "alive":
            return Process.ended.is_(None)
        case "ended":
            return Process.ended.is_not(None)
        case "killed":
            return Process.ended.is_not(None) & not_(Process.asked) & Process.exit.startswith(KILLED_FOR)
        case "died":
            alone = (
                Process.role.not_in(sorted(CALLERS))
                & Process.exit.not_in(IN_ORDER)
                & not_(Process.exit.startswith(KILLED_FOR))
            )
            return Process.ended.is_not(None) & not_(Process.asked) & alone
    raise FilterError(f"{value!r} is not known here; expected one of alive, ended, killed, died", column)


def _contains(attribute: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Bytes as they are; letters of either case. No LIKE: its wildcards and collations differ."""
    if attribute is Message.preview:
        return func.instr(attribute, text.encode()) > 0
    return func.instr(func.lower(attribute), text.lower()) > 0


# ---- the fields of each table -----------------------------------------------------------------------------------

_KINDS = [kind.name for kind in KINDS if not kind.housekeeping]
_ROLES = ["web", "supervisor", "worker", "recorder", "live", "lab", "tool"]
_OBJECTS = {
    "file": "regular file",
    "memfd": "memfd",
    "pipe": "pipe",
    "socket": "socket",
    "directory": "directory",
    "character": "character device",
    "block": "block device",
    "anonymous": "anonymous inode",
}


def _ends(model: type[Message] | type[Transfer]) -> list[Field]:
    """The fields that a message and a transfer share."""
    table = model.__tablename__
    order = "id" if model is Message else "message_position"
    first = Message.id if model is Message else Transfer.message
    return [
        Field(
            "kind",
            "What sort of message it is.",
            "kind:task,result",
            _one_of(model.kind, _KINDS),
            index=f"ix_{table}_kind_{order}",
        ),
        Field(
            "worker",
            "The worker at either end, by its serial.",
            "worker:2",
            _number(model.worker),
            True,
            f"ix_{table}_worker_{order}",
        ),
        Field(
            "job",
            "The job that it belongs to, by its id.",
            "job:123456789",
            _identity(model.job),
            index=f"ix_{table}_job_{order}",
        ),
        Field(
            "role",
            "What the process at either end is here for.",
            "role:web",
            _either(_one_of(model.sender_role, _ROLES), _one_of(model.receiver_role, _ROLES)),
        ),
        Field("from", "The sender's role.", "from:worker", _one_of(model.sender_role, _ROLES)),
        Field("to", "The receiver's role.", "to:worker", _one_of(model.receiver_role, _ROLES)),
        Field(
            "pid",
            "The process at either end.",
            "pid:4711",
            _either(_number(model.sender_pid), _number(model.receiver_pid)),
        ),
        Field("node", "The node on which it happened, by its number.", "node:1", _number(model.node)),
        Field(
            "since",
            "Not older than an age or a time.",
            "since:10m",
            _since(lambda ns: first >= first_id_at(ns)),
            in_order=True,
        ),
    ]


def _messages() -> list[Field]:
    states = _one_of(Message.state, _with_shown(MESSAGE_STATES))
    return [
        *_ends(Message),
        Field(
            "state",
            "What became of it; in flight is sent.",
            "state:unknown,failed",
            states,
            index="ix_messages_state_id",
        ),
        Field(
            "fds",
            "Descriptors that it carries; those with any (fds:>0) are found at once.",
            "fds:>0",
            _number(Message.fds),
            True,
        ),
        Field("size", "Bytes, with what travels in a memfd.", "size:>=4KiB", _size(Message.size), True),
        Field("latency", "From sent to received.", "latency:>5ms", _duration(Message.latency), True),
    ]


def _transfers() -> list[Field]:
    proofs = {**_with_shown((*PROOFS, "")), "pending": ""}
    del proofs[""]
    return [
        *_ends(Transfer),
        Field(
            "object",
            "What the descriptor refers to.",
            "object:memfd",
            _one_of(Transfer.object, _OBJECTS),
            index="ix_transfers_object_message_position",
        ),
        Field(
            "proof",
            "Whether both numbers are one open file description; proved is same, not made yet pending.",
            "proof:same",
            _one_of(Transfer.proof, proofs),
            index="ix_transfers_proof_message_position",
        ),
        Field(
            "inode",
            "The object's inode number.",
            "inode:1042",
            _number(Transfer.inode),
            index="ix_transfers_inode_message_position",
        ),
        Field(
            "access",
            "What the descriptor allows.",
            "access:read",
            _one_of(Transfer.access, ("read", "write", "read-write")),
        ),
        Field(
            "fd",
            "Its number at either end.",
            "fd:7",
            _either(_number(Transfer.sender_fd), _number(Transfer.receiver_fd)),
            True,
        ),
        Field("size", "Bytes of the object.", "size:>1MiB", _size(Transfer.size), True),
        Field(
            "state",
            "What became of the message.",
            "state:received",
            _one_of(Transfer.state, _with_shown(MESSAGE_STATES)),
        ),
    ]


def _jobs() -> list[Field]:
    return [
        Field("kind", "What is to be done.", "kind:digest", _word(Job.kind), index="ix_jobs_kind_id"),
        Field(
            "state",
            "How it stands; waiting is queued.",
            "state:queued,running",
            _one_of(Job.state, _with_shown(JOB_STATES)),
            index="ix_jobs_state_id",
        ),
        Field(
            "worker",
            "The worker that had it, by its serial.",
            "worker:2",
            _number(Job.worker),
            True,
            "ix_jobs_worker_id",
        ),
        Field("id", "Its id.", "id:123456789", _identity(Job.id), in_order=True),
        Field("size", "Bytes of the input.", "size:>1MiB", _size(Job.size), True),
        Field("output", "Bytes of the output.", "output:>0", _size(Job.output), True),
        Field("role", "What the process that asked for it is here for.", "role:web", _one_of(Job.client_role, _ROLES)),
        Field("node", "The node on which it ran, by its number.", "node:1", _number(Job.node)),
        Field(
            "since",
            "Not older than an age or a time.",
            "since:2h",
            _since(lambda ns: Job.id >= first_id_at(ns)),
            in_order=True,
        ),
    ]


def _workers() -> list[Field]:
    return [
        Field("worker", "Its serial.", "worker:2", _number(Process.serial), True),
        Field(
            "state",
            "Whether it lives; killed: for a job; died: it ended though nobody had asked it to, and not in "
            "order. Both are among the ended.",
            "state:alive",
            _life,
        ),
        Field("pid", "Its process id.", "pid:4711", _number(Process.pid)),
        Field("sandbox", "How it is confined.", "sandbox:seccomp", _word(Process.sandbox, SHOWN_SANDBOXES)),
        Field("role", "Processes of another role than workers.", "role:supervisor", _one_of(Process.role, _ROLES)),
        Field("node", "The node on which it runs, by its number.", "node:1", _number(Process.node)),
        Field(
            "since",
            "Born not longer ago than an age, or after a time.",
            "since:1d",
            _since(lambda ns: Process.born >= ns),
        ),
    ]


FIELDS: dict[str, tuple[Field, ...]] = {
    "messages": tuple(_messages()),
    "transfers": tuple(_transfers()),
    "jobs": tuple(_jobs()),
    "workers": tuple(_workers()),
}
"""The fields of each table, in the order in which a page explains them."""

TEXT: dict[str, tuple[InstrumentedAttribute[Any], ...]] = {
    "messages": (Message.preview, Message.reason),
    "transfers": (Transfer.link, Transfer.proof_reason),
    "jobs": (Job.name, Job.reason, Job.output_name),
    "workers": (Process.exit,),
}
"""Where a bare or quoted word is looked for."""

TEXT_EXPLANATION = {
    "messages": "In the first bytes of the payload, exactly as written, and in the reason.",
    "transfers": "In what /proc shows as the descriptor's link, and in the proof's reason.",
    "jobs": "In the names of input and output, and in the reason.",
    "workers": "In how it ended.",
}

_FIRST = ("job", "inode", "worker", "proof", "state", "object", "kind")
"""Where a filter has several exact terms, the index of the first of these is walked: it leaves the fewest rows."""
_FEW = ("job", "inode")
"""What has so few rows that all of them may be looked at."""


# ---- reading ----------------------------------------------------------------------------------------------------


def parse(text: str, table: str) -> Filter:
    """The filter for one of the tables in FIELDS. Raises FilterError."""
    fields = {field.name: field for field in FIELDS[table]}
    if len(text) > LENGTH:
        raise FilterError(f"this filter has {len(text)} characters; expected at most {LENGTH}", LENGTH)
    conditions: list[ColumnElement[bool]] = []
    exact: dict[str, ColumnElement[bool]] = {}
    searched = 0
    """Terms that neither an index nor the order of the page serves."""
    roles = False
    carried = 0
    """Descriptors that a message must carry at least."""
    written = list(terms(text))
    for before, term, after in zip(written, written[1:], written[2:]):
        _refuse_connective(text, before, term, after)
    for term in written:
        condition = _condition(term, fields, table)
        field = fields.get(term.field)
        if (
            field
            and field.index
            and not term.negated
            and len(term.values) == 1
            and not term.values[0][1]
            and field.name not in exact
        ):
            exact[field.name] = condition
        elif not (field and field.in_order and not term.negated):
            least, whole = _least_fds(term) if table == "messages" else (0, False)
            carried = max(carried, least)
            searched += not whole
            condition = _searched(condition, term.negated, table)
        conditions.append(condition)
        roles = roles or term.field == "role"
    if table == "workers":
        if not roles:
            conditions.append(Process.role == "worker")
        return Filter(text, table, tuple(conditions))
    served = next((name for name in _FIRST if name in exact), "")
    if not served and carried:
        # A message with k descriptors has a transfer at position k - 1. Of one position behind the first, many
        # transfers may have none.
        return Filter(text, table, tuple(conditions), descriptor=carried - 1, bounded=searched > 0 or carried > 1)
    if not served:
        return Filter(text, table, tuple(conditions), bounded=searched > 0)
    searched += carried > 0
    bounded = served not in _FEW and (searched > 0 or len(exact) > 1)
    return Filter(text, table, tuple(conditions), exact[served], fields[served].index, bounded=bounded)


def _refuse_connective(text: str, before: Term, term: Term, after: Term) -> None:
    """Who writes OR or AND between two terms does not search for that text; in quotes he does. Raises FilterError."""
    if term.field or term.negated or text[term.column] == '"' or term.values[0][2] not in ("OR", "AND"):
        return
    word = term.values[0][2]
    if word == "AND":
        right = "leave it out: terms side by side must all hold"
    else:
        alike = before.field and before.field == after.field and not (before.negated or after.negated)
        values = _written((operator + value for _, operator, value in (*before.values, *after.values)), ",")
        right = (
            f"write {before.field}:{values}"
            if alike
            else "write field:this,that for any of several values of one field"
        )
    raise FilterError(f'{word} joins nothing here; {right}. "{word}" in quotes searches that text', term.column)


def _least_fds(term: Term) -> tuple[int, bool]:
    """How many descriptors a message has at least that fits this term, and whether that says all of it. (0, False): it
    does not say."""
    if term.field != "fds" or term.negated or len(term.values) > 1:
        return 0, False
    _, operator, value = term.values[0]
    least = {"": int(value), ">=": int(value), ">": int(value) + 1}.get(operator, 0)
    return (least, operator != "") if 0 < least <= MOST_FDS else (0, False)


def _condition(term: Term, fields: Mapping[str, Field], table: str) -> ColumnElement[bool]:
    if not term.field:
        found = or_(*(_contains(attribute, term.values[0][2]) for attribute in TEXT[table]))
    elif term.field in fields:
        found = or_(false(), *(_alternative(fields[term.field], *value) for value in term.values))
    else:
        hint = f'expected one of {", ".join(fields)}; put text that has a colon in "quotes"'
        raise FilterError(f"{table} have no field {term.field!r}; {hint}", term.column)
    return found


def _searched(condition: ColumnElement[bool], negated: bool, table: str) -> ColumnElement[bool]:
    """A condition in which no database sees an index: SQLite would take it, and then sort every row of two kinds.

    What is not known (a worker, a latency) does not fit a condition, and fits its negation.
    """
    known = func.coalesce(condition, false())
    if negated:
        return not_(known)
    return condition if table == "workers" else known


def _alternative(field: Field, column: int, operator: str, value: str) -> ColumnElement[bool]:
    if operator and not field.ordered:
        raise FilterError(f"{field.name} has no order; expected {field.example}", column)
    return field.read(operator, value, column + len(operator))


def terms(text: str) -> Iterator[Term]:
    """The terms of a filter as they are written. Raises FilterError."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        negated = text[at] == "-"
        at += negated
        name = _NAME.match(text, at)
        values: list[tuple[int, str, str]] = []
        if name:
            at = name.end()
            while True:
                operator = _OPERATOR.match(text, at)
                place = at
                at = operator.end() if operator else at
                value, at = _value(text, at, _ENDS_VALUE)
                if not value:
                    raise FilterError(f"{name[1]}: has no value", min(at, len(text) - 1))
                values.append((place, operator[0] if operator else "", value))
                if at >= len(text) or text[at] != ",":
                    break
                at += 1
            yield Term(start, negated, name[1].lower(), tuple(values))
        else:
            value, end = _value(text, at, _ENDS_WORD)
            if not value:
                raise FilterError(
                    "there is nothing to search for; expected a word, text in quotes, or field:value", start
                )
            values.append((at, "", value))
            at = end
            yield Term(start, negated, "", tuple(values))


_NAME = re.compile(r"([A-Za-z_]+):")
_OPERATOR = re.compile(r">=|<=|>|<")
_ENDS_VALUE = re.compile(r"[\s,]|$")
_ENDS_WORD = re.compile(r"\s|$")


def _value(text: str, at: int, ends: re.Pattern[str]) -> tuple[str, int]:
    """A bare or quoted value at that place, and where it ends. In quotes, a backslash takes the next character as it
    is."""
    if at >= len(text) or text[at] != '"':
        found = ends.search(text, at)
        end = found.start() if found else len(text)
        return text[at:end], end
    value = []
    place = at + 1
    while place < len(text) and text[place] != '"':
        place += text[place] == "\\" and place + 1 < len(text)
        value.append(text[place])
        place += 1
    if place >= len(text):
        raise FilterError("this quote is not closed", at)
    return "".join(value), place + 1
