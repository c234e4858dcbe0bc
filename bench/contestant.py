"""A contestant: one program under measurement, with everything that it starts, in a process of its own.

So no contestant's threads, imports or heap are in another's way, and when the benchmark dies in whatever way, each
sees its standard input end, stops what it started, and goes. ``python -m bench.contestant NAME DIRECTORY`` answers each
line of JSON, ``{"do": METHOD, ...}``, with one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = {
    "pairscope": "bench.ours:Pairscope",
    "process-pool": "bench.peers:ProcessPool",
    "multiprocessing": "bench.peers:MultiprocessingPool",
    "celery": "bench.peers:CeleryWithRedis",
    "transfers": "bench.transfers:Transfers",
    "recorder": "bench.recorder:Recorder",
    "lab": "bench.lab:Lab",
    "export": "bench.export:Export",
    "sql": "bench.recorder:Sql",
}
START = 60.0
"""Seconds that a program gets to start, and to stop."""


class ContestantFailed(Exception):
    """The program did not start, or died; the text has the end of its log."""


class Contestant:
    """The benchmark's side of one program. A context manager: nothing of the program is left afterwards."""

    def __init__(self, name: str, directory: Path, **options: Any) -> None:
        directory.mkdir()
        self.name = name
        self._log = directory / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.contestant", name, str(directory), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def ask(self, do: str, **arguments: Any) -> Any:
        """Has the program do one thing; returns what it found. Raises ContestantFailed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise ContestantFailed(
                f"{self.name}: {self._log.read_text(errors='replace')[-2000:].strip() or 'it ended without a word'}"
            )
        return json.loads(answer)

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(START)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()


def sampled(call: Callable[[], Any], seconds: float, least: int = 50) -> list[int]:
    """How long each call took, in ns, one after the other for about `seconds`."""
    samples = []
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while True:
        start = clock()
        call()
        now = clock()
        samples.append(now - start)
        if now >= end and len(samples) >= least:
            return samples


def main(name: str, directory: str, options: str) -> int:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, program = PROGRAMS[name].partition(":")
    with getattr(importlib.import_module(module), program)(Path(directory), **json.loads(options)) as made:
        for line in sys.stdin:
            request = json.loads(line)
            found = getattr(made, request.pop("do"))(**request)
            replies.write(json.dumps(found) + "\n")
            replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
