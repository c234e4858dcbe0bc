"""Pairscope as a contestant: a real supervisor with two real, sandboxed workers, and a client of it."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from bench.contestant import sampled
from pairscope.ipc.vocabulary import BY_CODE
from pairscope.journal.reader import Reader
from pairscope.journal.records import Message
from tests.eventually import eventually
from tests.pools import running

SEGMENT = 1 << 30
"""Bytes: the segment that is written is never deleted, so everything can be counted afterwards, whatever is drained."""
FOUR = {"submit", "task", "result", "answer"}


class Pairscope:
    """The pool. `recorder`: whether the recorder drains the journal meanwhile, or is held until the end. `sync`: the
    journal's policy."""

    def __init__(self, directory: Path, recorder: bool = False, workers: int = 2, sync: str = "none") -> None:
        state = directory / "state"
        state.mkdir()
        file = directory / "pool.toml"
        settings = {
            "state": str(state),
            "run": f"{state}/run",
            "workers": workers,
            "journal_segment": SEGMENT,
            "journal_sync": sync,
            "journal_limit": 16 * SEGMENT,
        }
        file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        self._running = running(state, PAIRSCOPE_SETTINGS=str(file))
        self._drains = recorder
        self._jobs = 0

    def __enter__(self) -> Pairscope:
        self._pool = self._running.__enter__()
        try:
            recorder = self._pool.ready().recorder
            if not self._drains:
                os.kill(recorder.pid, signal.SIGSTOP)
        except BaseException as error:
            self._running.__exit__(type(error), error, None)
            raise
        self._held = 0 if self._drains else recorder.pid
        return self

    def __exit__(self, *error: Any) -> None:
        if self._held:
            os.kill(self._held, signal.SIGCONT)
        self._running.__exit__(None, None, None)

    def names(self) -> list[str]:
        return ["begin and ended"]

    def latency(self, seconds: float, size: int) -> list[int]:
        """ns of each round trip with one in flight."""
        data = b"e" * size
        submit = self._pool.client.submit
        samples = sampled(lambda: submit("echo", data=data, want="ended"), seconds)
        self._jobs += len(samples)
        return samples

    def throughput(self, seconds: float, size: int, in_flight: int, method: str) -> float:
        """Jobs per second."""
        data = b"e" * size
        begin, ended = self._pool.client.begin, self._pool.client.ended
        start = time.perf_counter()
        for _ in range(in_flight):
            begin("echo", data=data)
        jobs = 0
        while time.perf_counter() < start + seconds:
            done = ended()
            jobs += len(done)
            for _ in done:
                begin("echo", data=data)
        left = in_flight
        while left:
            left -= len(ended())
        took = time.perf_counter() - start
        self._jobs += jobs + in_flight
        return (jobs + in_flight) / took

    def drained(self) -> tuple[int, float]:
        """Waits until the record has everything: the rows that the recorder has written, and its processor time (s)."""
        self._pool.client.settle()
        now = time.time_ns()  # what the supervisor said before may be of the turn before
        view = eventually(
            lambda: (view := self._pool.view()).at > now and view.journal.drained == view.journal.position and view,
            "everything is drained",
            120,
        )
        spent = int(Path(f"/proc/{view.recorder.pid}/schedstat").read_text().split()[0])  # proc_pid_schedstat: ns
        return view.recorder.rows, spent / 1e9

    def journaled(self) -> dict[str, Any]:
        """What the journal holds: jobs that this client saw end, messages of them, and jobs without exactly the
        four."""
        self._pool.client.settle()
        kinds: collections.defaultdict[int, list[str]] = collections.defaultdict(list)
        messages = 0
        with contextlib.closing(Reader(self._pool.settings.journal)) as reader:
            while batch := reader.read(50_000):
                for _, record in batch:
                    if type(record) is Message and record.job:
                        kinds[record.job].append(BY_CODE[record.kind].name)
                        messages += 1
        odd = sum(1 for found in kinds.values() if len(found) != 4 or set(found) != FOUR)
        sync = self._pool.view().journal.sync
        return {"ended": self._jobs, "jobs": len(kinds), "messages": messages, "odd": odd, "sync": sync}
