"""What a process has mapped: proc_pid_maps(5)."""

from __future__ import annotations

import dataclasses
import errno
import os

MOST = 256 << 10
"""Bytes of it that are read: 3,000 mappings."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """A part of a file, or of what has a name as [vdso] does."""

    start: int
    end: int
    executable: bool
    base: int
    """Where the first page of its file is mapped."""
    file: tuple[bytes, ...]
    """Device, inode and path."""

    @property
    def path(self) -> bytes:
        return self.file[-1]


def read(tid: int) -> bytes:
    """Of a task. Raises OSError, also where it is too long."""
    fd = os.open(f"/proc/{tid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        left = MOST
        while part := os.read(fd, left):
            parts.append(part)
            left -= len(part)
        if not left:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        return b"".join(parts)
    finally:
        os.close(fd)


def parsed(text: bytes) -> list[Mapping]:
    """Those whose first page is mapped too, in order."""
    found = []
    base = 0
    last: tuple[bytes, ...] = ()
    for line in text.splitlines():
        where, mode, offset, device, inode, *path = line.split(None, 5)
        start, end = (int(word, 16) for word in where.split(b"-"))
        file = (device, inode, *path)
        if not int(offset, 16) and file != last:
            base, last = start, file
        if path and file == last:
            found.append(Mapping(start, end, b"x" in mode, base, file))
    return found


def program(tid: int) -> tuple[tuple[int, int], bytes]:
    """The file that a task runs: device and inode, and its path as the mappings have it. Raises OSError."""
    found = os.stat(f"/proc/{tid}/exe")
    return (found.st_dev, found.st_ino), os.readlink(b"/proc/%d/exe" % tid)
