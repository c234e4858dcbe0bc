"""Which descriptors of others can be asked and closed without waiting for somebody: those of file systems that this
machine's kernel answers for by itself.

fstat(2) on a file of a FUSE waits for its server as long as that likes, and so does every close(2) of it, also that of
a process which is killed. A file server may be away for hours. So nothing is asked of a file system before its kind is
known. statx(2) with AT_STATX_DONT_SYNC tells a file's device and mount from memory; /proc/self/mountinfo says what is
mounted there, and is read again when poll(2) tells of a change (proc_pid_mountinfo(5)). Numbers of devices are given
again when a file system is unmounted, and not before.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LOCAL = frozenset(
    "ext2 ext3 ext4 xfs btrfs f2fs zfs bcachefs jfs reiserfs nilfs2 vfat msdos exfat ntfs3 iso9660 udf squashfs erofs "
    "overlay tmpfs ramfs devtmpfs devpts proc sysfs cgroup cgroup2".split()
)
"""Kinds of file systems, as mountinfo names them, that ask nobody outside of the kernel. Not on it: fuse, fuseblk, nfs,
nfs4, cifs, 9p, virtiofs, ceph, afs, autofs, and what is not known."""

_statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
if _statx is not None:
    _statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
_FLAGS = 0x1000 | 0x4000 | 0x800
"""AT_EMPTY_PATH, AT_STATX_DONT_SYNC, AT_NO_AUTOMOUNT: linux/fcntl.h"""
_MASK = 0x1 | 0x2 | 0x100 | 0x400 | 0x1000
"""STATX_TYPE, MODE, INO, BLOCKS, MNT_ID: linux/stat.h. Size and times are not asked for: some file systems write out
before they tell. Those of this kernel tell the size all the same, and say so."""
_SIZE = 0x200
"""STATX_SIZE, in what was told."""
_ANSWER = struct.Struct("=I24xH2xQQQ80xIIQ")
"""Of struct statx: mask, mode, inode, size, blocks, major and minor of the device, mount."""
_Buffer = ctypes.c_char * 256


class Origin(NamedTuple):
    """What is known of a descriptor without asking its file system."""

    mode: int
    """As st_mode."""
    device: int
    inode: int
    size: int
    """Bytes, as they were when its file system was asked last; -1: not told."""
    blocks: int
    """Of 512 bytes."""
    mount: int
    """The id of its mount; 0: a kernel before 5.8."""


def origin(fd: int) -> Origin:
    """Where a descriptor comes from. Raises OSError EBADF if there is none, ENOSYS without statx."""
    buffer = _Buffer()
    if _statx is None:
        raise OSError(38, "this system has no statx(2)")
    if _statx(fd, b"", _FLAGS, _MASK, buffer):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    told, mode, inode, size, blocks, major, minor, mount = _ANSWER.unpack_from(buffer)
    return Origin(mode, os.makedev(major, minor), inode, size if told & _SIZE else -1, blocks, mount)


class Mounts:
    """The mounts of this process's namespace. `places`: directories whose file systems are believed whatever their
    kind, because nothing works without them anyway."""

    def __init__(self, places: Iterable[Path] = ()) -> None:
        self._table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._changes = select.poll()
        self._changes.register(self._table, select.POLLPRI)
        self._kernels = set(_kernels())
        for place in places:
            with contextlib.suppress(OSError):
                self._kernels.add(os.stat(place).st_dev)
        self._read()

    def _read(self) -> None:
        self._devices: dict[int, str] = {}
        self._mounts: dict[int, str] = {}
        os.lseek(self._table, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self._table, 1 << 16):
            parts.append(part)
        for line in b"".join(parts).decode("utf-8", "surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            mount, _, device = before.split(" ")[:3]
            kind = after.partition(" ")[0]
            major, _, minor = device.partition(":")
            self._mounts[int(mount)] = self._devices[os.makedev(int(major), int(minor))] = kind

    def kind(self, found: Origin) -> str:
        """The kind of file system, as mountinfo names it; ``kernel`` for what has none (memfds, sockets, pipes);
        empty: none that is mounted here."""
        if self._changes.poll(0):
            self._read()
        if found.device in self._kernels:
            return "kernel"
        return self._mounts.get(found.mount) or self._devices.get(found.device, "")

    def local(self, found: Origin) -> bool:
        """Whether its file system answers by itself."""
        kind = self.kind(found)
        return kind == "kernel" or kind in LOCAL

    def close(self) -> None:
        os.close(self._table)


def _kernels() -> Iterable[int]:
    """The devices of what has no mount that is listed: what this process makes of that kind, others make there, too."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield os.fstat(ours.fileno()).st_dev
    reader, writer = os.pipe()
    memory = os.memfd_create("", os.MFD_CLOEXEC)
    poll = select.epoll()
    process = os.pidfd_open(os.getpid())
    namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    for fd in (reader, writer, memory, poll.fileno(), process, namespace):
        yield os.fstat(fd).st_dev
    poll.close()
    for fd in (reader, writer, memory, process, namespace):
        os.close(fd)


def regular(found: Origin) -> bool:
    """Whether it is a regular file, or a directory: what its file system closes, and nobody else."""
    return stat.S_ISREG(found.mode) or stat.S_ISDIR(found.mode)
