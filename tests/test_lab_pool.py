"""Scenarios through the pool: a run is a job, its messages and descriptors stand in the record."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, overload

import msgspec
import pytest

from pairscope.client.away import PoolRefused
from pairscope.files import SOURCE
from pairscope.ipc import memfd
from pairscope.ipc.payloads import Accepted, Answer
from pairscope.ipc.vocabulary import BY_CODE, REFUSALS
from pairscope.journal.records import Born, Message, Ready
from pairscope.lab import gallery
from tests.eventually import eventually
from tests.pools import Pool, running
from tests.stations import idle, stations

pytestmark = pytest.mark.pool


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running(tmp_path_factory.mktemp("lab"), PAIRSCOPE_WORKERS="1") as pool:
        pool.ready()
        yield pool


@overload
def ask(pool: Pool, text: str) -> Answer: ...


@overload
def ask(pool: Pool, text: str, want: Literal["both"]) -> Accepted: ...


def ask(pool: Pool, text: str, want: Literal["ended", "both"] = "ended") -> Answer | Accepted:
    fd = memfd.sealed("a scenario", text.encode())
    try:
        if want == "both":
            return pool.client.submit("lab", fd, name="a scenario", want="both", timeout=20)
        return pool.client.submit("lab", fd, name="a scenario", want="ended", timeout=20)
    finally:
        os.close(fd)


def fetched(pool: Pool, job: int) -> dict:
    found, fd = pool.client.fetch(job)
    try:
        return msgspec.json.decode(os.pread(fd, found.size, 0))
    finally:
        os.close(fd)


def test_without_a_station_a_scenario_is_refused_in_words_while_jobs_go_on(shared: Pool):
    try:
        said = ask(shared, gallery.text("one-process")).reason  # it waited for one, and none came
    except PoolRefused as refused:
        said = str(refused)
    assert "No lab station" in said
    assert shared.client.submit("echo", data=b"still here", want="ended").state == "done"


def test_a_scenario_crosses_as_a_descriptor_and_its_run_comes_back_as_one(shared: Pool):
    with stations(shared) as (station,):
        assert station.sandbox in ("landlock+seccomp", "seccomp") and station.detail["no_new_privs"]
        answer = ask(shared, gallery.text("parent-and-child"))
        assert answer.state == "done" and answer.result["verdict"] == "held", answer
        run = fetched(shared, answer.job)
        assert run["verdict"] == "held" and len(run["steps"]) == answer.result["steps"]
        shared.drained()
        records = shared.records()
    assert [record.serial for record in records if isinstance(record, Born) and record.role == "lab"] == [
        station.serial
    ]
    assert [record.role for record in records if isinstance(record, Ready)].count("lab") == 1
    moved = {
        BY_CODE[record.kind].name: len(record.transfers)
        for record in records
        if isinstance(record, Message) and record.job == answer.job
    }
    assert moved.items() >= {"submit": 1, "task": 2, "result": 0, "answer": 0, "output": 1}.items()


def test_a_text_that_is_no_scenario_fails_with_its_place(shared: Pool):
    with stations(shared):
        answer = ask(shared, "p: pip\n")
    assert answer.state == "failed" and answer.reason.startswith("1:4:"), answer


def test_a_job_does_not_wait_behind_a_scenario(shared: Pool):
    with stations(shared) as (station,):
        os.kill(station.pid, signal.SIGSTOP)
        try:
            accepted = ask(shared, gallery.text("one-process"), want="both")
            assert shared.client.submit("echo", data=b"at once", want="ended").state == "done"
        finally:
            os.kill(station.pid, signal.SIGCONT)
        answer = shared.client.answer(accepted.job, 20)
    assert answer and answer.state == "done"


GATE = """
import sys
if "pairscope.work.worker" in sys.orig_argv:
    import fcntl, os
    with open(os.path.dirname(__file__) + "/gate") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
"""
"""A worker is not born before the test gives up its lock."""


def test_jobs_that_come_when_a_station_has_said_what_it_can_do_and_no_worker_yet_wait_for_one(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(GATE)
    with (tmp_path / "gate").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        with (
            running(
                tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCE}", PAIRSCOPE_SANDBOX="none", PAIRSCOPE_WORKERS="1"
            ) as pool,
            stations(pool),
        ):
            assert [spec.name for spec in pool.view().catalogue] == ["lab"]
            jobs = {
                kind: pool.client.submit(kind, data=b"x", want="both").job for kind in ("echo", "nonsense", "digest")
            }
            assert ask(pool, gallery.text("one-process")).state == "done"
            assert {pool.client.lookup(job).state for job in jobs.values()} == {"queued"}
            fcntl.flock(gate, fcntl.LOCK_UN)
            answers = {kind: pool.client.answer(job, 20) for kind, job in jobs.items()}
    assert {kind: (answer.state, answer.reason.partition(".")[0]) for kind, answer in answers.items() if answer} == {
        "echo": ("done", ""),
        "nonsense": ("failed", REFUSALS["unknown-kind"].rstrip(".")),
        "digest": ("failed", REFUSALS["needs-input"].rstrip(".")),
    }


def test_a_cancelled_run_ends_and_its_station_comes_again(shared: Pool):
    with stations(shared) as (station,):
        os.kill(station.pid, signal.SIGSTOP)
        accepted = ask(shared, gallery.text("one-process"), want="both")
        assert "kills the run" in shared.client.cancel(accepted.job)
        os.kill(station.pid, signal.SIGCONT)
        answer = shared.client.answer(accepted.job, 20)
        assert answer and answer.state == "cancelled" and answer.reason.startswith("through tool ")
        (again,) = idle(shared, [station.pid], after=station.serial)
        assert again.pid == station.pid
        assert ask(shared, gallery.text("one-process")).state == "done"


def test_a_station_that_dies_fails_its_run_with_the_reason(shared: Pool):
    with stations(shared) as (station,):
        os.kill(station.pid, signal.SIGSTOP)
        accepted = ask(shared, gallery.text("one-process"), want="both")
        eventually(
            lambda: any(seen.state == "busy" for seen in shared.view().stations), "the station has it in hand", 10
        )
        os.kill(station.pid, signal.SIGKILL)
        answer = shared.client.answer(accepted.job, 20)
    assert answer and answer.state == "failed" and "closed its end" in answer.reason


def test_two_stations_run_two_scenarios_at_once(shared: Pool):
    with stations(shared, 2) as both:
        for station in both:
            os.kill(station.pid, signal.SIGSTOP)
        jobs = [ask(shared, gallery.text("one-process"), want="both").job for _ in range(2)]
        eventually(lambda: [seen.state for seen in shared.view().stations] == ["busy"] * 2, "each has one in hand", 10)
        for station in both:
            os.kill(station.pid, signal.SIGCONT)
        answers = [shared.client.answer(job, 20) for job in jobs]
    assert {answer.worker for answer in answers if answer} == {station.serial for station in both}
