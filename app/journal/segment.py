"""A segment: one file of the journal, named by the position of its first record.

A file is a sequence of frames. A frame is ``length u32, crc32 u32, first position u64, count u32`` (little endian) and
a body of `length` bytes: `count` records as one msgpack array. The checksum covers position, count and body. The first
frame has count 0 and holds the :class:`Head`: what a supervisor must know to go on although older segments are gone.
A frame that is short or fails its checksum ends the segment.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Iterator
from zlib import crc32

import msgspec

from app.journal.records import Record

FRAME = struct.Struct("<IIQI")
_COVERED = struct.Struct("<QI")
BODY_MAX = 64 * 1024 * 1024
SUFFIX = ".journal"


class Head(msgspec.Struct, array_like=True):
    """What the writer knew when it began the segment."""

    node: int
    epoch: int
    last_id: int
    serials: dict[str, int]
    """The last serial given out, for each role."""
    boot: str = ""
    """The machine's, by its names: what was appended is on the disk for certain only while it lasts. Empty: it is in any case."""


encode = msgspec.msgpack.Encoder().encode
"""The body of a frame: of a list of records, or of a Head."""
decode_records = msgspec.msgpack.Decoder(list[Record]).decode
decode_head = msgspec.msgpack.Decoder(Head).decode


def frame(position: int, count: int, body: bytes) -> bytes:
    """The bytes of one frame with `count` records, of which the first has that position; with 0 and a Head, of a segment's first frame."""
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


def path(directory: Path, position: int) -> Path:
    return directory / f"{position:019d}{SUFFIX}"


def listed(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a directory in order: (first position, path)."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and entry.name[: -len(SUFFIX)].isdecimal():
                found.append((int(entry.name[: -len(SUFFIX)]), Path(entry.path)))
    return sorted(found)
