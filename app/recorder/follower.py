"""The follower: reads the journal on from the committed position, and over what is missing in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from app.journal import segment
from app.journal.reader import JournalGap, Reader
from app.journal.records import Record

BATCH = 5000
"""Records of one transaction, about."""
AHEAD = BATCH // 10
"""Records that are read at once while a server works."""


def let_go(directory: Path) -> int:
    """A position up to which everything must be committed: the journal has let go of it. 0: of nothing yet."""
    found = segment.listed(directory) if directory.is_dir() else []
    return found[0][0] - 1 if found else 0


class Follower:
    """Reads what comes after a position; where something is missing it stops, and goes on when told to."""

    def __init__(self, directory: Path, after: int) -> None:
        self._directory = directory
        self.last = after
        """The position of the last record that :meth:`read` has returned."""
        self._reader = Reader(directory, after)
        self._ahead: list[tuple[int, Record]] = []

    def read(self) -> list[tuple[int, Record]]:
        """The next records, [] when there are none yet. Raises JournalGap where records are missing behind `last`."""
        records, self._ahead = self._ahead, []
        if not records:
            records = self._reader.read(BATCH)
        elif len(records) < BATCH:
            with suppress(JournalGap):  # the next call raises it, when these are taken
                records += self._reader.read(BATCH - len(records))
        if records:
            self.last = records[-1][0]
        return records

    def look_ahead(self) -> None:
        """Reads some of what the next :meth:`read` returns: the time is there while a server works."""
        if len(self._ahead) < BATCH:
            with suppress(JournalGap):
                self._ahead += self._reader.read(AHEAD)

    def pass_gap(self) -> int:
        """Goes on at the first segment behind what is missing; returns the position before its first record, 0 if there is none yet."""
        behind = [first for first, _path in segment.listed(self._directory) if first > self.last + 1]
        if not behind:
            return 0
        self.go_to(behind[0] - 1)
        return self.last

    def go_to(self, position: int) -> None:
        """Reads on behind another position."""
        self._reader.close()
        self._reader = Reader(self._directory, position)
        self._ahead = []
        self.last = position

    def close(self) -> None:
        self._reader.close()
