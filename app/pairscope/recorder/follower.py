"""The follower: reads the journal on from the committed position, and over what is missing in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pairscope.journal import segment
from pairscope.journal.reader import JournalGap, Reader
from pairscope.journal.records import Record

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
        self.appended = 0
        """Up to this position the supervisor has appended for certain."""
        self._reader = Reader(directory, after)
        self._ahead: list[tuple[int, Record]] = []

    def read(self) -> list[tuple[int, Record]]:
        """The next records, [] when there are none yet. Raises JournalGap where records are missing behind `last`."""
        records, self._ahead = self._ahead, []
        if not records:
            records = self._reader.read(BATCH, self.appended)
        elif len(records) < BATCH:
            with suppress(JournalGap):  # the next call raises it, when these are taken
                records += self._reader.read(BATCH - len(records), self.appended)
        if records:
            self.last = records[-1][0]
        return records

    def read_ahead(self) -> None:
        """Reads some of what the next :meth:`read` returns: the time is there while a server works."""
        if len(self._ahead) < BATCH:
            # told by the next read: here a transaction is under way, which it is not about
            with suppress(JournalGap, OSError):
                self._ahead += self._reader.read(AHEAD, self.appended)

    def pass_gap(self, gap: JournalGap) -> None:
        """Goes on behind what is missing. First it sets aside what stood there, because the segment is deleted when all
        of it is committed.

        Raises OSError if that cannot be done; then nothing is passed.
        """
        for stretch in gap.damage:
            segment.set_aside(self._directory, stretch)
        self._reader.pass_gap(gap)
        self.last = gap.reached

    def go_to(self, position: int) -> None:
        """Reads on behind another position."""
        self._reader.close()
        self._reader = Reader(self._directory, position)
        self._ahead = []
        self.last = position

    def close(self) -> None:
        """Closes the segment that it reads."""
        self._reader.close()
