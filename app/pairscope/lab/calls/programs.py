"""What a call's file sees of the programs that are being written: a step's turn, and how to write a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

from pairscope.lab.model import Scenario, Step, Value


@dataclasses.dataclass(slots=True)
class Turn:
    """A step as a program takes it."""

    number: int
    """From 1."""
    step: Step
    binds: tuple[str, ...]
    """Its own names, or those that its return gives."""
    back: int = 0
    """The number of the step that tells its return; 0: none does."""
    back_step: Step | None = None


@dataclasses.dataclass(slots=True)
class Actor:
    name: str
    thread: bool
    turns: list[Turn] = dataclasses.field(default_factory=list)
    """Up to its exit; no call follows that."""

    @property
    def exits(self) -> bool:
        return bool(self.turns) and self.turns[-1].step.call == "exit"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A step as whoever gives the turns sees it."""

    actor: str
    call: str
    patience: int
    """Milliseconds that it may sleep, before it is said to block."""
    returned: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What both programs need to know of a scenario."""

    scenario: Scenario
    actors: tuple[Actor, ...]
    lines: tuple[Line, ...]
    descriptors: tuple[str, ...]
    """The names of descriptors, in the order of their binding."""
    handles: bool
    """Whether a signal is given to a handler: then a call may end with EINTR."""
    pidfds: bool
    """Whether messages may carry a pidfd beside the descriptors that were sent."""
    credentials: bool
    """Whether messages may carry the credentials of their senders."""
    waits: bool
    """Whether a socket is given a time-out: such a call is not taken up again after a handler."""

    def turns(self) -> Iterator[Turn]:
        for actor in self.actors:
            yield from actor.turns


class Program(Protocol):
    """What programs in both languages can write. A value stands in the language's own form."""

    plan: Plan

    def use(self, piece: str) -> str:
        """Has the program hold this piece, and gives its name."""

    def member(self, name: str) -> str:
        """A descriptor's place: ``fd.sv0``."""

    def process(self, value: Value) -> str:
        """The number of a process, by its name or as it stands."""

    def number(self, value: Value, bits: int = 32) -> str:
        """A number, constants or a descriptor's name, as an integer of so many bits."""

    def address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""


class CProgram(Program, Protocol):
    """A program in C."""

    def header(self, *names: str) -> None:
        """Has the program include these."""

    def constants(self, *names: str) -> None:
        """Has the program define these where no header does."""

    def actor(self, name: str) -> str:
        """The constant that stands for an actor."""

    def literal(self, data: bytes) -> str:
        """Bytes as a string."""

    def rows(self, data: bytes, width: int) -> list[str]:
        """Bytes as rows of an initialiser, so many in each."""

    def decimal(self, value: int) -> str:
        """A number of 64 bits."""

    def listed(self, head: str, entries: list[str], width: int = 90) -> list[str]:
        """An initialiser, on one line if it fits."""

    def block(self, lines: list[str]) -> list[str]:
        """Statements in braces, for a step that has variables of its own."""

    def text(self, value: Value) -> str:
        """A text as a literal, or a call that repeats it; of several lines for many bytes in hexadecimal."""

    def told(self, piece: str, *arguments: str) -> str:
        """The statement by which the step tells what came of it."""

    def named(self, turn: Turn, call: str) -> str:
        """The same of a call that makes a descriptor, which gets its name."""

    def pair(self, turn: Turn, call: str) -> list[str]:
        """The same of a call that makes two, in ``pair``."""

    def control_space(self, size: int) -> None:
        """So many bytes the control messages of one sendmsg may take or claim."""

    def ports(self) -> None:
        """Has the program remember the ports that were bound."""


class PythonProgram(Program, Protocol):
    """A program in Python."""

    families: dict[str, int | None]
    """The family of the sockets that a name stands for, where only such calls give it that name."""

    @property
    def interrupted(self) -> bool:
        """Whether a call may end with EINTR that Python would take up again: where a socket has a time-out,
        signal(7)."""

    def own_name(self, name: str) -> str:
        """A descriptor's name as a member of ``fd``."""

    def module(self, name: str) -> str:
        """Has the program import it."""

    def text(self, value: Value, width: int = 16) -> str:
        """A text as a literal of bytes, so many in a line where they are hexadecimal."""

    def path(self, data: bytes) -> str:
        """A file's name: a text where it is printable, else bytes."""

    def unsigned(self, value: Value) -> str:
        """A number as an unsigned int."""

    def listed(self, entries: list[str]) -> str:
        """A list, on one line if it fits."""

    def over(self, before: str, data: str, after: str) -> list[str]:
        """A statement with an argument that may have several lines."""

    def borrowed(self, value: Value) -> list[str]:
        """Has the step borrow a socket object, ``sock``, that stands for a descriptor."""

    def raw(self, name: str) -> str:
        """The beginning of a call of the C library itself, up to its arguments."""

    def binds(self, turn: Turn, made: str, cloexec: bool = True) -> list[str]:
        """A descriptor that a call makes, and the name that it gets. `cloexec`: whether it is made as the call itself
        would."""

    def pair(self, turn: Turn, made: str, ends: tuple[str, str], wanted: str, cloexec: bool) -> list[str]:
        """The same of two."""
