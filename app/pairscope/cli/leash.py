"""Becomes another program that gets SIGTERM when the process that started it is gone, even by SIGKILL.
PR_SET_PDEATHSIG, prctl(2).

usage: python leash.py PARENT PROGRAM [ARGUMENT...]

A process of its own, because nothing may run between fork and exec in a server with threads. The signal fires when
the *thread* that forked ends: whoever uses it forks from a thread that lives as long as the process.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        sys.exit(f"{sys.argv[0]}: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was asked to tell
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606  # the program that pairscope itself named
