"""History, as far as the supervisor knows of it: how far the recorder has come, and when it is told that there is
more."""

from __future__ import annotations

import time

from pairscope.ipc.channel import Arrival
from pairscope.ipc.payloads import Committed, More
from pairscope.ipc.vocabulary import Role
from pairscope.pool.agenda import MORE, Agenda
from pairscope.pool.crew import Crew
from pairscope.pool.floor import Floor
from pairscope.pool.lifecycle import State
from pairscope.pool.lines import Lines
from pairscope.pool.members import Member
from pairscope.pool.viewers import Viewers

MORE_EVERY = 0.05
"""Seconds between two times that an idle recorder is told of more: it commits twenty batches a second, not one for each
message."""


class History:
    """`progress` and `viewer` are the handlers of these kinds of messages, which are housekeeping."""

    hears = ("progress", "viewer")

    def __init__(self, floor: Floor, lines: Lines, agenda: Agenda, crew: Crew) -> None:
        self._floor, self._lines, self._agenda, self._crew = floor, lines, agenda, crew
        self.viewer = Viewers(floor).viewer
        self.to_tell = False
        """The recorder waits to be told that there is more, and may be told now."""
        self._told = 0.0
        """When the recorder was last told that there is more (s of the monotonic clock)."""

    def progress(self, _: Member, arrival: Arrival, __: None) -> None:
        floor, progress = self._floor, arrival.payload
        if (recorder := floor.recorder) is not None and recorder.state is State.STARTING:
            self._crew.listens(recorder)
            floor.moved = recorder.ready
        before = floor.progress
        if before is None or (progress.database, progress.stalled, progress.gaps) != (
            before.database,
            before.stalled,
            before.gaps,
        ):
            self._agenda.wake()
        if before is None or progress.position != before.position:
            floor.moved = floor.tap.now()
            self._announce(Committed(progress.position))
        floor.progress = progress
        floor.progress_heard = floor.tap.now()
        self.to_tell = progress.idle
        floor.journal.forget(progress.position)
        floor.board.forget(progress.position)
        while floor.marks and floor.marks[0][0] <= progress.position:
            floor.marks.popleft()

    def _announce(self, committed: Committed) -> None:
        """Tells live, which need not ask the database again and again. One that has not read the last word gets no
        other: it will look at everything anyway."""
        for member in self._floor.clients:
            if member.role == Role.LIVE.value and member.open and not member.outbox:
                self._lines.put(member, member.channel.prepare("committed", committed))

    def more(self) -> None:
        """Tells the recorder that the journal has grown, once it has; not now, if it was told just now."""
        floor = self._floor
        recorder = floor.recorder
        if recorder is None or recorder.state is State.STARTING:
            self.to_tell = False  # who waited has gone
        elif floor.journal.position > self.drained:
            self.to_tell = False
            now = time.monotonic()
            if now < self._told + MORE_EVERY:
                self._agenda.put(MORE, self._told + MORE_EVERY)
            else:
                self._told = now
                self._lines.put(recorder, recorder.channel.prepare("more", More(floor.journal.position)))

    def pass_time(self, now: float) -> None:
        """It was told long enough ago."""
        if self._agenda.due(MORE, now):
            self.to_tell = True

    def mark(self, at: int) -> None:
        """Notes how far the journal has come at that time (ns since 1970), unless it has not grown since the last
        mark."""
        floor = self._floor
        position = floor.journal.position
        if (floor.marks[-1][0] if floor.marks else self.drained) < position:
            floor.marks.append((position, at))

    @property
    def drained(self) -> int:
        """Up to this position the record has everything; 0: not known yet."""
        return self._floor.progress.position if self._floor.progress is not None else 0

    @property
    def behind(self) -> bool:
        """Whether something waits for the recorder, or it has said nothing yet."""
        return self._floor.progress is None or self.drained < self._floor.journal.position
