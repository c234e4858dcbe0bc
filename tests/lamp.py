"""A private Apache and MariaDB for tests, from the very files of ``deploy/``, and ways to look at its processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope import config
from pairscope.config import Settings
from pairscope.files import SOURCE
from pairscope.lamp.place import choose
from pairscope.lamp.private import Private
from pairscope.lamp.serve import free_port
from pairscope.lamp.server import ServerError
from pairscope.pool import snapshot
from tests import leaks
from tests.eventually import eventually
from tests.running import TOKEN, Server

PROJECT = Path(__file__).parents[1]


class Visitor(Server):
    """A client of an address, with the cookies of a browser."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.timeout = 30.0
        self.source = ""
        """The address from which it comes; empty: as the kernel likes."""
        self.link = f"{address}/login?token={TOKEN}"


class Lamp:
    """The instance of a test session."""

    def __init__(self, private: Private) -> None:
        self.private = private
        self.made = private.installation
        self.apache = private.apache
        self.mariadb = private.mariadb
        self.visitor = Visitor(self.made.base_url)

    @property
    def web(self) -> Settings:
        """What web runs with."""
        return config.read(self.made.conf / "web.toml")

    @property
    def pool(self) -> Settings:
        return config.read(self.made.conf / "pool.toml")

    def checks(self) -> dict[str, dict[str, Any]]:
        """What /readyz says of each part. AssertionError while Apache answers for web, as it does at a restart."""
        answer = self.visitor.get("/readyz")
        assert answer.headers["Content-Type"] == "application/json", answer.text
        return answer.json["checks"]

    def web_epoch(self) -> int:
        """The epoch of the supervisor that last said how it is."""
        said = snapshot.read(self.web, 0)
        assert said
        return said.epoch

    def queued(self) -> int:
        """How many jobs and scenarios wait, as the supervisor last said."""
        said = snapshot.read(self.web, 0)
        assert said
        return said.jobs.queued

    def ready(self) -> None:
        """Waits until pool, journal and database are all there."""
        if self.apache.ended() or self.mariadb.ended():
            pytest.fail(f"Apache: {self.apache.ended() or 'runs'}; MariaDB: {self.mariadb.ended() or 'runs'}")
        eventually(lambda: self.visitor.get("/readyz").status == 200, "/readyz says 200", 30)

    def supervisors(self) -> list[int]:
        """Living supervisors of this instance: one, but for the moments of a restart."""
        return [pid for pid in self.processes() if command(pid).endswith("-m pairscope.pool")]

    def supervisor(self, unlike: int = 0) -> int:
        """The supervisor once there is one, other than `unlike`, and every worker is ready."""

        def another() -> int:
            (pid,) = [pid for pid in self.supervisors() if pid != unlike] or [0]
            return pid

        found = eventually(another, "Apache has started a supervisor")
        eventually(lambda: f"supervisor pid {found}" in str(self.checks()["pool"]["detail"]), "it says so itself", 30)
        self.ready()
        return found

    def processes(self) -> list[int]:
        """Everything that runs of this instance: it names one of its files in its arguments or its environment."""
        names = [os.fsencode(self.made.conf), os.fsencode(self.made.run)]
        found = []
        for pid in leaks.pids():
            try:
                told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            if any(name in told for name in names) and leaks.runs(pid):
                found.append(pid)
        return found

    def ask(self, statement: str) -> str:
        """The value that a query gives, by MariaDB's own client as web's user."""
        command = [
            "mariadb",
            f"--defaults-file={self.private.client}",
            "--batch",
            "--skip-column-names",
            "-e",
            statement,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def log(self) -> str:
        """Apache's error log."""
        return (self.made.log / "error.log").read_text()


def command(pid: int) -> str:
    """The command line of a process; empty if it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="session")
def running_lamp(temporary_directory: Path) -> Iterator[Lamp]:
    """One instance for all tests: what one of them stops it starts again."""
    before = leaks.look(temporary_directory)
    umask = os.umask(0o022)  # as pairscope.lamp's own
    directory = Path(tempfile.mkdtemp(prefix="lamp"))
    directory.chmod(0o711)  # as root the instance's users pass through it
    place = choose(SOURCE, Path(sys.prefix), directory / "lamp", lambda _: None)
    private = Private(place, lambda _: None, port=free_port("0"), operator_token=TOKEN)
    lamp = Lamp(private)
    leaks.kept.append(lamp.processes)
    try:
        private.start()
        lamp.ready()
        yield lamp
        private.stop()
    except (ServerError, AssertionError):
        print(lamp.log())
        raise
    finally:
        private.kill()
        place.leave()
        shutil.rmtree(directory)
        os.umask(umask)
        leaks.kept.remove(lamp.processes)
    left = before.left(temporary_directory, patience=2.0)
    assert not left and not lamp.processes(), f"the instance left behind: {left}"


@pytest.fixture
def lamp(running_lamp: Lamp) -> Lamp:
    """The session's instance with a fresh visitor, everything ready."""
    running_lamp.visitor.cookies = {}
    running_lamp.ready()
    return running_lamp
