"""The seccomp filter that stops a program at the calls of the list: seccomp(2), SECCOMP_RET_TRACE."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

from pairscope.trace.followed import ARCH, X32

_SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine() if platform.machine() == "x86_64" else "aarch64"]
_SET_MODE_FILTER = 1
_NO_NEW_PRIVS = 38
_CAP_SYS_ADMIN = 21
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH = 0, 4
"""Where struct seccomp_data has them."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def program(numbers: Iterable[int]) -> bytes:
    """The filter's instructions: stop at these calls, and at all of another architecture. bpf(4)"""

    def one(code: int, value: int, met: int = 0, unmet: int = 0) -> bytes:
        return struct.pack("=HBBI", code, met, unmet, value)

    wanted = sorted(numbers)
    many = len(wanted)
    # ... and the last two: ALLOW, TRACE. A jump counts from the instruction behind it.
    tests = [one(_EQUAL, number, many - place) for place, number in enumerate(wanted)]
    head = [
        one(_LOAD, _ARCH), one(_EQUAL, ARCH, 0, many + 3),
        one(_LOAD, _NUMBER), one(_AT_LEAST, X32, many + 1),
    ]  # fmt: skip
    return b"".join([*head, *tests, one(_RETURN, _ALLOW), one(_RETURN, _TRACE)])


def takes_rights() -> bool:
    """Whether this process may have a filter only with no_new_privs, by which setuid programs get no rights."""
    with open("/proc/self/status") as file:
        mask = next((int(line.split()[1], 16) for line in file if line.startswith("CapEff:")), 0)
    return not mask >> _CAP_SYS_ADMIN & 1


def install(instructions: bytes) -> None:
    """Gives this process the filter, for good. Who may not has it only with no_new_privs. Raises OSError."""
    room = ctypes.create_string_buffer(instructions, len(instructions))
    told = ctypes.create_string_buffer(struct.pack("=H6xQ", len(instructions) // 8, ctypes.addressof(room)))
    if _libc.syscall(_SECCOMP, _SET_MODE_FILTER, 0, told) == 0:
        return
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.syscall(_SECCOMP, _SET_MODE_FILTER, 0, told):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
