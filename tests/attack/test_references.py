"""One worker that holds as many descriptors in flight as its user may: unix(7), ETOOMANYREFS."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pairscope.client.away import PoolAway
from pairscope.client.client import Client
from pairscope.config import read
from pairscope.files import SOURCE
from pairscope.ipc import memfd
from pairscope.journal.records import JobEnded
from pairscope.store.migrate import upgrade
from tests.eventually import eventually
from tests.pools import Pool

USER = 54321
LEAST = 200
"""Descriptors that the supervisor may have, and so of its user's in flight before it can send none."""
HOSTILE = """
import array, contextlib, os, socket, sys, time
if "pairscope.work.worker" in sys.orig_argv:
    from pairscope.work.jobs.echo import Echo
    run = Echo.run

    def hostile(self, task):
        if task.data == b"flood":
            time.sleep(0.5)  # by then the supervisor stands still
            end = socket.socket(fileno=3)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [2] * 50))]
            with contextlib.suppress(OSError):
                while True:
                    end.sendmsg([b"x"], rights, socket.MSG_DONTWAIT)
            end.detach()
        return run(self, task)

    Echo.run = hostile
"""


def in_flight(pid: int) -> int:
    """Descriptors that wait in the sockets of a process. proc_pid_fdinfo(5)."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
            found += int(next(iter(re.findall(r"scm_fds:\s*(\d+)", told)), 0))
    return found


@pytest.mark.alone  # the kernel counts descriptors in flight by user, those of other tests too
@pytest.mark.pool
def test_a_worker_that_fills_its_users_share_of_descriptors_in_flight_keeps_no_job_of_others(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root to start a pool as a user who has nothing else in flight")
    (tmp_path / "sitecustomize.py").write_text(HOSTILE)
    file = tmp_path / "pool.toml"
    file.write_text(f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\n')
    settings = read(file)
    upgrade(settings)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, USER, USER)
    own = Path(os.environ.get("TMPDIR", "/tmp"))
    for path in tmp_path.parents:  # which one process of several has elsewhere
        if path.is_relative_to(own) or "pytest-of-" in str(path):
            path.chmod(path.stat().st_mode | 0o011)
    log = tmp_path / "pool.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"ulimit -Sn {LEAST}; exec {sys.executable} -m pairscope.pool"],
            env={**os.environ, "PAIRSCOPE_SETTINGS": str(file), "PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}"},
            stdin=subprocess.DEVNULL,
            stderr=output,
            user=USER,
            group=USER,
            extra_groups=[],
            text=True,
        )
    pool = Pool(settings, process, log)
    try:

        def listens() -> bool:
            try:
                return pool.client.serial > 0
            except PoolAway as error:
                raise AssertionError(f"{error}; {log.read_text()}") from None

        eventually(listens, "it listens", 20)
        pool.ready()
        other = Client(settings, "tool")
        assert other.serial
        flood = pool.client.submit("echo", data=b"flood", want="both").job
        assert other.submit("echo", data=b"x", want="ended").state == "done", "the task is sent by now"
        fd = memfd.sealed("input", b"x" * 1000)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: in_flight(process.pid) > LEAST, "more are in flight than the supervisor may send")
            for _ in range(10):
                other.begin("digest", fd)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        ended: list[str] = []
        while len(ended) < 10:
            found = other.ended(20)
            assert found, "all of them are answered"
            ended += [getattr(answer, "state", str(answer)) for _, answer in found]
        assert ended == ["done"] * 10
        answer = pool.client.answer(flood, 20)
        assert answer and answer.state == "failed", answer
        other.close()
        os.close(fd)
        assert set(Counter(record.id for record in pool.records() if type(record) is JobEnded).values()) == {1}
        eventually(lambda: in_flight(process.pid) == 0, "nothing is in flight")
    finally:
        try:
            pool.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
