"""What a call's file sees of a run whose results are told one line for each step: the call that has returned, and how
such a line writes values. docs/lab.md lists the forms.

What differs from run to run is written in one way everywhere: a process's number as its name (another process's as ``a
process``), the user's and the group's number as ``uid`` and ``gid`` (-1 stays), and of data the first SHOWN bytes.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

from pairscope.lab.run import Result, Step, given

SHOWN = 64
"""Bytes of data in one line; ``...`` after the quotes says that there were more."""
ELSEWHERE = "a process"


@dataclasses.dataclass(frozen=True, slots=True)
class Returned:
    """A call that has returned, and without an error."""

    step: Step
    result: Result
    names: Mapping[int, str]
    """The name of each process of the run, by its number."""

    @property
    def value(self) -> int:
        """What it returned. Raises ValueError if this run has not got it."""
        if self.result.value is None:
            raise ValueError("there is no value")
        return self.result.value

    def process(self) -> str:
        """The process whose number it returned."""
        return self.names.get(self.value, ELSEWHERE)

    def data(self) -> list[str]:
        """The data that it read, as a word; none where none were kept."""
        if self.result.data is None:
            return []
        return [shown(base64.b64decode(self.result.data), given(self.result.bytes, "bytes"))]

    def credentials(self, creds: list[int]) -> str:
        """Process, user and group."""
        pid, *ids = creds
        words = [self.names.get(pid, ELSEWHERE) if pid else "0"]
        words += [word if number != 0xFFFFFFFF else "-1" for number, word in zip(ids, ("uid", "gid"))]
        return f"[{', '.join(words)}]"


def plain_line(self: Any, returned: Returned) -> str:
    """A call that gives a number and nothing else."""
    return str(returned.result.value)


def data_line(self: Any, returned: Returned) -> str:
    """A call that reads: how much, and what."""
    return " ".join([str(returned.result.value), *returned.data()])


def shown(data: bytes, length: int) -> str:
    """The first bytes of data of this length, in quotes; everything but printable ASCII is escaped."""
    found = []
    for byte in data[:SHOWN]:
        if byte in b'"\\':
            found.append("\\" + chr(byte))
        elif byte == 10:
            found.append("\\n")
        else:
            found.append(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    return f'"{"".join(found)}"' + ("..." if length > SHOWN else "")
