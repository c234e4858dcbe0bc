"""What sendmsg and recvmsg share: struct msghdr, as the C library takes it and as strace writes it."""

from __future__ import annotations

import ctypes
from typing import Any

from pairscope.lab.calls import strace
from pairscope.lab.calls.call import Traced
from pairscope.lab.calls.libc import INT, POINTER, SIZE, UINT


class Iovec(ctypes.Structure):
    _fields_ = [("base", POINTER), ("length", SIZE)]


class Msghdr(ctypes.Structure):
    """struct msghdr, recvmsg(2), as the kernel has it on machines of 64 bits."""

    _fields_ = [
        ("name", POINTER), ("namelen", UINT), ("iov", POINTER), ("iovlen", SIZE),
        ("control", POINTER), ("controllen", SIZE), ("flags", INT),
    ]  # fmt: skip


def iovecs(parts: list[Any]) -> Any:
    """An array of iovecs, one for each buffer."""
    array = (Iovec * max(len(parts), 1))()
    for entry, part in zip(array, parts):
        entry.base, entry.length = ctypes.addressof(part), len(part)
    return array


def parts_of(traced: Traced) -> list[Any]:
    """The parts of a message as they were given."""
    found = traced.named["iov"]
    if not isinstance(found, list):
        raise ValueError("iov is no list")
    return found


def header(traced: Traced, entries: list[str], count: int, flags: str) -> str:
    """A msghdr as strace writes it, by what its array of parts holds and how many the call claims."""
    message, control = traced.result.message, "msg_controllen=0"
    if message and message.controllen:
        parts = ", ".join(map(strace.control, message.parts))
        control = f"msg_control=[{parts}], msg_controllen={message.controllen}"
    bad = traced.named.get("bad_iov")
    iov = f"[{', '.join(entries)}]" if bad is None else strace.address(bad)
    return f"{{msg_name=NULL, msg_namelen=0, msg_iov={iov}, msg_iovlen={count}, {control}, msg_flags={flags}}}"
