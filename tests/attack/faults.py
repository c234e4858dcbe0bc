"""System calls of a supervisor and its recorder that fail, or wait, while they run: tests/programs/fault.c."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "programs" / "fault.c"
CALLS = "sendmsg send recvmsg write fdatasync fsync open ftruncate pread accept socketpair memfd pidfd fstat".split()
WAITS = -1
FAULT = struct.Struct("iiii")
"""error, every, asked, failed."""


class Faults:
    """The page that the calls look at."""

    def __init__(self, directory: Path) -> None:
        self._library = directory / "fault.so"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", self._library, SOURCE, "-ldl"], check=True
        )
        self._path = directory / "faults"
        self._path.write_bytes(bytes(4096))
        self._path.chmod(0o666)
        with self._path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 4096)

    @property
    def environment(self) -> dict[str, str]:
        """Of the processes whose calls shall fail. Workers do not get it."""
        return {"LD_PRELOAD": str(self._library), "FAULTS": str(self._path)}

    @contextlib.contextmanager
    def failing(self, call: str, error: int, every: int = 1) -> Iterator[None]:
        """In the block each `every`-th such call fails with that error, or waits for the block's end."""
        at = CALLS.index(call) * FAULT.size
        FAULT.pack_into(self._page, at, error, every, 0, 0)
        try:
            yield
        finally:
            self._page[at : at + 4] = bytes(4)

    def failed(self, call: str) -> int:
        """How often it has."""
        count: int = FAULT.unpack_from(self._page, CALLS.index(call) * FAULT.size)[3]
        return count

    def close(self) -> None:
        self._page.close()
        os.unlink(self._path)


@contextlib.contextmanager
def faults(directory: Path) -> Iterator[Faults]:
    """Faults for processes that run in the block."""
    made = Faults(directory)
    try:
        yield made
    finally:
        made.close()
