"""Confinement of a worker: everything that it will not need is given away, once and for good.

:func:`close` is called by the worker itself after it has imported and exercised everything, and before its first
message. The order is not free; docs/sandbox.md says why. What could not be had is said in the :class:`Level`: a
part that is missing lowers the level or is named among the reasons, it is never silent.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import fcntl
import os
import pwd
import resource
import signal
import socket
import stat
import time
from typing import Any

from pairscope.sandbox import landlock, syscalls
from pairscope.sandbox.sentences import Missing

BOTH, SECCOMP, NONE = LEVELS = ("landlock+seccomp", "seccomp", "none")
"""What a worker can be confined by, best first."""

NOFILE = 1024
"""Descriptors. A socket queue of quick jobs holds hundreds of them, and one too many truncates a control message."""
ADDRESS_SPACE = 1 << 30
"""Bytes of address space: room for an image of 120 megapixels in four bytes each, and for the libraries."""

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 1, 3, 4, 38, 39
_CLOSE_RANGE = 436
"""The same number on every architecture. os.closerange would ask the kernel for each number where it has none."""
_libc = ctypes.CDLL(None, use_errno=True)


class SandboxError(Exception):
    """The worker must not go on: its settings are wrong, or its supervisor has gone."""


@dataclasses.dataclass(frozen=True)
class Level:
    """How a worker is confined, as observed by itself."""

    name: str
    """One of LEVELS. Landlock without seccomp is ``none``: sockets and fork would be open."""
    detail: dict[str, Any]
    """For people, JSON: every part as it was found to be, and ``missing``, a sentence for each part that is not there.

    ``landlock`` {abi, files, network, scopes} or None; ``seccomp`` {otherwise, calls, conditional} or None;
    ``no_new_privs``; ``uid``, ``gid``, ``groups``; ``dumpable``; ``dies_with``, a pid or None; ``limits`` by name;
    ``microseconds`` it took.
    """


def close(keep: int, user: str, output_max: int, parent: int | None, most: str | None = None) -> Level:
    """Confines this process, which must have one thread, and says how well. There is no way back.

    Closes every descriptor but `keep`; standard input and output become /dev/null, standard error stays where it can be
    made append-only. `user`: whom to become when this process is root. `output_max`: bytes that one file may get.
    `parent`: the supervisor's pid, with whose death this process dies; None: it does not. `most`: the level not to go
    beyond, by default ``PAIRSCOPE_SANDBOX`` in the environment or else the best.

    Raises SandboxError if the user or the level is unknown, or if the supervisor is already gone.
    """
    started = time.perf_counter_ns()
    most = most or os.environ.get("PAIRSCOPE_SANDBOX") or BOTH
    if most not in LEVELS:
        raise SandboxError(f"PAIRSCOPE_SANDBOX is {most!r}; expected one of {', '.join(LEVELS)}")
    missing: list[str] = []
    account = _account(user)

    _leave_descriptors(keep)
    os.chdir("/")
    if os.getsid(0) != os.getpid():
        try:
            os.setsid()
        except PermissionError:
            missing.append(Missing.SESSION.say(why=Missing.LEADS))
    if account:
        _become(account, missing)
    dumpable = _prctl(_PR_SET_DUMPABLE, 1) == 0 and _prctl(_PR_GET_DUMPABLE) == 1
    if not dumpable:
        missing.append(Missing.SIGHT.say(why=Missing.UNDUMPABLE))
    if parent is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            raise SandboxError(f"the supervisor {parent} ended before its worker was ready")
    limits = _limit(output_max, missing)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) != 0:
        missing.append("no_new_privs")

    handled: landlock.Handled | None = None
    if most != BOTH:
        missing.append(Missing.LANDLOCK.say(why=Missing.LOWERED.say(level=most)))
    else:
        try:
            handled = landlock.restrict()
            missing.extend(Missing.OF_ABI.say(number=handled.abi, why=what) for what in handled.missing)
            if (refused := _refusal(os.open, "/", os.O_RDONLY)) != errno.EACCES:
                missing.append(Missing.LANDLOCK.say(why=_not(Missing.OPENED, Missing.OPENED_INDEED, refused)))
                handled = None
        except landlock.Unavailable as error:
            missing.append(Missing.LANDLOCK.say(why=error))
    no_new_privs = _prctl(_PR_GET_NO_NEW_PRIVS) == 1
    detail: dict[str, Any] = {
        "landlock": handled
        and {"abi": handled.abi, "files": handled.files, "network": handled.network, "scopes": handled.scopes},
        "seccomp": None,
        "no_new_privs": no_new_privs,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "dumpable": dumpable,
        "dies_with": parent,
        "limits": limits,
        "missing": missing,
    }

    if most == NONE:
        missing.append(Missing.SECCOMP.say(why=Missing.LOWERED.say(level=NONE)))
    else:
        try:
            loaded = syscalls.load(keep)
            missing.extend(Missing.SECCOMP.say(why=what) for what in loaded.missing)
            if (refused := _refusal(socket.socket)) == errno.EPERM:
                detail["seccomp"] = {"otherwise": "EPERM", "calls": loaded.calls, "conditional": loaded.conditional}
            else:
                missing.append(Missing.SECCOMP.say(why=_not(Missing.SOCKET, Missing.SOCKET_INDEED, refused)))
        except syscalls.Unavailable as error:
            missing.append(Missing.SECCOMP.say(why=error))
    name = NONE if not detail["seccomp"] else BOTH if handled else SECCOMP
    detail["microseconds"] = (time.perf_counter_ns() - started) // 1000
    return Level(name, detail)


def _account(user: str) -> pwd.struct_passwd | None:
    if os.geteuid() != 0 or not user:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise SandboxError(f"worker_user is {user!r}; there is no such user on this machine") from None


def _leave_descriptors(keep: int) -> None:
    if keep < 3:
        raise ValueError(f"descriptor {keep} is a standard stream; a worker's own end has a higher number")
    error_stream = _append_only(2)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number, source in ((0, null), (1, null), (2, null if error_stream < 0 else error_stream)):
        os.dup2(source, number)
    _close_range(3, keep - 1)
    _close_range(keep + 1, 0x7FFF_FFFF)


def _close_range(first: int, last: int) -> None:
    if first > last or _libc.syscall(_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(last), 0) == 0:
        return
    os.closerange(first, min(last + 1, os.sysconf("SC_OPEN_MAX")))  # Linux before 5.9


def _append_only(fd: int) -> int:
    """The file behind `fd`, opened anew so that it can be appended to and nothing else; -1 where that cannot be."""
    try:
        # O_NONBLOCK: a pipe without a reader would be waited for, a full one would stop the worker
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fixed = flags & os.O_APPEND or not stat.S_ISREG(os.fstat(fd).st_mode)
        if flags & os.O_ACCMODE == os.O_WRONLY and fixed:  # a log that root opened and that this user cannot
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        pass
    return -1


def _become(account: pwd.struct_passwd, missing: list[str]) -> None:
    if account.pw_uid == 0:
        missing.append(Missing.USER.say(why=Missing.ROOT))
        return
    try:
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as error:  # EPERM without CAP_SETUID, EINVAL in a user namespace that has no such user
        missing.append(Missing.USER.say(why=Missing.NOT_ROOT.say(name=account.pw_name, fault=error.strerror)))


def _limit(output_max: int, missing: list[str]) -> dict[str, int]:
    """Sets the limits of setrlimit(2), soft and hard, and returns what is now in force by name."""
    wanted = {
        "NOFILE": NOFILE,
        "NPROC": 0,
        "FSIZE": output_max,
        "AS": ADDRESS_SPACE,
        "CORE": 0,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
    }
    for name, value in wanted.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(which, (value, value))
        except (OSError, ValueError) as error:
            missing.append(f"RLIMIT_{name}: {error}")
    return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in wanted}


def _prctl(option: int, value: int = 0) -> int:
    return int(_libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _refusal(call: Any, *arguments: Any) -> int:
    """The errno with which `call` is refused; 0: it was not."""
    try:
        got = call(*arguments)
    except OSError as error:
        return error.errno or 0
    os.close(got) if isinstance(got, int) else got.close()
    return 0


def _not(refused: Missing, succeeded: Missing, number: int) -> str:
    """What to say of a call that was not refused as it should be, by its errno; 0: it succeeded."""
    return refused.say(errno=errno.errorcode.get(number, str(number))) if number else succeeded.value
