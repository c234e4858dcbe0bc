"""The table of descriptors of a process, from outside: proc_pid_fd(5), proc_pid_fdinfo(5), pidfd_getfd(2).

A `pid` may be the id of any task: one with a table of its own (clone(2) without CLONE_FILES) has it under that id.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator

_PIDFD_GETFD = 438
"""The same number on every architecture, asm-generic/unistd.h."""
_FDINFO = 4096
"""Bytes of it that are read. Only an epoll instance has more: a line for each descriptor that it watches."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def numbers(pid: int) -> list[int]:
    """All numbers that the process has, in order. Raises OSError if it is gone, or may not be looked at."""
    return sorted(map(int, os.listdir(f"/proc/{pid}/fd")))


def inode(pid: int, number: int) -> int:
    """The inode behind a number; 0: the process has no such descriptor."""
    try:
        return os.stat(f"/proc/{pid}/fd/{number}").st_ino
    except OSError:
        return 0


def fdinfo(pid: int, number: int) -> dict[str, str]:
    """What the kernel tells of a descriptor, by key; of a key that repeats, the last. Raises OSError."""
    # a file object costs three times as much, and there may be 500
    fd = os.open(f"/proc/{pid}/fdinfo/{number}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, _FDINFO).decode(errors="replace")
    finally:
        os.close(fd)
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def duplicate(pidfd: int, number: int) -> int:
    """A descriptor of this process for what stands at a number of another's. Raises OSError: EBADF, there is none;
    EPERM, it may not be looked at; ESRCH, the process is gone. pidfd_getfd(2)"""
    own = int(_libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
    if own < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"pidfd_getfd of descriptor {number}: {os.strerror(code)}")
    return own


def opened(own: int) -> socket.socket:
    """The socket behind a descriptor of this process, which it takes over. Raises OSError if it is no socket; then it
    does not."""
    try:
        return socket.socket(fileno=own)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    # AF_XDP and AF_ALG have no getsockname(2), by which Python finds a socket's family.
    unknown = socket.socket(socket.AF_UNIX, socket.SOCK_RAW, 0, own)
    try:
        family, kind, protocol = (
            unknown.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_DOMAIN, socket.SO_TYPE, socket.SO_PROTOCOL)
        )
    finally:
        unknown.detach()
    return socket.socket(family, kind, protocol, own)


@contextlib.contextmanager
def borrowed(pidfd: int, number: int) -> Iterator[socket.socket]:
    """A process's socket, for the length of the block. Raises OSError: there is no such descriptor, or it is no
    socket."""
    own = duplicate(pidfd, number)
    try:
        sock = opened(own)
    except OSError:
        os.close(own)
        raise
    with sock:
        yield sock
