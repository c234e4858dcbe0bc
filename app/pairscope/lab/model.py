"""What a scenario is made of, once it is read. Everything is frozen; texts are bytes; docs/lab.md explains the
words."""

from __future__ import annotations

import dataclasses

from pairscope.sentence import phrase


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Where in the text, both from 1."""

    line: int
    column: int


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    value: int
    shown: str
    """As it was written: ``0x10``, ``64K``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    data: bytes
    times: int = 1
    hexadecimal: bool = False

    @property
    def bytes(self) -> bytes:
        return self.data * self.times


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A descriptor or a process by its name."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Constants:
    """One constant of C, or several joined by ``|``; their number is :func:`pairscope.lab.constants.number`."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    values: tuple[Value, ...]


Value = Number | Text | Name | Constants | Items


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """What should come. `first` is None where only keys are given."""

    first: Value | str | None
    """A value, or the word ``blocks`` or ``ok``."""
    keys: tuple[tuple[str, Value], ...]
    place: Position
    data: Text | None = None
    """Where `first` is a number: the text that is expected beside it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    actor: str
    call: str
    arguments: tuple[Value, ...]
    named: tuple[tuple[str, Value], ...]
    binds: tuple[str, ...]
    expectation: Expectation | None
    place: Position
    places: tuple[Position, ...] = ()
    """Of each argument, then of each named one."""
    returned: bool = False
    """True: not a call, but the return of the actor's blocked `call`."""
    comment: str = ""
    """What stands behind it on its line, from ``#`` on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Comment:
    """A line of its own."""

    text: str
    """From ``#`` on."""
    before: int
    """The index of the step before which it stands; with `about`, of the ``@`` line."""
    about: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    about: tuple[tuple[str, str], ...]
    """``@title`` and its like, in order."""
    steps: tuple[Step, ...]
    comments: tuple[Comment, ...] = ()

    def said(self, word: str) -> str:
        """What ``@word`` says; lines of the same word are joined by a space."""
        return " ".join(text for key, text in self.about if key == word)


class ScenarioError(Exception):
    """The text is no scenario. str() is a sentence with the place in front, as compilers give it."""

    def __init__(self, place: Position, found: str, expected: str) -> None:
        super().__init__(
            phrase(
                "%(line)s:%(column)s: %(found)s; expected %(expected)s",
                line=place.line,
                column=place.column,
                found=found,
                expected=expected,
            )
        )
        self.place = place
        self.found = found
        self.expected = expected
