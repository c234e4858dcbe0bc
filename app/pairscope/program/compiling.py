"""A compiler at work in the box, and what it remarks.

The text of gcc's messages is read, not its JSON: the linker writes text in any case, gcc 16 has no JSON any more, and a
remark needs no more than its line and column.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from pairscope.lab.constants import signal_name
from pairscope.program.box import PROGRAM
from pairscope.program.sentences import Unrun
from pairscope.sentence import Sentence
from pairscope.trace.recording import Remark

GCC = "/usr/bin/gcc"
_CLOCK = 3
"""Times as long it may take by the clock: on a machine whose memory was short a compiler took 10 s for 0.2."""
MOST = 200
"""Remarks."""
TEXT_MOST = 1 << 18
"""Bytes of its messages that are read."""
SOURCE, MADE = f"{PROGRAM}/program.c", f"{PROGRAM}/program"
_COMMAND = (GCC, "-g", "-Wall", "-Wextra", "-pthread", "-fno-diagnostics-show-caret", "-fdiagnostics-color=never",
            "-o", MADE, "program.c")  # fmt: skip
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108
_REMARK = re.compile(r"([^\s:][^:\n]*):(\d+):(?:(\d+):)? (?:fatal )?([Ee]rror|[Ww]arning|note): (.+)")
_LINKER = re.compile(r"(?:\S+: )*(?:\S*program\.c:(\d+)|\S+): ((?:undefined|multiple|cannot find) .+)")
_NOWHERE = re.compile(r"(?!collect2)\S+: (?:fatal )?(error|warning): (.+)")
"""Of no line. collect2 only says that the linker has failed."""
_OWN = "program.c"


class Compiled(NamedTuple):
    remarks: list[Remark]
    failed: Sentence | None
    """Why there is no program; None: there is."""


def compiled(source: str, confine: Callable[[], None], seconds: float) -> Compiled:
    """Compiles C into MADE, in so many seconds of processor time. `confine` is called in the process that becomes the
    compiler. Raises OSError."""
    with open(SOURCE, "w", newline="") as file:
        file.write(source)
    out, into = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        _become_compiler(into, confine, seconds)
    os.close(into)
    try:
        text = _text(out, _CLOCK * seconds)
    finally:
        os.close(out)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # the compiler with all that it has started: everybody in here but this process
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if text is None or (status and used.ru_utime + used.ru_stime >= seconds):
        return Compiled([], Unrun.COMPILER_LATE.say(seconds=f"{seconds:g}"))
    found = remarks(text)
    if status < 0:
        return Compiled(found, Unrun.COMPILER_KILLED.say(signal=signal_name(-status)))
    return Compiled(found, Unrun.NOT_COMPILED.say() if status else None)


def _become_compiler(into: int, confine: Callable[[], None], seconds: float) -> None:
    """In the child. Never returns."""
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number, source in ((0, null), (1, into), (2, into)):
            os.dup2(source, number)
        os.chdir(PROGRAM)
        confine()
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        os.execve(GCC, _COMMAND, ENVIRONMENT)  # noqa: S606
    except OSError as error:
        os.write(2, f"{_OWN}:0: error: {error}\n".encode())
    finally:
        os._exit(127)


def _text(out: int, seconds: float) -> str | None:
    """What it says, until it has ended; None: it did not in time."""
    text = bytearray()
    until = time.monotonic() + seconds
    poller = select.poll()
    poller.register(out, select.POLLIN)
    while poller.poll(max(0.0, until - time.monotonic()) * 1000):
        if not (piece := os.read(out, 1 << 16)):
            return text.decode("utf-8", "backslashreplace")
        text += piece[: TEXT_MOST - len(text)]
    return None


def remarks(text: str) -> list[Remark]:
    """What gcc and the linker say, each with its line; line 0: it is about another file, or about none."""
    found: list[Remark] = []
    for line in text.splitlines():
        if match := _REMARK.fullmatch(line):
            file, number, column, kind, words = match.groups()
            own = file == _OWN
            found.append(
                Remark(
                    kind.lower(),  # type: ignore[arg-type]
                    min(int(number), 1 << 20) if own else 0,
                    min(int(column or 0), 1 << 20) if own else 0,
                    (words if own else f"{file}:{number}: {words}")[:4096],
                )
            )
        elif match := _LINKER.fullmatch(line):
            found.append(Remark("error", int(match[1] or 0), 0, match[2][:4096]))
        elif match := _NOWHERE.fullmatch(line):
            found.append(Remark(match[1], 0, 0, match[2][:4096]))  # type: ignore[arg-type]
        if len(found) == MOST:
            break
    return found
