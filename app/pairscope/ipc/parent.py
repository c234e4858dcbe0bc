"""Makes a child die with the process that started it: PR_SET_PDEATHSIG, prctl(2). Even a child that a signal has
stopped dies; otherwise it would close nothing and hold what it holds.

The kernel sends the signal when the *thread* ends that made the child. So a process that starts children has one
thread, or starts them in its first. A change of user and the execution of a set-user-ID program clear the setting: ask
again after them.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ParentGone(Exception):
    """The process that started this one has ended."""


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """From now on the kernel sends this process the signal when its parent ends. `parent`: its pid, as it said itself
    when it started this process.

    Raises ParentGone if it has ended already, OSError where the kernel refuses.
    """
    if _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(number), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl: PR_SET_PDEATHSIG")
    if os.getppid() != parent:  # it ended before the kernel was asked to tell
        raise ParentGone(f"the process {parent} that started this one has ended")
