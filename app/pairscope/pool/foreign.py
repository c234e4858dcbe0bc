"""Descriptors that others made: whether they can be asked, and who closes them.

What a file system that this kernel does not answer for has opened (a FUSE, a file server) is neither asked nor closed:
both wait for as long as its server likes, and a process that waits so cannot be killed. It is kept until this process
ends, which lets go of the journal's lock first, because that has a lower number. So few are kept, and whoever passes
more is let go; beyond a bound for all, nobody of that user comes in any more.

A socket, a device or a large file waits at its last close alone. It is handed to the closer (closer.py), which is a
process of its own: while that holds it, closing it here waits for nothing. The same holds for the channels of peers,
because what was sent over one and not read is closed with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Sequence

from pairscope.ipc.channel import CHANNEL_FD, pair
from pairscope.ipc.mounts import Mounts, Origin, origin, regular
from pairscope.ipc.passing import send
from pairscope.pool.children import worker_environment
from pairscope.pool.closer import end

log = logging.getLogger("pairscope.supervisor")

KEPT_EACH = 4
"""Descriptors that are kept of one client before it is let go."""
KEPT_ALL = 64
"""Beyond it nobody of a user who passes another one is let in any more."""
LARGE = 16 * 1024 * 1024 // 512
"""Blocks of a file whose last close takes milliseconds: it may have no name any more."""
LATER_MOST = 64
"""Descriptors that may wait for a closer that is busy; then another one takes its place."""


class Foreign:
    """Of one supervisor."""

    def __init__(self, mounts: Mounts) -> None:
        self.mounts = mounts
        self.kept: list[int] = []
        """Never closed."""
        self._later: list[int] = []
        self._untold = False
        """The closer holds what it has not been told to close."""
        self._socket: socket.socket | None = None
        self._pidfd = -1
        self._dead: list[int] = []
        """Pidfds of closers that were killed."""

    # ---- asking

    def strange(self, found: Origin) -> bool:
        """Whether its file system may make its holder wait."""
        return not self.mounts.local(found)

    # ---- letting go

    def let_go(self, fds: Sequence[int]) -> int:
        """Closes descriptors, or sees to it that nobody here waits for that; returns how many are kept instead."""
        kept = 0
        for fd in fds:
            try:
                found = origin(fd)
            except OSError:
                self._hand_over(fd)
                continue
            if self.strange(found):
                self.kept.append(fd)
                kept += 1
            elif stat.S_ISFIFO(found.mode) or (regular(found) and found.blocks < LARGE):
                os.close(fd)
            elif stat.S_ISSOCK(found.mode) and not _holds_descriptors(fd):
                end(fd)
            else:
                self._hand_over(fd)
        return kept

    def hang_up(self, sock: socket.socket) -> None:
        """Closes a socket; whoever is at its other end sees that at once."""
        if sock.fileno() < 0:
            return  # it is closed
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        fd = sock.detach()
        if _holds_descriptors(fd):
            self._hand_over(fd)
        else:
            os.close(fd)

    def _hand_over(self, fd: int) -> None:
        self._later.append(fd)
        self.again()

    def again(self) -> None:
        """Hands over what could not be handed over before."""
        if not (self._later or self._untold or self._dead):
            return
        for _ in range(2):
            if self._later and not self._alive():
                self._end()
                self._begin()
            while self._later and self._socket is not None:
                try:
                    send(self._socket, b".", [self._later[0]])
                except OSError:  # no room, ETOOMANYREFS, or it has died
                    break
                os.close(self._later.pop(0))
                self._untold = True
            if self._untold and self._socket is not None:
                # It closes nothing before it is told that this process has: else this one might be the last.
                with contextlib.suppress(OSError):
                    send(self._socket, b"close")
                    self._untold = False
            if len(self._later) <= LATER_MOST:
                break
            self._end()  # it waits for something; what it holds ends with it, and nobody waits for that
        self._dead = [pidfd for pidfd in self._dead if not _reaped(pidfd)]

    # ---- the closer

    def _alive(self) -> bool:
        return self._pidfd >= 0 and not select.select([self._pidfd], [], [], 0)[0]

    def _begin(self) -> None:
        try:
            ours, theirs = pair()
        except OSError as error:
            log.error("no process can be started that closes what others passed: %s", error.strerror)
            return
        ours.setblocking(False)
        with theirs:
            try:
                pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-m", "pairscope.pool.closer", str(os.getpid())],
                    worker_environment(),
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                        (os.POSIX_SPAWN_DUP2, 0, 1),
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), CHANNEL_FD),
                    ],
                    setsid=True,
                )
                self._pidfd = os.pidfd_open(pid)
            except OSError as error:
                log.error("no process can be started that closes what others passed: %s", error.strerror)
                ours.close()
                return
        self._socket = ours

    def _end(self) -> None:
        if self._socket is not None:
            self._untold = False
            self._socket.close()  # what it has not taken goes with its own end
            self._socket = None
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._dead.append(self._pidfd)
            self._pidfd = -1

    def close(self) -> None:
        """Ends the closer; what it waits for ends with it. What is kept stays open."""
        self.again()
        self._end()
        for pidfd in self._dead:
            select.select([pidfd], [], [], 1.0)
            _reaped(pidfd)
        self.mounts.close()


def _holds_descriptors(fd: int) -> bool:
    """Whether descriptors wait in a socket's queue: they are closed with it. unix(7); proc_pid_fdinfo(5), since Linux
    5.15."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            return b"scm_fds: 0\n" not in file.read()
    except OSError:  # no descriptor is left to look by: the first packet tells, at least
        with socket.socket(fileno=fd) as held:
            try:
                data, _, flags, _ = held.recvmsg(1, 0, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                return bool(data) or bool(flags & socket.MSG_CTRUNC)
            except OSError:
                return False
            finally:
                held.detach()


def _reaped(pidfd: int) -> bool:
    """Whether that process has ended; its pidfd is closed then."""
    if os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is None:
        return False
    os.close(pidfd)
    return True
