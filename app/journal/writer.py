"""The journal's writer: one at a time by lock, each with a higher epoch than the last.

The lock is fcntl's (F_SETLK through ``fcntl.lockf``): it belongs to the process, so that no orphan that inherited a
descriptor can hold it, as an flock(2) would be.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from app.journal import segment
from app.journal.records import Born, Epoch, Message, Record
from app.journal.segment import Head


class JournalFull(Exception):
    """The records could not be appended, none of them is in the journal; later they may be."""


class JournalBroken(Exception):
    """The journal can no longer be trusted from here on: stop, and begin again from its verified prefix."""


class JournalHeld(Exception):
    """Another supervisor holds the journal."""


class Writer:
    """Appends records; the only writer of `directory`.

    Opening it takes the lock (raises JournalHeld unless `wait`), recovers, and begins a new epoch, whose
    :class:`~app.journal.records.Epoch` is the first record. Positions go on where they stopped; where there is no journal
    to go on from they begin at the microseconds since 1970, so that they only grow although a journal was lost.
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
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._fd = -1
        try:
            self._take_lock(wait)
            self._recover(node, node_name, pid or os.getpid())
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
        return len(self._segments)

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
        data = segment.frame(self._position + 1, records)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            written = 0
            reason = error
        else:
            reason = None
        if written != len(data):
            self._cut(written, reason)
        self._size += written
        self._position += len(records)
        if self.sync == "batch":
            self._flush()
        return self._position

    def forget(self, position: int) -> None:
        """Deletes the segments of which every record is at or below `position`; never the one that is written."""
        while len(self._segments) > 1 and self._segments[1][0] - 1 <= position:
            first, size = self._segments.pop(0)
            self._older -= size
            segment.path(self._directory, first).unlink(missing_ok=True)

    def close(self) -> None:
        """Gives up the lock: closing any descriptor of the lock file does."""
        for name in ("_fd", "_lock"):
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
            raise JournalHeld(f"the journal in {self._directory} is held by the supervisor with pid {holder}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)

    def _recover(self, node: int, node_name: str, pid: int) -> None:
        found = segment.listed(self._directory)
        cut = 0
        head: Head | None = None
        self.last_id = 0
        """The last id issued. Whoever issues ids keeps this and `serials` up to date: the next segment's head says them."""
        self.serials: dict[str, int] = {}
        self._position = 0
        while found:
            first, path = found[-1]
            data = path.read_bytes()
            end = 0
            for end, position, count, body in segment.scan(data):
                if count == 0:
                    head = segment.decode_head(body)
                    self.last_id = max(self.last_id, head.last_id)
                    self.serials.update(head.serials)
                    self._position = position - 1
                else:
                    self._learn(segment.decode_records(body))
                    self._position = position + count - 1
            cut += len(data) - end
            if end:
                if end < len(data):
                    os.truncate(path, end)
                break
            path.unlink()
            found.pop()
        lost = head is None
        if lost:
            self._position = time.time_ns() // 1000
            head = Head(node, 0, 0, {})
        self.epoch = head.epoch + 1
        serial = self.serials["supervisor"] = self.serials.get("supervisor", 0) + 1
        self._node = node
        self._segments = [(first, path.stat().st_size) for first, path in found]
        self._size = 0
        self._begin_segment()  # in the place of one that held its head alone
        self._older = sum(size for _, size in self._segments[:-1])
        self.append([Epoch(node, node_name, self.epoch, pid, serial, time.time_ns(), cut, lost)])
        self.cut = cut

    def _learn(self, records: list[Record]) -> None:
        for record in records:
            if type(record) is Message:
                if record.id > self.last_id:
                    self.last_id = record.id
            elif type(record) is Born:
                self.serials[record.role] = max(record.serial, self.serials.get(record.role, 0))
            elif type(record) is Epoch:
                self.serials["supervisor"] = max(record.serial, self.serials.get("supervisor", 0))

    def _begin_segment(self) -> None:
        first = self._position + 1
        path = segment.path(self._directory, first)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise JournalFull(f"a new segment cannot be begun: {error.strerror}") from None
        data = segment.head_frame(first, Head(self._node, self.epoch, self.last_id, self.serials))
        try:
            whole = os.write(fd, data) == len(data)
        except OSError:
            whole = False
        if not whole:
            # The file stays: a reader may have it open already, and waits for a head in it.
            os.close(fd)
            raise JournalFull("the disk has no room for a new segment")
        if self._fd >= 0:
            if self.sync == "batch":
                self._flush()
            os.close(self._fd)
            self._segments[-1] = (self._segments[-1][0], self._size)
            self._older += self._size
        self._fd = fd
        self._size = len(data)
        self._segments = [entry for entry in getattr(self, "_segments", []) if entry[0] != first]
        self._segments.append((first, 0))

    def _cut(self, written: int, reason: OSError | None) -> None:
        if written:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError as error:
                raise JournalBroken(f"a half-written frame could not be cut off: {error.strerror}") from None
        if reason is None or reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise JournalFull(f"the journal cannot grow: {reason.strerror if reason else 'the disk is full'}")
        raise JournalBroken(f"the journal cannot be written: {reason.strerror}")

    def _flush(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise JournalBroken(f"fdatasync failed, and must not be tried again: {error.strerror}") from None
