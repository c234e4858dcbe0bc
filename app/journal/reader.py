"""The journal's reader: follows it from a position, over segments, while it grows."""

from __future__ import annotations

import os
from pathlib import Path

from app.journal import segment
from app.journal.records import Epoch, Record

CHUNK = 1 << 20


class JournalGap(Exception):
    """The records after a position are not in the journal."""


def follows(position: int, record: Record, last: int) -> bool:
    """Whether nothing is missing between position `last` and a record: it is the next one, or begins the next epoch."""
    return position <= last + 1 or type(record) is Epoch and record.after == last and not record.lost


class Reader:
    """Reads the records after position `after`."""

    def __init__(self, directory: Path, after: int = 0) -> None:
        self._directory = directory
        self.last = after
        self._fd = -1
        self._first = -1
        self._offset = 0
        self._buffer = b""
        self._at = 0
        self._damaged = ""
        """Where the last segment is damaged, in words: that matters only if records turn out to be missing."""

    def read(self, most_records: int = 5000) -> list[tuple[int, Record]]:
        """The next records with their positions, about `most_records` (a frame is never split); [] when there are none yet.

        Raises JournalGap, at every call again, where records behind `last` are missing: the journal begins after them, is damaged,
        or may have lost them with the machine's power. What comes before a gap is returned first.
        """
        records: list[tuple[int, Record]] = []
        while len(records) < most_records:
            if self._fd < 0 and not self._open():
                break
            found = segment.parse(self._buffer, self._at)
            if found is None:
                if self._fill() or self._next_segment():
                    continue
                # The start of a frame may yet be cut off, where the disk was full, and another be written in its place.
                self._offset, self._buffer, self._at = self._offset + self._at, b"", 0
                break
            position, count, body = found
            if count and position + count - 1 > self.last:
                some = segment.decode_records(body)
                if position > self.last + 1 and (self.last or self._damaged) and not follows(position, some[0], self.last):
                    if records:
                        break  # this frame comes first at the next call
                    raise JournalGap(self._damaged + _missing(position, some[0], self.last))
                for number, record in enumerate(some, position):
                    if number > self.last:
                        records.append((number, record))
                self.last = position + count - 1
                self._damaged = ""
            self._at += segment.FRAME.size + len(body)
        return records

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        """Opens the segment that holds the next position."""
        found = segment.listed(self._directory) if self._directory.is_dir() else []
        if not found:
            return False
        choice = found[0]
        for entry in found:
            if entry[0] <= self.last + 1:
                choice = entry
        try:
            self._fd = os.open(choice[1], os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._begin(choice[0])
        return True

    def _fill(self) -> bool:
        """Reads on behind the buffer; True if there was more."""
        data = os.pread(self._fd, CHUNK, self._offset + len(self._buffer))
        if data:
            self._offset += self._at
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
        return bool(data)

    def _next_segment(self) -> bool:
        """Goes to the next segment, if the writer has begun one: then this one grows no more."""
        later = [entry for entry in segment.listed(self._directory) if entry[0] > self._first]
        if not later or self._fill():
            return bool(later)
        if self._at < len(self._buffer):
            self._damaged = f"the segment that begins at position {self._first} is damaged at byte {self._offset + self._at}: "
        self.close()
        try:
            self._fd = os.open(later[0][1], os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # drained by another reader and deleted since
        self._begin(later[0][0])
        return True

    def _begin(self, first: int) -> None:
        self._first, self._offset, self._buffer, self._at = first, 0, b"", 0


def _missing(position: int, record: Record, last: int) -> str:
    if type(record) is Epoch and record.after is not None and record.after <= last:
        return f"epoch {record.epoch} found the journal's end at position {record.after}: what was appended behind {last} may be lost"
    return f"the journal goes from position {last} to {position}: what lies between is lost"
