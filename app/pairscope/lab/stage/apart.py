"""Holds runs apart that would count each other's descriptors: the kernel counts those in flight by user, against each
sender's bound."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import threading
from collections.abc import Iterator
from typing import Any

from pairscope.lab.model import Items, Scenario, Text, Value

FEW = 16
"""Descriptors that one run may send beside others. One that sends more has to be alone, or it would make others fail
with ETOOMANYREFS."""
PATIENCE = 6
"""Seconds that a run waits to be alone, or for the one that is."""


@contextlib.contextmanager
def apart(scenario: Scenario) -> Iterator[None]:
    """Waits until the scenario can be played beside whatever else this installation plays. Goes on after PATIENCE all
    the same: what happens then is the kernel's to show."""
    sent = sum(_sends(name, value) for step in scenario.steps for name, value in step.named)
    if not sent:
        yield
        return
    with open(__file__, "rb") as lock:
        with contextlib.suppress(TimeoutError), _bounded():
            fcntl.flock(lock, fcntl.LOCK_SH if sent <= FEW else fcntl.LOCK_EX)
        yield


def _sends(name: str, value: Value) -> int:
    """How many descriptors an argument of sendmsg may bring along."""
    if name == "fds" and isinstance(value, Items):
        return len(value.values)
    return len(value.bytes) // 4 if name == "raw" and isinstance(value, Text) else 0


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Raises TimeoutError in the block after PATIENCE; only a main thread can be interrupted so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _give_up)
    left = signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(left)
        signal.signal(signal.SIGALRM, before)


def _give_up(*_: Any) -> None:
    raise TimeoutError
