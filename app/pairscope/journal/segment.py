"""A segment: one file of the journal, named by the position of its first record.

A file is a sequence of frames. A frame is ``length u32, crc32 u32, first position u64, count u32`` (little endian) and
a body of `length` bytes: `count` records as one msgpack array. The checksum covers position, count and body. The first
frame has count 0 and holds the :class:`Head`: what a supervisor must know to go on although older segments are gone.

Bytes that are no whole frame are *torn* or *damaged*. Torn are those at the very end that begin as the next frame would
and stop before its length: a write that was not finished, of which nobody was told. All others were written whole and
have changed since: a stretch of damage reaches to the next whole frame, which :func:`whole_behind` finds by its
position and its checksum. A copy of it is set aside as a file beside the segment, named by the segment, the offset and
the number of bytes. No part of this program deletes that file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec

from pairscope.journal.records import Record

FRAME = struct.Struct("<IIQI")
_COVERED = struct.Struct("<QI")
BODY_MAX = 64 * 1024 * 1024
SUFFIX = ".journal"
ASIDE = ".damaged"
"""How the name of a stretch ends that was set aside."""


class Head(msgspec.Struct, array_like=True):
    """What the writer knew when it began the segment."""

    node: int
    epoch: int
    last_id: int
    serials: dict[str, int]
    """The last serial given out, for each role."""
    boot: str = ""
    """The machine's, by its names: what was appended is on the disk for certain only while it lasts. Empty: it is in
    any case."""


encode = msgspec.msgpack.Encoder().encode
"""The body of a frame: of a list of records, or of a Head."""
decode_records = msgspec.msgpack.Decoder(list[Record]).decode
decode_head = msgspec.msgpack.Decoder(Head).decode


def frame(position: int, count: int, body: bytes) -> bytes:
    """The bytes of one frame with `count` records, of which the first has that position; with 0 and a Head, of a
    segment's first frame."""
    return FRAME.pack(len(body), crc32(body, crc32(_COVERED.pack(position, count))), position, count) + body


def parse(data: bytes, at: int) -> tuple[int, int, bytes] | None:
    """The frame at offset `at` of `data`: (position, count, body); None if it is not whole or not what was written."""
    if at + FRAME.size > len(data):
        return None
    length, crc, position, count = FRAME.unpack_from(data, at)
    start = at + FRAME.size
    if length > BODY_MAX or start + length > len(data):
        return None
    body = data[start : start + length]
    if crc32(body, crc32(_COVERED.pack(position, count))) != crc:
        return None
    return position, count, body


def scan(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Every good frame from the start: (offset after it, position, count, body)."""
    at = 0
    while (found := parse(data, at)) is not None:
        position, count, body = found
        at += FRAME.size + len(body)
        yield at, position, count, body


class Stretch(NamedTuple):
    """Bytes of a segment that are a frame no longer."""

    first: int
    """Position by which the segment is named."""
    offset: int
    size: int

    @property
    def name(self) -> str:
        """The name of the file as which it is set aside."""
        return f"{self.first:019d}-{self.offset}-{self.size}{ASIDE}"


class Piece(NamedTuple):
    """A part of a segment: a whole frame, or bytes that are none."""

    offset: int
    position: int
    """The position of its first record; if the piece is not whole, the position that comes next there."""
    count: int  # type: ignore[assignment]  # hides tuple.count(), which nobody asks
    """Records; 0: a head, or a torn tail. For damage: how many it held or, if nobody can tell, as many as there is room
    for."""
    whole: bool
    body: bytes
    """If the piece is not whole: all of its bytes."""


def pieces(data: bytes, first: int) -> Iterator[Piece]:
    """Everything that is in the segment that begins at position `first`, in order."""
    at, expected = 0, first
    while at < len(data):
        found = parse(data, at)
        if found is not None:
            position, count, body = found
            yield Piece(at, position, count, True, body)
            at += FRAME.size + len(body)
            expected = position + count
            continue
        behind = whole_behind(data, at, expected)
        bad = data[at:] if behind < 0 else data[at:behind]
        if behind >= 0:
            count = FRAME.unpack_from(data, behind)[2] - expected
        else:
            count = 0 if torn(bad, expected, at == 0) else _held(bad, expected, at == 0)
        yield Piece(at, expected, count, False, bad)
        at += len(bad)
        expected += count


def whole_behind(data: bytes, at: int, expected: int) -> int:
    """Offset of the first whole frame of records behind offset `at`, where there is none although position `expected`
    comes next; -1: there is none.

    Its position may be much further than the bytes between have room for: a file that was shortened grows on. Where the
    length at `at` leads to such a frame, that is believed first: a payload may hold the copy of a frame.
    """
    if at + FRAME.size <= len(data):
        next_one: int = at + FRAME.size + FRAME.unpack_from(data, at)[0]
        if _comes(data, next_one, expected):
            return next_one
    # The upper five bytes of a position are the same for sixteen million of them: to look for them is 200 times as fast
    # as to try each offset.
    uppers = [number.to_bytes(5, "little") for number in range(expected >> 24, (expected + REACH >> 24) + 1)]
    found = {upper: data.find(upper, at + _UPPER) for upper in uppers}
    while candidates := [place for place in found.values() if place >= 0]:
        place = min(candidates)
        if place - _UPPER > at and _comes(data, place - _UPPER, expected):
            return place - _UPPER
        for upper in uppers:
            if found[upper] == place:
                found[upper] = data.find(upper, place + 1)
    return -1


_UPPER = 8 + 3
"""Bytes of a frame before the upper five of its position."""


REACH = 1 << 24
"""Positions that may be missing before a frame: more than a segment has records."""


def _comes(data: bytes, offset: int, expected: int) -> bool:
    """Whether at `offset` a whole frame begins that can come where position `expected` did not."""
    if offset + FRAME.size > len(data):
        return False
    _length, _crc, position, count = FRAME.unpack_from(data, offset)
    return count > 0 and expected <= position <= expected + REACH and parse(data, offset) is not None


def torn(tail: bytes, expected: int, head: bool = False) -> bool:
    """Whether the bytes at the end of a segment, where position `expected` comes next, are a write that was not
    finished.

    `head`: they are all that the segment holds. It was begun and never got its head.
    """
    if len(tail) < FRAME.size:
        return True
    crc: int
    length, crc, position, count = FRAME.unpack_from(tail)
    if (position != expected and not head) or not len(tail) - FRAME.size < length <= BODY_MAX or count > length:
        return False
    return crc32(tail[FRAME.size :], crc32(tail[8 : FRAME.size])) != crc  # else it is whole, and its length has changed


def _held(bad: bytes, expected: int, head: bool) -> int:
    """How many records the frames of a damaged end held. Where one byte has changed the header, the body or the
    checksum still tells."""
    count = at = 0
    while at + FRAME.size <= len(bad):
        length, crc, position, said = FRAME.unpack_from(bad, at)
        inner = _announced(bad[at + FRAME.size : at + FRAME.size + 5])
        if inner and crc32(bad[at + FRAME.size :], crc32(_COVERED.pack(expected + count, inner))) == crc:
            return count + inner
        if not (0 < said <= min(length, len(bad) - at) or (head and at == 0 and said == 0 and position == expected)):
            return count + len(bad) - at
        count += said
        at += FRAME.size + length
    return count


def _announced(body: bytes) -> int:
    """How many elements msgpack's array has that begins here; 0: it is none."""
    if len(body) < 5:
        return 0
    if body[0] >> 4 == 9:
        return body[0] & 15
    return (
        int.from_bytes(body[1:3], "big")
        if body[0] == 0xDC
        else int.from_bytes(body[1:5], "big")
        if body[0] == 0xDD
        else 0
    )


def set_aside(directory: Path, stretch: Stretch) -> None:
    """Copies a stretch of damage into a file of its own, on the disk when this returns. Raises OSError; there is no
    such file then.

    What stands there under the name already is the same: bytes of a segment are written once.
    """
    target = directory / stretch.name
    if target.exists():
        return
    with path(directory, stretch.first).open("rb") as file:
        file.seek(stretch.offset)
        data = file.read(stretch.size)
    temporary = directory / f".{stretch.name}.{os.getpid()}"
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def path(directory: Path, position: int) -> Path:
    """The file of the segment whose first record has that position."""
    return directory / f"{position:019d}{SUFFIX}"


def listed(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a directory in order: (first position, path)."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and entry.name[: -len(SUFFIX)].isdecimal():
                found.append((int(entry.name[: -len(SUFFIX)]), Path(entry.path)))
    return sorted(found)
