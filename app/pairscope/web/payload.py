"""A payload's first bytes as a tree: msgpack read as far as it goes, each value with its place in the bytes.

History keeps a bounded preview of a payload; where it ends in the middle, the tree says so instead of failing.
https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import Any, NamedTuple

import msgspec

from pairscope.web.words import clip


class Cut(Exception):
    """The bytes end here."""


class Node(NamedTuple):
    """One value: where its bytes are, and what they say."""

    key: str
    kind: str
    value: Any
    """None for a map or an array that has children."""
    offset: int
    length: int
    children: list[Node]
    cut: bool
    """True: the bytes end before the value does."""


_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_LENGTHS = {
    0xC4: ("bytes", ">B"),
    0xC5: ("bytes", ">H"),
    0xC6: ("bytes", ">I"),
    0xD9: ("text", ">B"),
    0xDA: ("text", ">H"),
    0xDB: ("text", ">I"),
    0xDC: ("array", ">H"),
    0xDD: ("array", ">I"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}
DEPTH = 16


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise Cut
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def node(self, key: str, depth: int = 0) -> Node:
        start = self.at
        code = self.take(1)[0]
        if code <= 0x7F or code >= 0xE0:
            return Node(key, "integer", code if code <= 0x7F else code - 256, start, 1, [], False)
        if code in (0xC0, 0xC2, 0xC3):
            return Node(
                key,
                "nothing" if code == 0xC0 else "boolean",
                {0xC0: None, 0xC2: False, 0xC3: True}[code],
                start,
                1,
                [],
                False,
            )
        if code in _NUMBERS:
            value = self.number(_NUMBERS[code])
            return Node(
                key, "number" if isinstance(value, float) else "integer", value, start, self.at - start, [], False
            )
        if 0x80 <= code <= 0x8F:
            return self._many(key, "map", code & 15, start, depth)
        if 0x90 <= code <= 0x9F:
            return self._many(key, "array", code & 15, start, depth)
        if 0xA0 <= code <= 0xBF:
            return self._string(key, "text", code & 31, start)
        if code in _LENGTHS:
            kind, form = _LENGTHS[code]
            count = self.number(form)
            return (
                self._string(key, kind, count, start)
                if kind in ("text", "bytes")
                else self._many(key, kind, count, start, depth)
            )
        raise ValueError(f"byte {code:#04x} at {start} begins no value that the vocabulary uses")

    def _string(self, key: str, kind: str, count: int, start: int) -> Node:
        there = self.data[self.at : self.at + count]
        cut = len(there) < count
        self.at += len(there)
        value = there.decode("utf-8", "replace") if kind == "text" else there
        return Node(key, kind, value, start, self.at - start, [], cut)

    def _many(self, key: str, kind: str, count: int, start: int, depth: int) -> Node:
        if depth >= DEPTH:
            raise ValueError(f"more than {DEPTH} levels of nesting")
        children: list[Node] = []
        cut = False
        for index in range(count):
            try:
                name = str(self.node("", depth + 1).value) if kind == "map" else str(index)
                children.append(self.node(name, depth + 1))
            except Cut:
                cut = True
                break
            if children[-1].cut:
                cut = True
                break
        return Node(key, kind, None, start, self.at - start, children, cut)


def tree(data: bytes) -> Node | None:
    """The root of the payload's tree; None if the bytes are no msgpack."""
    try:
        return _Reader(bytes(data)).node("payload") if data else None
    except (Cut, ValueError):
        return None


def gist(data: bytes, length: int = 96) -> str:
    """The payload in one line: its plain values by name. Empty values are left out."""
    whole = _whole(data)
    if isinstance(whole, (dict, list)):
        named = whole.items() if isinstance(whole, dict) else enumerate(whole)
        with contextlib.suppress(ValueError):
            return clip(
                "  ".join(
                    [f"{key}={value if type(value) in _PLAIN else _said(value)}" for key, value in named if value]
                ),
                length,
            )
    root = tree(data)
    if root is None:
        return ""
    parts = [
        f"{node.key}={_plain(node)}"
        for node in root.children
        if node.value not in (None, "", 0, b"", False) or node.children
    ]
    return clip("  ".join(parts), length)


def _whole(data: bytes) -> Any:
    """The payload's values where all of it is here and could be written in no other way; None: look at it byte by byte.

    An export asks for each of its rows: it takes a tenth of the time.
    """
    try:
        found = msgspec.msgpack.decode(data)
        return found if msgspec.msgpack.encode(found) == data else None
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None


_PLAIN = frozenset((str, int, float, bool))
"""What an f-string writes as :func:`_said` says it, without a call."""


def _said(value: Any, depth: int = 1) -> str:
    """As :func:`_plain` of the value's node. Raises ValueError for what is nested deeper than a tree."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)) and value:
        if depth >= DEPTH:
            raise ValueError(f"more than {DEPTH} levels of nesting")
        if isinstance(value, list):
            return f"[{', '.join([_said(inner, depth + 1) for inner in value[:6]])}]"
        some = itertools.islice(value.items(), 6)
        return f"{{{', '.join([f'{key}: {_said(inner, depth + 1)}' for key, inner in some])}}}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _plain(node: Node) -> str:
    if node.children:
        inner = ", ".join(
            f"{child.key}: {_plain(child)}" if node.kind == "map" else _plain(child) for child in node.children[:6]
        )
        return f"{{{inner}}}" if node.kind == "map" else f"[{inner}]"
    if isinstance(node.value, bytes):
        return f"<{len(node.value)} bytes>"
    return ("" if node.value is None else str(node.value)) + ("\u2026" if node.cut else "")


def dump(data: bytes, width: int = 16) -> list[tuple[str, list[str], str]]:
    """Offset, bytes in hexadecimal and printable letters, row by row."""
    rows = []
    for start in range(0, len(data), width):
        part = data[start : start + width]
        rows.append(
            (
                f"{start:04x}",
                [f"{byte:02x}" for byte in part],
                "".join(chr(byte) if 32 <= byte < 127 else "\u00b7" for byte in part),
            )
        )
    return rows
