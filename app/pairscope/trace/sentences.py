"""Why a recording ended, and what was not seen: sentences with names for their values. Pure.

A recording holds them filled, in English. Who shows one that another recorder wrote knows it again by these lists and
translates it (app/pairscope/recorded.py). So a sentence that recordings hold is not reworded: a new one is written
beside it.
"""

from __future__ import annotations

import enum
from typing import Any

from pairscope.sentence import Sentence


class Over(enum.StrEnum):
    """Why it ended."""

    LAST = "the last process has ended"
    ASKED = "it was asked to end"
    SECONDS = "the bound of %(seconds)s seconds is reached"
    STEPS = "the bound of %(steps)s steps is reached"
    PROCESSES = "the bound of %(processes)s processes is reached"
    BYTES = "the bound of %(bytes)s bytes of file is reached"

    def say(self, **values: Any) -> Sentence:
        """The sentence with its values."""
        return Sentence(self.value, **values)


class Unseen(enum.StrEnum):
    """What was not seen."""

    IO_URING = "the program uses io_uring; what goes through its rings was not seen"
    UNPROVED = "not every passage could be proved: %(why)s"
    NO_TABLE = "no lines are known: %(path)s holds none; expected a program that was compiled with -g"
    UNREADABLE = "no lines are known: %(path)s cannot be read: %(why)s"
    SLOW = "no lines are known: those of %(path)s take more than %(seconds)s seconds to read"
    PYTHON = "no lines are known: they are of CPython 3.11 to 3.13 alone"
    NO_ASCII = "no lines are known: %(path)s is not all ASCII"
    MACHINE = "no lines are known on %(machine)s: frames are followed on x86_64 alone"
    NOT_FOLLOWED = "process %(pid)s could not be followed: %(why)s"

    def say(self, **values: Any) -> Sentence:
        """The sentence with its values."""
        return Sentence(self.value, **values)


class Of(enum.Enum):
    """What became of one or several processes, or was not seen of them."""

    ENDED = (
        "%(num)s process still ran, and was ended with the recording",
        "%(num)s processes still ran, and were ended with the recording",
    )
    RUN_ON = (
        "%(num)s process runs on, and is not followed any more",
        "%(num)s processes run on, and are not followed any more",
    )
    HIDDEN = (
        "%(num)s process hides its memory and its descriptors from this user; only its calls were seen",
        "%(num)s processes hide their memory and their descriptors from this user; only their calls were seen",
    )
    FOREIGN = (
        "%(num)s process made calls of i386 or x32, which were not followed",
        "%(num)s processes made calls of i386 or x32, which were not followed",
    )

    def say(self, num: int) -> Sentence:
        """The sentence of so many."""
        return Sentence(*self.value, num=num)
