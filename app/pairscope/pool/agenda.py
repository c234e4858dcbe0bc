"""The agenda: what is due when, in one list. Pure: it decides about time, and the clock is an argument.

Nobody else keeps a time at which something is due. Whoever puts something on the list is not called back: when the
earliest time has come, the supervisor's turn looks at everything that may be due.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

COMING, GRACE, LAB, LISTEN, MORE, OUTPUTS, RECORDER, SILENT, TAKEN, UNTOLD = (
    "callers that wait",
    "the stop's grace",
    "the lab's pause",
    "callers at all",
    "more for the recorder",
    "outputs that expire",
    "the recorder's birth",
    "clients that say nothing",
    "whether tasks were taken",
    "clients of whom the log did not tell",
)
"""What can be due beside the lateness of a peer, for which that peer itself stands, and the birth of a worker, for
which its pause does."""


class Agenda:
    """Times in s of the caller's monotonic clock. `every`, `heartbeat`: seconds between two snapshots while something
    changes, and while nothing does."""

    def __init__(self, every: float, heartbeat: float) -> None:
        self.next = 0.0
        """When to look what is due: never later than the earliest time on the list. Earlier costs one look that finds
        nothing."""
        self.changed = True
        """Something has changed that a snapshot would show."""
        self._due: dict[Hashable, float] = {}
        self._every, self._heartbeat = every, heartbeat
        self._shown = -math.inf
        """When the last snapshot was written."""
        self.soon = -math.inf
        """When the next one may be."""

    def put(self, what: Hashable, when: float) -> None:
        """`what` is due at that time, and no longer when it was before."""
        self._due[what] = when
        if when < self.next:
            self.next = when

    def sooner(self, what: Hashable, when: float) -> None:
        """`what` is due at that time at the latest."""
        if when < self._due.get(what, math.inf):
            self.put(what, when)

    def strike(self, what: Hashable) -> None:
        """`what` is not due any more."""
        self._due.pop(what, None)

    def due(self, what: Hashable, now: float) -> bool:
        """Whether the time of `what` has come; it is struck off then, so that the answer is yes once."""
        when = self._due.get(what)
        if when is None or when > now:
            return False
        del self._due[what]
        return True

    def wake(self) -> None:
        """Something has happened that may make something else due, and that shows."""
        self.changed = True
        self.next = 0.0

    def begin(self) -> None:
        """Everything is being looked at: what is put from now on counts for the next time."""
        self.next = math.inf

    def rest(self, now: float) -> None:
        """Everything that was due at `now` has been looked at: what still stands there with an earlier time is not
        wanted now, and wakes nobody."""
        self.next = min(self.next, self._shown + self._heartbeat, *(when for when in self._due.values() if when > now))
        self.heed()

    def heed(self) -> None:
        """What has changed is to be shown soon."""
        if self.changed and self.soon < self.next:
            self.next = self.soon

    def to_show(self, now: float) -> bool:
        """Whether a snapshot is to be written."""
        return now >= (self.soon if self.changed else self._shown + self._heartbeat)

    def shown(self, now: float, changed: bool) -> None:
        """A snapshot was written. `changed`: the next one will differ even if nothing happens, so that it is to follow
        soon."""
        self._shown, self.soon, self.changed = now, now + self._every, changed
