"""Tasks, their processes, and the tables of descriptors that they share; and the scene that all parts of the recorder
see. proc_pid_fd(5), clone(2) CLONE_FILES."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from pairscope.lab.probes import tables
from pairscope.trace import ptrace
from pairscope.trace.file import Writer
from pairscope.trace.kinds import stopping
from pairscope.trace.recording import Told

_KINDS = ("socket:[", "pipe:[", "/memfd:", "anon_inode:")
"""What processes talk by, as /proc/PID/fd shows it."""
_PIDFD_THREAD = os.O_EXCL
"""linux/pidfd.h, since Linux 6.9."""


def inode_of(link: str) -> int:
    """Of a socket or a pipe; 0: it is neither."""
    return int(link[link.index("[") + 1 : -1]) if link.startswith(_KINDS[:2]) else 0


class Holders:
    """Which tables hold the sockets and pipes of these inodes."""

    def __init__(self) -> None:
        self._of: dict[int, dict[tuple[Table, int], None]] = {}
        self.met: set[int] = set()
        """Every inode that was ever held."""

    def enter(self, table: Table, number: int, link: str) -> None:
        if inode := inode_of(link):
            self._of.setdefault(inode, {})[table, number] = None
            self.met.add(inode)

    def leave(self, table: Table, number: int, link: str) -> None:
        if (inode := inode_of(link)) and (found := self._of.get(inode)):
            found.pop((table, number), None)
            if not found:
                del self._of[inode]

    def all(self) -> list[int]:
        """Every inode that somebody holds."""
        return list(self._of)

    def one(self, inode: int) -> tuple[Table, int] | None:
        """Somebody who holds it."""
        return next(iter(self._of.get(inode, ())), None)


class Table:
    """A table of descriptors: of one task, or shared by several."""

    def __init__(self, number: int, holders: Holders) -> None:
        self.number = number
        self.tasks: dict[Task, None] = {}
        """Those that use it and have not ended."""
        self.links: dict[int, str] = {}
        """What is followed of it: sockets, pipes, memfds, anonymous inodes, and whatever was passed."""
        self.known = False
        """Whether it was listed, or copied from one that was."""
        self._holders = holders

    @property
    def tid(self) -> int:
        """A task that has it, by which the kernel is asked; 0: none has any more."""
        return next((task.tid for task in self.tasks), 0)

    def link(self, number: int) -> str:
        """What stands at a number now; empty: nothing, or it is hidden."""
        try:
            return os.readlink(b"/proc/%d/fd/%d" % (self.tid, number)).decode("utf-8", "backslashreplace")[:4096]
        except OSError:
            return ""

    def put(self, number: int, link: str) -> dict[int, str | None]:
        """Enters what stands at a number; empty: nothing. What has changed."""
        before = self.links.get(number, "")
        if before == link:
            return {}
        if before:
            self._holders.leave(self, number, before)
            del self.links[number]
        if link:
            self.links[number] = link
            self._holders.enter(self, number, link)
        return {number: link or None}

    def refresh(self, numbers: Iterable[int], *, passed: bool = False) -> dict[int, str | None]:
        """Looks at these numbers. `passed`: whatever stands there is followed."""
        changed: dict[int, str | None] = {}
        for number in numbers:
            link = self.link(number)
            followed = passed or link.startswith(_KINDS) or link == self.links.get(number)
            changed |= self.put(number, link if followed else "")
        return changed

    def listed(self) -> dict[int, str | None]:
        """Lists the whole table anew. What has changed. Raises OSError where it is hidden."""
        self.known = True
        there = set(tables.numbers(self.tid))
        changed: dict[int, str | None] = {}
        for number in self.links.keys() - there:
            changed |= self.put(number, "")
        return changed | self.refresh(there)

    def copied(self, other: Table) -> dict[int, str | None]:
        """Takes over what another holds: at a fork."""
        self.known = True
        changed: dict[int, str | None] = {}
        for number, link in other.links.items():
            changed |= self.put(number, link)
        return changed

    def empty(self) -> dict[int, str | None]:
        """Nobody has it any more."""
        changed: dict[int, str | None] = {}
        for number in list(self.links):
            changed |= self.put(number, "")
        return changed


@dataclasses.dataclass(eq=False, slots=True)
class Process:
    number: int
    pid: int
    name: str
    parent: int
    born: int
    tasks: dict[Task, None] = dataclasses.field(default_factory=dict)
    status: int | None = None
    hidden: bool = False
    foreign: bool = False


@dataclasses.dataclass(eq=False, slots=True)
class Call:
    """A call that a task is in."""

    name: str
    words: tuple[int, ...]
    given: Told = dataclasses.field(default_factory=dict)
    raw: Told = dataclasses.field(default_factory=dict)
    """What the lab's table told of it at its entry."""
    fd: int = -1
    on: str = ""
    """What stands at it, as /proc/PID/fd shows it; empty: nothing that is followed."""
    inode: int = 0
    """Of the socket or pipe that it is about."""
    began_us: int = 0
    step: int = 0
    """The step that told it first; 0: none has."""
    blocked: bool = False
    passes: bool = False
    """It passes descriptors, or brings them."""
    told: bool = False
    """All of it was told; its return says nothing more."""
    line: int = 0
    """Of the program's source; 0: it is not known."""


@dataclasses.dataclass(eq=False, slots=True)
class Task:
    """``new``: its first stop has not come; ``runs``; ``held`` at an entry, waits for its turn; ``inside`` a call;
    ``sleeps`` in a call; ``returned`` from a call, is held back; ``ends``."""

    tid: int
    process: Process
    table: Table
    state: str = "new"
    call: Call | None = None
    again: Call | None = None
    """A call that the kernel takes up again by restart_syscall(2)."""
    last: int = 0
    """The line at which it has called exit(2); 0: it is not known, or it has not."""
    pidfd: int = -1
    stat: int = -1

    def asleep(self) -> str:
        """The letter of its state: S sleeps."""
        try:
            if self.stat < 0:
                self.stat = os.open(f"/proc/{self.process.pid}/task/{self.tid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            text = os.pread(self.stat, 256, 0)
            at = text.rindex(b")") + 2
            return text[at : at + 1].decode()
        except (OSError, ValueError):
            return "X"

    def duplicate(self, number: int) -> int:
        """This process's duplicate of one of its descriptors. Raises OSError. pidfd_getfd(2)"""
        if self.pidfd < 0:
            try:
                self.pidfd = os.pidfd_open(self.tid, _PIDFD_THREAD)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self.pidfd = os.pidfd_open(self.process.pid, 0)
        return tables.duplicate(self.pidfd, number)

    def close(self) -> None:
        for fd in (self.pidfd, self.stat):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self.pidfd = self.stat = -1


class Lines(Protocol):
    """Who knows at which line a task stands."""

    def missing(self) -> str:
        """Why no line is known; a sentence. Empty: they are known."""

    def at(self, tid: int, *, call: bool) -> int:
        """The line of a task that stands still at the entry of a call, or (`call` is False) at a signal; 0: it is not
        known."""


class Scene:
    """What all parts see."""

    def __init__(self, writer: Writer, kept: int, only: frozenset[str] | None, lines: Lines | None = None) -> None:
        self.writer = writer
        self.lines = lines
        """Who knows at which line a task stands; None: it is not asked for."""
        self.kept = kept
        """Bytes of each buffer."""
        self.only = only
        """The kinds of steps that are told; None: all."""
        self.names = stopping(only)
        """The calls that stop a task, by their numbers."""
        self.run = ptrace.CONT
        """How a task goes on: to the next call of the list, by its filter; or, where it has none, to any call."""
        self.tasks: dict[int, Task] = {}
        self.processes: list[Process] = []
        self.tables: list[Table] = []
        self.holders = Holders()
        self.queue: deque[Task] = deque()
        """Who waits at the turnstile."""
        self.inside: Task | None = None
        self.sleeping: dict[Task, None] = {}
        self.returned: deque[tuple[Task, int, int]] = deque()
        """Who stands still until the one inside was told: the signal that it gets, or 0; and what its call returns."""
        self._began = time.monotonic_ns()

    def now_us(self) -> int:
        return (time.monotonic_ns() - self._began) // 1000

    def line(self, task: Task, *, call: bool = True) -> int:
        """The line at which a task stands that is at a call, or at a signal; 0: it is not known."""
        return 0 if self.lines is None else self.lines.at(task.tid, call=call)

    def table(self) -> Table:
        made = Table(len(self.tables) + 1, self.holders)
        self.tables.append(made)
        return made
