"""sendmsg and recvmsg, for the whole of Pairscope: descriptors cross here and nowhere else.

``socket.send_fds`` and ``recv_fds`` are not used: from 3.9 to 3.13 they drop their flags (CPython gh-107898), so that
a descriptor asked for with MSG_CMSG_CLOEXEC arrives inheritable. See unix(7), cmsg(3), recvmsg(2).
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Callable, Sequence

from pairscope.ipc.sentences import Broken

MOST_FDS = 253
"""SCM_MAX_FD in include/net/scm.h: one more is EINVAL."""
PACKET_MAX = 96 * 1024
"""Bytes of the largest packet: a payload of 64 KiB, its header and 512 receipts. Below 128 KiB, where malloc turns to
mmap at every call."""
CONTROL = socket.CMSG_SPACE(MOST_FDS * 4)
"""Room for every descriptor that one message can carry. CMSG_SPACE(4) would already admit two; too little is
MSG_CTRUNC."""

# Plain integers: each operation on socket's IntFlags costs about a microsecond, four times a message.
_TRUNCATED = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_TOLD = ~_CLOEXEC
"""What the kernel says of a message, without what was asked for."""
_NOSIGNAL = int(socket.MSG_NOSIGNAL)

_SOCKET, _RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
_PIDFD = 4
"""SCM_PIDFD, linux/socket.h: where the socket has SO_PASSPIDFD, one more descriptor comes."""
_BESIDE = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4)
"""Room for credentials and a pidfd, which stand before the descriptors."""
_ONE = struct.Struct("i")
"""One descriptor: what nearly every control message holds."""


class PassingError(Exception):
    """The packet cannot be trusted: what came with it is closed, and its channel must be."""


Packet = tuple[bytes, list[int], int]
"""What one recvmsg returned: the bytes, the descriptors, which belong to whoever holds the packet, and msg_flags."""


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Sends one packet; borrows `fds`, which ride along in one SCM_RIGHTS message.

    Raises BlockingIOError when the peer's queue is full, BrokenPipeError when its end is closed, OSError ETOOMANYREFS
    when too many descriptors of this user are in flight (retryable), ValueError for an empty packet: it would
    read as end-of-file.
    """
    if not data:
        raise ValueError("an empty packet reads as end-of-file")
    if fds:
        numbers = _ONE.pack(fds[0]) if len(fds) == 1 else array.array("i", fds)
        sock.sendmsg((data,), ((_SOCKET, _RIGHTS, numbers),), _NOSIGNAL)
    else:
        sock.send(data, _NOSIGNAL)


def receive(
    sock: socket.socket, buffer: memoryview | None = None, dispose: Callable[[list[int]], object] | None = None
) -> Packet | None:
    """One packet with all its descriptors, close-on-exec; None at end-of-file. Receives into `buffer`, if it is lent
    one.

    A SOCK_SEQPACKET socket reports ECONNRESET *before* what is already queued when its peer died with something
    unread, so this reads on: the only end is end-of-file. Raises BlockingIOError where nothing is there, PassingError
    when the packet or its control message was truncated (every descriptor that came is first closed, or disposed of).
    """
    if buffer is None:
        buffer = memoryview(bytearray(PACKET_MAX))
    while True:
        try:
            size, control, msg_flags, _ = sock.recvmsg_into((buffer,), CONTROL, _CLOEXEC)
            break
        except ConnectionResetError:
            continue
    fds: list[int] = []
    if control:
        level, kind, body = control[0]
        if len(body) == 4 and len(control) == 1 and level == _SOCKET and kind == _RIGHTS:
            fds.extend(_ONE.unpack(body))
        else:
            fds = _numbers(control)
    if msg_flags & _TRUNCATED or not size:
        (dispose or close_all)(fds)
        if not msg_flags & _TRUNCATED:
            return None
        why = Broken.PACKET if msg_flags & int(socket.MSG_TRUNC) else Broken.CONTROL
        raise PassingError(why.say(number=f"{msg_flags:#x}", count=len(fds)))
    return buffer[:size].tobytes(), fds, msg_flags & _TOLD


def peek(sock: socket.socket, room: int, most: int) -> tuple[bytes, list[int]]:
    """Looks at the next packet and leaves it where it is: at most `room` bytes of it, and duplicates of at most `most`
    of the descriptors that wait with it, close-on-exec, which belong to the caller. Raises BlockingIOError where
    nothing is there."""
    data, control, _, _ = sock.recvmsg(
        room,
        socket.CMSG_SPACE(min(most, MOST_FDS) * 4) + _BESIDE,
        int(socket.MSG_PEEK | socket.MSG_DONTWAIT) | _CLOEXEC,
    )
    close_all(
        [fd for level, kind, body in control if (level, kind) == (_SOCKET, _PIDFD) for fd in _ONE.unpack(body[:4])]
    )
    return data, _numbers(control)


def _numbers(control: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that arrived with these control messages."""
    numbers = array.array("i")
    for level, kind, body in control:
        if level == _SOCKET and kind == _RIGHTS:
            numbers.frombytes(body[: len(body) - len(body) % 4])
    return numbers.tolist()


def close_all(fds: Sequence[int]) -> None:
    """Closes each of `fds`; their owner must not use them again."""
    for fd in fds:
        os.close(fd)
