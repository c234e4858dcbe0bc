"""Where a task stands, in the kernel's own words: proc_pid_syscall(5), proc_pid_stat(5), proc_pid_wchan(5)."""

from __future__ import annotations

import contextlib
import dataclasses

from pairscope.lab.calls import CALLS, MACHINE
from pairscope.lab.constants import signal_name
from pairscope.lab.run import Blocked, Signals

RECEIVING = CALLS["recvmsg"].kernel[MACHINE].number


@dataclasses.dataclass(frozen=True, slots=True)
class Stand:
    """What one look found."""

    state: str
    """The letter of /proc/PID/stat: S sleeps, R runs, T stopped, Z dead; X: there is no such task."""
    number: int
    """Of the system call it is in; -1: in none, or it runs."""
    arguments: tuple[int, ...]
    wchan: str

    def told(self, call: str) -> Blocked:
        """For a step's state."""
        return Blocked(call, self.number, [hex(value) for value in self.arguments], self.wchan, self.state)


def look(pid: int, tid: int) -> Stand:
    """Where the task stands now."""
    try:
        at = f"/proc/{pid}/task/{tid}"
        words = _text(f"{at}/syscall").split()
        # After the call, so that a task that woke in between is seen to run.
        state = _text(f"{at}/stat").rpartition(")")[2].split()[0]
        wchan = _text(f"{at}/wchan") if state in "SDT" else ""
    except OSError:
        return Stand("X", -1, (), "")
    if not words or words[0] in ("running", "-1"):
        return Stand(state, -1, (), wchan)
    return Stand(state, int(words[0]), tuple(int(word, 16) for word in words[1:7]), wchan)


def stands_in(stand: Stand, call: str, first: int | None) -> bool:
    """Whether the task sleeps in `call`, with `first` as its first argument (None: any)."""
    made = CALLS[call]
    if stand.state != "S" or not made.blocks or stand.number != made.kernel[MACHINE].number:
        return False
    return first is None or stand.arguments[0] & 0xFFFFFFFF == first & 0xFFFFFFFF


def waits(stand: Stand, hidden: int) -> bool:
    """Whether the task sleeps at its control socket."""
    return stand.state == "S" and stand.number == RECEIVING and stand.arguments[0] == hidden


def exit_code(pid: int) -> int | None:
    """The status of a dead process that nobody has taken leave of, as wait(2) gives it; None: it cannot be seen."""
    try:
        words = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(words[49]) if words[0] == "Z" else None


def signals(pid: int) -> Signals:
    """The signals that a living process catches, ignores and has waiting for it, by their names: proc_pid_status(5)."""
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
