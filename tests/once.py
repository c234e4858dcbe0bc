"""What is made once for all processes of pytest that run side by side: by the first that needs it, while the others
wait. It is removed at the end of the run."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PLACE = "PAIRSCOPE_TEST_ONCE"
"""The environment variable that tells all of them the directory."""


def begin() -> None:
    """Makes the directory: by the process that begins the others, before it does."""
    place = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    place.chmod(0o711)  # as root, servers of other users pass through it
    os.environ[PLACE] = str(place)


def end() -> None:
    """Removes it, when all others have ended."""
    if place := os.environ.pop(PLACE, ""):
        shutil.rmtree(place)


def made(name: str, make: Callable[[Path], None]) -> Path:
    """The directory of that name, which `make` has filled. If it fails the next one tries again."""
    place = Path(os.environ[PLACE]) / name
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.mkdir(0o755)
            try:
                make(place)
            except BaseException:
                shutil.rmtree(place)
                raise
    return place
