"""Landlock: a domain in which nothing can be done that it handles, but for what the caller names. landlock(7).

The kernel is asked for its ABI, and handles what that ABI knows. Descriptors that are open already, and those that
arrive by SCM_RIGHTS, keep the rights with which they were opened.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pairscope.sandbox.sentences import Missing

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture, as all system calls since Linux 5.1."""
_CREATE_RULESET_VERSION = 1
_BENEATH, _PORT = 1, 2
"""LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT."""

FILES = (
    (1, ("execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_char", "make_dir",
         "make_reg", "make_sock", "make_fifo", "make_block", "make_sym")),
    (2, ("refer",)),
    (3, ("truncate",)),
    (5, ("ioctl_dev",)),
    (9, ("resolve_unix",)),
)  # fmt: skip
"""ABI, and the LANDLOCK_ACCESS_FS_* rights that came with it, in the order of their bits
(include/uapi/linux/landlock.h)."""
NETWORK = ((4, ("bind_tcp", "connect_tcp")),)
SCOPES = ((6, ("abstract_unix_socket", "signal")),)
_SIZES = ((6, 24), (4, 16), (1, 8))
"""ABI, and the bytes of struct landlock_ruleset_attr from it on: an older kernel refuses a longer one with E2BIG."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Unavailable(Exception):
    """This kernel gives no Landlock; the text says why."""


class Handled(NamedTuple):
    """What is refused from now on, by the kernel's names."""

    abi: int
    files: list[str]
    network: list[str]
    scopes: list[str]
    missing: list[str]
    """What a newer kernel would refuse as well."""


class _Attributes(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


def abi() -> int:
    """The version of Landlock in this kernel. Raises Unavailable."""
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    if version < 1:
        reasons = {
            errno.ENOSYS: Missing.NO_LANDLOCK.value,
            errno.EOPNOTSUPP: Missing.SWITCHED_OFF.value,
        }
        number = ctypes.get_errno()
        raise Unavailable(reasons.get(number, os.strerror(number)))
    return int(version)


def restrict(
    version: int | None = None,
    *,
    beneath: Mapping[int, Collection[str]] = {},
    ports: Mapping[int, Collection[str]] = {},
    free: Collection[str] = (),
) -> Handled:
    """Refuses this thread all that Landlock handles, as of ABI `version` or the kernel's own. Needs no_new_privs.
    Raises Unavailable.

    `beneath`: rights to keep on a file, or on all below a directory, by a descriptor of it; `ports`: the same on TCP
    ports; rights that this ABI does not know are passed over. `free`: rights that are not handled at all, and so not
    refused.
    """
    version = version or abi()
    known = [_known(table, version) for table in (FILES, NETWORK, SCOPES)]
    attributes = _Attributes(*(_bits(names, [name for name in names if name not in free]) for names in known))
    length = next(length for since, length in _SIZES if version >= since)
    ruleset = _libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(length), 0)
    if ruleset < 0:
        raise Unavailable(Missing.RULESET.say(fault=os.strerror(ctypes.get_errno())))
    try:
        for fd, names in beneath.items():
            _allow(ruleset, _BENEATH, struct.pack("=Qi", _bits(known[0], names), fd))
        for port, names in ports.items():
            if allowed := _bits(known[1], [name for name in names if name not in free]):
                _allow(ruleset, _PORT, struct.pack("=QQ", allowed, port))
        if _libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), 0) != 0:
            raise Unavailable(Missing.RESTRICTION.say(fault=os.strerror(ctypes.get_errno())))
    finally:
        os.close(ruleset)
    missing = [
        Missing.UNHANDLED.say(names=", ".join(names), number=since)
        for table in (FILES, NETWORK, SCOPES)
        for since, names in table
        if since > version
    ]
    files, network, scopes = ([name for name in names if name not in free] for names in known)
    return Handled(version, files, network, scopes, missing)


def _allow(ruleset: int, kind: int, rule: bytes) -> None:
    if _libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), kind, rule, 0) != 0:
        raise Unavailable(Missing.RULE.say(fault=os.strerror(ctypes.get_errno())))


def _known(table: tuple[tuple[int, tuple[str, ...]], ...], version: int) -> list[str]:
    return [name for since, names in table if since <= version for name in names]


def _bits(known: list[str], names: Collection[str]) -> int:
    """The bits of those of `names` that are known, which stand in the order of their bits."""
    return sum(1 << bit for bit, name in enumerate(known) if name in names)
