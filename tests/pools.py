"""A real pool for tests: the supervisor as a process of its own, its state in a directory of the test's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pairscope.client.away import PoolAway
from pairscope.client.client import Client
from pairscope.config import Settings, load
from pairscope.journal.reader import Reader
from pairscope.journal.records import Record
from pairscope.pool import snapshot
from pairscope.pool.snapshot import Snapshot
from pairscope.store.migrate import upgrade
from tests.eventually import eventually


class Pool:
    """A running supervisor, and ways to look at it."""

    def __init__(self, settings: Settings, process: subprocess.Popen[str], log: Path) -> None:
        self.settings = settings
        self.process = process
        self.log = log
        self.client = Client(settings, "tool")

    def view(self) -> Snapshot:
        """The latest snapshot; an AssertionError while there is none."""
        seen = snapshot.read(self.settings, time.time_ns())
        assert seen is not None, "there is no snapshot"
        return seen

    def ready(self, workers: int | None = None) -> Snapshot:
        """Waits until as many workers as are wanted wait for work, and the recorder is heard."""

        def all_ready() -> Snapshot | None:
            view = self.view()
            idle = [worker for worker in view.workers if worker.state == "idle"]
            return (
                view
                if len(idle) == len(view.workers) == (workers or view.wanted) and view.recorder.state == "ok"
                else None
            )

        return eventually(all_ready, "every worker is ready and the recorder is heard", 30)

    def drained(self) -> Snapshot:
        """Waits until the record has everything."""
        return eventually(
            lambda: (view := self.view()).journal.drained == view.journal.position > 0 and view,
            "the journal is drained",
            20,
        )

    def records(self) -> list[Record]:
        """Everything that is in the journal."""
        with contextlib.closing(Reader(self.settings.journal)) as reader:
            found: list[Record] = []
            while batch := reader.read():
                found += [record for _, record in batch]
            return found

    def stop(self) -> int:
        """Asks the supervisor to stop; its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextlib.contextmanager
def running(state: Path, **environment: str) -> Iterator[Pool]:
    """A pool with its state under `state`; stopped, and killed if need be, at the end."""
    settings = load({"PAIRSCOPE_STATE": str(state), **environment})
    upgrade(settings)
    log = state / "pool.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pairscope.pool"],
            env={**os.environ, "PAIRSCOPE_STATE": str(state), **environment},
            stdin=subprocess.DEVNULL,
            stderr=output,
            text=True,
        )
    pool = Pool(settings, process, log)
    try:

        def listens() -> bool:
            try:
                return pool.client.serial > 0
            except PoolAway as error:
                raise AssertionError(f"{error}; {log.read_text()}") from None

        eventually(listens, "the supervisor listens", 15)
        yield pool
    finally:
        try:
            pool.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
