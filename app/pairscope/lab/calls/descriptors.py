"""Numbers of descriptors: close, dup, dup2, dup3."""

from __future__ import annotations

from pairscope.lab.calls.call import (
    Actor,
    Call,
    Made,
    PythonProgram,
    Turn,
    allow,
    naming_c,
    numbered,
    plain_c,
    plain_line,
    plain_python,
    plain_strace,
)
from pairscope.lab.calls.decoding import gives_descriptor, gives_nothing, in_registers
from pairscope.lab.calls.libc import INT, function, made_one, make
from pairscope.lab.given import integer

_close = function("close", INT, INT)
_dup = function("dup", INT, INT)
_dup2 = function("dup2", INT, INT, INT)
_dup3 = function("dup3", INT, INT, INT, INT)


class Close(Call):
    name = "close"
    takes = "fd:fd"
    binds = "none"
    manual = "close(2)"
    summary = "gives a number back"
    kernel = numbered("close", 3, 57)
    blocks = False
    seccomp = allow("close")
    c = plain_c
    python = plain_python
    line = plain_line
    strace = plain_strace
    by_registers, by_arguments = in_registers("fd")
    gave = gives_nothing

    def make(self, fd: int) -> Made:
        return make(_close, fd)


class _Dup(Call):
    binds = "one"
    manual = "dup(2)"
    blocks = False
    c = naming_c
    line = plain_line
    strace = plain_strace


class Dup(_Dup):
    name = "dup"
    takes = "fd:fd"
    summary = "another number for the same open file description"
    kernel = numbered("dup", 32, 23)
    seccomp = allow("dup")
    by_registers, by_arguments = in_registers("fd")
    gave = gives_descriptor

    def make(self, fd: int) -> Made:
        return made_one(make(_dup, fd))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.binds(turn, f"os.dup({program.number(turn.step.arguments[0])})", False)


class Dup2(_Dup):
    name = "dup2"
    takes = "fd:fd to:fd"
    summary = "the same at a number of one's choice"
    kernel = numbered("dup2", 33, 24, there="dup3")
    seccomp = allow("dup2", "dup3")
    by_registers, by_arguments = in_registers("fd", "to")
    gave = gives_descriptor

    def make(self, fd: int, to: int) -> Made:
        return made_one(make(_dup2, fd, to))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        old, new = turn.step.arguments
        if (integer(old) or 0) < 0 or (integer(new) or 0) < 0:
            return program.binds(turn, f"{program.raw('dup2')}, {program.number(old)}, {program.number(new)})")
        return program.binds(turn, f"os.dup2({program.number(old)}, {program.number(new)})")


class Dup3(_Dup):
    name = "dup3"
    takes = "fd:fd to:fd flags:flags"
    summary = "the same, with O_CLOEXEC"
    kernel = numbered("dup3", 292, 24)
    seccomp = allow("dup3")
    by_registers, by_arguments = in_registers("fd", "to", "flags")
    gave = gives_descriptor

    def make(self, fd: int, to: int, flags: int) -> Made:
        return made_one(make(_dup3, fd, to, flags))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return program.binds(turn, f"{program.raw('dup3')}, {', '.join(map(program.number, turn.step.arguments))})")
