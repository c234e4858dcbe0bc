"""What a run may use: processor time, its own and its actors', and time in which nobody of it wants the processor.

Time in which somebody was ready to run and the machine was busy with others is not the run's fault, and is not counted:
the same scenario takes as much on a busy machine as on an idle one. So that nothing can last for ever, there is a bound
of the clock on the wall as well, which is far away.
"""

from __future__ import annotations

import contextlib
import time

_PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED of all threads of a process, by which clock_getcpuclockid(3) makes a clock of a process's number.
linux/posix-timers.h"""


class Allowance:
    """Begins to count when it is made."""

    def __init__(self, seconds: float, wall: float) -> None:
        self.seconds = seconds
        """Of what is counted."""
        self.wall = wall
        """By the clock on the wall."""
        self._until = time.monotonic() + wall
        self._own = time.process_time()
        self._actors: dict[int, float] = {}
        self._idle = 0.0

    def idle(self, seconds: float) -> None:
        """So long has everybody slept."""
        self._idle += seconds

    def charge(self, pid: int) -> None:
        """Charges the run with what a process has used so far. One that is gone keeps what it was charged last."""
        with contextlib.suppress(OSError):
            self._actors[pid] = time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)

    @property
    def spent(self) -> float:
        """Seconds, as of the last charge."""
        return time.process_time() - self._own + sum(self._actors.values()) + self._idle

    @property
    def left(self) -> float:
        """Seconds, of what is counted; 0 or less: it is used up, or the bound of the clock on the wall has come."""
        return self.seconds - self.spent if time.monotonic() < self._until else 0.0
