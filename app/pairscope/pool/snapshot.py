"""The snapshot: how the pool is, in one small JSON file that the supervisor replaces at most twice a second.

Pages read it instead of asking: looking costs the supervisor nothing. A file older than :data:`STALE` seconds
means that there is no supervisor, whatever the file says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from typing import Any

import msgspec

from pairscope.config import Settings
from pairscope.ipc.payloads import JobSpec
from pairscope.ipc.sentences import Waits

EVERY = 0.5
"""Seconds between two snapshots while anything changes."""
HEARTBEAT = 2.0
"""Seconds between two snapshots while nothing does."""
STALE = 6.0
HANDOVER = 30.0
"""Seconds for which the last snapshot of a supervisor that gave way stands for its successor, which is starting: on two
cores with a load of 15 it took 10."""
BLOCK = 4096
"""Bytes in which a disk gives room to a file."""
TRIES = 3
"""Times that a reader looks at a file that cannot be understood: one that is written over may be half new."""


class SupervisorView(msgspec.Struct, frozen=True):
    serial: int
    pid: int
    born: int
    fds: int
    pids: int = 0
    """The namespace in which `pid` is its number: the inode of /proc/self/ns/pid, namespaces(7). 0: not known."""


class WorkerView(msgspec.Struct, frozen=True):
    serial: int
    pid: int
    state: str
    """``starting``, ``idle``, ``busy`` or ``stopping``, as the supervisor deals with it."""
    born: int
    ready: int
    job: str = ""
    kind: str = ""
    sandbox: str = ""
    detail: dict[str, Any] = {}
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    stopped: bool | None = False
    """True: a signal has stopped the process, whatever it has in hand. State T of proc_pid_stat(5). None: the
    supervisor may not see it."""

    @property
    def standing(self) -> str:
        """``stopped``, or its state."""
        return "stopped" if self.stopped else self.state


class RecorderView(msgspec.Struct, frozen=True):
    serial: int
    pid: int
    state: str
    """``starting``, ``ok``, ``away`` (the database is), ``stopped`` (by a signal), ``stalled`` (it cannot go on) or
    ``dead``."""
    database: str
    position: int
    rows: int
    lag: int
    """Records that wait."""
    lag_ns: int
    """Age of the oldest of them, to half a second."""
    heard: int
    quarantined: int
    history: int
    bound: int
    gaps: int = 0
    """Entries in quarantine that stand for what is missing in the journal."""
    gap: str = ""
    """Why the newest of them is there, with its positions."""
    stalled: str = ""
    """Why it cannot go on, in words, although the database is there."""

    @property
    def trouble(self) -> str:
        """What is wrong, in words; empty: nothing is."""
        return self.stalled or ("" if self.database == "ok" else self.database)


class JournalView(msgspec.Struct, frozen=True):
    position: int
    first: int
    bytes: int
    limit: int
    segments: int
    refusals: int
    """Messages refused because it was full; they alone are not recorded."""
    sync: str
    drained: int
    stuck: str = ""
    """Why nothing can be appended, if so."""


class ClientView(msgspec.Struct, frozen=True):
    serial: int
    role: str
    pid: int
    uid: int
    messages: int
    unread_bytes: int = 0
    """That wait for it, because it does not read."""
    unread_fds: int = 0


class JobsView(msgspec.Struct, frozen=True):
    queued: int
    running: int
    done: int
    failed: int
    cancelled: int


class ResultsView(msgspec.Struct, frozen=True):
    count: int
    bytes: int
    limit: int
    age: int
    most: int = 0
    """That are kept at a time; beyond them, or beyond `limit` bytes, the oldest go."""


class UnreadView(msgspec.Struct, frozen=True):
    """What waits for peers that do not read."""

    bytes: int = 0
    bytes_each: int = 0
    """That may wait for one of them."""
    bytes_all: int = 0
    fds: int = 0
    fds_each: int = 0
    fds_all: int = 0
    let_go: int = 0
    """Peers whose channels were closed for it."""


class ConnectionsView(msgspec.Struct, frozen=True):
    """Connections over the control socket, of those who wait at the door, too."""

    held: dict[int, int] = {}
    """By user (uid)."""
    most: int = 0
    """That one user may hold."""


class MessagesView(msgspec.Struct, frozen=True):
    journaled: int
    housekeeping: dict[str, int]


class Snapshot(msgspec.Struct, frozen=True):
    """How the pool is. Times in ns since 1970."""

    at: int
    node: int
    node_name: str
    epoch: int
    version: str
    state: str
    """``running`` or ``stopping``."""
    supervisor: SupervisorView
    workers: list[WorkerView]
    wanted: int
    workers_max: int
    recorder: RecorderView
    journal: JournalView
    clients: list[ClientView]
    jobs: JobsView
    results: ResultsView
    messages: MessagesView
    transfers: int
    catalogue: list[JobSpec]
    stations: list[WorkerView] = []
    """Of the lab."""
    relieved: bool = False
    """It stops because a successor waits for the journal."""
    unread: UnreadView = UnreadView()
    connections: ConnectionsView = ConnectionsView()
    cramped: str = ""
    """Why this file could not be replaced and was written over, as on a full disk; empty: it could."""


_decode = msgspec.json.Decoder(Snapshot).decode
# Made here, once: msgspec makes what it knows of a type at its first use, and a thread that decodes meanwhile reads
# what is half made. The first requests of a process of web came at once, and some of those processes died of it.


def held() -> int:
    """How many descriptors this process holds; its limit, where none is left to count them with."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def pid_namespace() -> int:
    """The pid namespace of this process, as an inode number; 0 where that is not to be known. namespaces(7)."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def write(settings: Settings, snapshot: Snapshot) -> None:
    """Replaces the file in one step. Where the disk that holds it is full, the old one is written over, and says so:
    its blocks are there already, and some more than it needs.

    Where that fails, too, the old one grows stale: that is the truth.
    """
    try:
        _replace(settings, _padded(snapshot, 0))
    except OSError as error:
        why = Waits.CRAMPED.say(path=settings.run, fault=error.strerror)
        with contextlib.suppress(OSError):
            _write_over(settings, msgspec.structs.replace(snapshot, cramped=why))


def _replace(settings: Settings, data: bytes) -> None:
    temporary = settings.run / f".snapshot.{os.getpid()}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(fd)
        os.replace(temporary, settings.snapshot)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _write_over(settings: Settings, snapshot: Snapshot) -> None:
    fd = os.open(settings.snapshot, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        data = _padded(snapshot, size)
        if len(data) <= size:
            os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def _padded(snapshot: Snapshot, size: int) -> bytes:
    """As JSON, with blanks up to that size; up to a whole block, and one more, where that is 0."""
    data = msgspec.json.encode(snapshot)
    return data.ljust(size or (len(data) // BLOCK + 2) * BLOCK)


def read(settings: Settings, now: int) -> Snapshot | None:
    """The snapshot, or None if there is no supervisor: no file, an unreadable one, one older than STALE at `now` (ns
    since 1970), or one that was left by a process that has died.

    Nobody's /proc but this process's own is needed for it: systemd's ProtectProc=invisible hides that of other users.
    """
    snapshot = _last(settings)
    if snapshot is None:
        return None
    return snapshot if now - snapshot.at < STALE * 1e9 and not _gone(snapshot.supervisor) else None


def succession(settings: Settings, now: int) -> bool:
    """Whether a supervisor gives way to its successor, or did so within HANDOVER seconds before `now` (ns since
    1970)."""
    snapshot = _last(settings)
    return snapshot is not None and snapshot.relieved and now - snapshot.at < HANDOVER * 1e9


def _last(settings: Settings) -> Snapshot | None:
    """What the file says, however old; None: there is none, or it cannot be understood."""
    for _ in range(TRIES):
        try:
            return _decode(settings.snapshot.read_bytes())
        except OSError:
            return None
        except msgspec.MsgspecError:
            pass  # it is just being written over, perhaps
    return None


def _gone(supervisor: SupervisorView) -> bool:
    """Whether it is certain that the process has ended. A pid of another namespace says nothing here: then the
    snapshot's age alone tells."""
    if supervisor.pids and supervisor.pids != pid_namespace():
        return False
    return not exists(supervisor.pid)


def exists(pid: int) -> bool:
    """Whether there is a process of that number, whoever's it is. Signal 0 is answered for those, too, that /proc does
    not show. kill(2)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
