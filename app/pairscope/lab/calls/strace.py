"""What a call's file sees of a run that is told in the manner of strace(1): the call that was made, and how strace
writes values.

What the run does not know is left out, or is ``?``: addresses, the users of signals.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

from pairscope.lab.model import Constants, Step, Value
from pairscope.lab.run import Part, Result, Single, given, piece_of
from pairscope.lab.run import Step as Taken

SHOWN = 32
"""Bytes of a text, as strace shows them."""
_ESCAPES = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
Made = Single | list[Single]
"""An argument as it was made."""
Words = list[str | None]
"""The arguments of a call; None: what only the kernel's answer tells, where there is none yet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traced:
    """A call that was made."""

    own: Step
    """As the scenario has it."""
    taken: Taken
    result: Result
    pids: Mapping[str, int]
    """The number of each actor; of a thread its own."""
    unfinished: bool = False
    """Whether it has not returned yet."""

    @property
    def failed(self) -> bool:
        """Whether it wrote nothing."""
        return bool(self.result.errno or self.result.ended or self.result.fault)

    @property
    def made(self) -> list[Made]:
        """The arguments that were given in order."""
        return self.taken.positional

    @property
    def named(self) -> dict[str, Made]:
        """Those that were given by name."""
        return self.taken.named

    def words(self, count: int | None = None) -> list[str]:
        """The arguments in order, or the first of them, as they were given: numbers, and constants by their names."""
        return [shown(value, made) for value, made in zip(self.own.arguments[:count], self.made)]

    def word(self, index: int) -> str:
        """One of them. Raises IndexError."""
        return shown(self.own.arguments[index], self.made[index])

    def flags(self) -> str:
        """Those that were given by name."""
        return shown(dict(self.own.named)["flags"], self.named["flags"]) if "flags" in self.named else "0"

    def came(self) -> str | None:
        """The data that it read."""
        if self.unfinished:
            return None
        if self.failed or self.result.data is None:
            return "?"
        return quoted(base64.b64decode(self.result.data), given(self.result.bytes, "bytes"))


def plain_strace(self: Any, traced: Traced) -> Words:
    """A call whose arguments stand as they were given."""
    return [*traced.words()]


def shown(value: Value, made: Made) -> str:
    """A constant by its name; any other value as it was resolved."""
    return "|".join(value.names) if isinstance(value, Constants) else str(made)


def address(word: Made) -> str:
    """What stands for an address that is NULL or BADPTR."""
    return "NULL" if word == "NULL" else "0x1"


def numbers(made: Made) -> list[int]:
    """The numbers of a list, or a single one. Raises ValueError if there are others."""
    found = [value for value in (made if isinstance(made, list) else [made]) if isinstance(value, int)]
    if (isinstance(made, list) and len(found) < len(made)) or not isinstance(made, (list, int)):
        raise ValueError("an argument is no number")
    return found


def piece(made: Made) -> tuple[bytes, int]:
    """The piece of a text, and how often it stands there. Raises ValueError if it is none."""
    if not isinstance(made, dict):
        raise ValueError("an argument is no text")
    return piece_of(made)


def text(made: Made, most: int = SHOWN) -> str:
    """A text as an argument has it. Raises ValueError if it is none."""
    found, times = piece(made)
    times = max(0, times)
    return quoted(found * min(times, most + 1), len(found) * times, most)


def control(part: Part) -> str:
    """A control message."""
    if isinstance(part.fds, list):
        data = str(part.fds)
    elif part.creds:
        data = "{{pid={}, uid={}, gid={}}}".format(*part.creds)
    else:
        raw = base64.b64decode(part.data)
        data = quoted(raw, len(raw))
    return f"{{cmsg_len={part.cmsg_len}, cmsg_level={part.level}, cmsg_type={part.type}" + (
        f", cmsg_data={data}}}" if part.data else "}"
    )


def quoted(data: bytes, length: int, most: int = SHOWN) -> str:
    """The first bytes of a text of this length."""
    head = data[:most]
    found = []
    for index, byte in enumerate(head):
        if byte in _ESCAPES:
            found.append(_ESCAPES[byte])
        elif 32 <= byte < 127:
            found.append(chr(byte))
        else:
            digits = head[index + 1 : index + 2].isdigit()
            found.append(f"\\{byte:03o}" if digits else f"\\{byte:o}")
    return f'"{"".join(found)}"' + ("..." if length > most else "")
