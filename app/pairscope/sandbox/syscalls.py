"""seccomp: the system calls that a worker may still make. Everything else is answered with EPERM. seccomp(2).

The list is what CPython needs to compute, and to talk over sockets that it already has. Nothing in it makes a
descriptor for something new, a process, a thread, or memory that can be executed or that others see.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import termios
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pairscope.sandbox.sentences import Missing

seccomp: Any = None
"""libseccomp; None: it cannot be used."""
try:
    import pyseccomp

    seccomp = pyseccomp
except Exception as error:  # no libseccomp.so.2 is a RuntimeError, one without an expected symbol an AttributeError
    _why = Missing.LIBSECCOMP.say(fault=error)

ALLOWED: dict[str, tuple[str, ...]] = {
    "read and write what is open": ("read", "readv", "pread64", "write", "writev", "pwrite64", "lseek"),
    "look at and close what is open": ("fstat", "close", "close_range"),
    "talk on sockets that are open": (
        "sendmsg",
        "recvmsg",
        "recvfrom",
        "shutdown",
        "getsockopt",
        "getsockname",
        "getpeername",
    ),
    "wait": (
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "restart_syscall",
        "nanosleep",
        "clock_nanosleep",
        "sched_yield",
        "futex",
    ),
    "memory of its own": ("brk", "munmap", "mremap", "madvise"),
    "time and chance": ("clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getrandom"),
    "signals to itself": ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    "know itself": ("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getcwd"),
    "end": ("exit", "exit_group"),
}
"""Purpose, and the calls that are allowed for it whatever their arguments."""

CONDITIONS: dict[str, str] = {
    "mmap": "private, and not executable",
    "mprotect": "not executable",
    "fcntl": "F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS",
    "ioctl": "FIOCLEX; FIONBIO on its own end",
    "sendto": "without an address",
    "newfstatat": "with AT_EMPTY_PATH, which is how the C library makes fstat",
    "prlimit64": "to read its own",
    "tgkill": "to itself, which is how abort ends",
}
"""Calls that are allowed only with certain arguments."""

DENIED: tuple[str, ...] = (
    "open", "openat", "openat2", "creat", "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
    "fork", "vfork", "clone", "clone3", "execve", "execveat", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "ptrace", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "process_vm_readv", "process_vm_writev",
    "process_madvise",
    "memfd_create", "memfd_secret", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf",
    "perf_event_open",
    "prctl", "setuid", "setresuid", "setgroups", "capset", "unshare", "setns", "mount", "chroot", "pivot_root",
    "personality",
    "ftruncate", "fallocate", "flock", "dup2", "dup3", "splice", "sendfile", "copy_file_range", "shmget", "shmat",
    "mq_open",
    "pkey_mprotect", "pwritev", "pwritev2", "keyctl", "add_key", "seccomp", "landlock_create_ruleset", "setrlimit",
    "reboot", "kexec_load",
)  # fmt: skip
"""Calls whose refusal is a promise. They are refused because they are not allowed; a test holds the lists apart."""

_MAP_TYPE = 0x0F
_AT_EMPTY_PATH = 0x1000
_F_DUPFD, _F_GET_SEALS = 0, 1034
_UNSIGNED_INT = 0xFFFF_FFFF


Rule = tuple[Any, ...]
"""A call's name, and what has to hold of its arguments, each as `seccomp.Arg` makes it."""


class Unavailable(Exception):
    """No filter could be loaded; the text says why."""


class Loaded(NamedTuple):
    """The filter in force."""

    calls: int
    conditional: int
    missing: list[str]
    """Calls that this libseccomp does not know, and so refuses."""


def load(keep: int) -> Loaded:
    """Loads the filter into this thread; `keep` is its own end. Needs no_new_privs or root. Raises Unavailable."""
    # what a lazy import or linecache meets: PermissionError, which both take for 'not there'
    refused = dict.fromkeys(("open", "openat", "openat2", "creat"), errno.EACCES)
    missing = install([name for names in ALLOWED.values() for name in names], lambda: _conditional(keep), refused)
    return Loaded(sum(map(len, ALLOWED.values())), len(CONDITIONS), missing)


def install(names: Iterable[str], conditions: Callable[[], Iterable[Rule]], refused: Mapping[str, int]) -> list[str]:
    """Allows this thread the calls `names`, and those of `conditions` with the arguments that stand there; `refused`
    calls are answered with an errno of their own, all others with EPERM. Returns what this libseccomp does not know.
    Raises Unavailable."""
    if seccomp is None:
        raise Unavailable(_why)
    try:
        chosen = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
        # a call of another architecture (x32, i386) has another number for each of these: there is no reason to make
        # one
        chosen.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
        missing = []
        for name in names:
            try:
                number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
            except Exception:
                missing.append(Missing.UNKNOWN_CALL.say(call=name))
                continue
            chosen.add_rule(seccomp.ALLOW, number)
        for name, *arguments in conditions():
            chosen.add_rule(seccomp.ALLOW, name, *arguments)
        for name, number in refused.items():
            chosen.add_rule(seccomp.ERRNO(number), name)
        chosen.load()
    except OSError as error:
        raise Unavailable(Missing.FILTER.say(fault=error)) from None
    return missing


def _conditional(keep: int) -> list[Rule]:
    """Rules that look at arguments. A mask wherever the kernel reads fewer than 64 bits and a match would be let
    through."""
    equal, masked = seccomp.EQ, seccomp.MASKED_EQ
    arg = seccomp.Arg
    private = arg(3, masked, _MAP_TYPE, mmap.MAP_PRIVATE)
    rules: list[Rule] = [
        # a shared mapping that is only read could be made writable by mprotect, and would keep the supervisor from
        # sealing
        ("mmap", arg(2, masked, mmap.PROT_EXEC, 0), private),
        ("mprotect", arg(2, masked, mmap.PROT_EXEC, 0)),
        ("ioctl", arg(1, equal, termios.FIOCLEX)),
        ("ioctl", arg(0, equal, keep), arg(1, equal, termios.FIONBIO)),
        ("sendto", arg(4, equal, 0)),
        ("newfstatat", arg(3, equal, _AT_EMPTY_PATH)),
        ("prlimit64", arg(0, equal, 0), arg(2, equal, 0)),
        ("tgkill", arg(0, masked, _UNSIGNED_INT, os.getpid())),
    ]
    for command in (fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, _F_DUPFD, fcntl.F_DUPFD_CLOEXEC, _F_GET_SEALS):
        rules.append(("fcntl", arg(1, equal, command)))
    return rules
