"""Two ends that are connected to each other: socketpair, pipe2, pipe."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from pairscope.lab.calls.call import (
    Actor,
    Call,
    CProgram,
    Made,
    PythonProgram,
    Return,
    Returned,
    Traced,
    Turn,
    Words,
    allow,
    numbered,
)
from pairscope.lab.calls.decoding import in_registers
from pairscope.lab.calls.families import DOMAIN, allow_domains, clash_of_protocol
from pairscope.lab.calls.libc import INT, POINTER, function, make
from pairscope.lab.given import integer
from pairscope.lab.run import given

_socketpair = function("socketpair", INT, INT, INT, INT, POINTER)
_pipe2 = function("pipe2", INT, POINTER, INT)
_pipe = function("pipe", INT, POINTER)


def _two(called: Any, *before: Any, after: tuple[Any, ...] = ()) -> Made:
    numbers = (ctypes.c_int * 2)(-1, -1)
    made = make(called, *before, ctypes.addressof(numbers), *after)
    if made["value"] == 0:
        made["made"] = list(numbers)
    return made


class _Pair(Call):
    binds = "two"
    blocks = False
    declares = "int pair[2];"
    where = 0
    """Which argument is the address of the two numbers."""

    def line(self, returned: Returned) -> str:
        return f"{returned.result.value} {given(returned.result.made, 'made')}"

    @staticmethod
    def _numbers(traced: Traced) -> str:
        return "[?, ?]" if traced.failed else str(given(traced.result.made, "made"))

    def gave(self, back: Return) -> Made:
        return {"made": back.integers(back.words[self.where], 2)}


class Socketpair(_Pair):
    name = "socketpair"
    takes = "domain:domain type:flags protocol:number"
    choices = {"domain": DOMAIN}
    manual = "socketpair(2)"
    summary = "two sockets, connected to each other"
    kernel = numbered("socketpair", 53, 199)
    seccomp = allow_domains("socketpair")
    clash = clash_of_protocol
    by_registers, by_arguments = in_registers("domain", "type", "protocol")
    where = 3

    def make(self, domain: int, kind: int, protocol: int) -> Made:
        return _two(_socketpair, domain, kind, protocol)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        return program.pair(turn, f"socketpair({', '.join(map(program.number, turn.step.arguments))}, pair)")

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        program.module("socket")
        cloexec = bool((integer(turn.step.arguments[1]) or 0) & os.O_CLOEXEC)
        made = f"socket.socketpair({', '.join(map(program.number, turn.step.arguments))})"
        return program.pair(turn, made, ("one.detach()", "two.detach()"), "one, two", cloexec)

    def strace(self, traced: Traced) -> Words:
        return [*traced.words(), self._numbers(traced)]


class Pipe2(_Pair):
    name = "pipe2"
    takes = "flags:flags"
    manual = "pipe(2)"
    summary = "a pipe: the end to read, then the end to write"
    kernel = numbered("pipe2", 293, 59)
    seccomp = allow("pipe2")
    by_registers, by_arguments = in_registers("", "flags")

    def make(self, flags: int) -> Made:
        return _two(_pipe2, after=(flags,))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.pair(turn, f"pipe2(pair, {program.number(turn.step.arguments[0])})")

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.pair(
            turn, f"os.pipe2({program.number(turn.step.arguments[0])})", ("one", "two"), "one, two", True
        )

    def strace(self, traced: Traced) -> Words:
        return [self._numbers(traced), *traced.words()]


class Pipe(_Pair):
    name = "pipe"
    takes = ""
    manual = "pipe(2)"
    summary = "the same without flags"
    kernel = numbered("pipe", 22, 59, there="pipe2")
    seccomp = allow("pipe", "pipe2")
    by_registers, by_arguments = in_registers()

    def make(self) -> Made:
        return _two(_pipe)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.pair(turn, "pipe(pair)")

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.pair(turn, "os.pipe()", ("one", "two"), "one, two", False)

    def strace(self, traced: Traced) -> Words:
        return [self._numbers(traced), *traced.words()]
