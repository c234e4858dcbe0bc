"""How long a process computes at a stretch that others shall not wait for: long, and so that whoever wakes goes first.
sched_setattr(2).

The kernel (EEVDF, from 6.12 on) gives a core to whoever has the earliest deadline, and who asks for a long slice has a
late one. So a supervisor or worker that wakes on the recorder's core need not wait for the end of its turn, nor a page
for live, which sends to thousands. The share of the core is the same. Niceness alone does not do that: children have
sessions of their own, and where the kernel groups processes by session (sched(7), *The autogroup feature*) it counts
only within one.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

SLICE = 100_000_000
"""ns: the longest that the kernel takes."""
_NUMBER = {"x86_64": 314, "aarch64": 274}.get(platform.machine())
"""Of sched_setattr."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def lengthen() -> None:
    """Asks for long slices for this thread and those that it will start; their niceness stays. An older kernel takes no
    notice; one that refuses leaves all as it was."""
    if _NUMBER is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE, 0, 0)
        _libc.syscall(_NUMBER, 0, asked, 0)
