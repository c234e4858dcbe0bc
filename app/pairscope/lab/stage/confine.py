"""The confinement of a run: what neither its stage nor its actors will need is given away, once and for good.

Two layers, of Landlock and of seccomp each. The stage enters the first before it makes an actor, because a process in a
domain may look only at processes of that domain and of those below it; so two runs of one user neither see nor signal
each other. The first actor enters the second, and all others are born in it: they cannot look at anybody. What could
not be had is said; with neither Landlock nor seccomp there is no run.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import resource
import socket
import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.call import Allowed, word
from pairscope.lab.model import Scenario, Text
from pairscope.lab.stage.actor import HIDDEN
from pairscope.lab.tables import fill
from pairscope.sandbox import landlock, namespaces, syscalls
from pairscope.sandbox.sentences import Missing

LIMITS = {"AS": 1 << 30, "CORE": 0, "CPU": 10, "FSIZE": 1 << 20, "MEMLOCK": 0, "MSGQUEUE": 0}
"""Of the stage and, inherited, of each actor: bytes, and seconds. The stage sets NOFILE for the actors."""
NPROC = 256
"""Processes of a user who is the lab's alone: of all runs together."""
BOTH, LANDLOCK, SECCOMP, NONE = LEVELS = ("landlock+seccomp", "landlock", "seccomp", "none")
"""What a run can be confined by."""
ALLOWED: dict[str, tuple[str, ...]] = {
    "the calls of scenarios": tuple(
        dict.fromkeys(each.call for call in CALLS.values() for each in call.seccomp if not each.when)
    ),
    "wait": ("select", "pselect6", "restart_syscall", "clock_nanosleep", "sched_yield", "futex"),
    "memory of its own": ("brk", "munmap", "mremap", "madvise"),
    "threads": ("set_robust_list", "rseq", "set_tid_address", "sched_getaffinity"),
    "time and chance": ("clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom"),
    "signals to itself": ("rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill"),
    "know itself": ("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getsockname",
    "getpeername", "fstat", "close_range"),
}  # fmt: skip
"""What an actor may call, whatever the arguments."""
_BY_ARGUMENTS: tuple[Allowed, ...] = tuple(
    dict.fromkeys(each for call in CALLS.values() for each in call.seccomp if each.when)
)
"""What the calls of scenarios need with certain arguments."""


def _told() -> dict[str, str]:
    """Their conditions in words; calls with the same one stand together."""
    said: dict[str, list[str]] = {}
    for call, told in dict.fromkeys((allowed.call, allowed.told) for allowed in _BY_ARGUMENTS):
        said.setdefault(call, []).append(told)
    calls: dict[str, list[str]] = {}
    for call, conditions in said.items():
        calls.setdefault(", ".join(conditions), []).append(call)
    return {", ".join(sorted(names)): told for told, names in calls.items()}


CONDITIONS = {
    **_told(),
    "mmap": "private, and not executable",
    "mprotect": "not executable",
    "newfstatat": "with AT_EMPTY_PATH",
    "prlimit64": "to read its own",
}
"""What an actor may call with certain arguments."""
STAGE: dict[str, tuple[str, ...]] = {
    "look at actors": ("kcmp", "pidfd_getfd", "newfstatat", "statx", "readlink", "readlinkat", "getdents64", "tee",
    "ioctl", "setsockopt"),
    "make the first actor": ("setsid", "setpgid", "chdir", "prctl", "seccomp", "landlock_create_ruleset",
    "landlock_add_rule", "landlock_restrict_self", "prlimit64", "setitimer", "alarm"),
    "take leave": ("waitid",),
    "know the machine": ("uname", "getcwd", "access", "getrlimit", "getrusage", "sysinfo"),
}  # fmt: skip
"""What the stage may call besides."""
DENIED = (
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "io_uring_setup",
    "io_uring_enter", "userfaultfd", "bpf",
    "perf_event_open", "unshare", "setns", "mount", "umount2", "chroot", "pivot_root", "setuid", "setresuid",
    "capset", "keyctl", "add_key", "clone3",
    "shmget", "mq_open", "personality", "open_by_handle_at", "mknodat", "symlinkat", "linkat", "renameat2", "fchmod",
    "fchown", "reboot", "kexec_load",
)  # fmt: skip
"""Calls whose refusal is a promise, to both. A test holds the lists apart."""
DENIED_ACTORS = ("kcmp", "pidfd_getfd", "prctl", "seccomp", "getdents64", "tee", "waitid")
"""The same, to actors."""

_F_SETOWN, _F_SETSIG = 8, 10
_SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG, linux/netlink.h."""
_MAP_TYPE, _MAP_PRIVATE, _PROT_EXEC = 0x0F, 0x02, 0x04
_AT_EMPTY_PATH = 0x1000
_PR_SET_DUMPABLE, _PR_GET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 4, 3, 38, 39


_libc = ctypes.CDLL(None, use_errno=True)


class Unconfined(Exception):
    """The kernel gives neither Landlock nor seccomp. str() is a sentence."""


@dataclasses.dataclass(slots=True)
class Sandbox:
    """The first layer, in force, and what the second will be."""

    told: dict[str, Any]
    """For people, JSON: ``level``, one of LEVELS; ``landlock`` {abi, files, network, scopes} or None; ``seccomp``
    {otherwise, calls, conditional}, of the actors, or None; ``no_new_privs``, ``uid``, ``gid``, ``limits``;
    ``namespaces``, the names of those that are the run's own; ``missing``, a sentence for each part that is not
    there."""
    scratch: bool
    networks: _Networks

    @property
    def own_network(self) -> bool:
        """Whether nobody but the run is in its network, by any address."""
        return namespaces.NETWORK in self.told["namespaces"]

    def enter(self) -> None:
        """Confines the calling actor further, and all that it will make. Raises landlock.Unavailable,
        syscalls.Unavailable."""
        if self.told["landlock"]:
            _landlock(self.scratch, self.networks, stage=False)
        if self.told["seccomp"]:
            syscalls.install(_names(ALLOWED), _conditions, {"clone3": errno.ENOSYS})


@dataclasses.dataclass(frozen=True, slots=True)
class _Networks:
    """What the scenario asks of TCP."""

    ports: frozenset[int]
    """That it binds. Port 0 is any that is free."""
    connects: bool
    own: bool = False
    """The network is the run's own: it may bind and connect as it likes."""


def enter(
    scenario: Scenario, scratch: bool, *, own_user: bool, entered: Sequence[str] = (), shared: str = ""
) -> Sandbox:
    """Confines the calling process, which will be the stage of this scenario. There is no way back. Its working
    directory is the scratch directory, if `scratch`; `own_user`: the user is the lab's alone, and his processes may be
    counted; `entered`: the namespaces that this process has entered, or else why there are none in `shared`. Raises
    Unconfined."""
    missing: list[str] = [Missing.NAMESPACES.say(why=shared)] if shared else []
    most = os.environ.get("PAIRSCOPE_SANDBOX") or BOTH
    # A change of user makes a process undumpable, and then not even a process of the same user may look at it.
    if _prctl(_PR_SET_DUMPABLE, 1) or _prctl(_PR_GET_DUMPABLE) != 1:
        missing.append(Missing.SIGHT_OF_ACTORS.say(why=Missing.UNDUMPABLE_ACTORS))
    limits = _limit(LIMITS | ({"NPROC": NPROC} if own_user else {}))
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        missing.append("no_new_privs")
    networks = dataclasses.replace(_networks(scenario), own=namespaces.NETWORK in entered)
    handled: landlock.Handled | None = None
    if most != BOTH:
        missing.append(Missing.LANDLOCK.say(why=Missing.LOWERED.say(level=most)))
    else:
        try:
            handled = _landlock(scratch, networks, stage=True)
            missing += [Missing.OF_ABI.say(number=handled.abi, why=what) for what in handled.missing]
        except landlock.Unavailable as error:
            missing.append(Missing.LANDLOCK.say(why=error))
    filtered: dict[str, Any] | None = None
    if most == NONE:
        missing.append(Missing.SECCOMP.say(why=Missing.LOWERED.say(level=NONE)))
    else:
        try:
            unknown = syscalls.install(
                _names(ALLOWED) + _names(STAGE), lambda: _conditions(stage=True), {"clone3": errno.ENOSYS}
            )
            missing += [Missing.SECCOMP.say(why=what) for what in unknown]
            filtered = {"otherwise": "EPERM", "calls": len(_names(ALLOWED)), "conditional": len(CONDITIONS)}
        except syscalls.Unavailable as error:
            missing.append(Missing.SECCOMP.say(why=error))
    if not handled and not filtered:
        raise Unconfined(Missing.NO_SANDBOX.say(why="; ".join(missing)))
    told = {
        "level": BOTH if handled and filtered else LANDLOCK if handled else SECCOMP,
        "landlock": handled
        and {"abi": handled.abi, "files": handled.files, "network": handled.network, "scopes": handled.scopes},
        "seccomp": filtered,
        "namespaces": list(entered),
        "no_new_privs": _prctl(_PR_GET_NO_NEW_PRIVS) == 1,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "limits": limits,
        "missing": missing,
    }
    return Sandbox(told, scratch, networks)


def absent() -> dict[str, Any]:
    """What a run says of a sandbox that was not asked for."""
    return {
        "level": NONE,
        "namespaces": [],
        "missing": [Missing.NO_RUNNER.value],
    }


def _networks(scenario: Scenario) -> _Networks:
    ports, connects = set(), False
    for step in scenario.steps:
        if step.call in ("bind", "connect") and isinstance(step.arguments[1], Text):
            address = step.arguments[1].data
            _, colon, port = address.rpartition(b":")
            if colon and not address.startswith(b"\0"):
                connects |= step.call == "connect"
                ports |= {min(int(port), 65535)} if step.call == "bind" else set()
    return _Networks(frozenset(ports), connects)


def _landlock(scratch: bool, networks: _Networks, *, stage: bool) -> landlock.Handled:
    """Files: the scratch directory and, for the stage, /proc to read. TCP: anything, in a network of the run's
    own; else to bind what the scenario binds. A port that the kernel will choose cannot be named beforehand, so connect
    is handled only where the scenario has none, and is the stage's to check."""
    beneath: dict[int, tuple[str, ...]] = {}
    try:
        if scratch:
            beneath[os.open(".", os.O_PATH | os.O_DIRECTORY)] = (
                "read_file",
                "write_file",
                "make_reg",
                "make_sock",
                "truncate",
                "resolve_unix",
            )
        if stage:
            beneath[os.open("/proc", os.O_PATH | os.O_DIRECTORY)] = ("read_file", "read_dir")
            beneath[os.open("/dev/null", os.O_PATH)] = ("read_file", "write_file")
        ports = {} if networks.own else dict.fromkeys(networks.ports, ("bind_tcp",))
        free = ("bind_tcp", "connect_tcp") if networks.own else ("connect_tcp",) if networks.connects else ()
        return landlock.restrict(beneath=beneath, ports=ports, free=free)
    finally:
        for fd in beneath:
            os.close(fd)


def _conditions(stage: bool = False) -> Iterable[syscalls.Rule]:
    """Rules that look at arguments: as the kernel reads them, 32 bits where it reads an int."""
    seccomp = syscalls.seccomp
    arg, masked, equal = seccomp.Arg, seccomp.MASKED_EQ, seccomp.EQ

    whole = _names(STAGE) if stage else ()
    for allowed in _BY_ARGUMENTS:
        if allowed.call not in whole:
            yield allowed.call, *(arg(position, masked, mask, value) for position, mask, value in allowed.when)
    for command in (_F_SETOWN, _F_SETSIG):
        yield "fcntl", arg(0, seccomp.GE, HIDDEN), arg(1, equal, command)
    yield "mmap", arg(2, masked, _PROT_EXEC, 0), arg(3, masked, _MAP_TYPE, _MAP_PRIVATE)
    yield "mprotect", arg(2, masked, _PROT_EXEC, 0)
    if stage:
        # To ask of sockets by their inodes, as ss does.
        wanted = word(0, socket.AF_NETLINK), word(2, _SOCK_DIAG)
        yield "socket", *(arg(position, masked, mask, value) for position, mask, value in wanted)
        return
    yield "ioctl", arg(1, equal, termios.FIOCLEX)
    yield "newfstatat", arg(3, equal, _AT_EMPTY_PATH)
    yield "prlimit64", arg(0, equal, 0), arg(2, equal, 0)


def _names(table: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for names in table.values() for name in names]


def _limit(wanted: dict[str, int]) -> dict[str, int]:
    """Sets the limits, soft and hard, and gives what is in force."""
    for name, value in wanted.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in wanted}


def _prctl(option: int, value: int = 0) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def table() -> str:
    """The calls that are allowed, as a table of a page."""
    lines = ["| who | for, or which | allowed |", "|---|---|---|"]
    lines += [f"| actor | {purpose} | {', '.join(names)} |" for purpose, names in ALLOWED.items()]
    lines += [f"| actor | {call} | {condition} |" for call, condition in CONDITIONS.items()]
    lines += [f"| stage, besides | {purpose} | {', '.join(names)} |" for purpose, names in STAGE.items()]
    lines += ["| stage, besides | socket | AF_NETLINK of NETLINK_SOCK_DIAG, to ask of sockets as ss does |"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text(), "sandbox", table()))
