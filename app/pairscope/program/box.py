"""A box: namespaces of its own, and a root that has nothing but what a compiler and a program need.

============  =================================================================================
``/``         a tmpfs of 64 MiB
``/usr``      the machine's, read-only; ``/usr/local``, and what of Pairscope lies below, is empty
``/bin`` ...  as outside: links into /usr, or the directories, read-only
``/program``  the source, and what was compiled of it
``/tmp``      the working directory; with /dev/shm all that a program may write to
``/dev``      null, zero, full, random, urandom; ``/proc``: of the box's own processes
``/kept``     the recording, while it is written; a tmpfs of its own, closed to the program
============  =================================================================================

mount_namespaces(7), pid_namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2)
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import socket
import struct

from pairscope.program.sentences import Lacking
from pairscope.sandbox import namespaces

SIZE = 64 << 20
"""Bytes of all files of a program."""
FILES = 8192
PROGRAM, WORK, SHARED, KEPT = "/program", "/tmp", "/dev/shm", "/kept"  # noqa: S108  # of the box
_KEPT_SIZE = 64 << 20
_BASE = "/tmp"  # noqa: S108  # any directory that each machine has: the root is made there, and moved
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STREAMS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWPID = 0x0002_0000, 0x0400_0000, 0x2000_0000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_DETACH = 2
_MOUNT_SETATTR = 442
"""The same number on every architecture."""
_RECURSIVE, _CWD = 0x8000, -100
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine if os.uname().machine == "x86_64" else "aarch64"]
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Unavailable(Exception):
    """There is no box here. Its argument is a sentence."""


def become(user: str) -> None:
    """Root becomes a user, without groups. Raises Unavailable where there is none."""
    if os.geteuid():
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        account = None
    if account is None or not account.pw_uid:
        raise Unavailable(Lacking.ROOT.say(name=user))
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def enter() -> None:
    """Moves the calling process into a box's namespaces; the next child is its first process. Raises Unavailable,
    after which the process can do nothing sensible any more."""
    try:
        namespaces.powerful(_CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWPID)
    except (namespaces.Unavailable, namespaces.Lost) as error:
        raise Unavailable(str(error)) from None


def furnish(hidden: str) -> None:
    """In the first process: makes the root, enters it, and gives up every capability. `hidden`: a directory with files
    of Pairscope. Raises Unavailable."""
    _mount("/", "", "/", _REC | _PRIVATE)
    _mount("tmpfs", "tmpfs", _BASE, _NOSUID | _NODEV, f"size={SIZE},nr_inodes={FILES},mode=0755")
    for path in ("/usr", "/dev", "/proc", "/etc", PROGRAM, WORK, KEPT):
        os.mkdir(_BASE + path)
    _bind("usr")
    for path in ("/usr/local", hidden):
        if os.path.realpath(path).startswith("/usr/") and os.path.isdir(path):
            _mount("tmpfs", "tmpfs", _BASE + os.path.realpath(path), _RDONLY | _NOSUID, "size=4k,nr_inodes=1,mode=0555")
    for name in _LINKS:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{_BASE}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{_BASE}/{name}")
            _bind(name)
    for name in _DEVICES:
        with open(f"{_BASE}/dev/{name}", "xb"):
            pass
        _mount(f"/dev/{name}", "", f"{_BASE}/dev/{name}", _BIND)
    for name, to in _STREAMS.items():
        os.symlink(to, f"{_BASE}/dev/{name}")
    os.mkdir(_BASE + SHARED)
    with open(f"{_BASE}/etc/hosts", "x") as file:
        file.write("127.0.0.1 localhost\n::1 localhost\n")
    _mount("proc", "proc", f"{_BASE}/proc", _NOSUID | _NODEV | _NOEXEC, "hidepid=ptraceable")
    _mount("tmpfs", "tmpfs", _BASE + KEPT, _NOSUID | _NODEV | _NOEXEC, f"size={_KEPT_SIZE},mode=0700")
    _forbid_more()
    try:
        socket.sethostname("box")
    except OSError as error:  # ProtectHostname= of a unit refuses it in every namespace
        raise Unavailable(Lacking.NAME.say(fault=error.strerror)) from None
    os.chdir(_BASE)
    if _libc.syscall(_PIVOT_ROOT, b".", b"."):
        raise Unavailable(Lacking.MOUNT.say(what="/", fault=os.strerror(ctypes.get_errno())))
    if _libc.umount2(b".", _DETACH):
        raise Unavailable(Lacking.MOUNT.say(what="/", fault=os.strerror(ctypes.get_errno())))
    os.chdir(WORK)
    namespaces.renounce()


def _forbid_more() -> None:
    """No user namespace inside of this one, by whichever call: seccomp does not see what clone3 is given. All other
    namespaces need a capability."""
    try:
        with open(f"{_BASE}/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
    except OSError as error:
        raise Unavailable(Lacking.NESTED.say(fault=error.strerror)) from None


def _bind(name: str) -> None:
    """A directory of the root, read-only with all that is mounted below."""
    target = f"{_BASE}/{name}"
    _mount(f"/{name}", "", target, _BIND | _REC)
    attributes = struct.pack("=4Q", _RDONLY | _NOSUID | _NODEV, 0, 0, 0)
    if _libc.syscall(_MOUNT_SETATTR, _CWD, target.encode(), _RECURSIVE, attributes, len(attributes)):
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise Unavailable(Lacking.OLD.say())
        raise Unavailable(Lacking.MOUNT.say(what=f"/{name}", fault=os.strerror(number)))


def _mount(source: str, kind: str, target: str, flags: int, options: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode()):
        what = target.removeprefix(_BASE) or "/"
        raise Unavailable(Lacking.MOUNT.say(what=what, fault=os.strerror(ctypes.get_errno())))
