"""What waits in a socket or in a pipe, looked at without taking it away.

A socket is walked by MSG_PEEK and SO_PEEK_OFF. Where descriptors wait too they are peeked at with a control buffer: the
kernel then gives this process duplicates of them, by which what is in flight can be asked as if somebody held it
(unix(7)). A pipe is copied by tee(2), borders of packets included.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import os
import socket
import termios
from collections.abc import Iterator

from pairscope.ipc import passing
from pairscope.lab.constants import NUMBERS

MOST = 64
"""Messages of one queue that are listed."""
_ROOM = 256 * 1024
"""More than a message of AF_UNIX can hold, fact of its send buffer."""
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_SIOCATMARK = 0x8905
"""asm-generic/sockios.h"""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(slots=True)
class Waits:
    """What one look along a queue has found."""

    parts: list[bytes] = dataclasses.field(default_factory=list)
    """Messages; of a stream, pieces of it."""
    fds: list[list[int]] = dataclasses.field(default_factory=list)
    """Of each part: this process's duplicates of the descriptors that wait with it. Whoever asked for them closes
    them."""
    urgent: int | None = None
    """Which part begins with a byte that is out of band; None: there is none, or its place is not known."""
    loose: bytes = b""
    """The byte that is out of band, where its place is not known. AF_UNIX has it in `parts` too, TCP does not."""
    blind: bool = False
    """An empty message or the end stands there, and hides what may lie behind it."""


def along(sock: socket.socket, borders: bool, empties: int, descriptors: int) -> Waits:
    """Looks along a queue. Nothing that was read is an empty message, which the kernel shows once, or the end, which it
    shows for ever: `empties` says how often it may be passed. `descriptors`: how many of those that wait are looked at
    too."""
    found = Waits()
    urgent = b"" if borders else _urgent(sock)
    unix = sock.family == socket.AF_UNIX
    with _walking(sock, unix or not borders) as walks, _in_line(sock, bool(urgent)):
        while True:
            try:
                data, fds = (
                    _next(sock, descriptors - sum(map(len, found.fds))) if unix else (sock.recv(_ROOM, _PEEK), [])
                )
            except OSError:
                break
            if not data and not fds and (not borders or not empties):
                found.blind = borders
                break
            empties -= not data
            found.parts.append(data)
            found.fds.append(fds)
            # TCP stops once, in front of the mark. Behind a byte that was taken out of band it counts one less than it
            # goes on by, and would tell the last one twice.
            if not walks or (not unix and len(found.parts) > 1 and len(data) < _ROOM):
                break
    if urgent:
        found.urgent = _place(found, urgent, _at_mark(sock)) if walks else None
        found.loose = urgent if found.urgent is None else b""
    return found


def _place(found: Waits, urgent: bytes, first: bool) -> int | None:
    """Which part begins with the byte that is out of band; None: it cannot be told. A look stops in front of such a
    byte, and behind descriptors."""
    if first:
        return 0
    places = [place for place, part in enumerate(found.parts) if place and part[:1] == urgent]
    sure = [place for place in places if not found.fds[place - 1]]
    return (sure or places)[0] if len(sure or places) == 1 else None


def _at_mark(sock: socket.socket) -> bool:
    """Whether the next byte is the one that is out of band: SIOCATMARK, sockatmark(3)."""
    room = array.array("i", [0])
    fcntl.ioctl(sock, _SIOCATMARK, room)
    return bool(room[0])


def _next(sock: socket.socket, descriptors: int) -> tuple[bytes, list[int]]:
    return passing.peek(sock, _ROOM, descriptors) if descriptors > 0 else (sock.recv(_ROOM, _PEEK), [])


def _urgent(sock: socket.socket) -> bytes:
    """The byte that waits out of band: send(2), MSG_OOB."""
    if sock.type != socket.SOCK_STREAM:
        return b""
    try:
        return sock.recv(1, _PEEK | socket.MSG_OOB)
    except OSError:
        return b""


@contextlib.contextmanager
def _walking(sock: socket.socket, wanted: bool) -> Iterator[bool]:
    """Lets each look go on where the last one ended: SO_PEEK_OFF, socket(7). Whether it does: TCP has it since Linux
    6.10."""
    try:
        before = sock.getsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"]) if wanted else -1
        if wanted:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], 0)
    except OSError:
        wanted = False
    try:
        yield wanted
    finally:
        if wanted:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], before)


@contextlib.contextmanager
def _in_line(sock: socket.socket, wanted: bool) -> Iterator[None]:
    """Shows a byte that is out of band where it stands, and not beside the stream: SO_OOBINLINE, socket(7)."""
    before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) if wanted else 1
    if not before:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    try:
        yield
    finally:
        if not before:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)


def queued(fd: int) -> int | None:
    """Bytes that wait to be read: FIONREAD. Of datagrams, of the first alone. unix(7)"""
    room = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, room)
    except OSError:
        return None
    return room[0]


@dataclasses.dataclass(slots=True)
class Piped:
    """What waits in a pipe."""

    parts: list[bytes]
    """What each read gives that has room enough."""
    packets: bool
    """A read that has less room loses the rest: some of it are packets, pipe(2)."""
    whole: bool
    """Whether that is all that waits."""


def into(pipe: int, capacity: int) -> Piped:
    """Copies a pipe and reads the copy. tee(2) keeps what is a packet a packet."""
    parts: list[bytes] = []
    waits = queued(pipe) or 0
    with _copy(pipe, capacity) as out:
        copied = queued(out) or 0
        while left := queued(out) or 0:
            parts.append(os.read(out, left))
    packets = len(parts) > 1
    if len(parts) == 1 and copied > 1:
        with _copy(pipe, capacity) as out:
            os.read(out, 1)
            packets = (queued(out) or 0) < copied - 1
    return Piped(parts, packets, sum(map(len, parts)) == waits)


@contextlib.contextmanager
def _copy(pipe: int, capacity: int) -> Iterator[int]:
    out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OSError):  # EPERM: a user's pipes have their bounds, pipe(7); then it holds less
            fcntl.fcntl(into, NUMBERS["F_SETPIPE_SZ"], capacity)
        # SPLICE_F_NONBLOCK
        if _libc.tee(pipe, into, ctypes.c_size_t(capacity), 2) < 0 and ctypes.get_errno() != errno.EAGAIN:
            raise OSError(ctypes.get_errno(), "tee")
        yield out
    finally:
        os.close(out)
        os.close(into)
