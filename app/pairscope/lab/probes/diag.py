"""What the kernel says of an AF_UNIX socket by its inode: sock_diag(7), as `ss` asks it."""

from __future__ import annotations

import dataclasses
import socket
import struct

_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_SHOW_PEER, _SHOW_ICONS, _SHOW_RQLEN = 0x04, 0x08, 0x10
_PEER, _ICONS, _RQLEN, _SHUTDOWN = 2, 3, 4, 6
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_MESSAGE = 16
"""Bytes of struct unix_diag_msg."""
_DIRECTIONS = ((1, "read"), (2, "write"))
"""RCV_SHUTDOWN, SEND_SHUTDOWN."""


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """What it says of one socket: linux/unix_diag.h."""

    peer: int
    """Inode of the socket at the other end; 0: there is none, or it was closed."""
    waiting: tuple[int, ...]
    """Of a listening socket: the inodes of those whose connection has not been accepted."""
    queue: tuple[int, int]
    """Of a listening socket: how many wait, and how many may."""
    shut: tuple[str, ...]
    """Directions that were shut down: ``read``, ``write``."""


class Asker:
    """A netlink socket to ask by."""

    def __init__(self) -> None:
        try:
            self._socket: socket.socket | None = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
            self._socket.setblocking(False)
        except OSError:
            self._socket = None

    def ask(self, inode: int) -> Diagnosis | None:
        """What the kernel says of this socket. None: it does not say, or has no such socket in this network
        namespace."""
        if self._socket is None:
            return None
        # Any state, this inode, any cookie.
        wanted = struct.pack(
            "=BBHIIIII",
            socket.AF_UNIX,
            0,
            0,
            0xFFFFFFFF,
            inode & 0xFFFFFFFF,
            _SHOW_PEER | _SHOW_ICONS | _SHOW_RQLEN,
            0xFFFFFFFF,
            0xFFFFFFFF,
        )
        try:
            self._socket.send(
                _HEADER.pack(_HEADER.size + len(wanted), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + wanted
            )
            # the answer is there when send returns: the kernel makes it in that very call
            answer = self._socket.recv(1 << 16)
        except OSError:
            return None
        length, kind = _HEADER.unpack_from(answer)[:2]
        return _read(answer[_HEADER.size + _MESSAGE : length]) if kind == _SOCK_DIAG_BY_FAMILY else None

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        if self._socket is not None:
            self._socket.close()


def _read(attributes: bytes) -> Diagnosis:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        found[kind] = attributes[at + _ATTRIBUTE.size : at + length]
        at += max(length + 3 & ~3, _ATTRIBUTE.size)
    icons = found.get(_ICONS, b"")
    bits = (found.get(_SHUTDOWN) or b"\0")[0]
    peer, queue = found.get(_PEER, bytes(4)), found.get(_RQLEN, bytes(8))
    return Diagnosis(
        struct.unpack("=I", peer[:4])[0],
        struct.unpack(f"={len(icons) // 4}I", icons[: len(icons) & ~3]),
        struct.unpack("=II", queue[:8]),
        tuple(word for bit, word in _DIRECTIONS if bits & bit),
    )
