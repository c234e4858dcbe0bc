"""What a regular file or a memfd holds: memfd_create(2), fcntl(2) F_GET_SEALS."""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib

from pairscope.lab.constants import NUMBERS
from pairscope.lab.named import SEALS
from pairscope.lab.probes import peek
from pairscope.lab.probes.descriptions import Description
from pairscope.lab.run import Object, Piece

MOST = 1 << 20
"""Bytes of a file that are looked at."""


def describe(told: Object, description: Description) -> None:
    """Fills in size, seals, the beginning of the contents, and the CRC-32 of the first MOST bytes."""
    seen = description.seen
    told.size = seen.size
    told.how = {"size": "observed", "seals": "observed", "contents": "observed"}
    if seen.object == "memfd":
        with contextlib.suppress(OSError):  # EBADF: by O_PATH a memfd does not say
            told.seals = SEALS.told(fcntl.fcntl(description.own, NUMBERS["F_GET_SEALS"]))
    with contextlib.suppress(OSError):
        # A description that is for writing alone, or for nothing (O_PATH), shows no byte; one of this process's own
        # does.
        own = (
            os.dup(description.own)
            if seen.access in ("read", "read-write")
            else os.open(f"/proc/self/fd/{description.own}", os.O_RDONLY | os.O_CLOEXEC)
        )
        try:
            data = os.pread(own, MOST, 0)
        finally:
            os.close(own)
        told.contents = [Piece(seen.size, peek.shown(data))] if seen.size else []
        told.crc32 = zlib.crc32(data)
