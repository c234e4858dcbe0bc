"""An actor: waits for a command at its control socket, carries it out, answers, and waits again.

Its control socket stands at a hidden number, HIDDEN or above, where no call of a scenario comes by itself; and so does
the lifeline of its process, a pair whose other end the manager holds and on which nobody ever writes. When the manager
is gone, however it went, the kernel sends SIGKILL at the lifeline's end (F_SETSIG): an actor that is blocked or stopped
then could do nothing itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import threading
from typing import Any, Protocol

import msgspec

from pairscope.ipc import passing
from pairscope.lab.calls.signals import plain_signals
from pairscope.lab.stage import system

HIDDEN, NUMBERS_MAX = 200, 256
"""Control sockets have numbers from HIDDEN up to, and not with, NUMBERS_MAX, which is RLIMIT_NOFILE."""
PIECE = 64 * 1024
MORE, LAST = b"+", b"."
"""The first byte of each packet: a message that is larger than one packet crosses in pieces."""


def send(control: socket.socket, message: Any, fds: tuple[int, ...] = ()) -> None:
    """Sends one message in as many packets as it needs; descriptors ride with the first. Raises OSError if the other
    end is gone."""
    body = msgspec.msgpack.encode(message)
    for at in range(0, max(len(body), 1), PIECE):
        passing.send(
            control, (MORE if at + PIECE < len(body) else LAST) + body[at : at + PIECE], fds if at == 0 else ()
        )


def receive(control: socket.socket) -> tuple[Any, list[int]] | None:
    """The next message, with its descriptors; None when the other end is gone."""
    body = bytearray()
    fds: list[int] = []
    while True:
        packet = passing.receive(control)
        if packet is None:
            passing.close_all(fds)
            return None
        data, came, _ = packet
        body += data[1:]
        fds += came
        if data[:1] == LAST:
            return msgspec.msgpack.decode(body), fds


class _Confines(Protocol):
    def enter(self) -> None: ...


def begin(
    control: int, lifeline: int, directory: str, account: tuple[int, int] | None, sandbox: _Confines | None
) -> None:
    """Makes the process that was just forked for it the first actor, and never returns. `account`: uid and gid to
    become; `sandbox`: to enter, with all that it will fork."""
    status = 70
    try:
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        hidden = _hide(control)
        _live_by(lifeline, hidden, 3)
        # A group in the manager's own session: in an orphaned one, as that of a session of its own would be, SIGTSTP,
        # SIGTTIN and SIGTTOU stop nobody.
        os.setpgid(0, 0)
        os.chdir(directory)
        if account:
            os.setgroups([])
            os.setresgid(account[1], account[1], account[1])
            os.setresuid(account[0], account[0], account[0])
        plain_signals()
        ears = _listen()
        actor = _Actor(hidden, ears)
        try:
            if sandbox:
                sandbox.enter()
        except Exception as error:
            send(actor.control, {"fault": f"{type(error).__name__}: {error}"})
            raise
        actor.play()
        status = 0
    finally:
        os._exit(status)


def _hide(fd: int) -> int:
    """Moves a descriptor to a hidden number."""
    hidden = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIDDEN)
    os.close(fd)
    return hidden


def _listen() -> int:
    """Makes a hidden pipe of this process's own, into which each handler that runs puts the number of its signal; where
    it is read."""
    ears, mouth = (_hide(end) for end in os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    return ears


def _live_by(lifeline: int, hidden: int, first: int) -> None:
    """Ties this process's life to the other end of `lifeline`. Of all numbers from `first` on it keeps that and
    `hidden`: an end of another process's pair that stayed here would hide a death."""
    kept = _hide(lifeline)
    for at, keep in zip((first, min(kept, hidden) + 1, max(kept, hidden) + 1), (*sorted((kept, hidden)), 0x7FFF_FFFF)):
        os.closerange(at, keep)
    fcntl.fcntl(kept, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(kept, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(kept, fcntl.F_SETFL, os.O_ASYNC)
    if select.select([kept], [], [], 0)[0]:
        os._exit(70)  # it ended before the kernel was told to watch it


class _Actor:
    """One task, process or thread, and its loop."""

    def __init__(self, hidden: int, ears: int = 0, thread: bool = False) -> None:
        self._hidden = hidden
        self._ears = ears
        self.control = socket.socket(fileno=hidden)
        self._thread = thread

    def play(self) -> None:
        self._greet()
        while (order := receive(self.control)) is not None:
            message, fds = order
            call, arguments, named = message
            if call == "exit":
                if not self._thread:
                    os._exit(arguments[0] & 0xFF)
                break
            if call == "fork":
                answer = self._fork(*fds)
            elif call == "thread":
                answer = self._start(fds[0])
            else:
                answer = self._perform(call, arguments, named)
            if answer is not None:
                send(self.control, answer)
        if not self._thread:
            os._exit(0)
        self.control.close()

    def _greet(self) -> None:
        send(
            self.control,
            {"pid": os.getpid(), "tid": threading.get_native_id(), "hidden": self._hidden, "ears": self._ears},
        )

    @staticmethod
    def _perform(call: str, arguments: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        try:
            return system.perform(call, arguments, named)
        except Exception as error:  # an actor that died of its own mistake would pass for one that the scenario killed
            return {"fault": f"{type(error).__name__}: {error}"}

    def _fork(self, control: int, lifeline: int) -> dict[str, Any] | None:
        hidden, kept = _hide(control), _hide(lifeline)
        try:
            pid = os.fork()
        except OSError as error:
            pid, failed = -1, error.errno
        if pid:
            os.close(hidden)
            os.close(kept)
            return {"value": pid, "errno": 0 if pid > 0 else failed}
        self.control.detach()
        signal.set_wakeup_fd(-1)  # that of the parent
        _live_by(kept, hidden, HIDDEN)
        self._hidden, self._ears, self._thread = hidden, _listen(), False
        self.control = socket.socket(fileno=hidden)
        self._greet()
        return None

    def _start(self, fd: int) -> dict[str, Any]:
        hidden = _hide(fd)
        try:
            threading.Thread(target=_Actor(hidden, thread=True).play, daemon=True).start()
        except RuntimeError:  # pthread_create(3) says EAGAIN
            os.close(hidden)
            return {"value": -1, "errno": errno.EAGAIN}
        return {"value": 0, "errno": 0}
