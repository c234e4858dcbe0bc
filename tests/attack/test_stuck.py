"""A worker that does not take what it is given: stopped by a signal, or stuck. Others do the jobs, each ends once."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import JobEnded, Message
from pairscope.pool.snapshot import WorkerView
from tests.eventually import eventually
from tests.pools import Pool, running

pytestmark = pytest.mark.pool

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
"""linux/ptrace.h"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with running(tmp_path) as pool:
        pool.ready()
        yield pool


def worker(pool: Pool, serial: int) -> WorkerView:
    (found,) = [worker for worker in pool.view().workers if worker.serial == serial]
    return found


@contextlib.contextmanager
def stopped(one: WorkerView) -> Iterator[None]:
    """No job of the pool's is done by that worker meanwhile."""
    os.kill(one.pid, signal.SIGSTOP)
    status = Path(f"/proc/{one.pid}/stat")
    eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", "it has stopped")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGCONT)


@contextlib.contextmanager
def stuck(one: WorkerView) -> Iterator[None]:
    """It does not go on, and no signal has stopped it: a debugger holds it. ptrace(2)."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    if ptrace(PTRACE_SEIZE, one.pid, None, None):
        pytest.skip("this process may not trace another: ptrace(2)")
    ptrace(PTRACE_INTERRUPT, one.pid, None, None)
    os.waitid(os.P_PID, one.pid, os.WSTOPPED | os.WEXITED | 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, one.pid, None, None)


def ends(pool: Pool) -> collections.Counter[int]:
    """How often each job has ended."""
    return collections.Counter(record.id for record in pool.records() if type(record) is JobEnded)


def all_of(pool: Pool, count: int) -> dict[int, str]:
    """The states of as many requests as were begun, when all have ended."""
    found: dict[int, str] = {}
    while len(found) < count:
        ended = pool.client.ended()
        assert ended, f"only {len(found)} of {count} have ended within the time"
        found.update((seq, getattr(answer, "state", "refused")) for seq, answer in ended)
    return found


@pytest.mark.parametrize("at_once", [1, 64], ids=["one after the other", "64 in flight"])
def test_quick_jobs_are_all_done_while_a_worker_stands_still_and_each_ends_once(pool: Pool, at_once: int) -> None:
    one, _ = pool.view().workers
    with stopped(one):
        for _ in range(64 // at_once):
            for number in range(at_once):
                pool.client.begin("echo", data=b"%d" % number)
            assert set(all_of(pool, at_once).values()) == {"done"}
        assert worker(pool, one.serial).done == one.done
    eventually(lambda: (again := worker(pool, one.serial)).standing == "idle" and again, "it has gone on", 20)
    pool.client.begin("echo", data=b"again")
    assert set(all_of(pool, 1).values()) == {"done"}
    assert set(ends(pool).values()) == {1} and len(ends(pool)) == 65


def test_what_waits_behind_a_job_that_is_stuck_is_done_by_others_and_that_job_stays(pool: Pool) -> None:
    one, _ = pool.view().workers
    with stuck(one):
        for number in range(40):
            pool.client.begin("echo", data=b"%d" % number)
        assert set(all_of(pool, 39).values()) == {"done"}
        assert not pool.client.ended(0.1), "the job that is stuck may be stuck by its own fault"
    assert set(all_of(pool, 1).values()) == {"done"}
    assert set(ends(pool).values()) == {1} and len(ends(pool)) == 40


def test_a_long_job_that_a_stopped_worker_has_not_taken_is_done_by_another_and_nothing_is_left_of_it(
    pool: Pool, tmp_path: Path
) -> None:
    held = len(os.listdir(f"/proc/{pool.process.pid}/fd"))
    path = tmp_path / "input"
    path.write_bytes(b"line\n" * 1000)
    one, other = pool.view().workers
    with path.open("rb") as file:
        with stopped(one):
            answer = pool.client.submit("compress", file.fileno(), want="ended")
            assert (answer.state, answer.worker) == ("done", other.serial)
        tasks = [
            record.serial
            for record in pool.records()
            if type(record) is Message and record.job == answer.job and record.kind == BY_NAME["task"].code
        ]
        assert tasks == [one.serial, other.serial]
        eventually(lambda: worker(pool, one.serial).standing == "idle", "it has gone on", 20)
        eventually(
            lambda: (
                not any("output" in os.readlink(f"/proc/{one.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{one.pid}/fd"))
            ),
            "it holds nothing of it",
        )
        output, fd = pool.client.fetch(answer.job)
        os.close(fd)
        assert output.size and set(ends(pool).values()) == {1}
    eventually(lambda: len(os.listdir(f"/proc/{pool.process.pid}/fd")) <= held + 1, "one descriptor: the output")


def test_a_stopped_worker_that_is_killed_fails_nothing_that_others_have_done(pool: Pool) -> None:
    one, _ = pool.view().workers
    with stopped(one):
        for number in range(20):
            pool.client.begin("echo", data=b"%d" % number)
        assert set(all_of(pool, 20).values()) == {"done"}
        os.kill(one.pid, signal.SIGKILL)
        eventually(lambda: all(worker.serial != one.serial for worker in pool.view().workers), "it is buried")
        assert pool.client.submit("echo", data=b"x", want="ended").state == "done"
        assert pool.view().jobs.failed == 0


def test_a_job_stays_with_a_stopped_worker_while_all_others_are_stopped_too(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"line\n")
    one, other = pool.view().workers
    with path.open("rb") as file, stopped(one):
        with stopped(other):
            job = pool.client.submit("compress", file.fileno(), want="both").job
            assert pool.client.answer(job, 0.2) is None
            eventually(lambda: worker(pool, one.serial).job == str(job), "the snapshot shows who has it")
            assert not worker(pool, other.serial).job
        answer = pool.client.answer(job, 10)
        assert answer and (answer.state, answer.worker) == ("done", other.serial), "it was free again"
