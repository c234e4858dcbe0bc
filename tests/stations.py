"""Real stations of the lab for a pool of a test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from pairscope.pool.snapshot import WorkerView
from tests.eventually import eventually
from tests.pools import Pool


def idle(pool: Pool, pids: list[int], after: int = 0) -> list[WorkerView]:
    """Waits until the stations with these pids, with serials beyond `after`, and no others, wait for a scenario."""

    def look() -> list[WorkerView] | None:
        seen = [station for station in pool.view().stations if station.state == "idle" and station.serial > after]
        return seen if sorted(station.pid for station in seen) == sorted(pids) else None

    return eventually(look, f"the stations {pids} wait for a scenario", 20)


@contextlib.contextmanager
def stations(pool: Pool, count: int = 1, **more: str) -> Iterator[list[WorkerView]]:
    """`count` stations connected to the pool; ended with SIGTERM, and waited for."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "pairscope.lab.station"],
            env={**os.environ, "PAIRSCOPE_STATE": str(pool.settings.state), **more},
            stdin=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    try:
        yield idle(pool, [child.pid for child in children])
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(20)
