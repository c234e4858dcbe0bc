"""Who goes: waitpid, wait, exit. The actor makes exit itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from pairscope.lab.calls.call import (
    Actor,
    Call,
    CProgram,
    Made,
    PythonProgram,
    Turn,
    allow,
    made_by_its_actor,
    numbered,
)
from pairscope.lab.calls.decoding import MOST, Given, Memory, in_registers
from pairscope.lab.calls.libc import INT, POINTER, function, make
from pairscope.lab.given import integer, narrow

_waitpid = function("waitpid", INT, INT, POINTER, INT)


class _Wait(Call):
    binds = "none"
    expects = ("status", "stopped", "continued")
    kernel = numbered("wait4", 61, 260)
    blocks = True
    seccomp = allow("wait4")
    declares = "int status = 0;"

    def make(self, process: int = -1, options: int = 0) -> Made:
        status = ctypes.c_int(0)
        made = make(_waitpid, process, ctypes.byref(status), options)
        if made["value"] > 0:
            made["wait"] = status.value
        return made

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        arguments = turn.step.arguments
        if not arguments:
            return [program.told("tell_child", "wait(&status)", "&status")]
        options = program.number(arguments[1]) if len(arguments) > 1 else "0"
        call = f"waitpid({program.process(arguments[0])}, &status, {options})"
        return [program.told("tell_child", call, "&status")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        arguments = turn.step.arguments
        program.use("ended")
        if not arguments:
            return ["tell(*ended(*os.wait()))"]
        options = program.number(arguments[1]) if len(arguments) > 1 else 0
        return [f"tell(*ended(*os.waitpid({program.process(arguments[0])}, {options})))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"process": narrow(words[0]), "options": narrow(words[2])}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        both: list[Any] = [*arguments, *[-1, 0][len(arguments) :]]
        process, options = both
        return {"process": narrow(process), "options": narrow(options)}


class Waitpid(_Wait):
    name = "waitpid"
    takes = "process:id options:flags"
    manual = "waitpid(2)"
    summary = "takes leave of a child"


class Wait(_Wait):
    name = "wait"
    takes = "process:id? options:flags?"
    manual = "wait(2)"
    summary = "the same: of any child, and without options, unless they are said"


class Exit(Call):
    name = "exit"
    takes = "status:number"
    binds = "none"
    expects = ("status",)
    manual = "_exit(2)"
    summary = "ends the process, and closes all that it held"
    kernel = numbered("exit_group", 231, 94)
    blocks = False
    seccomp = allow("exit", "exit_group")
    make = made_by_its_actor
    by_registers, by_arguments = in_registers("status")

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        return ["return NULL;"] if actor.thread else [f"_exit({program.number(turn.step.arguments[0])});"]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        if actor.thread:
            return ["sys.exit()  # of this thread"]
        return [f"os._exit({(integer(turn.step.arguments[0]) or 0) & 0xFF})"]
