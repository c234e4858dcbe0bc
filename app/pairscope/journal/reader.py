"""The journal's reader: follows it from a position, over segments, while it grows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from pairscope.journal import segment
from pairscope.journal.records import Epoch, Record
from pairscope.journal.sentences import Missing

CHUNK = 1 << 20


class Begun(NamedTuple):
    """What is known of an epoch whose own record can no longer be read."""

    position: int
    """The position of that record."""
    epoch: int
    """0: not known; then it is the epoch that follows the last known one."""
    supervisor: int
    """Its serial; 0 likewise."""


class JournalGap(Exception):
    """The records after a position are not in the journal, or can no longer be read."""

    def __init__(
        self, words: str, after: int, reached: int, damage: list[segment.Stretch], begun: Begun | None
    ) -> None:
        super().__init__(words)
        self.after = after
        self.reached = reached
        """The last position that is missing."""
        self.damage = damage
        """Where the missing records stood, if they are not simply gone."""
        self.begun = begun
        """The epoch of what follows, where its own record may be among what is missing: the recorder knows which one
        was before."""


def follows(position: int, record: Record, last: int) -> bool:
    """Whether nothing is missing between position `last` and a record: it is the next one, or begins the next epoch."""
    return position <= last + 1 or (type(record) is Epoch and record.after == last and not record.lost)


class Reader:
    """Reads the records of a journal that come after position `after`."""

    def __init__(self, directory: Path, after: int = 0) -> None:
        self._directory = directory
        self.last = after
        self._fd = -1
        self._first = -1
        self._offset = 0
        self._buffer = b""
        self._at = 0
        self._next = 0
        """The position that comes next in this place of the segment."""
        self._damage: list[segment.Stretch] = []
        """What could not be read since the last whole frame: that matters only if records turn out to be missing."""
        self._head: segment.Head | None = None
        """This segment's; None: not read, or damaged."""
        self._stepped = False
        """Whether more positions are missing before this segment than the one before had bytes for: an epoch begins
        with it."""
        self._reread_at = (-1, -1)
        """Where nothing better was found by looking again: a segment, and the last position before what is missing."""

    def read(self, most_records: int = 5000, appended: int = 0) -> list[tuple[int, Record]]:
        """The next records with their positions, about `most_records` (a frame is never split); [] when there are none
        yet.

        `appended`: up to this position everything has been appended for certain. What cannot be read up to there is
        damaged, although nothing stands behind it yet.

        Raises JournalGap, at every call again until :meth:`pass_gap`, where records behind `last` are missing: the
        journal begins after them, is damaged, or may have lost them with the machine's power. Raises OSError, and
        MsgspecError for what a newer version has written. What comes before is returned first.
        """
        records: list[tuple[int, Record]] = []
        try:
            self._read(records, most_records, appended)
        except (OSError, msgspec.MsgspecError):
            if not records:
                # what stands there may have been mended when it is tried again
                self._offset, self._buffer, self._at = (
                    self._offset + self._at,
                    b"",
                    0,
                )
                raise  # else the next call does
        return records

    def _read(self, records: list[tuple[int, Record]], most_records: int, appended: int) -> None:
        while len(records) < most_records:
            if self._fd < 0 and not self._open():
                break
            found = segment.parse(self._buffer, self._at)
            if found is None:
                if self._fill() or self._over_damage() or self._next_segment():
                    continue
                if not records and max(self._next - 1, self.last) < appended:
                    if self._reread():
                        continue
                    self._note_rest()
                    raise self._gap(appended + 1)
                # The start of a frame may yet be cut off, where the disk was full, and another be written in its place.
                self._offset, self._buffer, self._at = self._offset + self._at, b"", 0
                break
            position, count, body = found
            if count and position + count - 1 > self.last:
                some = segment.decode_records(body)
                if not follows(position, some[0], self.last):
                    if records:
                        break  # this frame comes first at the next call
                    if self._reread():
                        continue
                    raise self._gap(position, some[0])
                for number, record in enumerate(some, position):
                    if number > self.last:
                        records.append((number, record))
                self.last = position + count - 1
            if count:
                self._damage = []
            else:
                self._head = segment.decode_head(body)
            self._next = position + count
            self._at += segment.FRAME.size + len(body)

    def pass_gap(self, gap: JournalGap) -> None:
        """Goes on behind what is missing."""
        self.last = gap.reached
        self._next = max(self._next, gap.reached + 1)
        self._damage = []

    def close(self) -> None:
        """Closes the segment that it reads."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _gap(self, position: int, record: Record | None = None) -> JournalGap:
        """What is missing between `last` and the record at that position."""
        words, ends = Missing.BETWEEN.say(first=self.last, count=position), position
        if type(record) is Epoch and record.after is not None:
            ends = record.after + 1  # behind that the epoch before had none
            words = Missing.BETWEEN.say(first=self.last, count=ends)
            if record.after <= self.last:
                words = Missing.BEHIND.say(count=record.epoch, most=record.after, first=self.last)
        if self._damage:
            first, offset, _size = self._damage[0]
            kept = ", ".join(stretch.name for stretch in self._damage[:2])
            kept = Missing.MORE.say(files=kept) if len(self._damage) > 2 else kept
            told = {"first": first, "bytes": offset, "why": words, "files": kept}
            words = (
                Missing.DAMAGED_POSITIONS.say(**told, count=self.last + 1, most=ends - 1)
                if ends > self.last + 1
                else Missing.DAMAGED.say(**told)
            )
        return JournalGap(
            words, self.last, position - 1, self._damage, None if type(record) is Epoch else self._begun()
        )

    def _begun(self) -> Begun | None:
        """The epoch of this segment, where its own record is behind `last` and was not read."""
        if self.last >= self._first or (self._head is None and not self._stepped):
            return None
        head = self._head
        return Begun(self._first, head.epoch if head else 0, head.serials.get("supervisor", 0) if head else 0)

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
        self.last = self.last or choice[0] - 1  # from the beginning means from where the journal begins now
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

    def _over_damage(self) -> bool:
        """Goes to the first whole frame behind what cannot be read here; True: there is one, or what is here has
        changed.

        What the buffer has may be out of date: the start of a frame that was cut off since. So all of it is read anew,
        and twice.
        """
        if self._at == len(self._buffer):
            return False
        at = self._offset + self._at
        rest = self._rest(at)
        behind = 0
        if segment.parse(rest, 0) is None:
            behind = segment.whole_behind(rest, 0, self._next)
            if behind > 0 and self._rest(at)[:behind] != rest[:behind]:
                behind = 0
            if behind > 0:
                self._damage.append(segment.Stretch(self._first, at, behind))
        self._offset, self._buffer, self._at = at, rest, max(0, behind)
        return behind >= 0

    def _rest(self, at: int) -> bytes:
        """The segment from an offset on."""
        found = []
        while data := os.pread(self._fd, CHUNK, at):
            found.append(data)
            at += len(data)
        return b"".join(found)

    def _reread(self) -> bool:
        """Begins the segment anew before anything is said to be missing, once for each place; False: it was done
        already. A file that was shortened grows on before our offset."""
        place = self._first, self.last
        if self._reread_at == place:
            return False
        self._reread_at = place
        before = [stretch for stretch in self._damage if stretch.first != self._first]
        self._begin(self._first)
        self._damage = before
        return True

    def _note_rest(self) -> None:
        """Notes as damaged what cannot be read here, up to the end of what there is."""
        self._damage = [
            stretch
            for stretch in self._damage
            if (stretch.first, stretch.offset) != (self._first, self._offset + self._at)
        ]
        if self._at < len(self._buffer):
            self._damage.append(segment.Stretch(self._first, self._offset + self._at, len(self._buffer) - self._at))

    def _next_segment(self) -> bool:
        """Goes to the next segment, if the writer has begun one: then this one grows no more."""
        later = [entry for entry in segment.listed(self._directory) if entry[0] > self._first]
        if not later or self._fill():
            return bool(later)
        if not segment.torn(self._buffer[self._at :], self._next, self._offset + self._at == 0):
            self._note_rest()
        self._stepped = later[0][0] - self._next > len(self._buffer) - self._at
        self.close()
        try:
            self._fd = os.open(later[0][1], os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True  # drained by another reader and deleted since: another one is opened
        self._begin(later[0][0])
        return True

    def _begin(self, first: int) -> None:
        self._first, self._offset, self._buffer, self._at, self._next, self._head = first, 0, b"", 0, first, None
