"""The lab: a scenario of ten steps, from the request to the stored run, beside the bare start of a Python."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contestant import Contestant
from bench.figures import Findings, Row, compare
from tests.eventually import eventually
from tests.running import TOKEN, running

TARGET = 300.0
"""ms."""
SCENARIO = """parent: socketpair AF_UNIX SOCK_STREAM 0 -> sv0 sv1
parent: fork -> child
parent: close sv1
child: close sv0
parent: write sv0 "ten steps" => 9
child: read sv1 64 => "ten steps"
child: read sv1 64 => blocks
parent: close sv0
child: (read returns) => ""
parent: kill child SIGTERM => 0
"""


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures both in turn; state under `directory`, which is empty."""
    rounds, count = (2, 2) if quick else (10, 10)
    with Contestant("lab", directory / "lab") as program:
        program.ask("request", count=2)
        ours, peer = [], []
        for number in range(1, rounds + 1):
            ours.append(program.ask("request", count=count))
            peer.append(program.ask("python", count=count))
            say(f"round {number} of {rounds}: {ours[-1]:.1f} ms, a bare Python {peer[-1]:.1f} ms")
    row = Row(
        "lab",
        "ten steps, from the request to the stored run",
        "ms",
        "lower",
        "fork and exec of python -c pass",
        target=TARGET,
        absolute=True,
    )
    return Findings(rows=[compare(row, ours, peer)])


class Lab:
    """The program: an embedded server with its pool and its stations, asked over HTTP."""

    def __init__(self, directory: Path) -> None:
        self._running = running(directory / "state")

    def __enter__(self) -> Lab:
        self._server = self._running.__enter__()
        eventually(lambda: "No lab station" not in self._server.get("/lab").text, "a station is connected", 20)
        return self

    def __exit__(self, *_: Any) -> None:
        self._running.__exit__(None, None, None)

    def request(self, count: int) -> float:
        """Median ms from the request to the answer: the run is stored then."""
        return _median(self._request, count)

    def python(self, count: int) -> float:
        """Median ms of the start and end of a Python that does nothing."""
        return _median(self._python, count)

    def _request(self) -> None:
        answer = self._server.post("/api/v1/lab/runs", {"text": SCENARIO}, TOKEN)
        if answer.status != 201 or answer.json["verdict"] != "held":
            raise RuntimeError(answer.text[:500])

    @staticmethod
    def _python() -> None:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], os.environ)
        os.waitpid(pid, 0)


def _median(call: Callable[[], None], count: int) -> float:
    samples = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        samples.append((time.perf_counter() - start) * 1e3)
    return statistics.median(samples)
