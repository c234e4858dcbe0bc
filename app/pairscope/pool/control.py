"""The control socket: it checks who connects and hands over one end of a fresh socketpair. Nothing else is said there.

Whoever connects is judged by SO_PEERCRED, unix(7): the kernel's word on the process that called connect(2). From then
on all traffic goes over the pair.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from pairscope.config import Settings, SettingsError
from pairscope.ipc.address import short
from pairscope.ipc.channel import pair
from pairscope.ipc.passing import send
from pairscope.ipc.sentences import Answered

_UCRED = struct.Struct("iII")
BACKLOG = 128


FULL = f"refused: {Answered.FULL}".encode()


def _reserve() -> int:
    """A descriptor to be closed when one is needed; -1 where none is left."""
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


class Caller(NamedTuple):
    """A process that has connected, and may: what the kernel says of it."""

    connection: socket.socket
    pid: int
    uid: int


class Control:
    """The listening socket. Binding replaces a stale one: whoever holds the journal's lock is the only supervisor."""

    def __init__(self, settings: Settings, hang_up: Callable[[socket.socket], None]) -> None:
        """`hang_up` closes a connection, over which a caller may have sent what waits when it is closed."""
        self._hang_up = hang_up
        self.barred: dict[int, str] = {}
        """Why nobody of that user is let in any more."""
        self._path = settings.control
        self._allowed = {0, os.geteuid()}
        for name in settings.control_users:
            try:
                self._allowed.add(pwd.getpwnam(name).pw_uid)
            except KeyError:
                raise SettingsError(f"control_users names {name!r}; expected a user of this system") from None
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self._path.unlink(missing_ok=True)
        with short(self._path) as address:
            self.sock.bind(address)
        self._inode = self._path.stat().st_ino
        if settings.socket_group:
            try:
                os.chown(self._path, -1, grp.getgrnam(settings.socket_group).gr_gid)
            except KeyError:
                raise SettingsError(
                    f"socket_group is {settings.socket_group!r}; expected a group of this system"
                ) from None
        self._path.chmod(0o660)
        self.sock.listen(BACKLOG)
        self._reserve = _reserve()

    def accept(self) -> Caller | None:
        """The next one who may come in, if there is a place for him: to be handed a pair, or refused. None: nobody is
        there, or it was one who may not.

        Raises nothing for a caller's fault, as the others.
        """
        try:
            connection, _ = self.sock.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away()
            return None
        connection.setblocking(False)
        pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        caller = Caller(connection, pid, uid)
        why = "" if uid in self._allowed else Answered.USER.say(number=uid)
        if why := why or self.barred.get(uid, ""):
            self.refuse(caller, why)
            return None
        return caller

    def refuse(self, caller: Caller, why: str) -> None:
        """Says a sentence, and closes the connection."""
        with contextlib.suppress(OSError):
            send(caller.connection, f"refused: {why}".encode())
        self._hang_up(caller.connection)

    def hand(self, caller: Caller) -> socket.socket | None:
        """Hands over one end of a fresh pair, and closes the connection: our end of it. None: that could not be."""
        try:
            ours, theirs = pair()
        except OSError:
            self.refuse(caller, Answered.FULL)
            return None
        with theirs:
            try:
                send(caller.connection, b"pair", [theirs.fileno()])
            except OSError:
                ours.close()
                return None
            finally:
                self._hang_up(caller.connection)
        ours.setblocking(False)
        return ours

    def _turn_away(self) -> None:
        """No descriptor is left: the reserve makes room to refuse one caller, who would else stay and keep the selector
        ready for ever."""
        if self._reserve >= 0:
            os.close(self._reserve)
        try:
            connection, _ = self.sock.accept()
            try:
                send(connection, FULL)
            finally:
                self._hang_up(connection)
        except OSError:
            pass
        self._reserve = _reserve()

    def close(self) -> None:
        """Stops listening, and removes the name as :meth:`leave` does."""
        self.leave()
        self._hang_up(self.sock)

    def leave(self) -> None:
        """Removes the name, unless another has taken it."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        try:
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass
