"""A recording as a file: written block by block while it is made, and read with distrust. docs/recorder.md,
"The file: format 2"."""

from __future__ import annotations

import bisect
import itertools
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from pairscope.sentence import phrase
from pairscope.trace.recording import BLOCK, MOST_STEPS, Block, Delta, Index, Packed, Queue, State, Step, Table

MAGIC = b"PSREC 2\n"
_TAIL = struct.Struct("<QQI8s")
"""Position and size of the index, CRC-32 of its bytes, and the head again."""
_BLOCK_PACKED, _BLOCK_MOST = 4 << 20, 8 << 20
_INDEX_PACKED, _INDEX_MOST = 8 << 20, 32 << 20
"""Bytes, packed and unpacked."""
_STEPS_MOST = 1 << 20
"""Bytes of the steps of a block, after which the next one begins: their payload may be much (--bytes)."""
_HEADS = bytes(range(0x80, 0xA0)) + b"\xdc\xdd\xde\xdf"
"""What a list or a map begins with in MessagePack. An empty one takes a byte there, and a hundred in memory."""
_LISTS = 250_000
"""So many of these bytes, at most, in a block."""
_decode_index, _decode_block = msgspec.msgpack.Decoder(Index).decode, msgspec.msgpack.Decoder(Packed).decode
T = TypeVar("T")


class NoRecording(Exception):
    """What was read is no recording. Its argument is a sentence."""


def apply(tables: dict[int, Table], queues: dict[int, Queue], delta: Delta) -> None:
    """Brings what was held to what it was after a step."""
    for number, rows in delta.tables.items():
        table = tables.setdefault(number, {})
        for row, link in rows.items():
            if link is None:
                table.pop(row, None)
            else:
                table[row] = link
        if not table:
            del tables[number]
    for inode, queue in delta.queues.items():
        if queue is None:
            queues.pop(inode, None)
        else:
            queues[inode] = queue


class Writer:
    """Writes a recording. The file is there from the start, and whole after :meth:`finish`."""

    def __init__(self, path: str) -> None:
        """Raises OSError if the file cannot be written."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.path = path
        self.size = 0
        """Bytes that were written."""
        self.steps = 0
        self._blocks: list[Block] = []
        self._open: list[Step] = []
        self._bytes = self._lists = 0
        """Of the steps of the open block, unpacked."""
        self._tables: dict[int, Table] = {}
        self._queues: dict[int, Queue] = {}
        self._before = State({}, {})
        self._put(MAGIC)

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self.size += len(data)

    def add(self, step: Step) -> int:
        """Takes one more step, and gives its number. One that is equal to the last one makes that count."""
        last = self._open[-1] if self._open else None
        if last is not None and _again(last, step):
            self._open[-1] = msgspec.structs.replace(last, count=last.count + step.count)
            return self.steps
        data = msgspec.msgpack.encode(step)
        size, lists = len(data), _lists(data)
        full = self._bytes + size > _STEPS_MOST or self._lists + lists > _LISTS // 2
        if len(self._open) == BLOCK or (self._open and full):
            self._flush()
        self._open.append(step)
        self._bytes, self._lists = self._bytes + size, self._lists + lists
        self.steps += 1
        apply(self._tables, self._queues, step.changed)
        return self.steps

    def _flush(self) -> None:
        if self._open:
            packed = zlib.compress(msgspec.msgpack.encode(Packed(self._before, self._open)), 6)
            self._blocks.append(Block(self.size, len(packed), len(self._open)))
            self._put(packed)
        self._open, self._bytes, self._lists = [], 0, 0
        self._before = State({number: dict(rows) for number, rows in self._tables.items()}, dict(self._queues))

    def finish(self, **values: Any) -> Index:
        """Writes the index, which has these values beside the blocks. Nothing can be added afterwards."""
        self._flush()
        index = Index(format=2, blocks=self._blocks, **values)
        packed = zlib.compress(msgspec.msgpack.encode(index), 6)
        at = self.size
        self._put(packed)
        self._put(_TAIL.pack(at, len(packed), zlib.crc32(packed), MAGIC))
        return index

    def close(self) -> None:
        os.close(self._fd)


def _again(last: Step, step: Step) -> bool:
    """Whether a step only repeats a refusal."""
    return (
        step.gave.get("errno") == "EAGAIN"
        and (last.tid, last.call, last.line, last.given, last.gave)
        == (step.tid, step.call, step.line, step.given, step.gave)
        and not step.changed.tables
        and not step.changed.queues
        and not step.of
        and not step.blocked
    )


class Recording:
    """A recording that is read from a file, a block at a time. A context manager. Several threads may read one."""

    def __init__(self, source: str | bytes) -> None:
        """From a path, or from what a file holds. Raises OSError, and NoRecording for what is none."""
        self._data = memoryview(source) if isinstance(source, bytes) else None
        self._fd = -1 if isinstance(source, bytes) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        self._last: tuple[int, Packed] | None = None
        try:
            self.index = self._read_index()
        except BaseException:
            self.close()
            raise
        self._ends = list(itertools.accumulate(block.steps for block in self.index.blocks))
        """The number of the last step of each block."""
        self.steps = self._ends[-1] if self._ends else 0

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file. What was read from bytes needs none of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self, length: int, at: int) -> bytes:
        if self._data is not None:
            return bytes(self._data[at : at + length])
        return os.pread(self._fd, length, at)

    def _read_index(self) -> Index:
        size = os.fstat(self._fd).st_size if self._data is None else len(self._data)
        if self._read(len(MAGIC), 0) != MAGIC:
            raise NoRecording(phrase("it does not begin as a recording of format 2 does"))
        tail = self._read(_TAIL.size, max(0, size - _TAIL.size))
        if len(tail) != _TAIL.size or not tail.endswith(MAGIC) or size < len(MAGIC) + _TAIL.size:
            raise NoRecording(phrase("it has no end: the recorder was killed before it could write one, or it is cut"))
        at, length, checksum, _ = _TAIL.unpack(tail)
        if not len(MAGIC) <= at <= size or at + length != size - _TAIL.size or length > _INDEX_PACKED:
            raise NoRecording(phrase("its end points to no index"))
        packed = self._read(length, at)
        if zlib.crc32(packed) != checksum:
            raise NoRecording(phrase("its index is damaged: the checksum is another one"))
        index = _unpacked(packed, _INDEX_MOST, _decode_index)
        self._check(index, at)
        return index

    @staticmethod
    def _check(index: Index, end: int) -> None:
        steps, at = 0, len(MAGIC)
        for block in index.blocks:
            if block.position < at or block.position + block.size > end or block.size > _BLOCK_PACKED:
                raise NoRecording(phrase("a block of it lies outside of the file, or within another"))
            steps, at = steps + block.steps, block.position + block.size
        if steps > MOST_STEPS:
            raise NoRecording(
                phrase("it claims %(steps)s steps; expected at most %(most)s", steps=steps, most=MOST_STEPS)
            )
        many = len(index.processes)
        for passage in index.passages:
            if (
                not 1 <= passage.sender <= many
                or not 0 <= (passage.receiver or 0) <= many
                or passage.sent_at > steps
                or (passage.received_at or 0) > steps
            ):
                raise NoRecording(phrase("a passage of it names a step or a process that it has not"))
        if not math.isfinite(index.started):
            raise NoRecording(phrase("it began at no time"))
        if any(process.parent > many for process in index.processes):
            raise NoRecording(phrase("a process of it has a parent that it has not"))

    def _block(self, place: int) -> Packed:
        last = self._last
        if last is None or last[0] != place:
            block = self.index.blocks[place]
            packed = _unpacked(self._read(block.size, block.position), _BLOCK_MOST, _decode_block)
            if len(packed.steps) != block.steps:
                raise NoRecording(phrase("a block of it has another number of steps than its index says"))
            first = self._ends[place] - block.steps + 1
            for number, step in enumerate(packed.steps, first):
                if not 1 <= step.process <= len(self.index.processes) or step.of >= number:
                    raise NoRecording(phrase("a step of it names a step or a process that it has not"))
            self._last = last = place, packed
        return last[1]

    def _place(self, number: int) -> tuple[int, int]:
        """The block of a step, and the step's place in it."""
        if not 1 <= number <= self.steps:
            raise IndexError(number)
        place = bisect.bisect_left(self._ends, number)
        return place, number - 1 - self._ends[place] + self.index.blocks[place].steps

    def step(self, number: int) -> Step:
        """A step by its number, from 1. Raises IndexError; NoRecording where its block is damaged."""
        place, at = self._place(number)
        return self._block(place).steps[at]

    def all(self) -> Iterator[Step]:
        """Every step, in order. Raises NoRecording."""
        for place in range(len(self.index.blocks)):
            yield from self._block(place).steps

    def state(self, number: int) -> State:
        """What was held after a step; 0: before the first. Raises IndexError, NoRecording."""
        if number == 0:
            return State({}, {})
        place, at = self._place(number)
        block = self._block(place)
        tables = {table: dict(rows) for table, rows in block.before.tables.items()}
        queues = dict(block.before.queues)
        for step in block.steps[: at + 1]:
            apply(tables, queues, step.changed)
        return State(tables, queues)


def _lists(data: bytes) -> int:
    """How many lists and maps MessagePack may hold, at most."""
    return len(data) - len(data.translate(None, _HEADS))


def _unpacked(packed: bytes, most: int, decode: Callable[[bytes], T]) -> T:
    opened = zlib.decompressobj()
    try:
        data = opened.decompress(packed, most)
    except zlib.error:
        raise NoRecording(phrase("a part of it is damaged: it cannot be unpacked")) from None
    if not opened.eof:
        raise NoRecording(phrase("a part of it would unpack to more than %(most)s bytes, or is cut", most=most))
    if most == _BLOCK_MOST and _lists(data) > _LISTS:
        raise NoRecording(phrase("a block of it holds more than %(most)s lists", most=_LISTS))
    try:
        return decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise NoRecording(phrase("a part of it is not as the format has it: %(words)s", words=words)) from None
