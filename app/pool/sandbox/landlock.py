"""Landlock: a domain without a single rule, so that nothing that it handles can be done. landlock(7).

The kernel is asked for its ABI, and handles what that ABI knows. Descriptors that are open already, and those that
arrive by SCM_RIGHTS, keep the rights with which they were opened.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""The same numbers on every architecture, as all system calls since Linux 5.1."""
_CREATE_RULESET_VERSION = 1

FILES = (
    (1, ("execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_char", "make_dir",
         "make_reg", "make_sock", "make_fifo", "make_block", "make_sym")),
    (2, ("refer",)),
    (3, ("truncate",)),
    (5, ("ioctl_dev",)),
    (9, ("resolve_unix",)),
)  # fmt: skip
"""ABI, and the LANDLOCK_ACCESS_FS_* rights that came with it, in the order of their bits (include/uapi/linux/landlock.h)."""
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
        reasons = {errno.ENOSYS: "this kernel has none", errno.EOPNOTSUPP: "it was switched off when this kernel was booted"}
        number = ctypes.get_errno()
        raise Unavailable(reasons.get(number, os.strerror(number)))
    return int(version)


def restrict(version: int | None = None) -> Handled:
    """Refuses this thread all that Landlock handles, as of ABI `version` or the kernel's own. Needs no_new_privs. Raises Unavailable."""
    version = version or abi()
    handled = [_known(table, version) for table in (FILES, NETWORK, SCOPES)]
    attributes = _Attributes(*(_bits(names) for names in handled))
    length = next(length for since, length in _SIZES if version >= since)
    ruleset = _libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(length), 0)
    if ruleset < 0:
        raise Unavailable(f"a ruleset was refused: {os.strerror(ctypes.get_errno())}")
    try:
        if _libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), 0) != 0:
            raise Unavailable(f"the restriction was refused: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(ruleset)
    missing = [
        f"does not handle {', '.join(names)} (since ABI {since})"
        for table in (FILES, NETWORK, SCOPES)
        for since, names in table
        if since > version
    ]
    return Handled(version, *handled, missing)


def _known(table: tuple[tuple[int, tuple[str, ...]], ...], version: int) -> list[str]:
    return [name for since, names in table if since <= version for name in names]


def _bits(names: list[str]) -> int:
    return (1 << len(names)) - 1
