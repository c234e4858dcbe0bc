"""Watches a program while it is recorded: the bounds of all its processes together, and its streams.

There may be no cgroup to do it. Limits of the kernel hold for each process; their sum is looked at 50 times a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time

from pairscope.program import confine
from pairscope.program.bounds import Bounds
from pairscope.program.request import Program as Request
from pairscope.program.sentences import Bound
from pairscope.trace.recording import SOURCE_MOST, Program, Remark
from pairscope.trace.tasks import Scene, Task

EVERY = 0.02
"""Seconds between two looks."""
_PIPE = 1 << 20
"""Bytes that a pipe of an output takes, if it may: nobody of ours makes a program wait."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_F_SETPIPE_SZ = 1031


class Watch:
    """A guard as the recorder has it (pairscope.trace.guard)."""

    every = EVERY

    def __init__(self, request: Request, remarks: list[Remark], bounds: Bounds) -> None:
        self._request, self._remarks, self._bounds = request, remarks, bounds
        self._input, self._feed = os.pipe2(os.O_CLOEXEC)
        self._left = request.input.encode()
        self._outputs = [_Output(bounds.output), _Output(bounds.output)]
        self._looked = 0.0
        self._used: dict[int, int] = {}
        """Nanoseconds of processor time of each process."""
        self._last = (0, 0)
        self._busy = time.monotonic()
        os.set_blocking(self._feed, False)
        self._fed()

    def enter(self) -> None:
        """In the child: streams, a session of its own, confinement. Raises OSError."""
        os.setsid()
        for number, fd in enumerate((self._input, *(output.into for output in self._outputs))):
            os.dup2(fd, number)
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        confine.program()

    def look(self, scene: Scene) -> str:
        """The bound that is reached."""
        now, bounds = time.monotonic(), self._bounds
        if now - self._looked < EVERY:
            return ""
        self._looked = now
        self._fed()
        for output in self._outputs:
            output.take()
            if output.much:
                return Bound.OUTPUT.say(most=bounds.output)
        for process in scene.processes:
            if process.status is None:
                self._used[process.pid] = _processor(process.pid) or self._used.get(process.pid, 0)
        used = sum(self._used.values())
        if used > bounds.processor * 1_000_000_000:
            return Bound.PROCESSOR.say(seconds=f"{bounds.processor:g}")
        if memory(scene, bounds.memory) > bounds.memory:
            return Bound.MEMORY.say(most=bounds.memory)
        if scene.writer.steps != self._last[0] or used - self._last[1] > 10_000_000:
            self._last, self._busy = (scene.writer.steps, used), now
        elif now - self._busy > bounds.quiet and not any(map(_works, scene.tasks.values())):
            return Bound.QUIET.say(seconds=f"{bounds.quiet:g}")
        return ""

    def told(self) -> Program:
        """What stands in the recording."""
        for output in self._outputs:
            output.take()
        one = self._request
        return Program(one.language, one.source, one.arguments, one.input, self._remarks,
                       *(output.text() for output in self._outputs))  # fmt: skip

    def _fed(self) -> None:
        """Gives the program its standard input, as far as that takes it, and then its end."""
        if self._feed < 0:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self._left:
                self._left = self._left[os.write(self._feed, self._left) :]
        if not self._left:
            os.close(self._feed)
            self._feed = -1


class _Output:
    """A stream that the program writes to."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._out, self.into = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.into, _F_SETPIPE_SZ, _PIPE)
        os.set_blocking(self._out, False)
        self._data = bytearray()
        self.much = False

    def take(self) -> None:
        """What was written meanwhile."""
        with contextlib.suppress(BlockingIOError):
            while not self.much and (piece := os.read(self._out, 1 << 16)):
                self._data += piece
                self.much = len(self._data) > self._most

    def text(self) -> str:
        return self._data[: self._most].decode("utf-8", "backslashreplace")[:SOURCE_MOST]


def memory(scene: Scene, enough: int) -> int:
    """Bytes that the program takes: pages of its processes, and its files. What a cheap look counts too often (pages
    that processes share) is looked at closely only where that would be more than `enough`."""
    living = [process.pid for process in scene.processes if process.status is None]
    files = _files() + _memfds(scene)
    most = files + sum(_resident(pid) for pid in living)
    return most if most <= enough else files + sum(_proportional(pid) for pid in living)


def _works(task: Task) -> bool:
    """Whether it computes, or waits for a disk. Who waits for his vfork waits in the same state."""
    return task.state != "apart" and task.asleep() in ("R", "D")


def _processor(pid: int) -> int:
    """Nanoseconds of processor time of a process, with its threads; 0: it has gone. clock_getcpuclockid(3)"""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return 0


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0


def _proportional(pid: int) -> int:
    """Of a page that several have, each has its part: proc_pid_smaps(5)."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith((b"Pss_Anon:", b"Pss_Shmem:"))) * 1024
    return 0


def _files() -> int:
    """Bytes of the files in the box's root, and of shared memory of System V."""
    found = os.statvfs("/")
    taken = (found.f_blocks - found.f_bfree) * found.f_frsize
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/sysvipc/shm", "rb") as file:
        taken += sum(int(line.split()[14]) for line in file.readlines()[1:])
    return taken


def _memfds(scene: Scene) -> int:
    """Bytes of the memfds that are held: nobody need have mapped them."""
    found: dict[int, int] = {}
    for table in scene.tables:
        for number, link in table.links.items():
            if link.startswith("/memfd:") and table.tid:
                with contextlib.suppress(OSError):
                    told = os.stat(f"/proc/{table.tid}/fd/{number}")
                    found[told.st_ino] = told.st_blocks * 512
    return sum(found.values())
