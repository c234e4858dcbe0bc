"""The limit of the address space (RLIMIT_AS), if there is one: the supervisor ends in words before it is reached.

Where a small allocation fails, a library may not notice: msgspec's structs end the process by SIGSEGV (0.20, met with
3,000 answers and `ulimit -v`). So the last MARGIN bytes are left to what is under way.
"""

from __future__ import annotations

import os
import resource

MARGIN = 8 * 1024 * 1024
"""Bytes: more than the messages of one channel take in one turn, long ones apart, whose failure is noticed."""


class NoMemory(MemoryError):
    """The limit is near; the text says so."""


class Memory:
    """Of this process."""

    def __init__(self) -> None:
        self._pages = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._page = os.sysconf("SC_PAGE_SIZE")
        self.limited = False
        """There was a limit at the last check: only then another one is worth its system calls in each turn."""

    def check(self) -> None:
        """Notes whether there is a limit. Raises NoMemory when it is near."""
        limit: int = resource.getrlimit(resource.RLIMIT_AS)[0]
        self.limited = limit != resource.RLIM_INFINITY
        if not self.limited:
            return
        used = int(os.pread(self._pages, 20, 0).split(None, 1)[0]) * self._page
        if used + MARGIN > limit:
            raise NoMemory(
                f"of the {limit} bytes of address space that this process may have (RLIMIT_AS) {used} are taken"
            )

    def close(self) -> None:
        os.close(self._pages)
