"""What a storm strikes: an instance of Pairscope whose processes are started again when they die, as its service does.

A :class:`Pool` is a supervisor and a station that this process starts again at once, with SQLite or a MariaDB. A
:class:`Whole` is a private Apache and MariaDB, where Apache does that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pairscope.client.away import PoolAway
from pairscope.client.client import Client
from pairscope.config import Settings, read
from pairscope.pool import snapshot
from pairscope.pool.snapshot import Snapshot
from pairscope.store.migrate import upgrade
from tests import leaks
from tests.database import MariaDB
from tests.eventually import eventually
from tests.lamp import Lamp, command

ROLES = {
    "pairscope.pool": "supervisor",
    "pairscope.work.worker": "worker",
    "pairscope.recorder": "recorder",
    "pairscope.lab.station": "station",
}


def children(pid: int) -> list[int]:
    """proc_pid_task(5)."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def role(pid: int) -> str:
    """What a process is by its command line; empty: none of ours."""
    line = command(pid)
    if line.startswith(("(wsgi:", "wsgi:")):
        return line.strip("(").split()[0].rstrip(")").removeprefix("wsgi:")
    words = line.split()
    return ROLES.get(words[2], "") if words[1:2] == ["-m"] and len(words) > 2 else ""


class Ground:
    """An instance and its processes."""

    file: Path
    """Settings with which a client reaches its pool."""
    settings: Settings

    def roots(self) -> list[int]:
        """Processes of which all others are descendants, but for the database."""
        raise NotImplementedError

    def processes(self) -> dict[str, list[int]]:
        """Those that run, by role, each role's in order of pid."""
        found: dict[str, list[int]] = {}
        left = self.roots()
        while left:
            pid = left.pop()
            left += children(pid)
            if (name := role(pid)) and leaks.runs(pid):
                found.setdefault(name, []).append(pid)
        return {name: sorted(pids) for name, pids in sorted(found.items())}

    def view(self) -> Snapshot:
        seen = snapshot.read(self.settings, time.time_ns())
        assert seen is not None, "there is no snapshot"
        return seen

    def ready(self, seconds: float = 60.0) -> Snapshot:
        """Waits until everybody is there, idle, and everything is in the database."""

        def calm() -> Snapshot | None:
            view = self.view()
            hands = [*view.workers, *view.stations]
            idle = len(view.workers) == view.wanted and view.stations and all(one.state == "idle" for one in hands)
            done = view.jobs.queued + view.jobs.running == 0
            drained = view.journal.drained == view.journal.position and view.recorder.state == "ok"
            assert idle and done and drained, self._words(view)
            return view

        return eventually(calm, "the pool is calm again: all are idle, everything is recorded", seconds)

    def _words(self, view: Snapshot) -> str:
        return f"{view.workers}, {view.stations}, {view.recorder}, {view.jobs}, {view.journal}; {self.processes()}"

    def here(self, seconds: float = 60.0) -> Snapshot:
        """Waits until everybody is there and at work, and the recorder reaches the database."""

        def whole() -> Snapshot | None:
            view = self.view()
            there = len(view.workers) == view.wanted and view.stations and view.recorder.state == "ok"
            assert there, self._words(view)
            return view

        return eventually(whole, "everybody is there again", seconds)

    def database_away(self) -> None:
        """kill -9."""

    def database_back(self) -> None:
        """Starts it again, and waits until it answers."""

    def restore(self) -> None:
        """Starts what nobody else does."""

    def browse(self) -> bool:
        """Looks at pages for about a second; False: there are none."""
        return False


class Kept:
    """A process that is started again whenever it ends, at once."""

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        self._module, self._environment, self._log = module, environment, log
        self._over = False
        self.times = 0
        """How often it was started."""
        self.process = self._start()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.times += 1
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", self._module],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _keep(self) -> None:
        while True:
            self.process.wait()
            if self._over:
                return
            self.process = self._start()

    def stop(self, seconds: float = 20.0) -> None:
        """SIGTERM, and SIGKILL after `seconds`."""
        self._over = True
        self.process.send_signal(signal.SIGTERM)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.process.kill()
            self._thread.join()
            raise AssertionError(f"{self._module} did not stop within {seconds:.0f} s")


class Pool(Ground):
    """A supervisor with its children, and a station."""

    def __init__(
        self,
        state: Path,
        url: str = "",
        mariadb: MariaDB | None = None,
        environment: dict[str, str] | None = None,
        **more: object,
    ) -> None:
        self._mariadb = mariadb
        self.file = state / "pool.toml"
        values: dict[str, object] = {"state": str(state), "run": f"{state}/run", "history_rows": 10**9, **more}
        values |= {"history_url": url} if url else {}
        self.file.write_text("".join(f"{name} = {value!r}\n" for name, value in values.items()))
        self.settings = read(self.file)
        upgrade(self.settings)
        self.log = state / "pool.log"
        named = {"PAIRSCOPE_SETTINGS": str(self.file)}
        self.supervisor = Kept("pairscope.pool", {**named, **(environment or {})}, self.log)
        try:
            eventually(self._listens, "the supervisor listens", 20)
            self.station = Kept("pairscope.lab.station", named, state / "station.log")
        except BaseException:
            self.supervisor.stop()
            raise

    def _listens(self) -> bool:
        try:
            with contextlib.closing(Client(self.settings, "tool")) as client:
                return client.serial > 0
        except PoolAway as error:
            raise AssertionError(f"{error}; {self.log.read_text()[-2000:]}") from None

    def roots(self) -> list[int]:
        return [self.supervisor.process.pid, self.station.process.pid]

    def database_away(self) -> None:
        if self._mariadb is not None:
            self._mariadb.kill()

    def database_back(self) -> None:
        if self._mariadb is not None:
            self._mariadb.start()

    def stop(self) -> None:
        try:
            self.station.stop()
        finally:
            self.supervisor.stop()


@contextlib.contextmanager
def pool(
    state: Path,
    url: str = "",
    mariadb: MariaDB | None = None,
    environment: dict[str, str] | None = None,
    **more: object,
) -> Iterator[Pool]:
    """A pool that runs until the end of the block. `environment`: of the supervisor's, and so of its children's."""
    made = Pool(state, url, mariadb, environment, **more)
    try:
        yield made
    finally:
        made.stop()


class Whole(Ground):
    """A private instance with Apache."""

    def __init__(self, lamp: Lamp) -> None:
        self.lamp = lamp
        self.file = lamp.made.conf / "pool.toml"
        self.settings = lamp.pool

    def roots(self) -> list[int]:
        return [] if self.lamp.apache.ended() else [self.lamp.apache.pid]

    def processes(self) -> dict[str, list[int]]:
        return {**super().processes(), "apache": self.roots()}

    def database_away(self) -> None:
        self.lamp.mariadb.kill()

    def database_back(self) -> None:
        if self.lamp.mariadb.ended():
            self.lamp.mariadb.start()

    def restore(self) -> None:
        if self.lamp.apache.ended():
            self.lamp.apache.kill()  # its other children, which nothing tells
            self.lamp.apache.start()

    def browse(self) -> bool:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            for page in ("/", "/messages", "/jobs", "/workers", "/api/v1/messages"):
                self.lamp.visitor.get(page)
        return True


@dataclass(frozen=True)
class Standing:
    """What an instance holds at one moment, for each role: processes, descriptors and memfds of the one that has most,
    and its memory in KiB (Pss, proc_pid_smaps(5))."""

    processes: dict[str, int]
    fds: dict[str, int]
    memfds: dict[str, int]
    memory: dict[str, int]

    @classmethod
    def of(cls, ground: Ground) -> Standing:
        """Now."""
        processes = ground.processes()

        def most(look: Callable[[int], int]) -> dict[str, int]:
            return {name: max(look(pid) for pid in pids) for name, pids in processes.items() if pids}

        return cls({name: len(pids) for name, pids in processes.items()}, most(fds), most(memfds), most(memory))


def links(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def fds(pid: int) -> int:
    return len(links(pid))


def memfds(pid: int) -> int:
    return sum(link.startswith("/memfd:") for link in links(pid))


def memory(pid: int) -> int:
    """KiB that are its own, with its share of what others have too."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
