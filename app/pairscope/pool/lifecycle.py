"""The life of a child as a table: in this state, at this event, go there and do that. Pure: it decides; children.py
does.

The clock is an argument, so that every life can be told in a test without waiting.
"""

from __future__ import annotations

import enum


class State(str, enum.Enum):
    STARTING = "starting"
    """Spawned; it has not said hello."""
    READY = "ready"
    STOPPING = "stopping"
    """It has been asked to end, or will be as soon as it listens."""
    GONE = "gone"


class Event(str, enum.Enum):
    HELLO = "hello"
    DIED = "died"
    STOP = "stop"
    """It is no longer wanted."""
    LATE = "late"
    """What it had to do by now it has not done: say hello, end its job, or stop."""


class Action(str, enum.Enum):
    NOTHING = "nothing"
    ASK = "ask"
    """Ask it to stop."""
    KILL = "kill"
    REPLACE = "replace"
    """Spawn another at once."""
    BACK_OFF = "back off"
    """Spawn another, after a pause that grows with every death at birth."""


TABLE: dict[tuple[State, Event], tuple[State, Action]] = {
    (State.STARTING, Event.HELLO): (State.READY, Action.NOTHING),
    (State.STARTING, Event.DIED): (State.GONE, Action.BACK_OFF),
    (State.STARTING, Event.STOP): (State.STOPPING, Action.NOTHING),
    (State.STARTING, Event.LATE): (State.STARTING, Action.KILL),
    (State.READY, Event.DIED): (State.GONE, Action.REPLACE),
    (State.READY, Event.STOP): (State.STOPPING, Action.ASK),
    (State.READY, Event.LATE): (State.READY, Action.KILL),
    (State.STOPPING, Event.HELLO): (State.STOPPING, Action.ASK),
    (State.STOPPING, Event.DIED): (State.GONE, Action.NOTHING),
    (State.STOPPING, Event.STOP): (State.STOPPING, Action.NOTHING),
    (State.STOPPING, Event.LATE): (State.STOPPING, Action.KILL),
}

BIRTH = 30.0
"""Seconds from spawn to hello: importing Pillow on a busy machine takes two."""
BRIEF = 5.0
"""Seconds from spawn within which a death is one at birth, even after the hello, unless it had been of use."""
GRACE = 5.0
"""Seconds from being asked to stop to being killed."""


def step(state: State, event: Event) -> tuple[State, Action]:
    """The next state and what to do. Raises KeyError for what cannot happen: a hello twice, anything of the dead."""
    return TABLE[state, event]


class Backoff:
    """The pause before the next birth in one place: none after a life, doubling after each death at birth."""

    FIRST, MOST = 0.25, 30.0

    def __init__(self) -> None:
        self.pause = 0.0

    def died_at_birth(self, now: float) -> float:
        """When the next may be born (same clock as `now`, s)."""
        self.pause = min(self.MOST, max(self.FIRST, self.pause * 2))
        return now + self.pause

    def lived(self) -> None:
        """A child got ready: the next death is not one at birth."""
        self.pause = 0.0
