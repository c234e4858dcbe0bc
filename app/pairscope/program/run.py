"""One process for one program, outside of its box: becomes an ordinary user, enters the box's namespaces, has their
first process do the work, and ends when that has ended. When it is killed, the kernel ends all that is in the box.

As a command it takes other bounds (``processor=1``), reads a request from standard input, and writes the result to
standard output."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys

from pairscope import files
from pairscope.program import box, inside, request
from pairscope.program.bounds import Bounds
from pairscope.program.compiling import GCC
from pairscope.program.inside import PYTHON
from pairscope.program.sentences import Unrun

BOUNDS = Bounds()
RESULT_MAX = 64 << 20
"""Bytes of a result."""
_PR_SET_PDEATHSIG = 1
_STDIO = "/usr/include/stdio.h"
_libc = ctypes.CDLL(None, use_errno=True)
unran = request.unran


def compiler() -> str:
    """Why no C can be compiled here, a sentence; empty: it can."""
    return "" if os.access(GCC, os.X_OK) and os.path.exists(_STDIO) else str(Unrun.NO_COMPILER.say())


def offered(user: str) -> str:
    """Why programs are not run here, a sentence; empty: they are. It is tried, which takes 50 ms."""
    return unran(have(None, user)).error


def off() -> str:
    """Why no program is run where ``lab_programs`` is off; a sentence."""
    return str(Unrun.OFF.say())


def refused() -> bytes:
    """The result where they are off."""
    return inside.unran(off())


def have(text: bytes | None, user: str, bounds: Bounds = BOUNDS) -> bytes:
    """Has a process of its own run what is asked for: the recording, or an Unran as JSON. As root, `user` runs the
    program. Without a text: an Unran that says whether programs can be run."""
    out, into = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        become(text, into, user, bounds)
    os.close(into)
    data = bytearray()
    try:
        while len(data) <= RESULT_MAX and (piece := os.read(out, 1 << 20)):
            data += piece
    finally:
        os.close(out)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return bytes(data)


def become(text: bytes | None, into: int, user: str, bounds: Bounds = BOUNDS) -> None:
    """In a child made for it: does all of it, and writes the result to `into`. Never returns."""
    said = ""
    try:
        inside.signals()
        parent = os.getppid()
        _only(into)
        program = _asked(text)
        box.become(user)
        _dies_with(parent)
        box.enter()
        lifeline, held = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if not pid:
            _first(program, into, lifeline, held, bounds)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            said = Unrun.DIED.say(status=status)
    except (request.Wrong, box.Unavailable) as error:
        said = str(error) if isinstance(error, request.Wrong) else Unrun.NO_BOX.say(why=str(error))
    except BaseException as error:
        said = Unrun.FAULT.say(fault=f"{type(error).__name__}: {error}")
    finally:
        with contextlib.suppress(OSError):
            if said:
                inside.write(into, inside.unran(said))
        os._exit(0)


def _asked(text: bytes | None) -> request.Program | None:
    """Raises Wrong."""
    if text is None:
        return None
    program = request.decoded(text)
    if program.language == "c" and (why := compiler()):
        raise request.Wrong(why)
    if program.language == "python" and not os.access(PYTHON, os.X_OK):
        raise request.Wrong(Unrun.NO_PYTHON.say())
    return program


def _first(program: request.Program | None, into: int, lifeline: int, held: int, bounds: Bounds) -> None:
    """The first process of the box. Never returns."""
    status = 1
    try:
        os.close(held)
        _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        poller = select.poll()
        poller.register(lifeline, 0)
        if poller.poll(0):
            os._exit(status)  # who made it has gone before that
        os.close(lifeline)
        inside.write(into, inside.result(program, _hidden(), bounds))
        status = 0
    finally:
        os._exit(status)


def _only(into: int) -> None:
    """Leaves this process /dev/null as standard streams, and `into`."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        if number != into:
            os.dup2(null, number)
    os.closerange(3, into)
    os.closerange(into + 1, os.sysconf("SC_OPEN_MAX"))


def _dies_with(parent: int) -> None:
    """A change of user takes the signal off again, so it comes after that."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _hidden() -> str:
    """The directory of Pairscope's own files: a checkout, or the package."""
    return str(files.PACKAGE if files.DEPLOY.is_relative_to(files.PACKAGE) else files.SOURCE.parent)


def _bounds(words: list[str]) -> Bounds:
    """Such as ``processor=1``."""
    return Bounds(**{name: json.loads(value) for name, _, value in (word.partition("=") for word in words)})


if __name__ == "__main__":
    sys.stdout.buffer.write(have(sys.stdin.buffer.read(request.MOST + 1), "nobody", _bounds(sys.argv[1:])))
