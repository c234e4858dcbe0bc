from __future__ import annotations

import hashlib
from typing import Any

from pairscope.work.job import JobKind, Task
from pairscope.work.stream import pieces


class Digest(JobKind):
    """SHA-256 and size of the input."""

    name = "digest"

    def run(self, task: Task) -> dict[str, Any]:
        self.expect(task)
        assert task.input is not None
        digest = hashlib.sha256()
        total = 0
        for piece in pieces(task.input):
            digest.update(piece)
            total += len(piece)
        return {"sha256": digest.hexdigest(), "bytes": total}

    def exercise(self) -> None:
        self.attempt(b"tiny")
