"""How the value of a filter's term is read: words, numbers with units, ages, ids.

Each function here makes a :data:`Read` for one column, or is one. A value that does not fit raises FilterError, which
says what was expected.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pairscope.ipc.identity import TIME_SHIFT
from pairscope.ipc.vocabulary import CALLERS
from pairscope.sentence import phrase
from pairscope.store.filter.grammar import FilterError, as_written
from pairscope.store.filter.tree import All, Among, Any, Begins, Compare, Known, Node, Not, Set
from pairscope.store.models import IN_ORDER, KILLED_FOR

LARGEST = (1 << 63) - 1
SHORTEST = 1 << TIME_SHIFT
"""No id is smaller, but those of the first millisecond that ids count: what is, is the end of one that was copied from
a table."""
SHOWN = {"in flight": "sent", "waiting": "queued", "proved": "same", "not made yet": ""}
"""What a page shows instead of a state's or a proof's own word: app/pairscope/web/shell/face.py."""
SHOWN_SANDBOXES = {"Landlock + seccomp": "landlock+seccomp", "seccomp only": "seccomp", "not said yet": ""}
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
"""Bytes of each unit."""
DURATIONS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
"""Nanoseconds of each unit; so with ages."""
AGES = {"s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}

Read = Callable[[str, str, int], Node]
"""(operator, value, column of the value) -> what it says of a row; raises FilterError."""


def one_of(column: str, words: Mapping[str, str] | Sequence[str]) -> Read:
    """One of these words, in letters of either case. A mapping says what each stands for."""
    known = words if isinstance(words, Mapping) else {word: word for word in words}

    def read(_operator: str, value: str, at: int) -> Node:
        found = known.get(value.lower(), value.lower())
        if found not in known.values():
            raise FilterError(_unknown(value, as_written(known)), at)
        return Compare(column, "=", found)

    return read


def with_shown(words: Sequence[str]) -> dict[str, str]:
    """The words, and those that a page shows for some of them."""
    return {word: word for word in words} | {shown: word for shown, word in SHOWN.items() if word in words}


def word(column: str, shown: Mapping[str, str] = {}) -> Read:
    """Any name, exactly as it is; `shown` says which words of a page stand for which."""
    known = {word.lower(): meant for word, meant in shown.items()}

    def read(_operator: str, value: str, at: int) -> Node:
        if value.lower() in known:
            return Compare(column, "=", known[value.lower()])
        if not re.fullmatch(r"[\w.+-]{1,24}", value, re.ASCII):
            raise FilterError(
                phrase("%(value)r is no name; expected letters, digits, '-', '_', '.' or '+'", value=value), at
            )
        return Compare(column, "=", value)

    return read


def either(read_sender: Read, read_receiver: Read) -> Read:
    """True where it is so of one end or of the other."""
    return lambda operator, value, at: Any((read_sender(operator, value, at), read_receiver(operator, value, at)))


def number(column: str, units: Mapping[str, int] = {}, expected: str = phrase("a whole number")) -> Read:
    """A whole number, or with `units` one in any of these."""
    return lambda operator, value, at: Compare(column, operator or "=", _amount(value, at, units, expected))


def identity(column: str) -> Read:
    """An id, whole: the end of one that a table shows could be found by looking at every row only."""
    whole = number(column)

    def read(operator: str, value: str, at: int) -> Node:
        if re.fullmatch(r"(\u2026|\.\.\.)\d+", value, re.ASCII) or (
            re.fullmatch(r"\d{1,7}", value, re.ASCII) and int(value) < SHORTEST
        ):
            raise FilterError(
                phrase(
                    "%(value)r is the end of an id, as tables show it; expected the whole id: it ends the address of "
                    "the job's page, to which the short one links",
                    value=value,
                ),
                at,
            )
        return whole(operator, value, at)

    return read


def size(column: str) -> Read:
    """Bytes, in any unit of SIZES."""
    return number(column, SIZES, phrase("a size such as 4096, 4KiB or 1.5MiB"))


def duration(column: str) -> Read:
    """Nanoseconds, in any unit of DURATIONS."""
    return number(column, DURATIONS, phrase("a duration such as 500us, 5ms or 1.5s"))


def since(column: str, start: Callable[[int], int] = lambda ns: ns) -> Read:
    """An age, counted from now, or a time; `start` makes the column's value of a time in ns since 1970."""

    def read(_operator: str, value: str, at: int) -> Node:
        if re.fullmatch(r"\d+(\.\d+)?[a-zA-Z]+", value, re.ASCII):
            ago = _amount(value, at, AGES, phrase("an age such as 30s, 10m, 2h or 7d"))
            return Compare(column, ">=", start(max(0, time.time_ns() - ago)))
        try:
            moment = datetime.fromisoformat(value)
            ns = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000_000)
            return Compare(column, ">=", start(ns))
        except (ValueError, OverflowError):
            raise FilterError(
                phrase(
                    "%(value)r is no time; expected an age such as 10m, 2h or 7d, or a time in UTC such as "
                    "2026-01-31T12:00",
                    value=value,
                ),
                at,
            ) from None

    return read


def life(_operator: str, value: str, at: int) -> Node:
    """Whether a process lives, and how it ended."""
    ended, unasked = Known("ended"), Not(Set("asked"))
    match value.lower():
        case "alive":
            return Not(ended)
        case "ended":
            return ended
        case "killed":
            return All((ended, unasked, Begins("exit", KILLED_FOR)))
        case "died":
            ours, disorder = Not(Among("role", tuple(sorted(CALLERS)))), Not(Among("exit", IN_ORDER))
            return All((ended, unasked, ours, disorder, Not(Begins("exit", KILLED_FOR))))
    raise FilterError(_unknown(value, "alive, ended, killed, died"), at)


def _unknown(value: str, known: str) -> str:
    return phrase("%(value)r is not known here; expected one of %(known)s", value=value, known=known)


def _amount(value: str, column: int, units: Mapping[str, int], expected: str) -> int:
    found = re.fullmatch(r"(\d{1,19})(\.\d{1,9})?\s*([a-zA-Zµ]*)", value, re.ASCII if not units else 0)
    if not found or ((found[3] or found[2]) and not units) or found[3].lower() not in {"", *units}:
        raise FilterError(phrase("%(value)r is not %(expected)s", value=value, expected=expected), column)
    whole, fraction, unit = found.groups()
    factor = units.get(unit.lower(), 1)
    amount = int(whole) * factor + (int(float(fraction) * factor) if fraction else 0)
    if amount > LARGEST:
        raise FilterError(
            phrase("%(value)r is too large; expected at most %(most)s", value=value, most=LARGEST), column
        )
    return amount
