"""C's constants by their names, as this kernel and this machine number them.

Python's own modules say most of the numbers; the rest stands here with the header that gives it.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import re
import select
import signal
import socket
from collections.abc import Iterable

from pairscope.lab.model import Constants

_PREFIXES = (
    *(
        "AF_",
        "SOCK_",
        "MSG_",
        "SO_",
        "SOL_",
        "SCM_",
        "SHUT_",
        "O_",
        "F_",
        "FD_",
        "POLL",
        "SEEK_",
        "MFD_",
        "EFD_",
        "SIG",
        "IPPROTO_",
    ),
    *("WNOHANG", "WUNTRACED", "WCONTINUED"),
)
_MODULES = (socket, os, fcntl, select, signal)
_NOT = re.compile("SIG_(BLOCK|UNBLOCK|SETMASK)|SOCK_MAX|MFD_HUGE|.*(J1939|VM_SOCKETS)")

FROM_HEADERS = {
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
    "F_SEAL_EXEC": 32,
    "F_SETPIPE_SZ": 1031,
    "F_GETPIPE_SZ": 1032,
    "EFD_SEMAPHORE": 1,
    "EFD_NONBLOCK": os.O_NONBLOCK,
    "EFD_CLOEXEC": os.O_CLOEXEC,
    # asm-generic/socket.h, linux/socket.h
    "SO_PEEK_OFF": 42,
    "SO_PASSCRED": 16,
    "SO_PEERCRED": 17,
    "SO_PASSPIDFD": 76,
    "SO_PEERPIDFD": 77,
    "SO_PASSRIGHTS": 83,
    "SCM_RIGHTS": 1,
    "SCM_CREDENTIALS": 2,
    "SCM_SECURITY": 3,
    "SCM_PIDFD": 4,
    "MSG_CMSG_CLOEXEC": 0x40000000,
    "MSG_NOSIGNAL": 0x4000,
    # asm-generic/fcntl.h, arch/arm64/include/uapi/asm/fcntl.h; the C library says 0 on machines of 64 bits, but F_GETFL
    # tells of the kernel's bit.
    "O_LARGEFILE": 0o400000 if os.uname().machine == "aarch64" else 0o100000,
    # bits/socket.h: other names of the same families
    "AF_LOCAL": socket.AF_UNIX,
    "PF_LOCAL": socket.AF_UNIX,
    "PF_UNIX": socket.AF_UNIX,
    "PF_INET": socket.AF_INET,
    "PF_INET6": socket.AF_INET6,
    # The lab's own: addresses that no process has mapped, and a handler that only counts.
    "NULL": 0,
    "BADPTR": 1,
    "HANDLER": 2,
}
"""Those that not every Python from 3.11 on has, or has another number for."""

POINTERS = ("NULL", "BADPTR")
"""What may stand for the address of a buffer."""
HANDLERS = ("SIG_DFL", "SIG_IGN", "HANDLER")
"""What a signal may be given to."""
_SECOND_NAMES = {
    "O_NDELAY",
    "O_FSYNC",
    "O_RSYNC",
    "SIGIOT",
    "SIGCLD",
    "SIGPOLL",
    "ENOTSUP",
    "EDEADLOCK",
    "EWOULDBLOCK",
    "AF_LOCAL",
    "AF_ROUTE",
    *POINTERS,
    *HANDLERS,
}
"""Read, but never written: decode() and errno_name() give the number's other name."""


def _collect() -> dict[str, int]:
    found: dict[str, int] = {}
    for module in _MODULES:
        for name in dir(module):
            value = getattr(module, name)
            if name.startswith(_PREFIXES) and name.isupper() and not _NOT.match(name) and isinstance(value, int):
                found.setdefault(name, int(value))
    return found | {name: getattr(errno, name) for name in dir(errno) if name.startswith("E")} | FROM_HEADERS


NUMBERS = _collect()
"""Every constant that a scenario may use."""
ERRNOS = frozenset(name for name in dir(errno) if name.startswith("E"))
"""Those that are the name of an errno."""
_ERRNO_NAMES = {NUMBERS[name]: name for name in sorted(ERRNOS - _SECOND_NAMES)}


def number(constants: Constants) -> int:
    """The constants' numbers or-ed together. Raises KeyError with the name of one that is not known."""
    value = 0
    for name in constants.names:
        value |= NUMBERS[name]
    return value


def errno_name(code: int) -> str:
    """``EAGAIN`` for 11; a number that has no name comes back in digits."""
    return _ERRNO_NAMES.get(code, str(code))


def signal_name(number: int) -> str:
    """``SIGPIPE`` for 13, ``SIGRTMIN+1`` for 35; a number that is no signal's as ``signal 99``."""
    if number in set(signal.Signals):
        return signal.Signals(number).name
    return f"SIGRTMIN+{number - signal.SIGRTMIN}" if signal.SIGRTMIN < number < signal.SIGRTMAX else f"signal {number}"


@functools.cache
def _names_of(prefix: str) -> dict[int, str]:
    return {number: name for name, number in NUMBERS.items() if name.startswith(prefix) and name not in _SECOND_NAMES}


def decode(prefix: str, value: int) -> str:
    """A number as C writes it: ``MSG_PEEK|MSG_DONTWAIT``, ``SOCK_SEQPACKET|SOCK_CLOEXEC``; bits without a name in
    hexadecimal; ``0`` for none."""
    known = _names_of(prefix)
    return known.get(value, str(value)) if value in known or value <= 0 else joined(value, in_order(known.values()))


def in_order(names: Iterable[str]) -> list[str]:
    """Flags by their lowest bits; of names that share one, that of more bits first: O_SYNC has the bit of O_DSYNC,
    SOCK_SEQPACKET that of SOCK_STREAM."""
    return sorted(
        (name for name in names if NUMBERS[name] > 0),
        key=lambda name: (NUMBERS[name] & -NUMBERS[name], -NUMBERS[name].bit_count(), NUMBERS[name]),
    )


def joined(value: int, names: Iterable[str]) -> str:
    """Flags by those of these names, in order, whose bits are all set and not yet named; what is left in hexadecimal
    behind them; ``0`` for none."""
    found = []
    for name in names:
        if NUMBERS[name] & value == NUMBERS[name]:
            found.append(name)
            value &= ~NUMBERS[name]
    return "|".join([*found, *([hex(value)] if value else [])]) or "0"
