"""How the C library is called: its functions by ctypes, with what they return and their errno."""

from __future__ import annotations

import ctypes
import time
from typing import Any

SIZE, OFF, POINTER, INT, UINT, LONG = (
    ctypes.c_size_t,
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_long,
)
Made = dict[str, Any]
"""What came of a call: ``value`` and ``errno`` as the C library gave them, and what it wrote into memory."""
library = ctypes.CDLL(None, use_errno=True)


def function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the C library, told what it takes and gives."""
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


def make(called: Any, *arguments: Any) -> Made:
    """Calls it: ``value``, ``errno`` (0: none) and the time that it took, ``duration_ns``."""
    ctypes.set_errno(0)
    started = time.monotonic_ns()
    value = called(*arguments)
    took = time.monotonic_ns() - started
    return {"value": value, "errno": ctypes.get_errno() if value == -1 else 0, "duration_ns": took}


def made_one(made: Made) -> Made:
    """What came of a call that makes a descriptor, with its number as ``made``."""
    if made["value"] >= 0:
        made["made"] = [made["value"]]
    return made


def content(value: Any) -> bytes:
    """The bytes of a text, which crosses as its piece and how often."""
    return bytes(value[0]) * value[1] if isinstance(value, (list, tuple)) else bytes(value)


def low(value: int) -> int:
    """The 32 bits that an int of C keeps of it."""
    return value & 0xFFFFFFFF
