"""The lab's own limits (setrlimit(2) of its actors, their hidden numbers, its sandbox), which are not the kernel's: a
step that would meet one is refused, so that no limit of the lab passes for the kernel's answer. What can be seen
beforehand is not asked of the kernel at all.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from pairscope.lab.reasons import Reason
from pairscope.lab.run import Descriptor, Object, Result
from pairscope.lab.stage.actor import HIDDEN, NUMBERS_MAX
from pairscope.lab.stage.confine import LIMITS

PROCESSES_MAX, STEPS_MAX, DESCRIPTORS_MAX = 8, 100, 64
"""Of a run: processes and threads together, and steps. Of a process: descriptors after a step."""
FILE = LIMITS["FSIZE"]
"""Bytes of a file."""
NUMBERS_USUAL = 1024
"""RLIMIT_NOFILE as Linux gives it to its first process, INR_OPEN_CUR of linux/fs.h: from here on a number is out of
range for most programs."""
SIGNALS: dict[int, str] = {
    signal.SIGXFSZ: Reason.FILE.say(most=FILE),
    signal.SIGXCPU: Reason.TIME.say(seconds=LIMITS["CPU"]),
    signal.SIGKILL: Reason.TIME_OR_MEMORY.say(seconds=LIMITS["CPU"]),
    signal.SIGSYS: Reason.SANDBOX.say(),
}
"""What the kernel kills by where a limit is met, and which it is."""
_ERRORS = {
    "EMFILE": Reason.NUMBERS_GONE.say(first=HIDDEN),
    "EFBIG": Reason.FILE.say(most=FILE),
}


def asks(call: str, arguments: list[Any], row: Descriptor | None, item: Object | None) -> str:
    """The limit that a call is about to meet, as a sentence; empty: none. `arguments`: as the actor gets them, a text
    as [bytes, times]. `row` and `item`: the descriptor and the object that the first of them stands for, as the last
    look found them."""
    if (
        call in ("dup2", "dup3")
        and NUMBERS_MAX <= arguments[1] & 0xFFFF_FFFF < NUMBERS_USUAL
        and arguments[0] != arguments[1]
    ):
        return Reason.NUMBER_BEYOND.say(last=NUMBERS_MAX - 1, number=arguments[1])
    if call == "poll" and isinstance(arguments[0], list) and len(arguments[0]) > NUMBERS_MAX:
        return Reason.POLL.say(most=NUMBERS_MAX)
    if not row or not item or row.object not in ("regular file", "memfd") or row.access not in ("write", "read-write"):
        return ""
    end = _end(call, arguments, row, item)
    return Reason.FILE_WOULD.say(bytes=end, most=FILE) if end > FILE else ""


def _end(call: str, arguments: list[Any], row: Descriptor, item: Object) -> int:
    """The size that a file would need; 0: the call makes none larger. A negative one, or a negative offset, is the
    kernel's to judge."""
    if call == "ftruncate":
        return _signed(arguments[1])
    if call not in ("write", "pwrite"):
        return 0
    data = arguments[1]
    size = len(data[0]) * data[1] if isinstance(data, list) else 0
    if call == "write" and len(arguments) > 2:
        size = arguments[2]
    at = _signed(arguments[2]) if call == "pwrite" else row.offset
    if at < 0 or size <= 0:
        return 0
    return ((item.size or 0) if "O_APPEND" in row.flags.split("|") else at) + size


def _signed(value: int) -> int:
    """As off_t holds it."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def met(call: str, result: Result) -> str:
    """The limit that stands behind what a call gave, as a sentence; empty: none."""
    if (result.fault or "").startswith("MemoryError"):
        return Reason.MEMORY.say(most=LIMITS["AS"])
    if call in ("fork", "thread") and result.errno:
        return Reason.ROOM.say(errno=result.errno)
    if any(number >= HIDDEN for number in result.made or ()):
        return _ERRORS["EMFILE"]
    return _ERRORS.get(result.errno or "", "")


def killed(status: int | None, sent: set[int]) -> str:
    """The limit because of which the kernel killed a process, as a sentence; empty: none. `status`: as wait(2) gives
    it; None: it lives. `sent`: the signals that the run's own steps have sent, which explain an end by one of them."""
    if status is None or not os.WIFSIGNALED(status) or os.WTERMSIG(status) in sent:
        return ""
    return SIGNALS.get(os.WTERMSIG(status), "")
