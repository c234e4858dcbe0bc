"""As systemd's ProtectProc=invisible, ProcSubset=pid and MemoryDenyWriteExecute=yes: ``python hardened.py COMMAND
...``, as root, runs it so.

It sees of /proc its own user's processes and nothing else (proc(5), hidepid and subset), and cannot make memory
executable (PR_SET_MDWE of prctl(2), Linux 6.3; where that is not there, it is left out). Exits with 77 where this
machine makes no such mount.
"""

from __future__ import annotations

import ctypes
import os
import sys

CLONE_NEWNS, MS_REC, MS_PRIVATE, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN = 0x20000, 0x4000, 1 << 18, 65, 1
NOT_HERE = 77


def enter() -> None:
    """Brings this process there, and what it starts from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        or libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=invisible,subset=pid")
    ):
        print(f"no /proc of its own: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(NOT_HERE)
    libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)


if __name__ == "__main__":
    enter()
    os.execvp(sys.argv[1], sys.argv[1:])
