"""Why the pool did not do what a client asked: it cannot be reached, or it refused."""

from __future__ import annotations

import enum
import time
from typing import Any

from pairscope.config import Settings
from pairscope.pool import snapshot


class Away(enum.StrEnum):
    """Why the pool cannot be asked: sentences with names for their values."""

    CONNECTING = "the pool went away while connecting: %(fault)s"
    NOT_IN = "the pool did not let this process in: %(why)s"
    NOTHING = "nothing within %(seconds)s s"
    NO_ANSWER = "the supervisor did not answer at %(path)s within %(seconds)s s"
    NOBODY = "no supervisor listens at %(path)s"
    OUT_OF_REACH = "the supervisor at %(path)s cannot be reached: %(fault)s"
    CLOSED = "the supervisor at %(path)s closed the connection"
    SENT = "the pool went away; whether what was begun was sent is not known"
    NOT_ALL = "the pool took nothing for %(seconds)s s; what was begun was not all sent"
    NOT_SENT = "the pool went away; nothing was sent"
    TOOK_NOTHING = "the pool took nothing for %(seconds)s s; nothing was sent"
    SENT_NOTHING = "nothing was sent to the pool: %(fault)s"
    LATE = "the pool did not answer within %(seconds)s s; whether it did what was asked is not known"
    FOREIGN = "the pool said something that is not in the vocabulary: %(fault)s"
    STUCK = "the pool is there and records nothing now: %(why)s; whether it did what was asked is not known"
    GONE = "the pool went away before it answered; whether it did what was asked is not known"

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values


class PoolAway(Exception):
    """There is no supervisor to talk to, or it did not answer in time; the text says which."""


class PoolStuck(PoolAway):
    """There is a supervisor, and it answers nobody until it can record again; the text says why."""


class PoolRefused(Exception):
    """The supervisor refused; nothing has changed. `code` is one of vocabulary.REFUSALS."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def late(settings: Settings, sentence: str) -> PoolAway:
    """Nothing came in time: what the snapshot says of it, or that sentence."""
    said = snapshot.read(settings, time.time_ns())
    if said is not None and said.journal.stuck:
        return PoolStuck(Away.STUCK.say(why=said.journal.stuck))
    return PoolAway(sentence)
