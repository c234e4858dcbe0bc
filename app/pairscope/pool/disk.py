"""The disk, where journal_sync is ``batch``: clients are told of a record once it is there, and all else goes on.

A flusher (journal/flusher.py) works meanwhile. What is decided for clients in a turn is withheld until a call returns
that began after the turn's records were appended; so one call serves everybody whose message waits for it. Nobody else
waits: a worker may do a job whose records are then lost with the machine, because no client was told of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pairscope.ipc.channel import Outgoing
from pairscope.journal.flusher import Flusher
from pairscope.journal.writer import Writer
from pairscope.pool.lines import Lines
from pairscope.pool.members import Member
from pairscope.pool.watch import Watch

MOST = 8192
"""Messages that may be withheld; beyond them nothing else is done until the disk has answered."""


class Disk:
    """What waits for it. Where the policy is ``none`` nothing ever does."""

    def __init__(self, journal: Writer, lines: Lines, watch: Watch, settle: Callable[[], None]) -> None:
        self._journal, self._lines, self._settle = journal, lines, settle
        self.count = 0
        """Messages that are withheld."""
        self._fresh: list[tuple[Member, Outgoing]] = []
        """Of this turn: their records are not appended yet."""
        self._waiting: deque[tuple[int, list[tuple[Member, Outgoing]]]] = deque()
        """In the order in which they were decided, with the position that has to be on the disk."""
        if journal.sync == "batch":
            journal.flusher = Flusher()
            watch.add(journal.flusher.fileno(), self.flushed)
            lines.disk = self

    def withhold(self, member: Member, out: Outgoing) -> None:
        """Keeps a message for a client whose records this turn appends."""
        self._fresh.append((member, out))
        self.count += 1

    def take(self, member: Member) -> list[Outgoing]:
        """Takes back what is withheld from one peer: it is not to be sent."""
        found = []
        for some in (*(some for _, some in self._waiting), self._fresh):
            if mine := [out for one, out in some if one is member]:
                found += mine
                some[:] = [(one, out) for one, out in some if one is not member]
        self.count -= len(found)
        return found

    def appended(self) -> None:
        """This turn's records are in the journal."""
        if self._fresh:
            self._waiting.append((self._journal.position, self._fresh))
            self._fresh = []
        if self.count > MOST:
            self.flushed()
        else:
            self._release()
        if self.count:
            self.flush()

    def flush(self) -> None:
        """Begins to bring to the disk what is not there, unless that is under way."""
        flusher = self._journal.flusher
        if flusher is not None and not flusher.busy:
            self._journal.flush()

    def flushed(self, _: int = 0) -> None:
        """What was under way has ended; waits for that, if need be. Raises JournalBroken."""
        self._journal.flushed()
        self._release()

    def to_the_end(self) -> None:
        """Settles until nobody who is to be told something waits."""
        self._settle()
        while self.count:
            self.flushed()
            self._settle()

    def _release(self) -> None:
        flusher, lines = self._journal.flusher, self._lines
        if flusher is not None:
            while self._waiting and self._waiting[0][0] <= flusher.flushed:
                for member, out in self._waiting.popleft()[1]:
                    self.count -= 1
                    member.outbox.append(out)
                    lines.resume(member)
