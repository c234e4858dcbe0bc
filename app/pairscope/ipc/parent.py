"""A child that dies with the process that started it, also while a signal has stopped it: then it closes nothing, and
what it holds stays held.

PR_SET_PDEATHSIG, prctl(2). The kernel sends the signal when the *thread* ends that made the child, so who starts
children has one thread, or starts them in its first. A change of user and the execution of a set-user-ID program clear
it: ask again behind them.
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
