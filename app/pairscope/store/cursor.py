"""Cursors: opaque text that says where a page ends, or up to which change each node's rows are known. Pure.

A cursor is base64url of msgpack. It is no secret and needs none: whatever it says, it only chooses a place in
what may be read anyway. It is checked all the same, so that a mangled one is an error and not an empty page.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from pairscope.sentence import phrase

LARGEST = (1 << 63) - 1

Key = tuple[int | str, ...]
"""A row's place in its table's order."""


class CursorError(ValueError):
    """This is no cursor, or one of another table; the text says which."""


class Row(msgspec.Struct, array_like=True, tag="row", frozen=True):
    """A place between two rows of one table."""

    table: str
    key: Key


class Changed(msgspec.Struct, array_like=True, frozen=True):
    """Every change of a node up to `change` is known; of that one itself only the rows up to `key`, or all where it is
    empty."""

    change: int
    key: Key = ()


class Known(msgspec.Struct, array_like=True, tag="known", frozen=True):
    """What a viewer knows: one position for each node, so that the rows of a slower node are not skipped."""

    nodes: dict[int, Changed]
    table: str = ""
    """The table that the keys belong to; empty where there are none."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Row | Known).decode


def encode(cursor: Row | Known) -> str:
    """The text of a cursor."""
    if isinstance(cursor, Known):
        cursor = Known(dict(sorted(cursor.nodes.items())), cursor.table)  # one text for one place
    return base64.urlsafe_b64encode(_encode(cursor)).rstrip(b"=").decode()


def row(text: str, table: str, types: tuple[type, ...]) -> Key:
    """The key in a page's cursor. `types` are those of the table's key. Raises CursorError."""
    found = _read(text)
    if not isinstance(found, Row):
        raise CursorError(phrase("this cursor follows changes; expected one that came with a page"))
    if found.table != table:
        raise _other(found.table, table)
    return _key(found.key, types)


def known(text: str, table: str, types: tuple[type, ...]) -> dict[int, Changed]:
    """The nodes' positions in a cursor that follows changes. Raises CursorError."""
    found = _read(text)
    if not isinstance(found, Known):
        raise CursorError(phrase("this cursor came with a page; expected one that follows changes"))
    if found.table not in ("", table):
        raise _other(found.table, table)
    for node, changed in found.nodes.items():
        if not 0 <= node < 1024 or not 0 <= changed.change <= LARGEST:
            raise CursorError(phrase("this is not a cursor: its numbers are out of range"))
        if changed.key:
            _key(changed.key, types)
    return found.nodes


def places(text: str) -> str:
    """How far a cursor that follows changes reaches, as text that can be compared node by node: ``node:position``, with
    commas between. Where it stops among the rows of one change, that change is not reached. Raises CursorError."""
    found = _read(text)
    if not isinstance(found, Known):
        raise CursorError(phrase("this cursor came with a page; expected one that follows changes"))
    reached = ((node, changed.change - bool(changed.key)) for node, changed in sorted(found.nodes.items()))
    return ",".join(f"{node}:{change}" for node, change in reached)


def _other(table: str, wanted: str) -> CursorError:
    return CursorError(
        phrase("this cursor belongs to %(table)r; expected one of %(wanted)r", table=table[:16], wanted=wanted)
    )


def follows_changes(text: str) -> bool:
    """True: a cursor for `changes`; False: one that came with a page. Raises CursorError."""
    return isinstance(_read(text), Known)


def _read(text: str) -> Row | Known:
    try:
        found: Row | Known = _decode(
            base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        return found
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise CursorError(
            phrase("this is not a cursor: take one from a page or an answer, whole and unchanged")
        ) from None


def _key(key: Key, types: tuple[type, ...]) -> Key:
    fits = len(key) == len(types) and all(type(part) is kind for part, kind in zip(key, types))
    if not fits or any(isinstance(part, int) and abs(part) > LARGEST for part in key):
        raise CursorError(phrase("this is not a cursor: its key does not fit the table"))
    return key
