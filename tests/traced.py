"""What the tests of the recorder of real programs share: docs/recorder.md. The programs are those of
tests/programs/recorded/, in C, and ones that stand in the tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.trace.file import Recording
from tests import leaks

PROGRAMS = Path(__file__).parent / "programs/recorded"
APP = Path(__file__).parent.parent / "app"
USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]

process = pytest.mark.process
compiled = pytest.mark.needs("gcc", "setpriv")


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """A directory with the programs, which every user may read and write."""
    made = Path(tempfile.mkdtemp(prefix="recorded-"))
    made.chmod(0o777)
    for source in PROGRAMS.glob("*.c"):
        subprocess.run(["gcc", "-Wall", "-Wno-unused-result", "-pthread", "-o", made / source.stem, source], check=True)
    yield made
    shutil.rmtree(made)


class Run:
    """A program that was recorded."""

    def __init__(self, done: subprocess.CompletedProcess[str], path: Path) -> None:
        self.out, self.err, self.status = done.stdout, done.stderr, done.returncode
        self.path = path

    def passages(self) -> list[dict[str, Any]]:
        shown = pairscope("--passages", str(self.path), "--json")
        assert shown.returncode == 0, shown.stderr
        items: list[dict[str, Any]] = json.loads(shown.stdout)["items"]
        return items

    def steps(self) -> list[Any]:
        with Recording(str(self.path)) as recording:
            return list(recording.all())

    def state_before_the_end(self) -> dict[int, str]:
        """What the first table held before its last process ended."""
        with Recording(str(self.path)) as recording:
            held: dict[int, str] = recording.state(recording.steps - 1).tables[1]
            return held

    @property
    def index(self) -> Any:
        with Recording(str(self.path)) as recording:
            return recording.index


def pairscope(*words: str, before: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-m", "pairscope", "record", *words],
        capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)}, **more,
    )  # fmt: skip


def recorded(programs: Path, *command: str, user: str = "root", options: tuple[str, ...] = ()) -> Run:
    path = programs / "of.rec"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    before = tuple(AS_NOBODY) if user == "ordinary" and os.geteuid() == 0 else ()
    done = pairscope("-o", str(path), *options, "--", *command, before=before, cwd=programs)
    return Run(done, path)


def bare(*command: str) -> tuple[str, int]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout, done.returncode


NGINX = """
pid {at}/pid; error_log {at}/error.log; worker_processes 2; {user}
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
    uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
    server {{ listen unix:{at}/sock; return 200 "worker $pid"; }}
}}
"""


def answer(at: Path) -> int:
    """The pid of the worker that answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(at / "sock"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return int(b"".join(iter(lambda: client.recv(4096), b"")).rpartition(b" ")[2])


def living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if leaks.runs(pid)]


def tracees(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nTracerPid:\t{pid}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found


REFUSING = """
import errno, os, sys, pyseccomp
refused = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for name in sys.argv[1].split(","):
    refused.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
refused.load()
os.execv(sys.argv[2], sys.argv[2:])
"""


def confined(programs: Path, refused: str, *command: str) -> Run:
    """A recorder to which these calls are refused."""
    path = programs / "of.rec"
    done = pairscope("-o", str(path), "--", *command, before=(sys.executable, "-c", REFUSING, refused))
    return Run(done, path)


def children(pid: int) -> list[int]:
    """Processes whose parent it is, in order."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_bytes().rpartition(b")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return sorted(found)
