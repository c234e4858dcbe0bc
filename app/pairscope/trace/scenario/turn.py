"""A call of a recording that becomes a line, and why one does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pairscope.lab.model import Name, Text, Value
from pairscope.sentence import phrase
from pairscope.trace.recording import Step
from pairscope.trace.scenario.line import LeftOut, Line, number, text_of, unknown
from pairscope.trace.scenario.world import STANDARD, Actor, Process, Table

LITERAL = 1024
"""Bytes of a text that is written as it was."""
HIDDEN = range(200, 256)
"""Numbers that the lab needs itself."""

SET = phrase("not seen; what follows tells it")
"""Of a line that the recording has not."""
OUTSIDE = phrase("on descriptors that were not made here, such as standard output")
NOT_HERE = phrase("the lab has no such call")
ODD = phrase("with arguments that the lab does not take")
UNSEEN = phrase("what they were given could not be seen")
STRANGERS = phrase("to or about processes that are not here")
NO_CHILD = phrase("for a process that is not their own child; they had been made its reaper (prctl(2))")
KILLED = phrase("by a process that was being ended")
BEFORE = phrase("they were made before these steps, and return in them")
WAITING = phrase("by a thread whose earlier call has not returned")
INTERRUPTED = phrase("a signal interrupted them, and they did nothing")


class Turn:
    """A call that becomes a line."""

    def __init__(self, actor: Actor, step: Step, at: int, find: Callable[[int], Process | None]) -> None:
        self.actor, self.step, self.at = actor, step, at
        self.given, self.gave = step.given, step.gave
        self.find = find
        """The process that has a pid now."""
        self.literal = True
        """Whether the lab will send the same bytes."""

    @property
    def table(self) -> Table:
        """What its caller holds."""
        return self.actor.process.table

    def number(self, key: str) -> int:
        """One of the numbers that it was given. Raises LeftOut."""
        return whole(self.given.get(key))

    def fd(self, key: str = "fd") -> Value:
        """A descriptor that it was given. Raises LeftOut."""
        return self.descriptor(self.number(key))

    def descriptor(self, found: int) -> Value:
        """A descriptor by the recording's number. Raises LeftOut."""
        held = self.table.held.get(found)
        if held is not None:
            return Name(held.name)
        if self.gave.get("errno") == "EBADF" and found not in self.table.taken and found & 0xFFFF_FFFF not in HIDDEN:
            return number(found)
        raise LeftOut(OUTSIDE)

    def passed(self, found: int) -> Value:
        """The same of one that is passed; what every process begins with is here, too. Raises LeftOut."""
        if found in STANDARD and found not in self.table.held and self.table.taken.get(found) == "":
            return number(found)
        return self.descriptor(found)

    def process(self, pid: int) -> Value:
        """A process by its pid. Raises LeftOut."""
        process = self.find(pid)
        if process is None or process.main is None:
            raise LeftOut(STRANGERS)
        return Name(process.main.name)

    def text(self, value: Any) -> Text:
        """Bytes that it was given, as far as they were kept. Raises LeftOut."""
        count, head = data(value)
        if count == len(head) <= LITERAL:
            return text_of(head)
        self.literal = False
        return unknown(count, head)

    def line(self, call: str, *arguments: Value, named: list[tuple[str, Value]] | None = None) -> Line:
        """Its line."""
        return Line(self.actor.name, call, list(arguments), named or [], at=self.at)


def whole(value: Any) -> int:
    """A number of a recording, which may be anybody's. Raises LeftOut."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise LeftOut(UNSEEN)


def data(value: Any) -> tuple[int, bytes]:
    """How many bytes, and the first of them. Raises LeftOut."""
    if isinstance(value, Mapping):
        count, head = value.get("bytes"), value.get("head", b"")
        if isinstance(count, int) and isinstance(head, bytes) and 0 <= len(head) <= count:
            return count, head
    raise LeftOut(UNSEEN)


def made(gave: Mapping[str, Any], count: int = 0) -> list[int]:
    """The numbers that a call has made. Raises LeftOut."""
    found = gave.get("made")
    if not isinstance(found, list) or not all(isinstance(one, int) and 0 <= one < 1 << 31 for one in found):
        raise LeftOut(UNSEEN)
    if len(set(found)) != len(found) or (count and len(found) != count):
        raise LeftOut(UNSEEN)
    return found


def sizes(turn: Turn) -> list[int]:
    """The lengths of a call's parts. Raises LeftOut."""
    found = turn.given.get("iov")
    if not isinstance(found, list) or not all(isinstance(one, int) and one >= 0 for one in found):
        raise LeftOut(UNSEEN)
    return found
