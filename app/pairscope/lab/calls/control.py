"""What a descriptor is: fcntl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pairscope.lab import named as naming
from pairscope.lab.calls.call import (
    Actor,
    Allowed,
    Call,
    Choice,
    CProgram,
    Made,
    PythonProgram,
    Return,
    Returned,
    Traced,
    Turn,
    numbered,
    plain_strace,
    word,
)
from pairscope.lab.calls.decoding import in_registers
from pairscope.lab.calls.libc import INT, LONG, function, made_one, make
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import integer

COMMANDS = (
    "F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_GETPIPE_SZ", "F_SETPIPE_SZ",
    "F_GET_SEALS", "F_ADD_SEALS",
)  # fmt: skip
"""Of fcntl. Others signal somebody, or take an address."""
_NUMBERS = tuple(NUMBERS[name] for name in COMMANDS)
_DUPLICATING = ("F_DUPFD", "F_DUPFD_CLOEXEC")
_RETURNS = {
    NUMBERS["F_GETFL"]: naming.STATUS_FLAGS,
    NUMBERS["F_GETFD"]: naming.DESCRIPTOR_FLAGS,
    NUMBERS["F_GET_SEALS"]: naming.SEALS,
}
_fcntl = function("fcntl", INT, INT, INT, LONG)


def _kind(arguments: Sequence[Any]) -> naming.Kind | None:
    """What the number is that a call with these arguments returns; None: no more than a number."""
    return _RETURNS.get(naming.word(arguments, 1))


class Fcntl(Call):
    name = "fcntl"
    takes = "fd:fd command:command argument:flags?"
    choices = {"command": Choice(COMMANDS)}
    binds = "one"
    binds_for = _DUPLICATING
    manual = "fcntl(2)"
    summary = "asks or changes what a descriptor is"
    kernel = numbered("fcntl", 72, 25)
    blocks = False
    strace = plain_strace
    seccomp = tuple(
        Allowed("fcntl", (word(1, NUMBERS[name]),), "the commands of scenarios; whom to signal, at hidden numbers")
        for name in COMMANDS
    )
    by_registers, by_arguments = in_registers("fd", "command", "argument")

    def make(self, fd: int, command: int, argument: int = 0) -> Made:
        made = make(_fcntl, fd, command, argument)
        return made_one(made) if self._makes(command) else made

    @staticmethod
    def _makes(command: int) -> bool:
        return command in [NUMBERS[name] for name in _DUPLICATING]

    def gave(self, back: Return) -> Made:
        return {"made": [back.value]} if self._makes(back.given["command"]) else {}

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, command, *argument = turn.step.arguments
        shown = [program.number(fd), program.number(command), *map(program.number, argument)]
        if integer(command) not in _NUMBERS:
            # More than 32 bits: what C makes of it may take an address, so all bits of the argument are given.
            shown = [*shown[:2], f"(long){shown[2]}" if argument else "0L"]
        call = f"fcntl({', '.join(shown)})"
        if kind := _kind([integer(value) for value in turn.step.arguments]):
            program.constants(*set(kind.names) - {"O_LARGEFILE"})
            return [program.told(f"tell_{kind.key}", call)]
        return [program.named(turn, call)]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, command, *argument = turn.step.arguments
        if integer(command) in _NUMBERS and (integer(fd) or 0) >= 0:
            program.module("fcntl")
            call = f"fcntl.fcntl({', '.join(map(program.number, turn.step.arguments))})"
        else:
            last = f"ctypes.c_long({program.number(argument[0], 64) if argument else 0})"
            call = f"{program.raw('fcntl')}, {program.number(fd)}, {program.number(command)}, {last})"
        if kind := _kind([integer(value) for value in turn.step.arguments]):
            return [f"tell({program.use(kind.key)}({call}))"]
        return program.binds(turn, call)

    def line(self, returned: Returned) -> str:
        kind = _kind(returned.step.arguments)
        return kind.told(returned.value) if kind else str(returned.result.value)

    def meaning(self, returned: Returned) -> str:
        word = kind.told(returned.value) if (kind := _kind(returned.step.arguments)) else ""
        return "" if word == str(returned.value) else word

    def strace_value(self, traced: Traced) -> str:
        value = traced.result.value
        meaning = "" if value is None else self.meaning(Returned(traced.taken, traced.result, {}))
        if value is None or not meaning:
            return str(value)
        return f"{value:#x} ({'seals' if traced.made[1] == NUMBERS['F_GET_SEALS'] else 'flags'} {meaning})"
