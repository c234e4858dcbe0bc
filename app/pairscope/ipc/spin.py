"""Asking again before sleeping, where that pays: to wake a process on a core that sleeps takes 30 us and more, as long
as many an answer.

It pays as long as what is waited for comes within moments. It does not where the machine has other work: whoever asks
yields the core between two questions (sched_yield(2)) and may get it back a whole time slice later, while a process
that sleeps is woken at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

CORES = len(os.sched_getaffinity(0))
"""With one core, whoever could send something needs the one that would be spent on asking."""
TAKEN = 250e-6
"""Seconds after which a core that was yielded had been needed by somebody who does not answer in moments."""
REST_LEAST, REST_MOST = 0.002, 0.128
"""Seconds for which one does not ask again then: the least where that was an exception, eight times as long where it
was not."""


class Spin:
    """One process that waits. `most`: seconds for which it asks before it sleeps."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._pays = False
        self._resting = 0.0
        """Until then (s of the monotonic clock)."""
        self._rest = REST_LEAST

    def ask(
        self, poll: Callable[[int], list[tuple[int, int]]], now: float, sure: bool = False
    ) -> list[tuple[int, int]]:
        """Asks ``poll(0)`` again and again from `now` (s of the monotonic clock) on, and returns what it finds; []
        where asking does not pay or has lasted too long.

        It yields the core before the first question, because the process that answers may need it. `sure`: asking pays,
        whatever the last time was like.
        """
        if CORES == 1 or not (sure or self._pays) or now < self._resting:
            return []
        until = now + self._most
        while now < until:
            now = self.give_way(now)
            ready = poll(0)
            if now < self._resting:
                return ready
            if ready:
                if self._rest > REST_LEAST:
                    self._rest *= 0.9
                return ready
        return []

    def give_way(self, now: float) -> float:
        """Yields the core, unless the core came back late the last times. Returns the time (s of the monotonic
        clock)."""
        if now < self._resting:
            return now
        os.sched_yield()
        before, now = now, time.monotonic()
        if now - before > TAKEN:
            self._resting = now + self._rest
            self._rest = min(REST_MOST, 8 * self._rest)
        return now

    def waited(self, seconds: float) -> None:
        """Notes how long it took, asking and sleeping together: the next time is likely to be the same."""
        self._pays = seconds < self._most
