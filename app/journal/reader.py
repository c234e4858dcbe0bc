"""The journal's reader: follows it from a position, over segments, while it grows."""

from __future__ import annotations

import os
from pathlib import Path

from app.journal import segment
from app.journal.records import Record

CHUNK = 1 << 20


class JournalGap(Exception):
    """The records after a position are not in the journal."""


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

    def read(self, most_records: int = 5000) -> list[tuple[int, Record]]:
        """The next records with their positions, about `most_records` (a frame is never split); [] when there are none yet.

        Raises JournalGap when the journal begins after the next position or is damaged in its middle.
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
            self._at += segment.FRAME.size + len(body)
            if count and position + count - 1 > self.last:
                if position > self.last + 1 and self.last:
                    raise JournalGap(f"the journal goes from position {self.last} to {position}: what lies between is lost")
                for number, record in enumerate(segment.decode_records(body), position):
                    if number > self.last:
                        records.append((number, record))
                self.last = position + count - 1
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
        if self._at < len(self._buffer) and later[0][0] > self.last + 1:
            raise JournalGap(f"the journal is damaged behind position {self.last}")
        self.close()
        try:
            self._fd = os.open(later[0][1], os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # drained by another reader and deleted since
        self._begin(later[0][0])
        return True

    def _begin(self, first: int) -> None:
        self._first, self._offset, self._buffer, self._at = first, 0, b"", 0
