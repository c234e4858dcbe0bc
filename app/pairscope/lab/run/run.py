"""A run as a whole, and its JSON."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pairscope.lab.run.held import NOTHING, State
from pairscope.lab.run.kinds import Number, Short, Verdict, Word
from pairscope.lab.run.steps import Step

FORMAT: Literal[1] = 1


class Run(Struct, frozen=True, kw_only=True):
    """A run of format 1."""

    format: Literal[1]
    text: str
    """The scenario, canonical."""
    about: list[Annotated[list[str], Meta(min_length=2, max_length=2)]]
    verdict: Verdict
    reason: str
    kernel: Short
    machine: Word
    sandbox: dict[Word, Any] | UnsetType = UNSET
    started: float
    """Seconds since 1970."""
    took_ns: Number
    steps: Annotated[list[Step], Meta(max_length=100)]

    def state(self, number: int) -> State:
        """What was held after a step. Raises IndexError if there is no such step."""
        if number < 0:
            raise IndexError(number)
        return (self.steps[number - 1].after or NOTHING) if number else NOTHING

    def processes(self) -> dict[int, str]:
        """The name of every process that was seen, by its number."""
        return {
            process.pid: process.name
            for number in range(1, len(self.steps) + 1)
            for process in self.state(number).processes
        }


class Failed(Struct):
    """Why there is no run: the text is no scenario, or who should have run it has failed."""

    error: str
    line: int = 1
    column: int = 1


_DECODER = msgspec.json.Decoder(Run)
_decode_failed = msgspec.json.Decoder(Failed).decode


def decode(data: bytes) -> Run:
    """A run of its JSON. Raises msgspec.DecodeError (of what is no such run, a ValidationError that says at which
    member), RecursionError, UnicodeDecodeError."""
    return _DECODER.decode(data)


def encode(run: Run) -> bytes:
    """Its JSON."""
    return msgspec.json.encode(run)


def heard(written: bytes) -> Run | Failed | None:
    """What a runner has written: a run, or why there is none; None: nothing that is whole."""
    try:
        return decode(written)
    except msgspec.DecodeError:
        with contextlib.suppress(msgspec.DecodeError):
            return _decode_failed(written)
    return None
