"""Which numbers that the kernel gives are told by a name, and how: one rule for pages, a run's lines, the transcript
and both exported programs.

docs/lab.md states it under "Numbers that have names". The programs are given these tables, so all of them name the
same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pairscope.lab.constants import NUMBERS, errno_name, in_order, joined


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What a number may be."""

    key: str
    """What the exports call it: ``status_flags``."""
    names: tuple[str, ...]
    """All that it may be told by, in the order of :func:`pairscope.lab.constants.in_order`; of an errno: none are
    listed."""
    flags: bool = True
    """Whether its bits have a name each; else a number has one."""

    def told(self, value: int) -> str:
        """The number in words: ``O_RDWR|O_NONBLOCK``, ``SOCK_STREAM``, ``EPIPE``; ``0`` where no name stands for
        nothing."""
        if self.flags:
            value &= 0xFFFFFFFF
        if self is STATUS_FLAGS:
            access, rest = ACCESS[value & 3], value & ~3
            return f"{access}|{joined(rest, self.names)}" if rest else access
        if self is ERROR:
            return errno_name(value) if value else "0"
        return (
            joined(value, self.names)
            if self.flags
            else next((name for name in self.names if NUMBERS[name] == value), str(value))
        )


def _flags(key: str, *names: str) -> Kind:
    return Kind(key, tuple(in_order(names)))


ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
"""By the two lowest bits of the status flags, fcntl(2): they are a number of their own. 3 is Linux's: neither to read
nor to write, open(2)."""
STATUS_FLAGS = _flags(
    "status_flags",
    *("O_APPEND", "O_NONBLOCK", "O_SYNC", "O_DSYNC", "O_ASYNC", "O_DIRECT", "O_LARGEFILE"),
    *("O_TMPFILE", "O_DIRECTORY", "O_NOFOLLOW", "O_NOATIME", "O_CLOEXEC", "O_PATH"),
)
"""Without those that open(2) alone looks at, O_CREAT and its like: no description keeps them."""
DESCRIPTOR_FLAGS = _flags("descriptor_flags", "FD_CLOEXEC")
SEALS = _flags(
    "seals", "F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE", "F_SEAL_EXEC"
)
EVENTS = _flags(
    "events",
    "POLLIN",
    "POLLPRI",
    "POLLOUT",
    "POLLERR",
    "POLLHUP",
    "POLLNVAL",
    "POLLRDNORM",
    "POLLRDBAND",
    "POLLWRNORM",
    "POLLWRBAND",
    "POLLMSG",
    "POLLRDHUP",
)
MESSAGE_FLAGS = _flags("message_flags", "MSG_OOB", "MSG_CTRUNC", "MSG_TRUNC", "MSG_EOR", "MSG_ERRQUEUE")
"""What the kernel says of a message that came."""
TYPE = Kind("type", ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET"), False)
FAMILY = Kind("family", ("AF_UNIX", "AF_INET", "AF_INET6"), False)
PROTOCOL = Kind("protocol", ("IPPROTO_TCP", "IPPROTO_UDP"), False)
"""The other numbers are no protocol's of a scenario: of AF_UNIX it is 0."""
ERROR = Kind("error", (), False)

KINDS = (STATUS_FLAGS, DESCRIPTOR_FLAGS, SEALS, EVENTS, MESSAGE_FLAGS, TYPE, FAMILY, PROTOCOL, ERROR)
_OPTIONS = {
    NUMBERS["SO_TYPE"]: TYPE,
    NUMBERS["SO_DOMAIN"]: FAMILY,
    NUMBERS["SO_PROTOCOL"]: PROTOCOL,
    NUMBERS["SO_ERROR"]: ERROR,
}


def of_option(arguments: Sequence[Any]) -> Kind | None:
    """What the value is that getsockopt with these arguments gave; None: a number, or several."""
    return _OPTIONS.get(word(arguments, 2)) if word(arguments, 1) == NUMBERS["SOL_SOCKET"] else None


def word(arguments: Sequence[Any], at: int) -> int:
    """The argument as the kernel reads it, 32 bits; -1: it is no number."""
    value = arguments[at] if len(arguments) > at else None
    return value & 0xFFFFFFFF if isinstance(value, int) else -1
