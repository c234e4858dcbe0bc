"""The journal's writer: one at a time by lock, each with a higher epoch than the last.

The lock is fcntl's (F_SETLK through ``fcntl.lockf``): it belongs to the process, so that no orphan that inherited a
descriptor can hold it, as an flock(2) would be.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from pairscope.journal import boot, segment
from pairscope.journal.flusher import Flusher
from pairscope.journal.records import Born, Ended, Epoch, HandedOver, Message, Record
from pairscope.journal.segment import Head
from pairscope.journal.sentences import Stuck

UNSAVED = 1_000_000_000
"""Records: more than a pool appends in the half minute for which the kernel keeps from the disk what was written."""
BEGINNING = 65_536
"""Bytes in which a segment's head and its first record stand, if that is an Epoch."""


class JournalFull(Exception):
    """The records could not be appended: none of them is in the journal. The same append may work later."""


class JournalBroken(Exception):
    """The journal can no longer be trusted from here on: stop, and begin again from its verified prefix."""


class JournalHeld(Exception):
    """Another supervisor holds the journal."""


class Writer:
    """Appends records; the only writer of `directory`.

    Opening it takes the lock (raises JournalHeld unless `wait`), recovers (raises JournalBroken where a newer version
    wrote last), and begins a new epoch, whose
    :class:`~pairscope.journal.records.Epoch` is the first record, in a segment of its own. Each epoch begins at the
    microseconds since 1970: that is further than any position before, also than those that the journal has lost and the
    database has.

    `sync`: ``none`` leaves it to the kernel when records reach the disk, ``batch`` waits for them at each append; where
    there is a `flusher`, who tells of a record waits instead. The beginning of an epoch is waited for in either case.
    """

    def __init__(
        self,
        directory: Path,
        *,
        node: int = 1,
        node_name: str = "",
        segment_bytes: int = 16 * 1024 * 1024,
        limit: int = 256 * 1024 * 1024,
        sync: str = "none",
        wait: bool = False,
        pid: int = 0,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self.limit = limit
        self.sync = sync
        # The first that a supervisor opens: the kernel closes the descriptors of a process that ends in the order of
        # their numbers, and somebody else's may wait for long.
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._fd = -1
        self._size: int
        """Bytes of the segment that is written."""
        self._older: int
        """Bytes of the segments before it."""
        self._position: int
        self._segments: list[tuple[int, int]]
        """First position and bytes of each, the last one's as it began."""
        self.flusher: Flusher | None = None
        self._spare = -1
        """Makes room for a new segment's descriptor where no other is left."""
        try:
            self._take_lock(wait)
            self._recover(node, node_name, pid or os.getpid())
        except msgspec.MsgspecError as error:
            self.close()
            raise JournalBroken(Stuck.NEWER.say(path=directory, fault=error)) from None
        except BaseException:
            self.close()
            raise

    # ---- what is known

    @property
    def position(self) -> int:
        """The last record's position."""
        return self._position

    @property
    def first(self) -> int:
        """The position of the oldest record that is still kept."""
        return self._segments[0][0]

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(size for _, size in self._segments[:-1]) + self._size

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._segments)

    def behind(self, position: int) -> int:
        """How many records after `position` are kept. Between two epochs are positions that no record has."""
        position = max(position, self.first - 1)
        empty = sum(first - 1 - max(after, position) for after, first in self._steps if position < first - 1)
        return max(0, self._position - position - empty)

    def beyond(self, times: float) -> bool:
        """True: `times` the limit is reached; what can be refused should be."""
        return self._older + self._size >= self.limit * times

    # ---- appending

    def append(self, records: list[Record]) -> int:
        """Appends all of `records` with one write, or none of them; returns the last one's position.

        Raises JournalFull where the disk has no room (what was half written is cut off), JournalBroken where the
        disk fails.
        """
        if self._size >= self._segment_bytes:
            self._begin_segment()
        position, count = self._position, len(records)
        data = segment.frame(position + 1, count, segment.encode(records))
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._cut(0, error)
        if written != len(data):
            self._cut(written, None)
        self._size += written
        self._position = position = position + count
        if self.sync == "batch" and self.flusher is None:
            self._flush()
        return position

    def flush(self) -> None:
        """Lets the flusher bring to the disk what it has not; not while it is busy."""
        flusher = self.flusher
        if flusher is not None and flusher.flushed < self._position:
            flusher.begin(self._fd, self._position)

    def flushed(self) -> None:
        """Takes what the flusher has done; waits for it, if need be. Raises JournalBroken."""
        if self.flusher is not None and self.flusher.busy:
            try:
                self.flusher.finish()
            except OSError as error:
                raise JournalBroken(_unflushed(error)) from None

    def forget(self, position: int) -> None:
        """Deletes the segments of which every record is at or below `position`, but never the one that is being
        written."""
        while len(self._segments) > 1 and self._segments[1][0] - 1 <= position:
            first, size = self._segments.pop(0)
            self._older -= size
            segment.path(self._directory, first).unlink(missing_ok=True)

    def close(self) -> None:
        """Gives up the lock. Closing any descriptor of the lock file does that."""
        if self.flusher is not None:
            self.flusher.close()
            self.flusher = None
        for name in ("_fd", "_spare", "_place", "_lock"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    # ---- inside

    def _take_lock(self, wait: bool) -> None:
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise JournalHeld(Stuck.HELD.say(path=self._directory, number=holder)) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def _recover(self, node: int, node_name: str, pid: int) -> None:
        """Learns what the newest segment holds, and begins an epoch in another one. It changes no file, and deletes
        none."""
        found = segment.listed(self._directory)
        self._epoch_before = 0
        self._boot_before: str | None = None
        """The boot in which the epoch before began; None: not known."""
        self.last_id = 0
        """The last id issued. Whoever issues ids keeps this and `serials` up to date: the next segment's head says
        them."""
        self.serials: dict[str, int] = {}
        self._position = 0
        self._stopped = False
        self._steps: list[tuple[int, int]] = []
        """For each epoch that is kept, but one without a journal before it: (the last position before it, its first
        position)."""
        self.cut = 0
        """What :class:`~pairscope.journal.records.Epoch` says, as `gaps` and `lost` do."""
        self.gaps: list[tuple[int, int]] = []
        self.damage: list[segment.Stretch] = []
        """The bytes of `gaps`."""
        read: list[tuple[int, list[segment.Piece]]] = []
        # to the newest that has a head: what it says makes those before it needless
        for first, path in reversed(found):
            read.append((first, list(segment.pieces(path.read_bytes(), first))))
            if any(piece.whole and not piece.count for piece in read[-1][1]):
                break
        for first, pieces in reversed(read):
            self._learn_segment(first, pieces)
        after = self._position if any(piece.whole for _first, pieces in read for piece in pieces) else None
        running = boot.names()
        known = self._boot_before == "" or (self._boot_before is not None and boot.same(self._boot_before, running))
        self.lost = after is None or (not known and not self._stopped)
        self.epoch = self._epoch_before + 1
        now = time.time_ns()
        furthest = max(found[-1][0] if found else 0, self._position)
        self.begin = max(now // 1000, furthest + (UNSAVED if self.lost else 1))
        """The position of this epoch's first record. If the clock was set back, it follows the last position instead of
        the time."""
        self._position = self.begin - 1
        serial = self.serials["supervisor"] = self.serials.get("supervisor", 0) + 1
        self._node = node
        self._boot = "" if self.sync == "batch" else running
        self._segments = [(first, path.stat().st_size) for first, path in found]
        self._older = sum(size for _, size in self._segments)
        self._size = 0
        self._steps = sorted({*_steps(found), *self._steps})
        if after is not None:
            self._steps.append((after, self.begin))
        self._begin_segment(
            [Epoch(node, node_name, self.epoch, pid, serial, now, self.cut, self.lost, after, self.gaps)]
        )

    def _learn_segment(self, first: int, pieces: list[segment.Piece]) -> None:
        whole = [piece for piece in pieces if piece.whole]
        if not any(piece.count == 0 for piece in whole) and any(piece.whole or piece.count for piece in pieces):
            # Its head is damaged. Whether an epoch begins with it, and after which boot, nobody can tell but by its
            # positions.
            if first != self._position + 1:
                if self._position:
                    self._steps.append((self._position, first))
                self._epoch_before += 1
                self.serials["supervisor"] = self.serials.get("supervisor", 0) + 1
                self._boot_before, self._stopped = None, False
        for piece in pieces:
            if not piece.whole:
                if piece.count == 0 and piece is pieces[-1]:
                    self.cut += len(piece.body)
                    continue
                self.damage.append(stretch := segment.Stretch(first, piece.offset, len(piece.body)))
                if piece.count:
                    self.gaps.append((piece.position, piece.position + piece.count - 1))
                # it still stands in the segment, and the recorder does the same before that may go
                with contextlib.suppress(OSError):
                    segment.set_aside(self._directory, stretch)
                self._position = piece.position + piece.count - 1
            elif piece.count == 0:
                head = segment.decode_head(piece.body)
                self.last_id = max(self.last_id, head.last_id)
                self.serials.update(head.serials)
                self._epoch_before, self._boot_before = head.epoch, head.boot
                self._position = piece.position - 1
            else:
                self._learn(segment.decode_records(piece.body))
                self._position = piece.position + piece.count - 1

    def _learn(self, records: list[Record]) -> None:
        for record in records:
            if type(record) is Message or type(record) is HandedOver:
                self.last_id = max(self.last_id, record.id)
            elif type(record) is Born:
                self.serials[record.role] = max(record.serial, self.serials.get(record.role, 0))
            elif type(record) is Epoch:
                self.serials["supervisor"] = max(record.serial, self.serials.get("supervisor", 0))
                self._epoch_before = record.epoch
                self._stopped = False
            elif type(record) is Ended and record.role == "supervisor":
                self._stopped = True  # in order: nothing but the recorder's end was appended after it

    def _begin_segment(self, records: Sequence[Record] = ()) -> None:
        """Goes on in a new segment. `records`, which begin an epoch, are written together with its head: it holds both
        or is not there."""
        first = self._position + 1
        path = segment.path(self._directory, first)
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise JournalFull(Stuck.SEGMENT.say(fault=error.strerror)) from None
        data = segment.frame(
            first, 0, segment.encode(Head(self._node, self.epoch, self.last_id, self.serials, self._boot))
        )
        if records:
            data += segment.frame(first, len(records), segment.encode(list(records)))
        try:
            whole = os.write(fd, data) == len(data)
        except OSError:
            whole = False
        if not whole:
            # The file stays: a reader may have it open already, and waits for a head in it.
            os.close(fd)
            raise JournalFull(Stuck.NO_ROOM.value)
        if self._fd >= 0:
            if self.sync == "batch":
                self.flushed()
                self._flush()
            os.close(self._fd)
            self._segments[-1] = (self._segments[-1][0], self._size)
            self._older += self._size
        # ENFILE: the whole machine has none left; the segment has begun all the same
        with contextlib.suppress(OSError):
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._fd = fd
        self._size = len(data)
        self._position += len(records)
        self._segments.append((first, 0))
        if records or self.sync == "batch":
            # Were nothing left of an epoch, the next supervisor would begin it again: with the same number and, where
            # the clock begins again as well, as one without a battery does, at the same positions. It takes about 1 ms.
            self._flush()
            self._flush_directory()

    def _cut(self, written: int, reason: OSError | None) -> NoReturn:
        if written:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError as error:
                raise JournalBroken(Stuck.NO_CUT.say(fault=error.strerror)) from None
        if reason is None or reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise JournalFull(Stuck.NO_GROWTH.say(fault=reason.strerror if reason else Stuck.FULL.value))
        raise JournalBroken(Stuck.NO_WRITING.say(fault=reason.strerror))

    def _flush(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise JournalBroken(_unflushed(error)) from None

    def _flush_directory(self) -> None:
        """fsync(2): that a file has reached the disk does not mean that its entry in the directory has."""
        try:
            os.fsync(self._place)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that has no such thing for directories
                raise JournalBroken(Stuck.FSYNC.say(fault=error.strerror)) from None


def _unflushed(error: OSError) -> str:
    return Stuck.FDATASYNC.say(fault=error.strerror)


def _steps(found: list[tuple[int, Path]]) -> Iterator[tuple[int, int]]:
    """The steps in the positions of these segments, by the epochs that begin with them: (the last position before one,
    its first position)."""
    for at, (first, path) in enumerate(found):
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
        records = next(
            (
                segment.decode_records(piece.body)
                for piece in segment.pieces(beginning, first)
                if piece.whole and piece.count
            ),
            None,
        )
        if records and type(records[0]) is Epoch:
            if records[0].after is not None:
                yield records[0].after, first
        elif at and first - found[at - 1][0] > found[at - 1][1].stat().st_size:
            # More positions than bytes: an epoch begins here whose first record is damaged. Where the one before it
            # ends, its segment says.
            before, path = found[at - 1]
            last = list(segment.pieces(path.read_bytes(), before))[-1:]
            yield (last[0].position + last[0].count - 1 if last else before - 1), first
