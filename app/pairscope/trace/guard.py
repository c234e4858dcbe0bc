"""What confines and watches a program of somebody else while it is recorded: docs/programs.md."""

from __future__ import annotations

from typing import Protocol

from pairscope.trace.recording import Program
from pairscope.trace.tasks import Scene


class Guard(Protocol):
    """Such a program has no filter that stops it. Each of its calls stops it, as with ``record -p``, so what its own
    filter refuses is seen."""

    every: float
    """Seconds after which it wants to look."""

    def enter(self) -> None:
        """Confines the calling process, which is about to become the program. Raises OSError."""

    def look(self, scene: Scene) -> str:
        """Looks at the program. The bound that it has reached, a sentence; empty: none."""

    def told(self) -> Program:
        """What stands in the recording of it, when it has ended."""
