"""The kinds of values that a run holds, each with its bounds; and what is not there or not known."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from msgspec import UNSET as UNSET
from msgspec import Meta, UnsetType

T = TypeVar("T")
Verdict = Literal["held", "failed", "refused", "timed out"]
StepVerdict = Literal["held", "failed", "none"]
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Wide = Annotated[int, Meta(ge=-(1 << 63))]
"""A signed number of 64 bits, or an unsigned one."""
Natural = Annotated[int, Meta(ge=0)]
Short = Annotated[str, Meta(max_length=4096)]
Word = Annotated[str, Meta(max_length=64)]
Numbers = Annotated[list[Number], Meta(max_length=4096)]
Ids = Annotated[list[Number], Meta(min_length=3, max_length=3)]  # process, user and group
How = dict[Word, Word]
"""By the name of a value, or of a group of them, how it is known."""
Base64 = str
Bytes = dict[Word, Wide | str]
"""A text that a call was given, as ``{"data": BASE64, "times": N}``: a piece of it, and how often."""
Single = Wide | str | Bytes
"""A number, a word such as ``NULL``, or a text."""
Argument = Wide | str | list[Single] | dict[Word, Wide | str | list[Single] | Bytes]
"""An argument as it was made: one of these, a list of them, or one that was given by name, as ``{NAME: VALUE}``. An
object with ``data`` is a text."""


def given(value: T | UnsetType, name: str) -> T:
    """A value that is always there with its call. Raises ValueError if this run has not got it."""
    if value is UNSET:
        raise ValueError(f"there is no {name}")
    return value


def known(value: T | UnsetType | None) -> T | None:
    """A value; None: it is not known, or not there."""
    return None if value is UNSET else value
