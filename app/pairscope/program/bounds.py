"""How much a program may take: docs/programs.md, "Bounds"."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """Of all processes of a program together."""

    processes: int = 64
    memory: int = 512 << 20
    """Bytes."""
    processor: float = 10
    """Seconds of processor time."""
    steps: int = 5000
    clock: float = 20
    """Seconds by the clock."""
    quiet: float = 5
    """Seconds without a step and without processor time, after which nobody will go on."""
    output: int = 65_536
    """Bytes of standard output, and of standard error."""
    compiling: float = 10
    """Seconds of processor time of the compiler."""
    packed: int = 8 << 20
    """Bytes of the recording."""
    kept: int = 4096
    """Bytes of each buffer that are kept."""
