from __future__ import annotations

import codecs
import os
from typing import Any

from pairscope.work.job import JobKind, Task
from pairscope.work.stream import size

SHOWN = 4096
"""Bytes shown where the result must fit into one packet and its row."""
SHOWN_WITH_SPARE = 1 << 20

_utf8 = codecs.getincrementaldecoder("utf-8")


class Echo(JobKind):
    """Answers with the bytes that it was sent, or with the first ones behind a descriptor."""

    name = "echo"
    deadline = 10.0
    quick = True
    needs_input = False

    def run(self, task: Task) -> dict[str, Any]:
        self.expect(task)
        bound = SHOWN_WITH_SPARE if task.spare else SHOWN
        if task.input is None:
            total = len(task.data)
            shown = task.data if total <= bound else task.data[:bound]
        else:
            total = size(task.input)
            shown = os.pread(task.input, bound, 0)
        try:
            # a character cut by the bound is left out, one cut by the end is an error
            whole = len(shown) >= total
            result = {"bytes": total, "text": shown.decode() if whole else _utf8().decode(shown)}
        except UnicodeDecodeError:
            shown = shown[: bound // 2]
            result = {"bytes": total, "hex": shown.hex()}
        if len(shown) < total:
            result["shown"] = len(shown)
        return result

    def exercise(self) -> None:
        self.attempt(b"text")
        self.attempt(b"\xff")
        self.run(Task("echo", data=b"x"))
