"""What the kernel tells of a task from outside: where it is, its signals, its parent, how it ended.
proc_pid_syscall(5), proc_pid_stat(5), proc_pid_status(5), proc_pid_wchan(5).

A task is a process's first thread or another one; a `tid` is its id, which of the first is the pid.
"""

from __future__ import annotations

import contextlib
import dataclasses

from pairscope.lab.constants import signal_name
from pairscope.lab.run import Blocked, Signals


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """Where a task was at one moment."""

    state: str
    """The letter of /proc/PID/stat: S sleeps, R runs, T is stopped by a signal, t by whoever traces it, Z is dead; X:
    there is no such task."""
    number: int
    """Of the system call it is in; -1: in none, or it runs."""
    arguments: tuple[int, ...]
    wchan: str
    """Where in the kernel it waits; empty: it does not, or the kernel does not say."""

    @property
    def stopped(self) -> bool:
        """Whether a signal has stopped it. One that is traced may stand still for its tracer alone, so it is none of
        these: its tracer knows."""
        return self.state == "T"

    def blocked(self, call: str) -> Blocked:
        """For a state: it is blocked in `call`."""
        return Blocked(call, self.number, [hex(value) for value in self.arguments], self.wchan, self.state)


def sample(pid: int, tid: int) -> Sample:
    """Where the task is now. Raises nothing: what cannot be read is no task."""
    try:
        at = f"/proc/{pid}/task/{tid}"
        words = _text(f"{at}/syscall").split()
        # After the call, so that a task that woke in between is seen to run.
        state = _text(f"{at}/stat").rpartition(")")[2].split()[0]
        wchan = _text(f"{at}/wchan") if state in "SDT" else ""
    except OSError:
        return Sample("X", -1, (), "")
    if not words or words[0] in ("running", "-1"):
        return Sample(state, -1, (), wchan)
    return Sample(state, int(words[0]), tuple(int(word, 16) for word in words[1:7]), wchan)


def exit_status(pid: int) -> int | None:
    """The status of a dead process that nobody has taken leave of, as wait(2) gives it; None: it cannot be seen."""
    try:
        words = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[49]) if words[0] == "Z" else None


def signals(pid: int) -> Signals:
    """The signals that a living process catches, ignores and has waiting for it, by their names; none if it is gone."""
    found: dict[str, list[str]] = {"caught": [], "ignored": [], "pending": []}
    with contextlib.suppress(OSError):
        masks = dict(
            line.split(":\t") for line in _text(f"/proc/{pid}/status").splitlines() if line.startswith(("Sig", "Shd"))
        )
        for key, lines in (("caught", ("SigCgt",)), ("ignored", ("SigIgn",)), ("pending", ("SigPnd", "ShdPnd"))):
            mask = 0
            for line in lines:
                mask |= int(masks.get(line, "0"), 16)
            found[key] = [signal_name(number) for number in range(1, 65) if mask >> number - 1 & 1]
    return Signals(**found)


def parent(pid: int) -> int:
    """The pid of its parent; 0: there is no such process."""
    try:
        return int(_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
