"""What a test process holds: its descendants, its descriptors, its temporary files. proc(5)."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

MARK = "PAIRSCOPE_TEST"
"""In the environment of the test process and so of all that it starts: also an orphan is found by it."""

kept: list[Callable[[], Collection[int]]] = []
"""Each gives the processes of a fixture of the session, of which a test may replace some."""


@dataclass
class Left:
    """What was not there before, in words."""

    processes: dict[int, str] = field(default_factory=dict)
    fds: dict[int, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.processes or self.fds or self.files)

    def __str__(self) -> str:
        return "; ".join(
            [f"process {pid} ({command})" for pid, command in self.processes.items()]
            + [f"descriptor {fd} ({link})" for fd, link in self.fds.items()]
            + [f"file {path}" for path in self.files]
        )


@dataclass
class Held:
    """What is held at one moment."""

    pids: frozenset[int]
    fds: dict[int, str]
    files: frozenset[Path]

    def left(self, directory: Path, patience: float = 0.0) -> Left:
        """What is held now and was not then. Waits up to `patience` seconds for new processes to end."""
        deadline = time.monotonic() + patience
        processes = _living(self.pids)
        for pid in list(processes):
            _wait_for_end(pid, deadline - time.monotonic())
        if patience:
            processes = _living(self.pids)
        fds = {fd: link for fd, link in _fds().items() if self.fds.get(fd) != link}
        return Left(processes, fds, sorted(_files(directory) - self.files))


def look(directory: Path) -> Held:
    """What is held now."""
    return Held(pids(), _fds(), _files(directory))


def pids() -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdecimal())


def runs(pid: int) -> bool:
    """Whether the process runs. One that is dead and that nobody reaps, as in a container without an init, does not."""
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def parent(pid: int) -> int:
    """Pid of the process' parent."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name. proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _fds() -> dict[int, str]:
    held = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            held[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the descriptor of this very listing
    return held


def _files(directory: Path) -> frozenset[Path]:
    return frozenset(directory.iterdir())


def _living(before: frozenset[int]) -> dict[int, str]:
    """New processes that this one started, directly or not; dead children are reaped on the way."""
    found = {}
    token = f"{MARK}={os.environ.get(MARK, '')}".encode()
    for pid in pids() - before - {pid for pids_kept in kept for pid in pids_kept()}:
        try:
            ours = parent(pid) == os.getpid()
            if not runs(pid):
                if ours:
                    os.waitpid(pid, os.WNOHANG)
                continue
            try:
                marked = token in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except PermissionError:
                marked = False
            if ours or marked:
                command = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                found[pid] = command[:120]
        except (FileNotFoundError, ProcessLookupError, ChildProcessError):
            pass  # gone meanwhile
    return found


def _wait_for_end(pid: int, seconds: float) -> None:
    if seconds <= 0:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([pidfd], [], [], seconds)
    finally:
        os.close(pidfd)


def unix_sockets() -> set[str]:
    """The inodes of all AF_UNIX sockets that the kernel holds, for whomever. A name may be any bytes: unix(7)."""
    lines = Path("/proc/net/unix").read_text(errors="surrogateescape").split("\n")
    return {words[6] for line in lines[1:] if len(words := line.split()) > 6}  # a name may hold a line feed, too
