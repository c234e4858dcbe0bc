"""Kinds of steps, of which one may ask for some alone: ``record --only``."""

from __future__ import annotations

from collections.abc import Collection

from pairscope.trace.followed import BIRTHS, NAMES

KINDS: dict[str, frozenset[str]] = {
    "passages": frozenset(),
    "sockets": frozenset(
        {
            "socket", "socketpair", "bind", "listen", "connect", "accept", "accept4", "sendto", "recvfrom", "sendmsg",
            "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "setsockopt", "getsockopt",
        }
    ),
    "pipes": frozenset({"pipe", "pipe2", "splice", "tee"}),
    "memory": frozenset({"memfd_create", "ftruncate"}),
    "events": frozenset(
        {"eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create", "timerfd_settime", "restart_syscall"}
    ),
    "waits": frozenset(
        {
            "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
            "epoll_pwait", "epoll_pwait2",
        }
    ),
    "signals": frozenset(
        {"signal", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"}
    ),
    "descriptors": frozenset({"close", "close_range", "dup", "dup2", "dup3", "fcntl", "pidfd_getfd", "unshare"}),
    "processes": frozenset({"wait4", "waitid", "pidfd_open"}),
}  # fmt: skip
"""The calls of each. What the others read and write is of the kind of the object that they do it on. Passages are those
calls alone that pass descriptors, which are told in any case."""
_ON = {"socket:": "sockets", "pipe:": "pipes", "anon_inode:": "events"}
_ALWAYS = BIRTHS | {"execve", "execveat", "exit", "attached", "foreign", "io_uring_setup"}
"""What tells who there is, and what is not seen."""
_STEPS_ALONE = frozenset({"waits", "signals"}), frozenset({"epoll_create", "epoll_create1"})
"""Kinds whose calls change no table, but for these."""


def wanted(call: str, on: str, only: Collection[str]) -> bool:
    """Whether a step is of these kinds. `on`: what it is about, as /proc/PID/fd shows it."""
    if call in _ALWAYS:
        return True
    for kind, calls in KINDS.items():
        if call in calls:
            return kind in only
    return next((kind for start, kind in _ON.items() if on.startswith(start)), "memory") in only


def stopping(only: Collection[str] | None) -> dict[int, str]:
    """The calls that stop a program, where steps of these kinds alone are wanted (None: all), by their numbers."""
    kinds, but = _STEPS_ALONE
    left_out = frozenset().union(*(KINDS[kind] for kind in kinds if only is not None and kind not in only)) - but
    return {number: name for number, name in NAMES.items() if name not in left_out}
