from __future__ import annotations

import zlib
from typing import Any

from pairscope.work.job import JobKind, Task
from pairscope.work.stream import Sink, pieces

GZIP = 16 + zlib.MAX_WBITS
"""zlib then writes a gzip header (RFC 1952) of its own: MTIME 0, no name, so that equal input gives equal output."""


class Compress(JobKind):
    """Packs the input with gzip, to be downloaded."""

    name = "compress"
    deadline = 120.0
    output = True
    parameters = {"level": "From 1 (fast) to 9 (small); 6 if it is not given."}
    media = "application/gzip"
    suffix = ".gz"

    def run(self, task: Task) -> dict[str, Any]:
        self.expect(task)
        assert task.input is not None and task.output is not None
        level = task.whole_number("level", 6, 1, 9)
        packer = zlib.compressobj(level, zlib.DEFLATED, GZIP)
        sink = Sink(task.output)
        total = 0
        for piece in pieces(task.input):
            total += len(piece)
            sink.write(packer.compress(piece))
        sink.write(packer.flush())
        return {
            "bytes": total,
            "stored": sink.written,
            "ratio": round(sink.written / total, 4) if total else None,
            "level": level,
        }

    def exercise(self) -> None:
        self.attempt(b"tiny")
        self.attempt(b"", level="wrong")
