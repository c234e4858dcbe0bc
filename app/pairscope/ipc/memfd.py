"""Memory files: bytes behind a descriptor that no one can change once they are sealed. memfd_create(2), fcntl(2)."""

from __future__ import annotations

import fcntl
import os

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def empty(name: str) -> int:
    """A new empty memfd that can be sealed; the caller owns it."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def sealed(name: str, data: bytes) -> int:
    """A sealed memfd holding `data`; the caller owns it."""
    fd = empty(name)
    try:
        write_all(fd, data)
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data` at the current offset. Raises OSError (ENOSPC, EPERM of a sealed one)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def seal(fd: int) -> None:
    """Refuses every later change of the contents. Raises OSError EBUSY while somebody maps it writable and shared."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)


def is_sealed(fd: int) -> bool:
    """True if the contents can no longer change."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        return False


def read_all(fd: int, size: int) -> bytes:
    """Returns `size` bytes from the start, and leaves the offset, which others may share. Raises OSError."""
    parts = []
    at = 0
    while at < size:
        part = os.pread(fd, min(size - at, 1 << 20), at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def read_only(fd: int) -> int:
    """The same file by a new, read-only open file description with an offset of its own; the caller owns it."""
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
