"""What a socket is set to: shutdown, setsockopt, getsockopt."""

from __future__ import annotations

import base64
import ctypes
import socket
import struct
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
    Words,
    allow,
    numbered,
    plain_c,
    plain_line,
    plain_strace,
    word,
)
from pairscope.lab.calls.decoding import MOST, Data, Given, Memory, data, gives_nothing, in_registers
from pairscope.lab.calls.libc import INT, POINTER, UINT, content, function, low, make
from pairscope.lab.calls.strace import text
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import integer, narrow
from pairscope.lab.model import Text
from pairscope.lab.run import given
from pairscope.sentence import phrase

OPTIONS = tuple(
    name
    for name in NUMBERS
    if name.startswith("SO_")
    and name not in ("SO_ATTACH_FILTER", "SO_ATTACH_BPF", "SO_ATTACH_REUSEPORT_CBPF", "SO_ATTACH_REUSEPORT_EBPF")
)
"""Of setsockopt. Others hand the kernel a program."""

SETTABLE = tuple(
    name
    for name in OPTIONS
    if name
    not in (
        "SO_ERROR",
        "SO_PEERPIDFD",
        "SO_PEERCRED",
        "SO_PEERGROUPS",
        "SO_PEERSEC",
        "SO_INCOMING_CPU",
        "SO_INCOMING_NAPI_ID",
        "SO_MEMINFO",
        "SO_COOKIE",
    )
)
"""Options whose value a look may ask for: of the others one is taken by the look, one makes a descriptor, some nobody
sets or the kernel changes by chance."""

_shutdown = function("shutdown", INT, INT, INT)
_setsockopt = function("setsockopt", INT, INT, INT, INT, POINTER, UINT)
getsockopt = function("getsockopt", INT, INT, INT, INT, POINTER, POINTER)


def _credentials(arguments: Sequence[Any], option: bytes) -> list[int] | None:
    """Process, user and group, where the arguments ask for SO_PEERCRED."""
    asked = list(arguments[1:3]) == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]]
    return list(struct.unpack("=iII", option)) if asked and len(option) == 12 else None


class Shutdown(Call):
    name = "shutdown"
    takes = "fd:fd how:number"
    binds = "none"
    manual = "shutdown(2)"
    summary = "ends one or both directions for every holder"
    kernel = numbered("shutdown", 48, 210)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("shutdown")
    by_registers, by_arguments = in_registers("fd", "how")
    gave = gives_nothing

    def make(self, fd: int, how: int) -> Made:
        return make(_shutdown, fd, how)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        return plain_c(self, program, actor, turn)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, how = turn.step.arguments
        return [*program.borrowed(fd), f"tell(sock.shutdown({program.number(how)}))"]


class Setsockopt(Call):
    name = "setsockopt"
    takes = "fd:fd level:level option:option value:any"
    choices = {
        "level": Choice(("SOL_SOCKET",), "SOL_SOCKET"),
        "option": Choice(OPTIONS, phrase("an option by its name, such as SO_PASSCRED")),
    }
    binds = "none"
    manual = "setsockopt(2)"
    summary = "sets an option"
    kernel = numbered("setsockopt", 54, 208)
    blocks = False
    line = plain_line
    gave = gives_nothing
    seccomp = tuple(
        Allowed(
            "setsockopt",
            (word(1, socket.SOL_SOCKET), word(2, option)),
            "of SOL_SOCKET, the options of scenarios",
        )
        for option in sorted({NUMBERS[name] for name in OPTIONS})
    )

    def make(self, fd: int, level: int, option: int, value: Any) -> Made:
        body = struct.pack("=I", low(value)) if isinstance(value, int) else content(value)
        return make(_setsockopt, fd, level, option, body, len(body))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        *first, value = turn.step.arguments
        if isinstance(value, Text):
            last = f"{program.text(value)}, {len(value.bytes)}"
        else:
            last = f"&(int){{ {program.number(value)} }}, sizeof(int)"
        return [program.told("tell", f"setsockopt({', '.join(map(program.number, first))}, {last})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, level, option, value = turn.step.arguments
        shown = program.text(value) if isinstance(value, Text) else program.number(value)
        said = f"tell(sock.setsockopt({program.number(level)}, {program.number(option)}, {shown}))"
        return [*program.borrowed(fd), *said.split("\n")]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        value = data(memory, words[3], words[4] & 0xFFFF_FFFF, most)
        return {"fd": narrow(words[0]), "level": narrow(words[1]), "option": narrow(words[2]), "value": value}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        *numbers, value = arguments
        fd, level, option = map(narrow, numbers)
        body = struct.pack("=I", low(value)) if isinstance(value, int) else content(value)
        return {"fd": fd, "level": level, "option": option, "value": Data(len(body), body[:most])}

    def strace(self, traced: Traced) -> Words:
        value, own = traced.made[3], traced.own.arguments[3]
        if isinstance(own, Text):
            return [*traced.words(3), text(value), str(len(own.bytes))]
        return [*traced.words(3), f"[{traced.word(3)}]", "4"]


class Getsockopt(Call):
    name = "getsockopt"
    takes = "fd:fd level:number option:number"
    binds = "none"
    expects = ("value",)
    manual = "getsockopt(2)"
    summary = "asks for an option"
    kernel = numbered("getsockopt", 55, 209)
    blocks = False
    seccomp = allow("getsockopt")
    by_registers, by_arguments = in_registers("fd", "level", "option")

    def make(self, fd: int, level: int, option: int) -> Made:
        room, length = ctypes.create_string_buffer(256), ctypes.c_uint(256)
        made = make(getsockopt, fd, level, option, room, ctypes.byref(length))
        return made | self._told(level, option, room.raw[: length.value]) if made["value"] == 0 else made

    @staticmethod
    def _told(level: int, option: int, value: bytes) -> Made:
        made: Made = {"option": value}
        if level == socket.SOL_SOCKET and option == NUMBERS["SO_PEERPIDFD"] and len(value) == 4:
            made["made"] = [struct.unpack("=i", value)[0]]
        return made

    def gave(self, back: Return) -> Made:
        (length,) = back.integers(back.words[4], 1)
        value = back.memory(back.words[3], min(max(length, 0), MOST))
        return self._told(back.given["level"], back.given["option"], value)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        arguments = turn.step.arguments
        first = ", ".join(map(program.number, arguments))
        if [integer(value) for value in arguments[1:]] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]]:
            lines = ["struct ucred peer;", "socklen_t length = sizeof(peer);", ""]
            told = program.told("tell_peer", f"getsockopt({first}, &peer, &length)", "&peer")
            return program.block([*lines, told])
        if kind := naming.of_option([integer(value) for value in arguments]):
            lines = [f"int {kind.key};", f"socklen_t length = sizeof({kind.key});", ""]
            call = f"getsockopt({first}, &{kind.key}, &length)"
            return program.block([*lines, program.told(f"tell_{kind.key}", call, f"&{kind.key}")])
        lines = ["char option[256];", "socklen_t length = sizeof(option);", ""]
        told = program.told("tell_option", f"getsockopt({first}, option, &length)", "option", "&length")
        return program.block([*lines, told])

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, level, option = turn.step.arguments
        asked = f"sock.getsockopt({program.number(level)}, {program.number(option)}"
        call = f"{asked}, 256)"
        lines = program.borrowed(fd)
        if [integer(level), integer(option)] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]]:
            program.use("creds")
            return [*lines, f'tell(0, f"value={{creds({call})}}")']
        if kind := naming.of_option([integer(value) for value in turn.step.arguments]):
            if kind is naming.ERROR:
                return [*lines, f"error = {asked})", 'tell(0, f"value={ERRNOS.get(error, error)}")']
            names = program.use(kind.key.upper())
            return [*lines, f'tell(0, f"value={{{program.use("named")}({asked}), {names})}}")']
        return [*lines, f"tell(0, {program.use('option')}({call}))"]

    def line(self, returned: Returned) -> str:
        step, result = returned.step, returned.result
        data, held = base64.b64decode(given(result.option, "option")), given(result.held, "held")
        if (creds := _credentials(step.arguments, data)) is not None:
            told = returned.credentials(creds)
        else:
            kind = naming.of_option(step.arguments)
            told = kind.told(held) if kind and isinstance(held, int) else str(held)
        return f"{result.value} value={told}"

    def strace(self, traced: Traced) -> Words:
        if traced.failed:
            return [*traced.words(3), "?", "[256]"]
        option = base64.b64decode(given(traced.result.option, "option"))
        if (creds := _credentials(traced.made, option)) is not None:
            pid, uid, gid = creds
            return [*traced.words(3), f"{{pid={pid}, uid={uid}, gid={gid}}}", "[256 => 12]"]
        held = given(traced.result.held, "held")
        if (kind := naming.of_option(traced.made)) and isinstance(held, int):
            return [*traced.words(3), f"[{kind.told(held)}]", f"[256 => {len(option)}]"]
        return [*traced.words(3), str(held if isinstance(held, list) else [held]), f"[256 => {len(option)}]"]
