"""Tests that run beside others, and tests that do not: those whose claim is a time of milliseconds.

Each process of pytest holds a shared lock for the time of a test, or an exclusive one for a test marked ``alone``. Who
wants the exclusive lock keeps the gate shut meanwhile, else two that take the shared one in turn would never let it in.
flock(2); the files locked are two of the tests' own, so that two runs of one checkout heed each other, too. A run of
pytest that a test starts takes no turn: it would wait for the one that its test has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TURN = "PAIRSCOPE_TURN"
"""In the environment of whatever a test starts."""
WITHIN = TURN in os.environ
"""Whether this is such a run."""
LOCK, GATE = HERE / "alone.py", HERE / "conftest.py"


@contextmanager
def turn(alone: bool, *, beside: bool) -> Iterator[None]:
    """Waits for the turn of a test and keeps it. `beside`: whether others run at the same time at all."""
    if WITHIN or not beside:
        yield
        return
    with LOCK.open() as lock:
        with GATE.open() as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        os.environ[TURN] = "taken"
        try:
            yield
        finally:
            os.environ.pop(TURN, None)
            fcntl.flock(lock, fcntl.LOCK_UN)  # a child that the test forked and left holds the same one
