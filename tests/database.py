"""A private MariaDB, and history on both databases.

One server runs for the whole session and each test gets a database of its own in it; a test that kills the server
starts one for itself with :func:`server`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pairscope.config import Settings
from pairscope.store import migrate
from tests.eventually import eventually

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class MariaDB:
    """One server: loopback and a Unix socket only, everything in one directory."""

    def __init__(self, directory: Path, options: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.socket = directory / "s"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._user = ["--user=root"] if os.getuid() == 0 else []
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={directory}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                *self._user,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        command = [shutil.which("mariadbd", path=PLACES) or "mariadbd", "--no-defaults", *self._user]
        command += [f"--datadir={self.directory}/data", f"--socket={self.socket}", f"--pid-file={self.directory}/pid"]
        command += ["--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve", "--skip-log-bin"]
        command += ["--character-set-server=utf8mb4", "--innodb-buffer-pool-size=256M", "--innodb-log-file-size=128M"]
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._answers, "mariadbd answers", timeout=60)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly stop, at most 20 s."""
        self._end(signal.SIGTERM)

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"history{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str = "", port: int = 0) -> str:
        """SQLAlchemy URL over the Unix socket; over TCP where a port is named (that of a relay, say)."""
        if port:
            return f"mysql+pymysql://root@127.0.0.1:{port}/{database}"
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={self.socket}"

    def execute(self, statement: str) -> None:
        """Runs one statement as root."""
        made = create_engine(self.url())
        try:
            with made.begin() as connection:
                connection.exec_driver_sql(statement)
        finally:
            made.dispose()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
        return True

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stops a server for the time of the block: it takes connections, as the kernel does that, and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: stands_still(pid), "each of its threads has stopped")  # until then one may still answer
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stands_still(pid: int) -> bool:
    """Whether every thread is stopped. proc(5)."""
    return all(thread.read_text().rpartition(") ")[2][0] == "T" for thread in Path(f"/proc/{pid}/task").glob("*/stat"))


@contextmanager
def server(*options: str) -> Iterator[MariaDB]:
    """A server that runs until the end of the block; nothing of it is left."""
    directory = Path(tempfile.mkdtemp(prefix="db"))
    made = MariaDB(directory, options)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def running_mariadb(temporary_directory: Path) -> Iterator[MariaDB]:
    """One server for all tests that are marked ``database``, started for the first of them."""
    with server() as made:
        yield made


@pytest.fixture
def mariadb(request: pytest.FixtureRequest) -> MariaDB | None:
    """The session's server for a test that is marked ``database``, as one that uses it must be; else None."""
    return request.getfixturevalue("running_mariadb") if request.node.get_closest_marker("database") else None


both = pytest.mark.parametrize("database", ["sqlite", pytest.param("mariadb", marks=pytest.mark.database)])
"""For a test that shall hold on both databases, with the fixture `history`."""


@pytest.fixture
def history(request: pytest.FixtureRequest, mariadb: MariaDB | None, tmp_path: Path) -> Settings:
    """Settings with a migrated, empty history: SQLite, or what the test's parameter `database` says."""
    database = request.node.callspec.params.get("database", "sqlite") if hasattr(request.node, "callspec") else "sqlite"
    url = mariadb.fresh() if database == "mariadb" and mariadb else ""
    made = Settings(state=tmp_path / "state", run=tmp_path / "run", history_url=url, node_name="here")
    migrate.upgrade(made)
    return made
