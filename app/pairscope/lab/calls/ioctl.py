"""What waits in a queue, and whether a descriptor is a terminal: ioctl with FIONREAD and SIOCOUTQ, isatty."""

from __future__ import annotations

import ctypes

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
    Words,
    numbered,
    plain_c,
    plain_line,
    word,
)
from pairscope.lab.calls.decoding import gives_nothing, in_registers
from pairscope.lab.calls.libc import INT, POINTER, function, make
from pairscope.lab.run import given, known

_REQUESTS = {"FIONREAD": 0x541B, "SIOCOUTQ": 0x5411}
"""asm-generic/ioctls.h, linux/sockios.h; in the table of constants only from here."""
_TCGETS = 0x5401
_ioctl = function("ioctl", INT, INT, ctypes.c_ulong, POINTER)
_isatty = function("isatty", INT, INT)


class Ioctl(Call):
    name = "ioctl"
    takes = "fd:fd request:request"
    choices = {"request": Choice(tuple(_REQUESTS), numbers=_REQUESTS)}
    binds = "none"
    expects = ("value",)
    manual = "ioctl(2)"
    summary = "asks how many bytes wait to be read (FIONREAD), or have not left yet (SIOCOUTQ)"
    kernel = numbered("ioctl", 16, 29)
    blocks = False
    seccomp = tuple(Allowed("ioctl", (word(1, number),), ", ".join(_REQUESTS)) for number in _REQUESTS.values())
    by_registers, by_arguments = in_registers("fd", "request")

    def make(self, fd: int, request: int) -> Made:
        room = ctypes.c_int(0)
        made = make(_ioctl, fd, request & 0xFFFF_FFFF, ctypes.addressof(room))
        if made["value"] == 0:
            made["option"] = bytes(room)
        return made

    def gave(self, back: Return) -> Made:
        asks = back.given["request"] in _REQUESTS.values()
        return {"option": back.memory(back.words[2], 4)} if asks and not back.value else {}

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/ioctl.h", "linux/sockios.h")
        fd, request = map(program.number, turn.step.arguments)
        told = program.told("tell_option", f"ioctl({fd}, {request}, &count)", "&count", "&length")
        return program.block(["int count;", "socklen_t length = sizeof(count);", "", told])

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, request = map(program.number, turn.step.arguments)
        call = f"{program.raw('ioctl')}, {fd}, ctypes.c_ulong({request}), ctypes.byref(count))"
        return ["count = ctypes.c_int()", f'tell({call}, f"value={{count.value}}")']

    def line(self, returned: Returned) -> str:
        return f"{returned.result.value} value={given(returned.result.held, 'held')}"

    def strace(self, traced: Traced) -> Words:
        held = None if traced.failed else known(traced.result.held)
        return [*traced.words(), "?" if held is None else f"[{held}]"]


class Isatty(Call):
    name = "isatty"
    takes = "fd:fd"
    binds = "none"
    manual = "isatty(3)"
    summary = "says whether a descriptor is a terminal: 1, or 0"
    kernel = numbered("ioctl", 16, 29)
    blocks = False
    seccomp = (Allowed("ioctl", (word(1, _TCGETS),), "TCGETS"),)
    kernels_value = False
    line = plain_line
    by_registers, by_arguments = in_registers("fd")
    gave = gives_nothing
    c = plain_c

    def make(self, fd: int) -> Made:
        return make(_isatty, fd)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return [f"tell({program.raw('isatty')}, {program.number(turn.step.arguments[0])}))"]

    def strace(self, traced: Traced) -> Words:
        return [*traced.words(), "TCGETS", "?"]
