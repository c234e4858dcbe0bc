"""Namespaces of its own for a process and all that it makes: a network in which nobody else is, and System V objects
that end with it. namespaces(7), user_namespaces(7), network_namespaces(7), ipc_namespaces(7).

An ordinary user gets them inside a user namespace, where the machine lets him make one. His uid and gid are mapped to
themselves and no others are, so what the kernel tells of users is as outside. The capabilities that come with a user
namespace are given up before anything else happens. Root needs no user namespace.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct

from pairscope.sandbox.sentences import Missing

NETWORK, IPC = "network", "IPC"
USER = "user"
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 4, 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """This machine gives none. str() says why, `number` is the errno; the process is where it was."""

    def __init__(self, why: str, number: int) -> None:
        super().__init__(why)
        self.number = number


class Lost(Exception):
    """The process has left its namespaces and could not furnish the new ones: it can do nothing sensible any more."""


def enter() -> list[str]:
    """Moves the calling process, which has one thread, into namespaces of its own. The names of what it has got.

    The network has a loopback interface, which is up, and nothing else. Raises Unavailable, Lost.
    """
    if os.geteuid() == 0:
        _unshare(_CLONE_NEWNET | _CLONE_NEWIPC)
        _loopback()
        return [NETWORK, IPC]
    powerful(0)
    try:
        renounce()
    except OSError as error:
        raise Lost(Missing.POWERLESS.say(fault=error)) from None
    return [USER, NETWORK, IPC]


def powerful(more: int) -> None:
    """The same for an ordinary user, with all capabilities inside, and with namespaces `more` (CLONE_NEW...). Raises
    Unavailable, Lost."""
    # A process whose user namespace came out without capabilities (AppArmor's restriction of unprivileged ones) can
    # neither map its uid nor go back. So a child tries.
    uid, gid = os.geteuid(), os.getegid()
    _try(uid, gid)
    _unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC | more)
    try:
        _map(uid, gid)
        _loopback()
    except OSError as error:
        raise Lost(Missing.POWERLESS.say(fault=error)) from None


def _try(uid: int, gid: int) -> None:
    """Raises Unavailable unless a process of this user can make a user namespace and map itself there."""
    pid = os.fork()
    if not pid:
        failed = errno.EPERM
        try:
            _unshare(_CLONE_NEWUSER)
            _map(uid, gid)
            failed = 0
        except Unavailable as error:
            failed = error.number
        except OSError as error:
            failed = error.errno or errno.EPERM
        finally:
            os._exit(failed)
    _, status = os.waitpid(pid, 0)
    if failed := os.waitstatus_to_exitcode(status):
        why = os.strerror(failed) if failed > 0 else Missing.ENDED.say(status=-failed)
        raise Unavailable(Missing.NO_USER_NAMESPACE.say(fault=why), failed)


def _unshare(flags: int) -> None:
    """unshare(2), which does all or nothing. Raises Unavailable."""
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise Unavailable(Missing.UNSHARE.say(fault=os.strerror(number)), number)


def _map(uid: int, gid: int) -> None:
    """Both to themselves. user_namespaces(7), "Defining user and group ID mappings": without "deny" a gid needs a
    capability outside; a uid that is not mapped yet reads as 65534, so the caller has asked before. proc(5): who has
    changed his user is undumpable, and his files there are root's."""
    if _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(1), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: PR_SET_DUMPABLE")
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        fd = os.open(f"/proc/self/{file}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _loopback() -> None:
    """netdevice(7): lo is made down. Its addresses, 127.0.0.1 and ::1, come with its being up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def renounce() -> None:
    """Gives up every capability, for good: no call and no program that is executed gives one back. capabilities(7)"""
    capability = 0
    while not _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0):  # EINVAL: the kernel knows no more
        capability += 1
    _libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")
