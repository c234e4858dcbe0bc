"""What a box's processes may still do: Landlock, seccomp and limits.

Two layers of Landlock, as in the lab. The first process enters one before it makes another, and whoever compiles, and
the program, enter a second: a process may look at those of its own layer and below alone, so the recorder traces the
program, and the program sees nothing of the recorder. landlock(7), seccomp(2), setrlimit(2)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
from collections.abc import Mapping
from typing import Any

from pairscope.program.box import KEPT, PROGRAM, SHARED, WORK
from pairscope.sandbox import landlock, syscalls

LIMITS = {"NPROC": 96, "AS": 1 << 30, "CPU": 15, "FSIZE": 16 << 20, "NOFILE": 256, "CORE": 0, "MEMLOCK": 64 << 10}
"""Of each process, where whoever watches them all has not ended them before. NPROC counts threads, of the box alone
(Linux 5.14)."""

DENIED: dict[str, tuple[str, ...]] = {
    "namespaces and mounts": ("setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount", "swapon",
    "swapoff", "quotactl", "quotactl_fd", "fanotify_init", "fanotify_mark", "name_to_handle_at", "open_by_handle_at"),
    "other processes": ("ptrace", "process_madvise", "migrate_pages", "move_pages", "process_mrelease"),
    "keys": ("keyctl", "add_key", "request_key"),
    "the kernel": ("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "reboot",
    "syslog", "acct", "_sysctl", "sysfs", "ustat", "uselib", "lookup_dcookie", "nfsservctl", "vhangup", "personality",
    "iopl", "ioperm", "modify_ldt", "memfd_secret", "get_kernel_syms", "query_module"),
    "the machine": ("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
    "setdomainname", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
}  # fmt: skip
"""Refused with EPERM, and for what."""
_BY_ARGUMENTS = ("socket", "unshare", "clone", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
                 "pidfd_open")  # fmt: skip
_NICE = 5
"""Whoever watches it comes first."""
_FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6. What else there is reaches out of a network of its own (AF_VSOCK), or is the kernel's
(AF_ALG, AF_NETLINK, AF_PACKET)."""
_NAMESPACES = 0x7E02_0080
"""CLONE_NEW..., CLONE_NEWTIME included: sched.h."""
_NEWEST = 600
"""Numbers of calls below which one that libseccomp does not know yet is answered with ENOSYS, as an old kernel does."""
_UNSIGNED_INT = 0xFFFF_FFFF
_READ = ("execute", "read_file", "read_dir")
_WRITE = (*_READ, "write_file", "remove_dir", "remove_file", "make_dir", "make_reg", "make_sock", "make_fifo",
          "make_sym", "refer", "truncate", "resolve_unix")  # fmt: skip
_FREE = ("bind_tcp", "connect_tcp")
"""Its network is its own."""
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def recorder() -> None:
    """The first layer: of the process that compiles and records, and of all that it makes. Raises OSError."""
    _landlock({"/usr": _READ, PROGRAM: _WRITE, WORK: _WRITE, KEPT: _WRITE, "/dev": _WRITE, "/etc": _READ,
               "/proc": (*_READ, "write_file")})  # fmt: skip


def compiler() -> None:
    """The second layer, of a compiler. Raises OSError."""
    _landlock({"/usr": _READ, PROGRAM: _WRITE, WORK: _WRITE, "/dev": (*_READ, "write_file")})
    _finish()


def program() -> None:
    """The second layer, of a program. Raises OSError."""
    os.nice(_NICE)
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, b"1000")  # where the machine's memory is short, it goes first
    os.close(fd)
    _landlock({"/usr": _READ, PROGRAM: _READ, WORK: _WRITE, "/dev": (*_READ, "write_file"), SHARED: _WRITE,
               "/etc": _READ, "/proc": _READ})  # fmt: skip
    _finish()


def _finish() -> None:
    for name, most in LIMITS.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))
    _seccomp()


def _landlock(allowed: Mapping[str, tuple[str, ...]]) -> None:
    """Refuses all that Landlock handles but this. Raises OSError."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    roots = {*allowed, *(f"/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"))}
    with contextlib.ExitStack() as opened:
        beneath = {}
        for path in roots:
            if os.path.isdir(path):
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                opened.callback(os.close, fd)
                beneath[fd] = allowed.get(path, _READ)
        try:
            landlock.restrict(beneath=beneath, free=_FREE)
        except landlock.Unavailable as error:
            raise OSError(errno.EPERM, f"Landlock: {error}") from None


def _seccomp() -> None:
    """Raises OSError."""
    try:
        allowed, unknown = _known()
        syscalls.install(allowed, _conditions, dict.fromkeys(unknown, errno.ENOSYS))  # type: ignore[arg-type]
    except syscalls.Unavailable as error:
        raise OSError(errno.EPERM, f"seccomp: {error}") from None


def _known() -> tuple[list[str], list[int]]:
    """Every call of this machine that is not refused, by its name; and numbers that libseccomp has no name for."""
    denied = {name for names in DENIED.values() for name in names} | {*_BY_ARGUMENTS}
    allowed, unknown = [], []
    for number in range(_NEWEST):
        try:
            found = syscalls.seccomp.resolve_syscall(syscalls.seccomp.Arch.NATIVE, number)
        except Exception:
            unknown.append(number)
            continue
        name = found.decode() if isinstance(found, bytes) else str(found)
        if name not in denied:
            allowed.append(name)
    return allowed, unknown


def _conditions() -> list[syscalls.Rule]:
    equal, unequal, masked = syscalls.seccomp.EQ, syscalls.seccomp.NE, syscalls.seccomp.MASKED_EQ
    arg: Any = syscalls.seccomp.Arg
    return [
        *(("socket", arg(0, equal, family)) for family in _FAMILIES),
        ("unshare", arg(0, masked, _NAMESPACES, 0)),
        ("clone", arg(0, masked, _NAMESPACES, 0)),
        # the recorder: Landlock refuses it only since ABI 6
        *((name, arg(0, unequal, 1)) for name in _BY_ARGUMENTS[3:]),
    ]
