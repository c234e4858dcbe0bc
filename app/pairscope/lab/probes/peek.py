"""What waits in a socket's queue, looked at without taking it away.

A queue is walked by MSG_PEEK and SO_PEEK_OFF. Where descriptors wait too they are peeked at with a control buffer: the
kernel then gives this process duplicates of them, by which what is in flight can be asked as if somebody held it
(unix(7)).
"""

from __future__ import annotations

import array
import base64
import contextlib
import dataclasses
import fcntl
import socket
import termios
from collections.abc import Iterator

from pairscope.ipc import passing
from pairscope.lab.constants import NUMBERS
from pairscope.lab.run import UNSET, Carried, Piece

MOST = 64
"""Messages of one queue that are listed."""
SHOWN = 1024
"""Bytes of one message, or of one stream, that a state holds."""
_ROOM = 256 * 1024
"""More than a message of AF_UNIX can hold: its send buffer bounds it, at 208 KiB unless the machine is set up
otherwise. socket(7)"""
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_SIOCATMARK = 0x8905
"""asm-generic/sockios.h"""


@dataclasses.dataclass(slots=True)
class Waits:
    """What one walk along a queue has found."""

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


def walk(sock: socket.socket, borders: bool, empties: int, descriptors: int) -> Waits:
    """Walks along a queue. Nothing that was read is an empty message, which the kernel shows once, or the end, which it
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
    """Which part begins with the byte that is out of band; None: it cannot be told. A peek stops in front of such
    a byte, and behind descriptors."""
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
    """Lets each peek go on where the last one ended: SO_PEEK_OFF, socket(7). Whether it does: TCP has it since Linux
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


def piece(data: bytes, carried: list[Carried] | None = None, oob: bool = False) -> Piece:
    """One part of what waits, for a state. `carried`: the descriptors in flight with it; None: not known."""
    return Piece(len(data), shown(data), UNSET if carried is None else list(carried), oob or UNSET)


def shown(data: bytes) -> str:
    """As much of it as a state holds."""
    return base64.b64encode(data[:SHOWN]).decode()
