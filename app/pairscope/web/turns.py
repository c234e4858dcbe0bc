"""Turns: how many threads of a process make answers at a time. The others wait for a turn, not for the interpreter.

Who waits for the interpreter looks for it once in each switch interval (ceval_gil.c: a timed wait). Of 200 threads that
want it, each wakes 2,000 times a second, and what has it gets a hundredth of the machine: 200 visitors that hung up
in the midst of a body took 1.7 s of processor time alone, and 10 s so, of which 8 in the kernel; a job beside them
waited for 9 s on an idle machine, and beyond a minute on one that was busy. Who waits for a turn sleeps until it is
handed to him, in the order of coming.

A turn is for what computes. Whoever waits for others lays it aside: for a body, for the pool. It is no bound on what
may be in progress (pairscope.web.access.places is), and nobody stands still for want of one: who has waited for
PATIENCE goes on without.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

MANY = 6
"""Turns of a process with hundreds of threads: the exports that there may be at a time (each mostly waits for the
database), and some for all others."""
PATIENCE = 5.0
"""Seconds. Longer than a crowd of 500 takes; only who waits for a database that stands still holds a turn so long."""

Wsgi = Callable[..., Iterable[bytes]]
"""An application as WSGI has it. PEP 3333."""


class Turns:
    """The turns of a process. 0: as many as there are threads, and nobody waits."""

    def __init__(self, many: int, patience: float = PATIENCE) -> None:
        self._many, self._free, self._patience = many, many, patience
        self._lock = threading.Lock()
        self._waiting: collections.deque[threading.Lock] = collections.deque()
        """One lock for each who waits, released when the turn is his."""
        self._mine = threading.local()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for a turn, which this thread has within. One that it has already counts."""
        if not self._many or getattr(self._mine, "had", False):
            yield
            return
        self._take()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Others have this thread's turn within, if it has one; it gets another at the end."""
        if not getattr(self._mine, "had", False):
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._take()

    def serve(self, application: Wsgi) -> Wsgi:
        """The same application, which takes a turn for each request, and lays it aside while a body comes."""
        if not self._many:
            return application

        def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["wsgi.input"] = _Body(environ["wsgi.input"], self)
            with self.taken():
                return application(environ, start_response)

        return served

    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def _take(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                self._mine.had = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        self._mine.had = turn.acquire(timeout=self._patience) or not self._given_up(turn)

    def _given_up(self, turn: threading.Lock) -> bool:
        """False: it was handed over in the last moment."""
        with self._lock:
            if turn not in self._waiting:
                return False
            self._waiting.remove(turn)
            return True

    def _leave(self) -> None:
        had, self._mine.had = self._mine.had, False
        if not had:
            return
        with self._lock:
            # Handed over, not set free: who comes just now would take it before who has waited longest is awake.
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class _Body:
    """What a visitor sends, at his pace."""

    def __init__(self, stream: Any, turns: Turns) -> None:
        self._stream, self._turns = stream, turns

    def read(self, *size: int) -> bytes:
        with self._turns.aside():
            read: bytes = self._stream.read(*size)
            return read

    def readline(self, *size: int) -> bytes:
        with self._turns.aside():
            line: bytes = self._stream.readline(*size)
            return line

    def readlines(self, *hint: int) -> list[bytes]:
        with self._turns.aside():
            lines: list[bytes] = self._stream.readlines(*hint)
            return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")
