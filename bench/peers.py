"""The peers' programs: echo through each of them, with two workers, in the best way that is known of driving it.

Each throughput method keeps at most `in_flight` jobs begun and not yet ended, for about `seconds`; what a run ends with
is drained inside the measurement. A peer that knows several methods is judged by its fastest.
"""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.contestant import START, sampled

WORKERS = 2


def echo(data: Any) -> Any:
    """The work: none."""
    return data


class Peer:
    """What is common: latency by calls one after the other, throughput by the method that is named."""

    methods: dict[str, Callable[[Any, float, Any, int], int]]
    """Name and function of (self, end on the perf_counter clock, payload, jobs in flight); it returns the jobs done."""

    def names(self) -> list[str]:
        """The methods that there are."""
        return list(self.methods)

    def latency(self, seconds: float, size: int) -> list[int]:
        """ns of each round trip with one in flight."""
        payload = self.payload(size)
        return sampled(lambda: self.call(payload), seconds)

    def throughput(self, seconds: float, size: int, in_flight: int, method: str) -> float:
        """Jobs per second."""
        payload = self.payload(size)
        start = time.perf_counter()
        jobs = self.methods[method](self, start + seconds, payload, in_flight)
        return jobs / (time.perf_counter() - start)

    def payload(self, size: int) -> Any:
        return b"e" * size

    def call(self, payload: Any) -> Any:
        raise NotImplementedError


def _windows(run: Callable[[], Any], end: float, in_flight: int) -> int:
    jobs = 0
    while time.perf_counter() < end:
        run()
        jobs += in_flight
    return jobs


def _sliding(begin: Callable[[], Any], ended: Callable[[], Any], end: float, in_flight: int) -> int:
    """Begins one for each that ends."""
    for _ in range(in_flight):
        begin()
    jobs = in_flight
    while time.perf_counter() < end:
        ended()
        begin()
        jobs += 1
    for _ in range(in_flight):
        ended()
    return jobs


class ProcessPool(Peer):
    """concurrent.futures.ProcessPoolExecutor."""

    def __init__(self, directory: Path) -> None:
        self._executor = concurrent.futures.ProcessPoolExecutor(WORKERS)

    def __enter__(self) -> ProcessPool:
        concurrent.futures.wait([self._executor.submit(time.sleep, 0.1) for _ in range(WORKERS)])  # both are born
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()

    def call(self, payload: bytes) -> bytes:
        return self._executor.submit(echo, payload).result()

    def _callbacks(self, end: float, payload: bytes, in_flight: int) -> int:
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        submit = self._executor.submit
        return _sliding(
            lambda: submit(echo, payload).add_done_callback(done.put), lambda: done.get().result(), end, in_flight
        )

    def _as_completed(self, end: float, payload: bytes, in_flight: int) -> int:
        submit = self._executor.submit

        def window() -> None:
            for future in concurrent.futures.as_completed([submit(echo, payload) for _ in range(in_flight)]):
                future.result()

        return _windows(window, end, in_flight)

    def _map(self, end: float, payload: bytes, in_flight: int) -> int:
        return _windows(lambda: list(self._executor.map(echo, [payload] * in_flight)), end, in_flight)

    methods = {"done callbacks": _callbacks, "windows and as_completed": _as_completed, "windows by map": _map}


class MultiprocessingPool(Peer):
    """multiprocessing.Pool."""

    def __init__(self, directory: Path) -> None:
        self._pool = multiprocessing.Pool(WORKERS)

    def __enter__(self) -> MultiprocessingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def call(self, payload: bytes) -> bytes:
        return self._pool.apply(echo, (payload,))

    def _imap_unordered(self, end: float, payload: bytes, in_flight: int) -> int:
        room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(in_flight):
            room.put(None)

        def stream() -> Iterator[bytes]:
            while time.perf_counter() < end:
                room.get()
                yield payload

        jobs = 0
        for _ in self._pool.imap_unordered(echo, stream(), chunksize=1):
            room.put(None)
            jobs += 1
        return jobs

    def _windows(self, end: float, payload: bytes, in_flight: int) -> int:
        return _windows(
            lambda: collections.deque(self._pool.imap_unordered(echo, itertools.repeat(payload, in_flight)), 0),
            end,
            in_flight,
        )

    def _callbacks(self, end: float, payload: bytes, in_flight: int) -> int:
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        apply = self._pool.apply_async
        return _sliding(lambda: apply(echo, (payload,), callback=done.put), done.get, end, in_flight)

    methods = {
        "imap_unordered": _imap_unordered,
        "windows by imap_unordered": _windows,
        "apply_async with callbacks": _callbacks,
    }


def redis() -> str | None:
    """Where the server's program is. Debian's package redis-tools has it under another name, and starts no service."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


def celery_app(url: str) -> Any:
    """The Celery application on the Redis at the socket `url`: what costs and is of no use here is off, workers take
    many tasks at once."""
    import celery

    made = celery.Celery("bench", broker=f"redis+socket://{url}", backend=f"redis+socket://{url}")
    made.conf.update(
        broker_connection_retry_on_startup=True,
        task_serializer="json",
        result_serializer="json",
        worker_prefetch_multiplier=64,
        worker_disable_rate_limits=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
    )
    made.task(echo, name="echo")
    return made


class CeleryWithRedis(Peer):
    """Celery, Redis as broker and for results, over a Unix socket, nothing written to disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._url = f"{directory}/redis"
        self._app = celery_app(self._url)
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> CeleryWithRedis:
        try:
            self._start(
                [
                    "redis-server",
                    "--port",
                    "0",
                    "--unixsocket",
                    self._url,
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--dir",
                    str(self._directory),
                ],
                executable=redis(),
            )
            self._start(
                [
                    sys.executable,
                    "-m",
                    "bench.peers",
                    self._url,
                    "worker",
                    "--pool",
                    "prefork",
                    "--concurrency",
                    str(WORKERS),
                    "--without-gossip",
                    "--without-mingle",
                    "--without-heartbeat",
                    "--loglevel",
                    "ERROR",
                ]
            )
            self.call("x")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START / 4)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def payload(self, size: int) -> str:
        return "e" * size

    def call(self, payload: str) -> str:
        return self._begin(payload).get(timeout=START)

    def _start(self, command: list[str], executable: str | None = None) -> None:
        self._started.append(
            subprocess.Popen(command, executable=executable, stdin=subprocess.DEVNULL, start_new_session=True)
        )

    def _begin(self, payload: str) -> Any:
        return self._app.tasks["echo"].delay(payload)

    def _oldest_first(self, end: float, payload: str, in_flight: int) -> int:
        begun: collections.deque[Any] = collections.deque()
        return _sliding(
            lambda: begun.append(self._begin(payload)), lambda: begun.popleft().get(timeout=START), end, in_flight
        )

    def _join(self, end: float, payload: str, in_flight: int) -> int:
        from celery.result import ResultSet

        return _windows(
            lambda: ResultSet([self._begin(payload) for _ in range(in_flight)]).join_native(timeout=START),
            end,
            in_flight,
        )

    methods = {"the oldest first": _oldest_first, "windows and join": _join}


if __name__ == "__main__":
    celery_app(sys.argv[1]).worker_main(sys.argv[2:])
