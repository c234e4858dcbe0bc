"""Which steps are meant: the small language of the filter of a recording.

Words that must all hold: ``call:sendmsg``, ``process:nginx`` (by name, or by pid), ``fds:>0`` (descriptors that were
passed: ``fds:2``, ``fds:>=2``), ``object:1234`` (an inode, or a part of a path), ``error`` or ``error:EAGAIN``. Any
other word, or text in double quotes, is looked for in the step's line. Upper and lower case are the same.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from pairscope.sentence import Sentence, phrase
from pairscope.trace.reading import Reading, Row

MOST = 500
"""Letters of a filter."""
WORDS = ("call", "process", "fds", "object", "error")
_WORD = re.compile(r'\s*(?:(?P<key>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]+))')
_COUNT = re.compile(r"(>=|<=|>|<|=|)(\d{1,6})")
_COMPARED = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, "": operator.eq,
}  # fmt: skip
Holds = Callable[[Row], bool]


class Wrong(ValueError):
    """A text that is no filter. Its argument is a sentence."""

    args: tuple[Sentence]


def chosen(reading: Reading, text: str) -> list[int]:
    """The numbers of the steps for which it holds. Raises Wrong."""
    tests = tuple(_tests(reading, text))
    return [number for number, row in enumerate(reading.rows, 1) if all(test(row) for test in tests)]


def _tests(reading: Reading, text: str) -> list[Holds]:
    if len(text) > MOST:
        raise Wrong(phrase("the filter has %(count)s letters; expected at most %(most)s", count=len(text), most=MOST))
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            raise Wrong(phrase("a quotation mark is not closed in the filter: %(what)s", what=text[at:].strip()[:40]))
        at = word.end()
        value = word["plain"] if word["quoted"] is None else word["quoted"]
        if word["key"]:
            found.append(_keyed(reading, word["key"], value))
        elif value == "error" and word["quoted"] is None:
            found.append(lambda row: bool(row.error))
        else:
            found.append(_contains(value))
    return found


def _keyed(reading: Reading, key: str, value: str) -> Holds:
    low = value.lower()
    if key == "call":
        return lambda row: row.call == low
    if key == "error":
        return lambda row: row.error.lower() == low
    if key == "object":
        if value.isascii() and value.isdecimal():
            end = f":[{value}]"
            return lambda row: any(link.endswith(end) for link in row.objects)
        return lambda row: any(low in link.lower() for link in row.objects)
    if key == "process":
        meant = {
            number
            for number, process in enumerate(reading.index.processes, 1)
            if low in (str(process.pid), process.name.lower(), process.name.lower().partition("#")[0])
        }
        return lambda row: row.process in meant
    if key == "fds":
        return _counted(value)
    raise Wrong(
        phrase(
            "unknown word in the filter: %(what)s; expected one of %(words)s", what=f"{key}:", words=", ".join(WORDS)
        )
    )


def _counted(value: str) -> Holds:
    found = _COUNT.fullmatch(value)
    if found is None:
        raise Wrong(phrase("fds:%(value)s is no number; expected such as fds:2 or fds:>0", value=value[:40]))
    compare, count = _COMPARED[found[1]], int(found[2])
    return lambda row: compare(row.sent + row.received, count)


def _contains(value: str) -> Holds:
    low = value.lower()
    return lambda row: low in row.line.lower()
