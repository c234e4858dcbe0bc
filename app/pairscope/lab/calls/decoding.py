"""How a call is read from outside: what it was given, by our own arguments or by the registers and the memory of a
process that made it; and what it gave, by registers and memory at its return.

**What it was given** is the same by arguments and by registers: a dictionary by the names of the grammar, of what the
kernel was given. A number is as the kernel reads it, signed; bytes are :class:`Data`; an address at which there is
nothing is NULL or BADPTR, in the place of what should stand there. What the C library fills in is there in both: a flag
that was not given is 0, a length is told. By registers there is besides ``address_room``, where a caller asks for an
address: no call of the lab does, real programs do.

**What it gave** is the same by registers and by making it: the keys of `make`. Besides there is ``address``, where its
caller asked who sent, or who connected. It needs what was told at the entry, for the kernel writes lengths over rooms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from pairscope.lab.calls.libc import Made, content
from pairscope.lab.given import narrow

Memory = Callable[[int, int], bytes]
"""Reads so many bytes at an address of the process that made the call. Raises OSError where not all of them are
mapped."""
Given = dict[str, Any]
MOST = 4096
"""Bytes of a text that are kept, where nothing else is said; and of names and addresses at most."""
_IOVECS = 1024
"""UIO_MAXIOV: of more sendmsg says EMSGSIZE."""
MESSAGE = struct.Struct("=QI4xQQQQi4x")
"""struct msghdr on machines of 64 bits."""
_SOCKADDR = 128
"""struct sockaddr_storage."""


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """Bytes that a call was given."""

    length: int
    head: bytes
    """The first of them: as many as were asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Return:
    """A call at its return."""

    given: Given
    """What `by_registers` told of it at its entry."""
    words: Sequence[int]
    """The six words of its registers at its entry."""
    value: int
    """What the kernel returns, signed."""
    memory: Memory
    most: int = MOST
    """So many bytes of data, at most, are kept."""
    tcp: bool | None = None
    """Whether it was made on a socket of TCP, which copies nothing under MSG_TRUNC, tcp(7). None: that is not known;
    no data are told then."""

    @property
    def failed(self) -> bool:
        """Whether the value is an errno."""
        return -4096 < self.value < 0

    @property
    def restarts(self) -> bool:
        """Whether it stands for no return: ERESTARTSYS and its like, linux/errno.h."""
        return -517 < self.value <= -512

    def integers(self, address: int, count: int) -> list[int]:
        """So many ints of C. Raises OSError."""
        return list(struct.unpack(f"={count}i", self.memory(address, 4 * count)))

    def data(self, address: int, length: int) -> Data:
        """So many bytes. Raises OSError."""
        kept = min(length, self.most)
        return Data(length, self.memory(address, kept) if kept else b"")

    def address(self, at: int, length: int) -> Any:
        """An address of a socket that the kernel has written; its length may be more than there was room for. Raises
        OSError."""
        return where(self.memory(at, max(0, min(length, self.given.get("address_room", 0), _SOCKADDR))))

    @property
    def kept(self) -> bool | None:
        """Whether what came was copied into memory; None: that is not known."""
        if not self.given["flags"] & socket.MSG_TRUNC or self.value <= 0:
            return True
        return None if self.tcp is None else not self.tcp


def gives_nothing(self: Any, back: Return) -> Made:
    """A call that writes nothing into memory."""
    return {}


def gives_descriptor(self: Any, back: Return) -> Made:
    """A call that makes a descriptor, whose number it returns."""
    return {"made": [back.value]}


def address_room(memory: Memory, address: int, length: int) -> Given:
    """How much room a caller has for an address of a socket, where that stands in memory; empty: it asks for none."""
    if not address:
        return {}
    with contextlib.suppress(OSError):
        return {"address_room": struct.unpack("=I", memory(length, 4))[0]}
    return {"address_room": 0}


def whole(value: Any, most: int) -> Any:
    """A text of ours, which crosses as its piece and how often, as Data; an address that stands by its name."""
    if isinstance(value, str):
        return value
    text = content(value)
    return Data(len(text), text[:most])


def data(memory: Memory, address: int, length: int, most: int) -> Data | str:
    """So many bytes that a call was given at an address."""
    if not address:
        return "NULL"
    try:
        return Data(length, memory(address, min(length, most)) if min(length, most) else b"")
    except OSError:
        return "BADPTR"


def place(memory: Memory, address: int) -> str:
    """Of an address that a call writes to: NULL or BADPTR; empty: there is memory."""
    if not address:
        return "NULL"
    with contextlib.suppress(OSError):
        memory(address, 1)
        return ""
    return "BADPTR"


def string(memory: Memory, address: int) -> Data | str:
    """A text that ends with NUL, such as a path."""
    found = b""
    try:
        while b"\0" not in found and len(found) < MOST:
            # Not beyond the end of a page: the next one need not be mapped.
            found += memory(address + len(found), min(256, 4096 - (address + len(found)) % 4096))
    except OSError:
        return "BADPTR" if address else "NULL"
    text = found.partition(b"\0")[0]
    return Data(len(text), text)


def where(sockaddr: bytes) -> Any:
    """An address as a scenario has it: ``b"127.0.0.1:80"``, a file's name, an abstract name; else as it stands."""
    family = struct.unpack("=H", sockaddr[:2])[0] if len(sockaddr) >= 2 else -1
    if family == socket.AF_UNIX:
        path = sockaddr[2:]
        return path if path.startswith(b"\0") else path.partition(b"\0")[0]
    if family == socket.AF_INET and len(sockaddr) >= 8:
        return b"%s:%d" % (socket.inet_ntoa(sockaddr[4:8]).encode(), int.from_bytes(sockaddr[2:4], "big"))
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        host = ipaddress.IPv6Address(sockaddr[8:24]).compressed.encode()
        return b"[%s]:%d" % (host, int.from_bytes(sockaddr[2:4], "big"))
    return sockaddr


def message(memory: Memory, address: int, most: int) -> Given | str:
    """What a msghdr holds: ``iov`` (address and length of each), ``control``, and ``address_room`` if it asks
    for an address."""
    try:
        name, room, iov, count, control, length, _ = MESSAGE.unpack(memory(address, MESSAGE.size))
    except OSError:
        return "BADPTR" if address else "NULL"
    beside: Given = {"control": data(memory, control, length, most) if length else Data(0, b"")}
    beside |= {"address_room": room} if name else {}
    try:
        return beside | {"iov": parts_at(memory, iov, count)}
    except OSError:
        return beside | {"bad_iov": "BADPTR" if iov else "NULL"}


def parts_at(memory: Memory, address: int, count: int) -> list[tuple[int, int]]:
    """Address and length of each part. Raises OSError."""
    return list(struct.iter_unpack("=QQ", memory(address, 16 * min(count, _IOVECS)) if count else b""))


def in_registers(*names: str, wide: Sequence[str] = ()) -> tuple[Any, Any]:
    """Of a call whose arguments are numbers alone: how it is told by its registers, which have these names in order
    (empty: it is not told), and by our own arguments. `wide`: those of 64 bits."""

    def by_registers(self: Any, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {name: narrow(word, 64 if name in wide else 32) for name, word in zip(names, words) if name}

    def by_arguments(self: Any, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        given = {argument.name: value for argument, value in zip(self.arguments, arguments)}
        return {name: narrow(given.get(name, 0), 64 if name in wide else 32) for name in names if name}

    return by_registers, by_arguments
