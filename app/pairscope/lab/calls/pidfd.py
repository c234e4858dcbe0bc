"""Descriptors that stand for processes: pidfd_open, pidfd_send_signal."""

from __future__ import annotations

from pairscope.lab.calls.call import (
    MACHINE,
    Actor,
    Call,
    CProgram,
    Made,
    PythonProgram,
    Traced,
    Turn,
    Words,
    allow,
    numbered,
    plain_line,
    plain_strace,
)
from pairscope.lab.calls.decoding import gives_descriptor, gives_nothing, in_registers
from pairscope.lab.calls.libc import LONG, function, made_one, make

_syscall = function("syscall", LONG, LONG, LONG, LONG, LONG, LONG)
"""The C library has no function for them everywhere."""


class PidfdOpen(Call):
    name = "pidfd_open"
    takes = "process:process flags:flags"
    binds = "one"
    manual = "pidfd_open(2)"
    summary = "a descriptor that stands for a process"
    kernel = numbered("pidfd_open", 434, 434)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("pidfd_open")
    by_registers, by_arguments = in_registers("process", "flags")
    gave = gives_descriptor

    def make(self, process: int, flags: int) -> Made:
        return made_one(make(_syscall, self.kernel[MACHINE].number, process, flags, 0, 0))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/syscall.h")
        process, flags = turn.step.arguments
        given = f"{program.process(process)}, {program.number(flags)}"
        return [program.named(turn, f"syscall(SYS_pidfd_open, {given})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        process, flags = turn.step.arguments
        return program.binds(turn, f"os.pidfd_open({program.process(process)}, {program.unsigned(flags)})")


class PidfdSendSignal(Call):
    name = "pidfd_send_signal"
    takes = "fd:fd signal:number"
    binds = "none"
    manual = "pidfd_send_signal(2)"
    summary = "sends a signal through such a descriptor"
    kernel = numbered("pidfd_send_signal", 424, 424)
    blocks = True
    line = plain_line
    signals = True
    seccomp = allow("pidfd_send_signal")
    by_registers, by_arguments = in_registers("fd", "signal")
    gave = gives_nothing

    def make(self, fd: int, number: int) -> Made:
        return make(_syscall, self.kernel[MACHINE].number, fd, number, 0, 0)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/syscall.h")
        fd, number = turn.step.arguments
        given = f"{program.number(fd)}, {program.number(number)}, NULL, 0"
        return [program.told("tell", f"syscall(SYS_pidfd_send_signal, {given})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, number = turn.step.arguments
        return [f"tell(signal.pidfd_send_signal({program.number(fd)}, {program.number(number)}))"]

    def strace(self, traced: Traced) -> Words:
        return [*traced.words(), "NULL", "0"]
