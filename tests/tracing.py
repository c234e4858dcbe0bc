"""A process whose system calls are read from outside, by ptrace(2): what each was given at its entry, and what it gave
at its return, by its registers and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import os
import pickle
import signal
import struct
from collections.abc import Callable
from typing import Any

import pyseccomp

from pairscope.lab.calls import MACHINE, OBSERVED
from pairscope.lab.calls.call import Observed
from pairscope.lab.calls.decoding import Return
from pairscope.lab.calls.signals import plain_signals

TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO, TRACESYSGOOD = 0, 24, 0x4200, 0x420E, 1
ENTRY, EXIT = 1, 2
MARK = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "getpgid")
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_NAMES = list(OBSERVED)


@dataclasses.dataclass
class Seen:
    """A call that was marked."""

    name: str
    number: int
    given: dict[str, Any]
    outcomes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """What came of it; of one that was taken up again each time."""


def mark(name: str) -> None:
    """Says that the next call of the kernel with the right number is this one: by a call that changes nothing."""
    _libc.getpgid(_NAMES.index(name))


def numbers_of(call: Observed) -> set[int]:
    """By which the C library may call the kernel: a newer one makes a pipe by pipe2."""
    also = {"pipe": "pipe2"}.get(call.name, call.name)
    return {call.kernel[MACHINE].number, OBSERVED[also].kernel[MACHINE].number}


def trace(
    play: Callable[[], Any],
    *,
    most: int = 4096,
    tcp: bool | None = None,
    entered: Callable[[int, Seen], None] | None = None,
) -> tuple[list[Seen], Any]:
    """The calls that were marked of a process that plays, and what `play` returned (None: it did not). `entered` is
    called with the process's number at each entry, while the process stands still."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            plain_signals()
            signal.alarm(60)  # a test that waits for what does not come fails then
            _libc.ptrace(TRACEME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            told = pickle.dumps(play())
            os.write(write, told)
        finally:
            os._exit(0)
    os.close(write)
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        seen = _seen(pid, lambda address, length: _read(memory, address, length), most, tcp, entered)
        with open(read, "rb", closefd=False) as told_by:
            told = told_by.read()
        return seen, pickle.loads(told) if told else None
    finally:
        os.close(memory)
        os.close(read)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _read(memory: int, address: int, length: int) -> bytes:
    found = os.pread(memory, length, address)
    if len(found) < length:
        raise OSError(errno.EIO, "not all of it is mapped")
    return found


def _seen(
    pid: int,
    memory: Callable[[int, int], bytes],
    most: int,
    tcp: bool | None,
    entered: Callable[[int, Seen], None] | None,
) -> list[Seen]:
    found: list[Seen] = []
    assert os.WIFSTOPPED(os.waitpid(pid, 0)[1])
    _libc.ptrace(SETOPTIONS, pid, None, TRACESYSGOOD)
    info, signalled, wanted = ctypes.create_string_buffer(88), 0, ""
    inside: list[int] | None = None
    while True:
        _libc.ptrace(SYSCALL, pid, None, signalled)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return found
        signalled = 0 if os.WSTOPSIG(status) in (signal.SIGTRAP | 0x80, signal.SIGTRAP) else os.WSTOPSIG(status)
        if signalled:
            continue
        _libc.ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
        if info.raw[0] == EXIT and inside is not None:
            (value,) = struct.unpack_from("=q", info.raw, 24)
            back = Return(found[-1].given, inside, value, memory, most, tcp)
            found[-1].outcomes.append(OBSERVED[found[-1].name].outcome(back))
            inside = None
        elif info.raw[0] == ENTRY:
            number, *words = struct.unpack_from("=Q6Q", info.raw, 24)
            again = found and found[-1].outcomes == [{"again": True}] and number == found[-1].number
            if number == MARK:
                wanted = _NAMES[words[0]]
            elif again or (wanted and number in numbers_of(OBSERVED[wanted])):
                if not again:
                    found.append(Seen(wanted, number, OBSERVED[wanted].by_registers(words, memory, most)))
                inside, wanted = words, ""
                if entered:
                    entered(pid, found[-1])
