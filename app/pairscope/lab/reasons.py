"""Why a run or a step came out as it did, and why something is not shown: every sentence of the stage, with names for
its values.

A run holds them filled, in English: the command and the exports print them so. A page knows them again by this list and
translates them (app/pairscope/recorded.py), those of runs that were stored long ago or opened from a file too. So a
sentence that runs hold is not reworded: a new one is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Reason(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names; `why`, `came`,
    `how` and `where` may be such a sentence again."""

    # why there is none
    NO_PROCESS = "no process could be made for the run: %(fault)s"
    LARGE = "the run has more than %(most)s bytes"
    NO_WORD = "the process of the run ended without a word, with status %(status)s"
    FAULT = "the run ended by a fault of its own: %(fault)s"
    NO_UTF_8 = "the text is not UTF-8: %(fault)s at byte %(bytes)s"

    # where it belongs
    LINE = "line %(line)s: %(why)s"
    AT_THE_END = "at the end %(why)s"
    NOBODY_MOVES = "no process can move: %(why)s"
    LIMIT_KILLED = "%(who)s was killed by a limit of the lab: %(why)s"

    # a run
    NO_STEP = "the scenario has no step"
    STEPS = "%(count)s steps; at most %(most)s"
    PROCESSES = "a process too many; at most %(most)s"
    DESCRIPTORS = "%(who)s holds %(count)s descriptors; at most %(most)s"
    NO_BEGINNING = "%(who)s could not begin: %(fault)s"
    NO_GOING_ON = "the stage could not go on: %(fault)s"
    NO_LIFE = "%(who)s never came to life"
    NO_RETURN = "the %(call)s of %(who)s has not returned"
    LATE = "the run took more than %(seconds)s seconds of processor and idle time: %(why)s"
    BUSY = "the machine is too busy, %(seconds)s seconds have passed"
    RUNS = "%(who)s runs"
    ALL_STAND = "all stand"
    BLOCKED = "%(who)s is blocked in %(call)s"
    BLOCKED_AND_STOPPED = "%(who)s is blocked in %(call)s and stopped"

    # a step that was not made
    NOT_MADE = "%(who)s has made no %(call)s"
    NOT_LAST = "%(who)s has made no %(call)s: its last call is %(last)s"
    STILL = "%(who)s still stands in %(call)s (%(where)s); nothing has released it"
    THE_KERNEL = "the kernel"
    NOBODY = "there is no %(who)s"
    HAS_ENDED = "%(who)s has ended, %(how)s"
    STANDS = "%(who)s cannot take this step: it stands in %(call)s"
    STOPPED_IN = "%(who)s cannot take this step: it is stopped in %(call)s"
    STOPPED = "%(who)s cannot take this step: it is stopped"
    NAMELESS = "%(who)s was never made: the call that should have bound it gave nothing"
    UNSEEN = "in a way that nobody could see"
    KILLED = "killed by %(signal)s"
    STATUS = "exit status %(status)s"

    # the lab's limits
    FILE = "a file may have %(most)s bytes here"
    FILE_WOULD = "the file would have %(bytes)s bytes, and may have %(most)s here"
    TIME = "a process may use %(seconds)s seconds of processor time here"
    TIME_OR_MEMORY = "a process may use %(seconds)s seconds of processor time here, or the machine had no memory left"
    SANDBOX = "its sandbox does not allow the call"
    MEMORY = "a process may have %(most)s bytes of addresses here"
    ROOM = "the lab's user has as many processes as it may, or the machine has no room for one (%(errno)s)"
    NUMBERS_GONE = "the numbers from %(first)s on are the stage's own, and no lower one is free"
    NUMBERS_ITS_OWN = "the numbers from %(first)s to %(last)s are the stage's own"
    NUMBER_ITS_OWN = "a number of %(first)s or more; those are the stage's own"
    NUMBER_BEYOND = "a process has the numbers up to %(last)s here, and %(number)s is none of them"
    POLL = "poll takes %(most)s descriptors here, as many as a process has numbers"

    # whom it would reach
    NAME = "the abstract name %(name)s is another process's; a run connects to nobody else"
    NAME_SHARED = (
        "abstract names are the whole machine's here, where a run can have no network of its own; a run uses none"
    )
    PORT = "no process of this run has port %(port)s of %(host)s; a run connects to nobody else"
    PORT_OVER = "no process of this run has port %(port)s of %(host)s over %(protocol)s; a run connects to nobody else"
    PORT_SHARED = (
        "no process of this run has port %(port)s of %(host)s over %(protocol)s, or not alone; a run connects to "
        "nobody else"
    )
    PORT_TAKEN = "port %(port)s of %(host)s is another process's over %(protocol)s; a run shares it with nobody else"
    PORT_GONE = "port %(port)s of %(host)s is another process's now over %(protocol)s; a run sends to nobody else"
    EVERY_NETWORK = "this socket was not bound, and would listen to every network; bind it to the loopback first"
    STRANGER = "this descriptor stands for process %(pid)s, which is none of this run"
    PID_GONE = "%(who)s is gone, and its number %(pid)s is another process's now"

    # what was expected
    NO_BLOCK = "expected the call to block, observed %(came)s"
    NO_ERROR = "expected no error, observed %(came)s"
    OTHER = "expected %(wanted)s, observed %(came)s"
    NO_CALL = "the actor could not make the call (%(fault)s)"
    BLOCKS = "the call blocks"
    ENDED = "the process ended: %(how)s"
    BYTES = "%(text)s (%(count)s bytes)"
    BYTES_RETURNED = "%(text)s (%(count)s bytes; the call returned %(number)s)"
    NONE = "none"

    # what waits somewhere and is not shown, or not all of it
    CONNECTIONS = "connections wait here, not bytes"
    FAMILY = "what waits in a socket of this family is not looked at"
    ERROR_WAITS = "an error waits here, and the first look would take it away"
    OOB_SOMEWHERE = "a byte waits out of band; where it stands is not known"
    OOB_PASSED = (
        "FIONREAD still counts %(count)s, which nobody can read any more: a byte that was out of band, and was "
        "passed over"
    )
    BLIND = "an empty message or the end stands here; what may lie behind it is not shown"
    MESSAGES = "%(count)s messages, of which %(most)s are shown"
    PACKETS = "%(count)s packets, of which %(most)s are shown"
    FIRST_BYTES = "of %(bytes)s bytes only the first %(count)s could be looked at"

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values
