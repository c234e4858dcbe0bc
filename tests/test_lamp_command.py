"""``script/lamp`` as a person runs it, where it is hard: in a directory of mode 0700, under a path of 150
characters."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pairscope.lamp.place import name as place_name
from tests import leaks
from tests.eventually import eventually
from tests.lamp import PROJECT, Visitor, command
from tests.running import TOKEN

pytestmark = [pytest.mark.lamp, pytest.mark.needs("setpriv")]

LENGTH = 150
# The lab of other tests plays as nobody, too: Apache's thousand threads would take its RLIMIT_NPROC.
USERS = ["", pytest.param("nobody", marks=pytest.mark.alone)] if os.geteuid() == 0 else [""]


class Checkout(NamedTuple):
    """A copy of the project that is open to one user alone."""

    path: Path
    prefix: list[str]
    """Begins a command that this user runs."""
    environment: dict[str, str]


@pytest.fixture(params=USERS, ids=lambda user: user or pwd.getpwuid(os.geteuid()).pw_name)
def checkout(request: pytest.FixtureRequest) -> Iterator[Checkout]:
    user = request.param
    top = Path(tempfile.mkdtemp(prefix="lamp"))
    top.chmod(0o711)
    home = top / "home of one"
    home.mkdir()
    project = home / "p".ljust(LENGTH - len(str(home)) - 1, "x")
    project.mkdir()
    assert len(str(project)) == LENGTH
    for source in (
        PROJECT / "app",
        PROJECT / "deploy",
        PROJECT / "script",
        PROJECT / "pyproject.toml",
        PROJECT / "README.md",
        *PROJECT.glob("requirements*.txt"),
    ):
        subprocess.run(["cp", "-a", source, project / source.name], check=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "PAIRSCOPE_OPERATOR_TOKEN": TOKEN,
        leaks.MARK: os.environ[leaks.MARK],
    }
    if os.geteuid() == 0 and not user:
        # The instance makes a copy of its own. It is brought up to date from here first: what the script would install
        # otherwise is this copy of the checkout, which goes.
        subprocess.run([PROJECT / "script" / "environment"], env={**os.environ, "VENV": sys.prefix}, check=True)
        environment["VENV"] = sys.prefix
    else:
        subprocess.run(["cp", "-a", sys.prefix, project / ".venv"], check=True)
    prefix = []
    if user:
        subprocess.run(["chown", "-R", f"{user}:", home], check=True)
        account = pwd.getpwnam(user)
        prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    home.chmod(0o700)
    yield Checkout(project, prefix, environment)
    data = project / "var" / "lamp"
    if data.is_symlink():
        shutil.rmtree(data.resolve())
    shutil.rmtree(top)


def test_it_starts_serves_records_and_leaves_nothing_running_on_ctrl_c(checkout: Checkout) -> None:
    project, prefix, environment = checkout
    before = leaks.pids()
    with subprocess.Popen(
        [*prefix, project / "script" / "lamp"],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout
            said = read_to(process, "Ctrl-C")
            address = re.search(r"Pairscope +(http://\S+)/\n", said)
            tables = re.search(r"Tables +(mariadb .+)", said)
            line = re.search(r"Command line +(.+)", said)
            assert address and tables and line, said
            visitor = Visitor(address[1])
            eventually(lambda: visitor.get("/readyz").status == 200, "everything is ready", 30)
            assert visitor.get("/").status == 200
            status = subprocess.run(
                [*prefix, "sh", "-c", line[1]], cwd="/", env=environment, capture_output=True, text=True
            )
            assert status.returncode == 0 and "database  ready" in status.stdout, status
            answer = visitor.submit("digest", b"x" * 100_000)
            assert answer.status == 201, answer.text
            count = [
                *prefix,
                *shlex.split(tables[1]),
                "--skip-column-names",
                "-e",
                f"SELECT COUNT(*) FROM messages WHERE job = {answer.json['id']}",
            ]
            eventually(
                lambda: subprocess.run(count, capture_output=True, text=True, check=True).stdout == "5\n",
                "five rows are in MariaDB",
            )
            again = subprocess.run(
                [*prefix, project / "script" / "lamp"],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            assert again.returncode == 2 and f"An instance runs here already (pid {process.pid})" in again.stderr
            process.send_signal(signal.SIGINT)
            said += process.stdout.read()
            assert process.wait(60) == 0, said
        finally:
            process.kill()
    (run,) = set(re.findall(r"listens at (\S+)/mariadb/sock", said))
    assert not Path(run).exists()
    places = (str(project), str((project / "var" / "lamp").resolve()), run)
    left = [
        command(pid)
        for pid in leaks.pids() - before
        if leaks.runs(pid) and any(place in command(pid) for place in places)
    ]
    assert not left
    log = (project / "var" / "lamp" / "log" / "error.log").read_text()
    assert "Traceback" not in log and "has stopped" in log, log


@pytest.fixture
def state(temporary_directory: Path) -> Iterator[Path]:
    """Where an instance shall stand. Its run directory goes as well, for one that was killed could not remove it."""
    state = Path(tempfile.mkdtemp(prefix="lamp"))
    state.chmod(0o711)
    yield state
    for run in (Path("/run"), Path("/tmp"), temporary_directory, Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))):
        shutil.rmtree(run / place_name(state / "lamp"), ignore_errors=True)
    shutil.rmtree(state)


@contextlib.contextmanager
def started(
    state: Path, python: str | Path = sys.executable, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command without the script around it, and what it said up to the end of its greeting. `python`: of the
    environment that it is installed in."""
    environment = {
        "PORT": "0",
        "PAIRSCOPE_STATE": str(state),
        "PAIRSCOPE_OPERATOR_TOKEN": TOKEN,
        leaks.MARK: os.environ[leaks.MARK],
        **environment,
    }
    command = [python, "-m", "pairscope", "lamp"]
    with subprocess.Popen(
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process, read_to(process, "Ctrl-C")
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                said = process.communicate(timeout=60)[0]
                assert process.returncode == 0, said
        finally:
            process.kill()


def read_to(process: subprocess.Popen[str], word: str) -> str:
    """What it says up to the line with that word, or to its end."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if word in line:
            break
    return said


def of_instance(state: Path) -> list[str]:
    """The command lines of all that runs of the instance."""
    return [
        told
        for pid in leaks.pids()
        if str(state / "lamp") in (told := command(pid)) or place_name(state / "lamp") in told
    ]


def test_an_installed_wheel_has_all_that_apache_and_mariadb_are_configured_from(state: Path, installed: Path) -> None:
    with started(state, installed) as (_process, said):
        visitor = Visitor(re.search(r"Pairscope +(http://\S+)/\n", said)[1])  # type: ignore[index]
        eventually(lambda: visitor.get("/readyz").status == 200, "everything is ready", 30)
        assert "Pairscope" in visitor.get("/stack").text
        assert visitor.submit("digest", b"from a wheel", wait=20).json["result"]["sha256"]


def test_a_mariadb_that_dies_is_started_again_and_the_rows_are_still_there(state: Path) -> None:
    with started(state) as (process, said):
        pid = int(re.search(r"mariadb/sock \(pid (\d+)\)", said)[1])  # type: ignore[index]
        visitor = Visitor(re.search(r"Pairscope +(http://\S+)/\n", said)[1])  # type: ignore[index]
        job = visitor.submit("digest", b"before").json["id"]
        eventually(lambda: visitor.get(f"/jobs/{job}").status == 200, "the job is recorded")
        os.kill(pid, signal.SIGKILL)
        said = read_to(process, "MariaDB is back")
        assert "MariaDB ended (killed by SIGKILL)" in said
        eventually(lambda: visitor.get("/readyz").status == 200, "everything is there again", 30)
        assert visitor.get(f"/jobs/{job}").status == 200


def test_killed_itself_it_takes_both_servers_and_the_pool_with_it(state: Path) -> None:
    with started(state) as (process, _said):
        assert len(of_instance(state)) >= 5
        process.kill()
        process.wait()
        eventually(lambda: not of_instance(state), "nothing of the instance runs", 20)


def test_a_port_that_is_taken_or_none_is_said_before_anything_starts(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(state, PORT=str(port)) as (process, said):
            assert process.wait() == 2 and f"PORT is {port}: Address already in use" in said
    with started(state, PORT="http") as (process, said):
        assert process.wait() == 2 and "PORT is 'http'; expected a number from 0 to 65535" in said
    assert not (state / "lamp").exists()
