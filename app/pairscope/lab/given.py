"""What the arguments of a step stand for: numbers, bytes, addresses, lists, pointers."""

from __future__ import annotations

import re

from pairscope.lab.constants import POINTERS, number
from pairscope.lab.model import Constants, Items, Number, Step, Text, Value


def integer(value: Value) -> int | None:
    """The number that a value stands for; None: only a run knows it."""
    if isinstance(value, Number):
        return value.value
    return number(value) if isinstance(value, Constants) else None


def word(value: Value) -> str:
    """The constant's name, of one that stands alone: ``BADPTR``."""
    return value.names[0] if isinstance(value, Constants) and len(value.names) == 1 else ""


def pointer(value: Value) -> str:
    """``NULL`` or ``BADPTR``, where one of them stands for an address."""
    return word(value) if word(value) in POINTERS else ""


def narrow(value: int, bits: int = 32) -> int:
    """The number as an int of C holds it."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def items(value: Value | None) -> tuple[Value, ...]:
    """The values of a list; of a single value itself; of None nothing."""
    return () if value is None else value.values if isinstance(value, Items) else (value,)


def named(step: Step) -> dict[str, Value]:
    return dict(step.named)


def content(value: Value | None) -> bytes:
    """The bytes of an argument that is a text."""
    assert isinstance(value, Text)
    return value.bytes


def address(value: Value) -> tuple[str, bytes, int]:
    """``unix`` and the path, or ``inet`` or ``inet6`` and the port."""
    data = content(value)
    if match := re.fullmatch(rb"(127\.0\.0\.1|\[::1\]):([0-9]+)", data):
        return "inet" if match[1].startswith(b"1") else "inet6", b"", int(match[2])
    return "unix", data, 0


def unsigned(value: Value) -> int:
    """A number or constants as an unsigned int of C holds them."""
    return (integer(value) or 0) & 0xFFFFFFFF


def length(value: Value) -> int:
    """Bytes of a text, or as many as a size says."""
    return len(value.data) * value.times if isinstance(value, Text) else value.value if isinstance(value, Number) else 0
