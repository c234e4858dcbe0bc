"""What is told where a program did not run, and at which bound it was ended: sentences with names for their values.
Pure.

Recordings and jobs hold them filled, in English (app/pairscope/recorded.py). So a sentence is not reworded: a new one
is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any

from pairscope.sentence import Sentence


class Unrun(enum.StrEnum):
    """Why nothing ran."""

    OFF = "programs are switched off here (lab_programs)"
    NO_BOX = "programs are not run here, for they would not be apart from everything: %(why)s"
    NO_COMPILER = "no compiler of C is installed here; expected gcc and libc6-dev (apt-get install gcc libc6-dev)"
    NO_PYTHON = "no Python is installed at /usr/bin/python3"
    NO_PROGRAM = "this is no program with language, source, arguments and input: %(fault)s"
    NUL = "a program, its arguments and its input hold no NUL; expected text"
    MUCH_INPUT = "the input has %(bytes)s bytes; expected at most %(most)s"
    NOT_COMPILED = "it was not compiled; see what the compiler says"
    COMPILER_LATE = "the compiler was ended after %(seconds)s seconds"
    COMPILER_KILLED = "the compiler was ended by %(signal)s: it reached a bound"
    NO_RECORDER = "it could not be recorded: %(why)s"
    DIED = "the box in which it ran ended without a word (%(status)s)"
    FAULT = "a mistake in Pairscope: %(fault)s"

    def say(self, **values: Any) -> Sentence:
        """The sentence with its values."""
        return Sentence(self.value, **values)


class Lacking(enum.StrEnum):
    """What a box could not have."""

    OLD = "this kernel has no mount_setattr (Linux 5.12)"
    MOUNT = "%(what)s could not be mounted: %(fault)s"
    NESTED = "namespaces inside of it could not be forbidden: %(fault)s"
    NAME = "a host name of its own could not be set: %(fault)s"
    ROOT = "programs are never run by root, and there is no user %(name)s"

    def say(self, **values: Any) -> Sentence:
        """The sentence with its values."""
        return Sentence(self.value, **values)


class Bound(enum.StrEnum):
    """At which bound a program was ended."""

    PROCESSOR = "the bound of %(seconds)s seconds of processor time is reached"
    MEMORY = "the bound of %(most)s bytes of memory is reached"
    OUTPUT = "the bound of %(most)s bytes of output is reached"
    QUIET = "nobody did anything for %(seconds)s seconds: all wait"

    def say(self, **values: Any) -> Sentence:
        """The sentence with its values."""
        return Sentence(self.value, **values)
