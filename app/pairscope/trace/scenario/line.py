"""A line of the scenario that is being made, and the values on it. The language itself judges each line: one that it
does not take, or would read differently, is left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from pairscope.lab.constants import NUMBERS, decode
from pairscope.lab.language import format as written
from pairscope.lab.language.bounds import BYTES_MAX
from pairscope.lab.language.line import Line as Tokens
from pairscope.lab.language.steps import take_step
from pairscope.lab.language.tokens import tokens
from pairscope.lab.model import (
    Constants,
    Expectation,
    Items,
    Number,
    Position,
    Scenario,
    ScenarioError,
    Step,
    Text,
    Value,
)

_NOWHERE = Position(1, 1)
_UNIFORM = 16
"""Equal bytes from which on a text is written as one of them, repeated."""
_SOCKET_BITS = 0o4000 | 0o2000000
"""SOCK_NONBLOCK and SOCK_CLOEXEC, linux/net.h."""


class LeftOut(Exception):
    """A step that becomes no line. Its argument is the reason, a sentence."""


@dataclasses.dataclass(slots=True, eq=False)
class Line:
    """One step of the scenario."""

    actor: str
    call: str
    arguments: list[Value] = dataclasses.field(default_factory=list)
    named: list[tuple[str, Value]] = dataclasses.field(default_factory=list)
    binds: tuple[str, ...] = ()
    first: Value | str | None = None
    data: Text | None = None
    keys: list[tuple[str, Value]] = dataclasses.field(default_factory=list)
    returned: bool = False
    comment: str = ""
    """A sentence."""
    at: int = 0
    """The step of the recording."""
    waits: bool = False
    """A thread that has done nothing yet; it becomes a line once it does."""

    def step(self, told: Any = str) -> Step:
        """As the language has it. Raises ScenarioError where it would not take that."""
        expectation = None
        if self.first is not None or self.keys:
            expectation = Expectation(self.first, tuple(self.keys), _NOWHERE, self.data)
        comment = f"# {printable(told(self.comment))}" if self.comment else ""
        made = Step(
            self.actor, self.call, tuple(self.arguments), tuple(self.named), self.binds, expectation, _NOWHERE, (),
            self.returned, comment,
        )  # fmt: skip
        bare = dataclasses.replace(made, comment="")
        read = take_step(Tokens(list(tokens(written(Scenario((), (bare,))).strip("\n"), 1))))
        if placeless(read) != bare:
            raise ScenarioError(_NOWHERE, self.call, "")
        return made


def placeless(step: Step) -> Step:
    """A step without its places and its comment."""
    expectation = step.expectation and dataclasses.replace(step.expectation, place=_NOWHERE)
    return dataclasses.replace(step, place=_NOWHERE, places=(), expectation=expectation, comment="")


def printable(text: str, most: int = 400) -> str:
    """What others wrote, as a comment may have it: on one line, and nothing that a reader cannot see."""
    shown = "".join(
        one if one.isprintable() else one.encode("unicode_escape", "replace").decode() for one in text
    ).strip()
    return shown if len(shown) <= most else shown[: most - 3] + "..."


# ---- values


def number(value: int) -> Number:
    """A number in digits."""
    return Number(value, str(value))


def flags(prefix: str, value: int) -> Value:
    """Constants, where each bit has a name."""
    names = decode(prefix, value).split("|") if value > 0 else []
    return Constants(tuple(names)) if names and all(name in NUMBERS for name in names) else number(value)


def one_of(prefix: str, value: int) -> Value:
    """The constant that stands for the number alone."""
    name = decode(prefix, value)
    return Constants((name,)) if name in NUMBERS else number(value)


def socket_type(value: int) -> Value:
    """``SOCK_STREAM|SOCK_CLOEXEC``."""
    base, bits = value & ~_SOCKET_BITS, value & _SOCKET_BITS
    kind, more = one_of("SOCK_", base), flags("SOCK_", bits) if bits else None
    names = [*kind.names, *(more.names if isinstance(more, Constants) else ())] if isinstance(kind, Constants) else []
    return Constants(tuple(names)) if names and (more is None or isinstance(more, Constants)) else number(value)


def constant(name: str) -> Constants:
    """One constant."""
    return Constants((name,))


def listed(values: Iterable[Value]) -> Items:
    """A list."""
    return Items(tuple(values))


def room(value: int) -> Number:
    """So many bytes of a buffer, which has its bound here."""
    return number(max(0, min(value, BYTES_MAX)))


def text_of(head: bytes) -> Text:
    """Bytes that are known."""
    if len(head) >= _UNIFORM and head == head[:1] * len(head):
        return Text(head[:1], len(head))
    return Text(head)


def unknown(count: int, head: bytes = b"") -> Text:
    """So many bytes of which no more is known than their first ones."""
    byte = head[:1] if len(head) >= _UNIFORM and head == head[:1] * len(head) else b"x"
    return Text(byte, count) if count else Text(b"")
