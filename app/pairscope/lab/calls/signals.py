"""Signals: signal, kill."""

from __future__ import annotations

import ctypes
import signal
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
    numbered,
    plain_line,
    plain_strace,
)
from pairscope.lab.calls.decoding import MOST, Given, Memory, gives_nothing, in_registers
from pairscope.lab.calls.libc import INT, POINTER, function, make
from pairscope.lab.given import integer, narrow, word
from pairscope.lab.run import given

_signal = function("signal", POINTER, INT, POINTER)
_kill = function("kill", INT, INT, INT)
_handler = 0
"""The handler HANDLER: CPython's own, in C, which puts the signal's number into a pipe and may be called at any moment;
plain_signals finds it. signal(7)"""


def _ran(*_: Any) -> None:
    """What CPython calls some time after its handler has run: there is no more to do."""


def plain_signals() -> None:
    """Every signal does what it does by default, and none is blocked: CPython ignores SIGPIPE and SIGXFSZ. Finds
    CPython's handler on the way."""
    global _handler
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, _ran)
        _handler = _signal(int(number), None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _handler_at(memory: Memory, address: int) -> str:
    """What the kernel's struct sigaction begins with. Raises OSError."""
    return {0: "SIG_DFL", 1: "SIG_IGN"}.get(int.from_bytes(memory(address, 8), "little"), "HANDLER")


class Signal(Call):
    name = "signal"
    takes = "signal:number handler:handler"
    binds = "none"
    manual = "signal(2)"
    summary = "says what a signal does"
    kernel = numbered("rt_sigaction", 13, 134)
    blocks = False
    seccomp = allow("rt_sigaction")

    def make(self, number: int, handler: str) -> Made:
        ctypes.set_errno(0)
        before = _signal(number, _handler if handler == "HANDLER" else {"SIG_DFL": 0, "SIG_IGN": 1}[handler])
        if before == (1 << 64) - 1:
            return {"value": -1, "errno": ctypes.get_errno()}
        known = {None: "SIG_DFL", 0: "SIG_DFL", 1: "SIG_IGN"}
        told = "HANDLER" if before and before == _handler else known.get(before, "other")
        return {"value": 0, "errno": 0, "before": told}

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        number, handler = turn.step.arguments
        shown = program.use("handler") if word(handler) == "HANDLER" else word(handler)
        return [program.told("tell_handler", f"signal({program.number(number)}, {shown})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        number, handler = turn.step.arguments
        shown = word(handler)
        known = 0 < (integer(number) or 0) < 65 and integer(number) not in (32, 33)
        if actor.thread or not known:
            return [f'tell({program.use("raw_signal")}({program.number(number)}, "{shown}"))']
        what = program.use("handler") if shown == "HANDLER" else f"signal.{shown}"
        call = f"signal.signal({program.number(number)}, {what})"
        program.use("before")
        if shown != "HANDLER":
            return [f"tell(before({call}))"]
        again = (
            f"signal.siginterrupt({program.number(number)}, False)  # as the C library's signal(2) has it: calls are "
            "taken up again"
        )
        return [f"found = {call}", again, "tell(before(found))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        try:
            handler = _handler_at(memory, words[1])
        except OSError:
            handler = ""
        return {"signal": narrow(words[0]), "handler": handler}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"signal": narrow(arguments[0]), "handler": arguments[1]}

    def line(self, returned: Returned) -> str:
        return str(given(returned.result.before, "before"))

    def strace(self, traced: Traced) -> Words:
        handler, before = word(traced.own.arguments[1]), traced.result.before or "?"
        shown, was = ({"HANDLER": "?"}.get(name, name) for name in (handler, before))
        return [traced.word(0), f"{{sa_handler={shown}, sa_flags=SA_RESTART, ...}}", f"{{sa_handler={was}, ...}}", "8"]

    def gave(self, back: Return) -> Made:
        return {"before": _handler_at(back.memory, back.words[2])} if back.words[2] else {}


class Kill(Call):
    name = "kill"
    takes = "process:process signal:number"
    binds = "none"
    manual = "kill(2)"
    summary = "sends a signal to a process of this run"
    kernel = numbered("kill", 62, 129)
    blocks = True
    line = plain_line
    strace = plain_strace
    signals = True
    seccomp = allow("kill")
    by_registers, by_arguments = in_registers("process", "signal")
    gave = gives_nothing

    def make(self, process: int, number: int) -> Made:
        return make(_kill, process, number)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        process, number = turn.step.arguments
        return [program.told("tell", f"kill({program.process(process)}, {program.number(number)})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        process, number = turn.step.arguments
        return [f"tell(os.kill({program.process(process)}, {program.number(number)}))"]
