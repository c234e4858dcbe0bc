"""Which calls stop a program: their numbers, and what is done with each."""

from __future__ import annotations

from pairscope.lab.calls import MACHINE, OBSERVED, Observed

_OF_THE_LAB = (
    "socketpair", "pipe2", "pipe", "socket", "bind", "listen", "connect", "accept", "accept4", "fork", "thread",
    "close", "dup", "dup2", "dup3", "read", "write", "send", "recv", "sendmsg", "recvmsg", "shutdown", "setsockopt",
    "getsockopt", "fcntl", "memfd_create", "ftruncate", "pread", "pwrite", "eventfd", "poll", "pidfd_open",
    "pidfd_send_signal", "kill", "waitpid", "exit", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
)  # fmt: skip
"""Calls that the lab's table decodes, by their names there."""
_OTHERS = {
    "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "exit": (60, 93), "close_range": (436, 436), "sendmmsg": (307, 269), "recvmmsg": (299, 243), "splice": (275, 76),
    "tee": (276, 77), "sendfile": (40, 71), "signalfd": (282, None), "signalfd4": (289, 74), "eventfd": (284, None),
    "timerfd_create": (283, 85), "timerfd_settime": (286, 86), "pidfd_getfd": (438, 438), "epoll_create": (213, None),
    "epoll_pwait2": (441, 441), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "tkill": (200, 130),
    "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "waitid": (247, 95),
    "restart_syscall": (219, 128), "io_uring_setup": (425, 425), "unshare": (272, 97),
}  # fmt: skip
"""The rest, by their numbers on x86_64 and on aarch64: asm/unistd_64.h, asm-generic/unistd.h."""

NAMES: dict[int, str] = {
    pair[MACHINE != "x86_64"] or 0: name for name, pair in _OTHERS.items() if pair[MACHINE != "x86_64"] is not None
} | {OBSERVED[name].kernel[MACHINE].number: OBSERVED[name].kernel[MACHINE].name for name in _OF_THE_LAB}
"""The kernel's name of every call of the list, by its number."""
DECODED: dict[str, Observed] = {OBSERVED[name].kernel[MACHINE].name: OBSERVED[name] for name in reversed(_OF_THE_LAB)}
"""Who reads what a call was given and gave, by the kernel's name of it."""
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[MACHINE]
"""AUDIT_ARCH_..., linux/audit.h."""
X32 = 0x4000_0000
"""The bit that a number of the x32 ABI has on x86_64. asm/unistd.h"""

APART = frozenset({"clone", "clone3", "fork", "vfork", "execve", "execveat", "unshare"})
"""Not made at the turnstile: a vfork returns when its child has made calls of its own."""
BIRTHS = frozenset({"clone", "clone3", "fork", "vfork"})
BY_NUMBER = frozenset(
    {
        "read", "write", "close", "readv", "writev", "fcntl", "dup", "dup2", "dup3", "sendfile", "splice", "tee",
        "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "ftruncate",
    }
)  # fmt: skip
"""Steps only where a number that they name stands for something by which processes talk."""
SECOND = {"dup2": 1, "dup3": 1, "sendfile": 1, "splice": 2, "tee": 1}
"""Where these name a second number."""
NO_NUMBER = APART | {
    "socketpair", "pipe", "pipe2", "socket", "memfd_create", "eventfd", "eventfd2", "epoll_create", "epoll_create1",
    "poll", "ppoll", "select", "pselect6", "signalfd", "signalfd4", "timerfd_create", "pidfd_open", "kill", "tkill",
    "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "wait4", "waitid", "exit", "exit_group", "close_range",
    "io_uring_setup", "restart_syscall", "pidfd_getfd",
}  # fmt: skip
"""Calls whose first argument is no descriptor of the object that they are about."""
GIVES_NUMBER = frozenset(
    {
        "socket", "accept", "accept4", "dup", "memfd_create", "eventfd", "eventfd2", "epoll_create", "epoll_create1",
        "signalfd", "signalfd4", "timerfd_create", "pidfd_open", "pidfd_getfd", "io_uring_setup", "dup2", "dup3",
    }
)  # fmt: skip
"""Calls that return a descriptor. fcntl does with F_DUPFD and F_DUPFD_CLOEXEC."""
CLOSES = frozenset({"close", "close_range", "dup2", "dup3", "unshare"})
ACCEPTS = frozenset({"accept", "accept4"})
CONSUMES = frozenset({"read", "readv", "recvfrom", "recvmsg", "recvmmsg", "splice", "sendfile", *ACCEPTS})
"""Calls that take something out of a queue. Who waits in one of these is looked at when its queue changes."""
F_DUPFD = (0, 1030)
"""F_DUPFD, F_DUPFD_CLOEXEC."""
FCNTL = (*F_DUPFD, 4, 1033)
"""Commands of fcntl that are steps: these, and F_SETFL and F_ADD_SEALS, which change what others find."""
CLONE_FILES, CLONE_THREAD, CLONE_UNTRACED = 0x400, 0x10000, 0x0080_0000
CLOSE_RANGE_UNSHARE = 2
