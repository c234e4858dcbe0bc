"""C's constants by their names, as this kernel and this machine number them.

Python's own modules say most of the numbers; the rest stands here with the header that gives it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket

from app.lab.model import Constants

_PREFIXES = ("AF_", "SOCK_", "MSG_", "SO_", "SOL_", "SCM_", "SHUT_", "O_", "F_", "FD_", "POLL", "SEEK_", "MFD_", "EFD_", "SIG", "W")
_MODULES = (socket, os, fcntl, select, signal)
_NOT = ("SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK", "SOCK_MAX")

_FROM_HEADERS = {
    # linux/memfd.h, linux/fcntl.h, sys/eventfd.h
    "MFD_CLOEXEC": 1,
    "MFD_ALLOW_SEALING": 2,
    "F_ADD_SEALS": 1033,
    "F_GET_SEALS": 1034,
    "F_SEAL_SEAL": 1,
    "F_SEAL_SHRINK": 2,
    "F_SEAL_GROW": 4,
    "F_SEAL_WRITE": 8,
    "F_SEAL_FUTURE_WRITE": 16,
    "F_SETPIPE_SZ": 1031,
    "F_GETPIPE_SZ": 1032,
    "EFD_SEMAPHORE": 1,
    "EFD_NONBLOCK": os.O_NONBLOCK,
    "EFD_CLOEXEC": os.O_CLOEXEC,
    # asm-generic/socket.h, linux/socket.h
    "SO_PEEK_OFF": 42,
    "SO_PASSCRED": 16,
    "SO_PEERCRED": 17,
    "SO_PASSRIGHTS": 83,
    "SCM_RIGHTS": 1,
    "SCM_CREDENTIALS": 2,
    "MSG_CMSG_CLOEXEC": 0x40000000,
    "MSG_NOSIGNAL": 0x4000,
    # The lab's own: an address that no process has mapped, and a handler that only counts.
    "BADPTR": 1,
    "HANDLER": 2,
}


def _collect() -> dict[str, int]:
    found: dict[str, int] = {}
    for module in _MODULES:
        for name in dir(module):
            value = getattr(module, name)
            if name.startswith(_PREFIXES) and name.isupper() and name not in _NOT and isinstance(value, int):
                found.setdefault(name, int(value))
    found.update({name: number for number, name in errno.errorcode.items()})
    return found | _FROM_HEADERS


NUMBERS = _collect()
"""Every constant that a scenario may use."""


def number(constants: Constants) -> int:
    """The constants' numbers or-ed together. Raises KeyError with the name of one that is not known."""
    value = 0
    for name in constants.names:
        value |= NUMBERS[name]
    return value


def errno_name(code: int) -> str:
    """``EAGAIN`` for 11; a number that has no name comes back in digits."""
    return errno.errorcode.get(code, str(code))


def decode(prefix: str, value: int) -> str:
    """Flags as C writes them: ``MSG_PEEK|MSG_DONTWAIT``; bits without a name in hexadecimal; ``0`` for none."""
    names = []
    for name, bit in sorted(NUMBERS.items(), key=lambda item: item[1]):
        if name.startswith(prefix) and bit > 0 and bit & (bit - 1) == 0 and value & bit:
            names.append(name)
            value &= ~bit
    if value:
        names.append(hex(value))
    return "|".join(names) or "0"
