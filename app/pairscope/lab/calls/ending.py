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
    Return,
    Returned,
    Traced,
    Turn,
    Words,
    allow,
    made_by_its_actor,
    numbered,
    plain_line,
    plain_strace,
)
from pairscope.lab.calls.decoding import MOST, Given, Memory, gives_nothing, in_registers
from pairscope.lab.calls.libc import INT, POINTER, function, make
from pairscope.lab.constants import signal_name
from pairscope.lab.given import integer, narrow
from pairscope.lab.run import UNSET

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

    def line(self, returned: Returned) -> str:
        result = returned.result
        words = [returned.process() if result.value else "0"]
        if result.killed is not UNSET:
            words.append(f"killed={signal_name(result.killed)}")
        elif result.status is not UNSET:
            words.append(f"status={result.status}")
        else:
            for key, number in (("stopped", result.stopped), ("continued", result.continued)):
                if number is not UNSET:
                    words.append(f"{key}={signal_name(number)}")
        return " ".join(words)

    def meaning(self, returned: Returned) -> str:
        return returned.names.get(returned.value, "")

    def strace(self, traced: Traced) -> Words:
        made, result = traced.made, traced.result
        pid = str(made[0]) if made else "-1"
        if traced.unfinished:
            return [pid, None]
        status = "?"
        if not traced.failed and result.value:
            if result.killed is not UNSET:
                status = f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(result.killed)}}}]"
            elif result.status is not UNSET:
                status = f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {result.status}}}]"
            elif result.stopped is not UNSET:
                status = f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(result.stopped)}}}]"
            elif result.continued is not UNSET:
                status = "[{WIFCONTINUED(s)}]"
        return [pid, status, traced.word(1) if len(made) > 1 else "0", "NULL"]

    def gave(self, back: Return) -> Made:
        return {"wait": back.integers(back.words[1], 1)[0]} if back.value and back.words[1] else {}


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
    line = plain_line
    strace = plain_strace
    returns = False
    seccomp = allow("exit", "exit_group")
    make = made_by_its_actor
    by_registers, by_arguments = in_registers("status")
    gave = gives_nothing

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        return ["return NULL;"] if actor.thread else [f"_exit({program.number(turn.step.arguments[0])});"]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        if actor.thread:
            return ["sys.exit()  # of this thread"]
        return [f"os._exit({(integer(turn.step.arguments[0]) or 0) & 0xFF})"]
