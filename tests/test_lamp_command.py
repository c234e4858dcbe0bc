"""``script/lamp`` as a person runs it, where it is hard: a directory of mode 0700, a path of 150 characters with a space in it."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest

from tests import leaks
from tests.eventually import eventually
from tests.lamp import PROJECT, Visitor, command
from tests.running import TOKEN

pytestmark = [pytest.mark.lamp, pytest.mark.needs("setpriv")]

LENGTH = 150
USERS = ["", "nobody"] if os.geteuid() == 0 else [""]


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
    for source in (PROJECT / "app", PROJECT / "deploy", PROJECT / "script", *PROJECT.glob("requirements*.txt")):
        subprocess.run(["cp", "-a", source, project / source.name], check=True)
    environment = {"PATH": os.environ["PATH"], "PORT": "0", "PAIRSCOPE_OPERATOR_TOKEN": TOKEN, leaks.MARK: os.environ[leaks.MARK]}
    if os.geteuid() == 0 and not user:
        environment["VENV"] = sys.prefix  # the instance makes a copy of its own
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
    started = leaks.pids()
    with subprocess.Popen(
        [*prefix, project / "script" / "lamp"], cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            address = re.search(r"Pairscope runs: (http://\S+)/", said)
            tables = re.search(r"tables +(mariadb .+)", said)
            assert address and tables, said
            visitor = Visitor(address[1])
            eventually(lambda: visitor.get("/readyz").status == 200, "everything is ready", 30)
            assert visitor.get("/").status == 200
            answer = visitor.submit("digest", b"x" * 100_000)
            assert answer.status == 201, answer.text
            count = [*prefix, *shlex.split(tables[1]), "--skip-column-names", "-e", f"SELECT COUNT(*) FROM messages WHERE job = {answer.json['id']}"]
            eventually(lambda: subprocess.run(count, capture_output=True, text=True, check=True).stdout == "5\n", "five rows are in MariaDB")
            again = subprocess.run([*prefix, project / "script" / "lamp"], cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            assert again.returncode == 2 and f"An instance runs here already (pid {process.pid})" in again.stderr
            process.send_signal(signal.SIGINT)
            said += process.stdout.read()
            assert process.wait(60) == 0, said
        finally:
            process.kill()
    (run,) = set(re.findall(r"listens at (\S+)/mariadb/sock", said))
    assert not Path(run).exists()
    places = (str(project), str((project / "var" / "lamp").resolve()), run)
    left = [command(pid) for pid in leaks.pids() - started if any(place in command(pid) for place in places)]
    assert not left
    log = (project / "var" / "lamp" / "log" / "error.log").read_text()
    assert "Traceback" not in log and "has stopped" in log, log
