"""The doors: named sockets at which Apache hands over a viewer's own socket (mod_proxy_fdpass, SCM_RIGHTS).

Apache has sent the headers of the answer already. With the socket comes one NUL byte, and nothing of the request: what
a viewer wants is told by the door alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

from pairscope.ipc.address import short
from pairscope.ipc.passing import PassingError, close_all, receive

BACKLOG = 4096
"""Callers that may wait while a round of sending is under way."""
PATIENCE = 5.0
"""Seconds in which a caller must have handed something over."""


class Handed(NamedTuple):
    """A viewer's socket that Apache has handed over."""

    sock: socket.socket
    address: str
    """Of the viewer."""
    pid: int
    """The process of Apache that handed it over, as the kernel says (SO_PEERCRED)."""


class Caller:
    """A connection of Apache's at a door, until it has handed over what it came with."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.until = time.monotonic() + PATIENCE

    def take(self) -> Handed | None:
        """What was handed over; None: nothing that can be used. Raises BlockingIOError if it has not come yet."""
        packet = receive(self.sock)
        if packet is None:
            return None
        _said, fds, _flags = packet
        if len(fds) != 1:
            close_all(fds)
            return None
        return _viewer(fds[0], self._pid())

    def _pid(self) -> int:
        pid, _uid, _gid = struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


class Door:
    """One named socket, for one subject. Raises OSError where it cannot be made."""

    def __init__(self, directory: Path, name: str, backlog: int = BACKLOG) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._path, fresh = directory / f"{name}.sock", directory / f".{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                fresh.unlink()
            with short(fresh) as address:
                self.sock.bind(address)
            fresh.chmod(0o660)
            self.sock.listen(backlog)
            fresh.rename(self._path)  # in one step: while the process before still ends, callers come to this one
        except OSError:
            self.sock.close()
            raise

    def callers(self, most: int = 256) -> list[Caller]:
        """Those who have come."""
        found = []
        for _ in range(most):
            try:
                found.append(Caller(self.sock.accept()[0]))
            except OSError:  # nobody else; or no descriptor is left, and who waits will be let in when one is
                break
            found[-1].sock.setblocking(False)
        return found

    def close(self) -> None:
        """Nobody comes in any more, and nobody finds it."""
        with contextlib.suppress(OSError):  # another process may have cleared it away
            self._path.unlink()
        self.sock.close()


def _viewer(fd: int, pid: int) -> Handed | None:
    """The viewer behind a descriptor; None, and it is closed, if it is no connection over TCP."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # no socket at all
        os.close(fd)
        return None
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            raise OSError
        address = str(sock.getpeername()[0])
        sock.setblocking(False)
    except OSError:
        sock.close()
        return None
    return Handed(sock, address, pid)


__all__ = ["Caller", "Door", "Handed", "PassingError"]
