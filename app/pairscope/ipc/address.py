"""AF_UNIX addresses for paths of any length: sun_path holds 107 bytes and a NUL, unix(7)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name under /proc/self/fd for `path`, valid inside the block, for bind and connect of this process."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
