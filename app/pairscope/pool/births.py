"""How many workers are to be born, who is asked to go, and when a child that died is replaced. Pure: it decides; the
crew does.

The clock is an argument, as in the lifecycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, Protocol

from pairscope.pool.lifecycle import BRIEF, Action, Backoff


class Life(Protocol):
    """What must be known of a worker that may be asked to go."""

    serial: int

    @property
    def in_flight(self) -> Sized:
        """The jobs that it has in hand."""


def missing(wanted: int, alive: int, pauses: int) -> int:
    """How many are to be born now. `alive` without those that were asked to end; each of `pauses` is a place that stays
    empty for a while."""
    return max(0, wanted - alive - pauses)


def surplus(wanted: int, alive: Iterable[Life]) -> list[Any]:
    """Who is asked to go: those who have least in hand, of these the youngest."""
    ordered = sorted(alive, key=lambda life: (len(life.in_flight), -life.serial))
    return ordered[: max(0, len(ordered) - wanted)]


def after(action: Action, age: float, used: bool, backoff: Backoff, now: float) -> float:
    """When the successor may be born of one that died at `age` seconds: at once if it was ready and of use, or old
    enough, else after a pause."""
    if action is Action.REPLACE and (age >= BRIEF or used):
        backoff.lived()
        return now
    return backoff.died_at_birth(now)
