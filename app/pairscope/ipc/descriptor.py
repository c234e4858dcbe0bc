"""What a descriptor of this process refers to, and whether two numbers are one open file description.

Nothing here moves an offset, sets a flag or reads a byte of the object.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import stat
from typing import NamedTuple

from pairscope.ipc.mounts import Mounts, origin
from pairscope.ipc.sentences import Unproved

_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_FILE, _KCMP_FILES = 0, 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_REFUSED = {
    errno.EPERM: Unproved.NO_RIGHT,
    errno.ESRCH: Unproved.NO_PROCESS,
    errno.EBADF: Unproved.NO_DESCRIPTOR,
    errno.ENOSYS: Unproved.NOT_BUILT,
}
ACCESS = {os.O_RDONLY: "read", os.O_WRONLY: "write", os.O_RDWR: "read-write"}
_TYPES = {
    stat.S_IFREG: "regular file",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFDIR: "directory",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Object(NamedTuple):
    """What fstat(2) or statx(2), fcntl(2), lseek(2) and readlink(2) say of a descriptor."""

    object: str
    device: int
    inode: int
    access: str
    flags: int
    """Status flags, F_GETFL."""
    offset: int
    """Bytes; -1: the object has none."""
    size: int
    link: str
    """What /proc/self/fd shows; a byte that is not UTF-8 as ``\\xNN``, empty where the path is too long to be shown."""


def look(fd: int, mounts: Mounts | None = None) -> Object:
    """Describes the object behind `fd`. Raises OSError EBADF if there is none.

    With `mounts`, a file whose file system may make its holder wait is a ``foreign file``: nothing is asked of it.
    """
    if mounts is None:
        try:
            status = os.fstat(fd)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise
            # ESTALE, EIO: its file system has lost it
            return Object("unreachable file", 0, 0, "none", 0, -1, 0, "")
        mode, device, inode, size = status.st_mode, status.st_dev, status.st_ino, status.st_size
        local = True
    else:
        found = origin(fd)
        mode, device, inode, size = found.mode, found.device, found.inode, found.size
        local = mounts.local(found)
        if local and size < 0:
            return look(fd)
    try:
        # As bytes: a name in another encoding would become lone surrogates, which no record can hold.
        link = os.readlink(b"/proc/self/fd/%d" % fd).decode("utf-8", "backslashreplace")
    except OSError:
        link = ""  # ENAMETOOLONG: directories can be nested deeper than PATH_MAX
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    access = "none" if flags & os.O_PATH else ACCESS.get(flags & os.O_ACCMODE, "none")
    if not local:
        return Object("foreign file", device, inode, access, flags, -1, 0, link)
    kind = _TYPES.get(stat.S_IFMT(mode), "anonymous inode")
    if kind == "regular file" and link.startswith("/memfd:"):
        kind = "memfd"
    try:
        offset = os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        offset = -1
    return Object(kind, device, inode, access, flags, offset, size, link)


def prove(pid: int, fd: int, own: int) -> tuple[str, str]:
    """Compares descriptor `fd` of process `pid` with `own` of this process by kcmp(2) KCMP_FILE.

    Returns ``("same", "")``, ``("different", reason)`` or ``("unproved", reason)`` with the reason in words.
    """
    return compare(pid, fd, os.getpid(), own)


def compare(pid: int, fd: int, other: int, number: int) -> tuple[str, str]:
    """The same of descriptor `number` of any process `other`."""
    if _KCMP is None:
        return "unproved", Unproved.NO_KCMP.say(name=platform.machine())
    answer = _libc.syscall(_KCMP, other, pid, _KCMP_FILE, ctypes.c_ulong(number), ctypes.c_ulong(fd))
    if answer == 0:
        return "same", ""
    if answer > 0:
        return "different", Unproved.ORDERED.say(number=answer)
    number = ctypes.get_errno()
    said = _REFUSED.get(number, Unproved.FAILED)
    return "unproved", said.say(pid=pid, count=fd, fault=os.strerror(number))


def shares_table(pid: int, other: int) -> bool:
    """Whether two tasks have one table of descriptors: kcmp(2) KCMP_FILES. Threads of a process, where it cannot be
    known."""
    if pid == other:
        return True
    answer = -1 if _KCMP is None else _libc.syscall(_KCMP, pid, other, _KCMP_FILES, 0, 0)
    if answer >= 0:
        return bool(answer == 0)
    return os.path.exists(f"/proc/{pid}/task/{other}")
