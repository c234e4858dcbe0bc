"""The program, from fork to exec: traced and with its filter before its own first instruction."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import struct
from collections.abc import Iterable, Sequence

from pairscope.sentence import phrase
from pairscope.trace import filter as stops
from pairscope.trace import ptrace
from pairscope.trace.guard import Guard

_WORD = struct.Struct("=ii")
_FILTER, _EXEC, _GUARD = 1, 2, 3
SCOPE = "/proc/sys/kernel/yama/ptrace_scope"
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and a program must not inherit so."""


class Refused(Exception):
    """Nothing can be recorded here. Its argument is a sentence."""


class Launch:
    """A program that waits to be let go. It is a child of this process, traced, and not yet itself."""

    def __init__(
        self,
        command: Sequence[str],
        unblock: frozenset[signal.Signals],
        numbers: Iterable[int],
        files: tuple[int, int],
        guard: Guard | None = None,
    ) -> None:
        """Raises Refused. `unblock`: signals that this process blocks, and the program must not.
        `numbers`: of the calls that stop it. `files`: its RLIMIT_NOFILE.
        `guard`: confines it, in place of the filter."""
        path = shutil.which(command[0])
        if path is None:
            raise Refused(
                phrase(
                    "%(command)s is no program that can be run; expected a file that may be executed, by its path or "
                    "in PATH",
                    command=command[0],
                )
            )
        self.command = list(command)
        go, self._go = os.pipe()
        self._told, tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._child(path, go, tell, unblock, guard or stops.program(numbers), files)
        os.close(go)
        os.close(tell)
        try:
            ptrace.seize(self.pid, launched=True)
        except (OSError, ptrace.Gone) as error:
            self.kill()
            self.close()
            why = error.strerror if isinstance(error, OSError) and error.strerror else ""
            raise Refused(not_traced(why)) from None

    def go(self) -> None:
        """Lets it become the program."""
        with contextlib.suppress(OSError):
            os.write(self._go, b"x")

    def kill(self) -> None:
        """Ends it before it has become the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def failed(self) -> str:
        """Why it did not become the program, of one that has ended before; a sentence."""
        with contextlib.suppress(OSError):
            word = os.read(self._told, _WORD.size)
            if len(word) == _WORD.size:
                where, code = _WORD.unpack(word)
                if where == _FILTER:
                    return phrase(
                        "the kernel takes no seccomp filter (%(why)s), so nothing can be recorded",
                        why=os.strerror(code),
                    )
                if where == _GUARD:
                    return phrase("the program cannot be confined: %(why)s", why=os.strerror(code))
                return phrase("%(command)s cannot be run: %(why)s", command=self.command[0], why=os.strerror(code))
        return phrase("%(command)s was ended before it began", command=self.command[0])

    def close(self) -> None:
        """Gives back what it took to start the program."""
        for fd in (self._go, self._told):
            with contextlib.suppress(OSError):
                os.close(fd)

    def _child(
        self,
        path: str,
        go: int,
        tell: int,
        unblock: frozenset[signal.Signals],
        guard: Guard | bytes,
        files: tuple[int, int],
    ) -> None:
        where = _FILTER
        try:
            os.close(self._go)
            if not os.read(go, 1):
                os._exit(127)  # who should have traced it is gone
            for number in IGNORED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)
            resource.setrlimit(resource.RLIMIT_NOFILE, files)
            if isinstance(guard, bytes):
                stops.install(guard)
            else:
                where = _GUARD
                guard.enter()
            where = _EXEC
            os.execv(path, self.command)  # noqa: S606  # what the person asked for, without a shell
        except OSError as error:
            os.write(tell, _WORD.pack(where, error.errno or 0))
        finally:
            os._exit(127)


def yama() -> str:
    """Whom Linux's module Yama lets trace here, 0 to 3; empty: it is not there. kernel.yama.ptrace_scope"""
    with contextlib.suppress(OSError), open(SCOPE) as file:
        return file.read().strip()
    return ""


def not_traced(why: str) -> str:
    """Why not even a child of this process may be traced; a sentence."""
    if (scope := yama()) in ("2", "3"):
        return phrase(
            "the kernel lets nobody trace here (%(why)s): kernel.yama.ptrace_scope is %(scope)s; expected 0 or 1, or "
            "for 2 to be root",
            why=why,
            scope=scope,
        )
    return phrase(
        "the kernel does not let this process trace another (%(why)s); in a container, ptrace must be allowed",
        why=why,
    )
