"""Streams over passed descriptors that keep a position of their own.

Whoever passed a descriptor shares its open file description, and with it the offset (sendmsg(2), unix(7)): pread(2)
and pwrite(2) leave that alone. The descriptors are borrowed; closing a stream does not close them.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import stat
from collections.abc import Iterator

from pairscope.work.job import JobFailed
from pairscope.work.sentences import Failure

PIECE = 1 << 20
"""Bytes read at a time."""


def size(fd: int) -> int:
    """Bytes of the file behind `fd`. Raises JobFailed if it has no size, as a pipe or a socket."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise JobFailed(Failure.NO_FILE.value)
    return status.st_size


def pieces(fd: int, start: int = 0) -> Iterator[bytes]:
    """The bytes from `start` to the end, in pieces of at most 1 MiB, whatever the size was before."""
    size(fd)
    at = start
    while piece := os.pread(fd, PIECE, at):
        at += len(piece)
        yield piece


class Source(io.RawIOBase):
    """The file behind a descriptor, readable and seekable, without a ``fileno`` that a library could use directly."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0
        self._size = size(fd)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = os.pread(self._fd, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at


class Sink(io.RawIOBase):
    """An empty memfd to write into from its start. A write beyond its bound (RLIMIT_FSIZE) raises JobFailed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.written

    def write(self, data: bytes) -> int:  # type: ignore[override]
        view = memoryview(data).cast("B")
        total = len(view)
        while view:
            try:
                count = os.pwrite(self._fd, view, self.written)
            except OSError as error:
                raise JobFailed(_words(error)) from None
            self.written += count
            view = view[count:]
        return total


def _words(error: OSError) -> str:
    if error.errno == errno.EFBIG:
        bound = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return Failure.OUTPUT.say(bytes=f"{bound:,}")
    if error.errno == errno.ENOSPC:
        return Failure.NO_MEMORY.value
    return Failure.NO_WRITING.say(fault=error.strerror)
