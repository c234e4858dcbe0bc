"""What could not be had of a confinement, in words: every sentence of it, with names for its values.

Workers and runs hold them filled, in English. A page knows them again by this list and translates them
(app/pairscope/recorded.py), those of old rows and runs too. So a sentence that is recorded is not reworded: a new one
is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Missing(enum.StrEnum):
    """A sentence. `why` may be such a sentence again."""

    # which part
    OF_ABI = "Landlock ABI %(number)s: %(why)s"
    LANDLOCK = "Landlock: %(why)s"
    SECCOMP = "seccomp: %(why)s"
    NAMESPACES = "namespaces of its own: %(why)s"
    USER = "a user of its own: %(why)s"
    SESSION = "a session of its own: %(why)s"
    SIGHT = "the supervisor's sight of it: %(why)s"
    SIGHT_OF_ACTORS = "the stage's sight of its actors: %(why)s"
    NO_SANDBOX = "no run without a sandbox: %(why)s"

    # why
    LOWERED = "PAIRSCOPE_SANDBOX is %(level)s"
    SHARED = "PAIRSCOPE_NAMESPACES is none"
    UNHANDLED = "does not handle %(names)s (since ABI %(number)s)"
    NO_LANDLOCK = "this kernel has none"
    SWITCHED_OFF = "it was switched off when this kernel was booted"
    RULESET = "a ruleset was refused: %(fault)s"
    RESTRICTION = "the restriction was refused: %(fault)s"
    RULE = "a rule was refused: %(fault)s"
    OPENED = "opening / was not refused (%(errno)s)"
    OPENED_INDEED = "opening / was not refused (it succeeded)"
    SOCKET = "a socket was not refused (%(errno)s)"
    SOCKET_INDEED = "a socket was not refused (it succeeded)"
    LIBSECCOMP = "libseccomp cannot be used: %(fault)s"
    FILTER = "the filter was refused: %(fault)s"
    UNKNOWN_CALL = "%(call)s is not known to libseccomp"
    NO_USER_NAMESPACE = "an ordinary user may not make a user namespace here: %(fault)s"
    ENDED = "its process ended by signal %(status)s"
    UNSHARE = "unshare: %(fault)s"
    POWERLESS = "a user namespace that can do nothing: %(fault)s"
    LEADS = "it leads a process group already"
    UNDUMPABLE = "it could not be made dumpable"
    UNDUMPABLE_ACTORS = "they could not be made dumpable"
    ROOT = "worker_user is root"
    NOT_ROOT = "this root may not become %(name)s (%(fault)s)"
    NO_RUNNER = "the stage was played without a runner, in a process that needs its rights"

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values
