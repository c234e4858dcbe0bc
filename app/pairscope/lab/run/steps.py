"""What was done step by step, and what came of it."""

from __future__ import annotations

import base64
from typing import Annotated, cast

from msgspec import Meta, Struct, UnsetType

from pairscope.lab.run.held import Carried, State
from pairscope.lab.run.kinds import (
    UNSET,
    Argument,
    Base64,
    Bytes,
    Ids,
    Natural,
    Number,
    Numbers,
    Short,
    Single,
    StepVerdict,
    Wide,
    Word,
)


class Part(Struct, frozen=True):
    """A control message: cmsg(3)."""

    at: Number
    cmsg_len: Natural
    level: Word
    type: Word
    CMSG_LEN: Number
    CMSG_SPACE: Number
    padding: Number
    data: Base64
    fds: Numbers | UnsetType | None = UNSET
    creds: Ids | UnsetType | None = UNSET


class Message(Struct, frozen=True):
    """A msghdr: sendmsg(2), recvmsg(2)."""

    iov: Numbers
    """Bytes of each part."""
    flags: Short
    msg_flags: Number
    controllen: Number
    control: Base64
    parts: list[Part]
    room: Number | UnsetType = UNSET
    """Bytes of control data that whoever receives has room for."""


class Result(Struct):
    """What a call gave."""

    value: Number | None
    errno: Word | None
    data: Base64 | None
    blocked: bool
    duration_ns: Number
    message: Message | None
    bytes: Number | UnsetType = UNSET
    made: Numbers | UnsetType = UNSET
    fds: Numbers | UnsetType = UNSET
    creds: Ids | UnsetType | None = UNSET
    msg_flags: Number | UnsetType = UNSET
    revents: Numbers | UnsetType = UNSET
    before: Word | UnsetType = UNSET
    port: Number | UnsetType = UNSET
    option: Base64 | UnsetType = UNSET
    held: Wide | Numbers | UnsetType = UNSET
    status: Number | UnsetType = UNSET
    killed: Number | UnsetType = UNSET
    stopped: Number | UnsetType = UNSET
    continued: Number | UnsetType = UNSET
    ended: Short | UnsetType = UNSET
    fault: Short | UnsetType = UNSET
    lost: list[Carried] | UnsetType = UNSET


class Completed(Result, kw_only=True):
    """The result of a call that another step began."""

    of: Annotated[int, Meta(ge=0, le=1000)]  # the index of that step, from 0


class Expected(Struct, frozen=True):
    """What a scenario expected of a step, as it wrote it."""

    first: str | None
    keys: dict[Word, str]


class Way(Struct, frozen=True):
    """A way in which a step is open."""

    kind: Word
    who: Annotated[list[Word], Meta(max_length=16)]
    """Actors."""
    what: Annotated[list[Natural], Meta(max_length=4096)]
    """Inodes."""


class Step(Struct):
    """A step, and what came of it."""

    line: Number
    actor: Word
    call: Word
    returned: bool
    """It tells what a call gave that had blocked."""
    arguments: list[Argument]
    """As made, those in order first and then the named ones; `positional` and `named` tell them apart."""
    result: Result | None
    """None: the call was not made, and the run ended."""
    completed: dict[Word, Completed]
    """By actor: the calls that returned in this step."""
    expected: Expected | None
    verdict: StepVerdict
    reason: str
    after: State | None
    """The state as format 1 keeps it; :meth:`Run.state` is what readers ask."""
    open: Annotated[list[Way], Meta(max_length=64)] | UnsetType = UNSET

    @property
    def positional(self) -> list[Single | list[Single]]:
        """The arguments that were given in order."""
        return [cast(Single | list[Single], argument) for argument in self.arguments if not _is_named(argument)]

    @property
    def named(self) -> dict[str, Single | list[Single]]:
        """Those that were given by name."""
        found: dict[str, Single | list[Single]] = {}
        for argument in self.arguments:
            if _is_named(argument):
                found |= cast(dict[str, Single | list[Single]], argument)
        return found


def _is_named(argument: Argument) -> bool:
    return isinstance(argument, dict) and "data" not in argument


def piece_of(text: Bytes) -> tuple[bytes, int]:
    """The piece of a text, and how often it stands there. Raises KeyError and ValueError for what is none."""
    return base64.b64decode(cast(str, text["data"])), int(text["times"])
