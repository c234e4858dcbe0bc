"""One supervisor gives way to the next: what is in hand ends well, what is new waits, and nothing is lost between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pairscope.client.client import Client
from pairscope.config import Settings
from pairscope.ipc import memfd
from pairscope.pool import snapshot
from tests.eventually import eventually
from tests.lamp import Lamp, command
from tests.pools import Pool, running
from tests.test_lamp import blocked_on_lock, children


def settings(place: Path) -> str:
    file = place / "settings.toml"
    file.write_text(f'state = "{place}"\nrun = "{place}/run"\nworkers = 1\nstop_grace = 30\n')
    return str(file)


def hold(pool: Pool) -> tuple[int, int]:
    """Stops the only worker, and gives it a job to hold: the worker's pid and the job."""
    pid = pool.ready().workers[0].pid
    os.kill(pid, signal.SIGSTOP)
    file = memfd.sealed("input", b"in hand")
    job = pool.client.submit("digest", file, name="in hand", size=7, want="both").job
    os.close(file)
    return pid, job


@pytest.mark.pool
def test_who_gives_way_ends_what_it_has_while_new_jobs_wait_for_the_successor(tmp_path: Path) -> None:
    told = {"PAIRSCOPE_SETTINGS": settings(tmp_path), "PAIRSCOPE_WAIT": "1"}
    with running(tmp_path, **told) as pool, ThreadPoolExecutor() as others:
        worker, job = hold(pool)
        pool.process.send_signal(signal.SIGHUP)
        eventually(lambda: snapshot.succession(pool.settings, time.time_ns()), "it says that it gives way")
        successor = subprocess.Popen(
            [sys.executable, "-m", "pairscope.pool"], env={**os.environ, **told}, stderr=subprocess.DEVNULL
        )
        try:
            eventually(lambda: blocked_on_lock(successor.pid), "the successor waits for the journal")
            new = Client(pool.settings, "tool")
            waiting = others.submit(new.submit, "echo", data=b"new", want="ended")
            old = others.submit(pool.client.submit, "echo", data=b"over an old pair", want="ended")
            assert pool.process.poll() is None and not waiting.done() and not old.done()
            os.kill(worker, signal.SIGCONT)
            ended = pool.client.answer(job, 20)
            assert ended is not None and ended.state == "done", "what was in hand has ended well"
            assert waiting.result(30).state == old.result(30).state == "done", "and the successor has done what waited"
            assert pool.process.wait(10) == 0
            said = snapshot.read(pool.settings, time.time_ns())
            assert said is not None and said.supervisor.pid == successor.pid
        finally:
            os.kill(worker, signal.SIGCONT) if pool.process.poll() is None else None
            successor.terminate()
            successor.wait(20)


@pytest.mark.pool
def test_of_clients_that_ask_without_a_pause_nobody_is_refused_when_a_supervisor_gives_way(tmp_path: Path) -> None:
    """It said so with its next snapshot, after half a second: until then clients took it for a stop."""
    told = {"PAIRSCOPE_SETTINGS": settings(tmp_path), "PAIRSCOPE_WAIT": "1"}
    states: list[str] = []
    done = threading.Event()

    def ask(where: Settings) -> None:
        client = Client(where, "tool")
        while not done.is_set():
            states.append(client.submit("echo", data=b"asked", want="ended", timeout=60).state)

    with running(tmp_path, **told) as pool, ThreadPoolExecutor() as others:
        pool.ready()
        asking = [others.submit(ask, pool.settings) for _ in range(3)]
        eventually(lambda: len(states) > 20, "they ask")
        pool.process.send_signal(signal.SIGHUP)
        successor = subprocess.Popen(
            [sys.executable, "-m", "pairscope.pool"], env={**os.environ, **told}, stderr=subprocess.DEVNULL
        )
        try:
            assert pool.process.wait(30) == 0
            before = len(states)
            eventually(
                lambda: len(states) > before + 20 or any(one.done() for one in asking), "the successor answers", 60
            )
        finally:
            done.set()
            ended = [one.result(60) for one in asking]
            successor.terminate()
            successor.wait(20)
    assert len(ended) == 3 and set(states) == {"done"}


@pytest.mark.pool
def test_who_is_told_to_stop_while_it_gives_way_waits_no_longer_than_a_stop_does(tmp_path: Path) -> None:
    told = {"PAIRSCOPE_SETTINGS": settings(tmp_path), "PAIRSCOPE_WAIT": "1"}
    with running(tmp_path, **told) as pool:
        _worker, job = hold(pool)
        pool.process.send_signal(signal.SIGHUP)
        eventually(lambda: snapshot.succession(pool.settings, time.time_ns()), "it says that it gives way")
        pool.process.send_signal(signal.SIGTERM)
        ended = pool.client.answer(job, 20)
        assert ended is not None and ended.state == "failed" and "waited 1 s" in ended.reason
        assert pool.process.wait(10) == 0


@pytest.mark.lamp
def test_a_graceful_restart_waits_for_the_job_in_hand_and_a_new_one_waits_for_the_next_pool(lamp: Lamp) -> None:
    old, epoch = lamp.supervisor(), lamp.web_epoch()
    workers = [pid for pid in children(old) if "pairscope.work.worker" in command(pid)]
    with ThreadPoolExecutor() as others:
        try:
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            held = lamp.visitor.submit("digest", b"in hand", "held.txt", wait=None).json["id"]
            lamp.apache.restart()
            (new,) = eventually(lambda: [pid for pid in lamp.supervisors() if pid != old], "another supervisor", 30)
            eventually(lambda: blocked_on_lock(new), "it waits for the journal", 30)
            eventually(lambda: lamp.visitor.get("/healthz").status == 200, "pages are there meanwhile", 30)
            waiting = others.submit(lamp.visitor.submit, "digest", b"new", "new.txt")
            assert lamp.web_epoch() == epoch
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        answer = waiting.result(60)
    assert answer.status == 201 and answer.json["state"] == "done", answer.text
    assert lamp.supervisor(unlike=old) == new and lamp.web_epoch() == epoch + 1
    state = eventually(lambda: lamp.ask(f"SELECT state FROM jobs WHERE id = {held}"), "the held job's end is recorded")
    assert state == "done"
