"""Bytes in and out: read, write, send, recv; and pread, pwrite of a file, in files.py, by the same means."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Sequence
from typing import Any

from pairscope.lab.calls.call import (
    Actor,
    Call,
    Clash,
    CProgram,
    Made,
    PythonProgram,
    Return,
    Traced,
    Turn,
    Words,
    allow,
    numbered,
    plain_line,
)
from pairscope.lab.calls.decoding import MOST, Data, Given, Memory, address_room, data, gives_nothing, place, whole
from pairscope.lab.calls.libc import INT, OFF, POINTER, SIZE, content, function, make
from pairscope.lab.calls.options import getsockopt
from pairscope.lab.calls.results import data_line
from pairscope.lab.calls.strace import address, text
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import content as text_of
from pairscope.lab.given import integer, length, narrow, pointer
from pairscope.lab.model import Constants, Step, Value
from pairscope.sentence import phrase

_read = function("read", OFF, INT, POINTER, SIZE)
_write = function("write", OFF, INT, POINTER, SIZE)
_send = function("send", OFF, INT, POINTER, SIZE, INT)
_recv = function("recv", OFF, INT, POINTER, SIZE, INT)


def reading(called: Any, fd: int, size: int | str, count: int | None, *more: int, kept: bool = True) -> Made:
    """Reads into a buffer of `size` bytes, or to an address by its name; ``data`` is what came, where it was `kept`."""
    if isinstance(size, str):
        return make(called, fd, NUMBERS[size], count or 0, *more)
    room = ctypes.create_string_buffer(max(size, 1))
    made = make(called, fd, room, size if count is None else count, *more)
    if made["value"] == 0 or (made["value"] > 0 and kept):
        made["data"] = room.raw[: min(made["value"], size)]
    return made


def writing(called: Any, fd: int, data: Any, count: int | None, *more: int) -> Made:
    """Writes a text, or what stands at an address by its name."""
    if isinstance(data, str):
        return make(called, fd, NUMBERS[data], count or 0, *more)
    text = content(data)
    return make(called, fd, text, len(text) if count is None else count, *more)


def keeps(fd: int, flags: int) -> bool:
    """Whether what is received is written into memory: TCP counts what MSG_TRUNC asks for and copies nothing, MSG_PEEK
    and MSG_OOB beside it or not. tcp(7); net/ipv4/tcp.c"""
    if not flags & socket.MSG_TRUNC:
        return True
    protocol, length = ctypes.c_int(0), ctypes.c_uint(4)
    failed = getsockopt(fd, socket.SOL_SOCKET, NUMBERS["SO_PROTOCOL"], ctypes.byref(protocol), ctypes.byref(length))
    return bool(failed) or protocol.value != socket.IPPROTO_TCP


def kept_c(program: CProgram, fd: Value) -> str:
    """The line that asks so in a program."""
    return f"bool kept = {program.use('keeps')}({program.number(fd)});"


def room_of(step: Step) -> int:
    """Bytes that a step reads into a buffer of its own, of which there is one at least."""
    return 0 if pointer(step.arguments[1]) else max(1, integer(step.arguments[1]) or 0)


def writing_c(program: CProgram, call: str, fd: Value, data: Value, size: str, *more: str) -> list[str]:
    """A step that writes. A text of several lines stands under itself."""
    where = program.address(data) or program.text(data)
    lines = where.split("\n")
    if len(lines) == 1:
        return [program.told("tell", f"{call}({', '.join([program.number(fd), where, size, *more])})")]
    program.use("tell")
    rows = [f"tell({call}({program.number(fd)},", *(f"\t{line}" for line in lines)]
    return [*rows[:-1], f"{rows[-1]}, {', '.join([size, *more])}));"]


def written(traced: Traced) -> tuple[str, str]:
    """The text that a call writes, and its length, as strace has them."""
    made, own = traced.made[1], traced.own.arguments[1]
    return (address(made), "0") if isinstance(made, str) else (text(made), str(len(text_of(own))))


def clash_of_count(self: Call, arguments: Sequence[Value]) -> Clash | None:
    """Of a call with a buffer and a count: more than the buffer has; or none, where there is no more than its
    address."""
    buffer, *counts = arguments[1:]
    if isinstance(buffer, Constants):
        asked = phrase("count, how many bytes to %(call)s at %(pointer)s", call=self.name, pointer=buffer.names[0])
        return None if counts else Clash(len(arguments), asked)
    held = length(buffer)
    if any(length(count) > held for count in counts):
        return Clash(2, phrase("at most %(most)s, which the buffer has", most=held))
    return None


class Read(Call):
    name = "read"
    takes = "fd:fd size:room count:size?"
    binds = "none"
    expects = ("value",)
    manual = "read(2)"
    summary = "takes bytes out"
    kernel = numbered("read", 0, 63)
    clash = clash_of_count
    blocks = True
    line = data_line
    seccomp = allow("read")

    def make(self, fd: int, size: int | str, count: int | None = None) -> Made:
        return reading(_read, fd, size, count)

    def room(self, step: Step) -> int:
        return room_of(step)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, room, *count = turn.step.arguments
        where = program.address(room)
        call = f"read({program.number(fd)}, {where or 'text'}, {program.number(count[0] if count else room)})"
        return [program.told("tell", call) if where else program.told("tell_data", call, "text")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, room, *more = turn.step.arguments
        if where := program.address(room):
            size = f"ctypes.c_size_t({program.number(more[0])})"
            return [f"tell({program.raw('read')}, {program.number(fd)}, {where}, {size}))"]
        if program.interrupted:
            count = f", count={program.number(more[0])}" if more else ""
            made = f"{program.use('raw_read')}(libc.read, {program.number(fd)}, {program.number(room)}{count})"
            return [f"tell({made}[1])"]
        return [f"tell(os.read({program.number(fd)}, {program.number(more[0] if more else room)}))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        at = place(memory, words[1])
        return {"fd": narrow(words[0]), "size": words[2]} | ({"at": at} if at else {})

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        fd, size, *count = arguments
        at = {"at": size} if isinstance(size, str) else {}
        return {"fd": narrow(fd), "size": count[0] if count else size} | at

    def strace(self, traced: Traced) -> Words:
        fd, room, *count = traced.made
        where = address(room) if isinstance(room, str) else traced.came()
        return [str(fd), where, str(count[0] if count else room)]

    def gave(self, back: Return) -> Made:
        return {} if "at" in back.given else {"data": back.data(back.words[1], back.value)}


class Write(Call):
    name = "write"
    takes = "fd:fd data:data count:size?"
    binds = "none"
    manual = "write(2)"
    summary = "puts bytes in"
    kernel = numbered("write", 1, 64)
    clash = clash_of_count
    blocks = True
    line = plain_line
    gave = gives_nothing
    breaks_pipe = True
    seccomp = allow("write")

    def make(self, fd: int, data: Any, count: int | None = None) -> Made:
        return writing(_write, fd, data, count)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, *count = turn.step.arguments
        return writing_c(program, "write", fd, data, program.number(count[0]) if count else str(len(text_of(data))))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, *count = turn.step.arguments
        where = program.address(data)
        shown = where or program.text(data)
        if where or program.interrupted:
            size = program.number(count[0]) if count else str(len(text_of(data)))
            return [f"tell({program.raw('write')}, {program.number(fd)}, {shown}, ctypes.c_size_t({size})))"]
        cut = f"{shown}[:{program.number(count[0])}]" if count else shown
        return program.over(f"tell(os.write({program.number(fd)}", cut, "))")

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"fd": narrow(words[0]), "data": data(memory, words[1], words[2], most)}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        fd, text, *count = arguments
        held = whole(text, most)
        if count and isinstance(held, Data):
            held = Data(count[0], held.head[: count[0]])
        return {"fd": narrow(fd), "data": held}

    def strace(self, traced: Traced) -> Words:
        data, size = written(traced)
        return [traced.word(0), data, str(traced.made[2]) if len(traced.made) > 2 else size]


class Send(Call):
    name = "send"
    takes = "fd:fd data:text flags:flags"
    binds = "none"
    manual = "send(2)"
    summary = "puts bytes into a socket, with flags"
    kernel = numbered("sendto", 44, 206)
    blocks = True
    line = plain_line
    gave = gives_nothing
    breaks_pipe = True
    seccomp = allow("sendto")

    def make(self, fd: int, data: Any, flags: int) -> Made:
        return writing(_send, fd, data, None, flags)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, flags = turn.step.arguments
        program.header("sys/socket.h")
        return writing_c(program, "send", fd, data, str(len(text_of(data))), program.number(flags))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, flags = turn.step.arguments
        if program.interrupted:
            size = f"ctypes.c_size_t({len(text_of(data))})"
            given = f"{program.number(fd)}, {program.text(data)}, {size}, {program.number(flags)}"
            return [f"tell({program.raw('send')}, {given}))"]
        said = program.over("tell(sock.send(", program.text(data), f", {program.number(flags)}))")
        return [*program.borrowed(fd), *said]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"fd": narrow(words[0]), "data": data(memory, words[1], words[2], most), "flags": narrow(words[3])}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"fd": narrow(arguments[0]), "data": whole(arguments[1], most), "flags": narrow(arguments[2])}

    def strace(self, traced: Traced) -> Words:
        data, size = written(traced)
        return [traced.word(0), data, size, traced.word(2), "NULL", "0"]

    def sent_flags(self, step: Step) -> int:
        return integer(step.arguments[2]) or 0


class Recv(Call):
    name = "recv"
    takes = "fd:fd size:size flags:flags"
    binds = "none"
    manual = "recv(2)"
    summary = "takes bytes out of a socket, with flags"
    kernel = numbered("recvfrom", 45, 207)
    blocks = True
    line = data_line
    seccomp = allow("recvfrom")

    def make(self, fd: int, size: int, flags: int) -> Made:
        return reading(_recv, fd, size, None, flags, kept=keeps(fd, flags))

    def room(self, step: Step) -> int:
        return room_of(step)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size, flags = turn.step.arguments
        call = f"recv({program.number(fd)}, text, {program.number(size)}, {program.number(flags, 64)})"
        program.header("sys/socket.h")
        given = integer(flags) or 0
        if given & NUMBERS["MSG_TRUNC"]:
            told = program.told("tell_cut", call, "kept ? text : NULL", program.number(size))
            return program.block([kept_c(program, fd), "", told])
        if given & NUMBERS["MSG_OOB"]:  # AF_UNIX gives 1 where there is room for none
            return [program.told("tell_cut", call, "text", program.number(size))]
        return [program.told("tell_data", call, "text")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size, flags = turn.step.arguments
        truncates = (integer(flags) or 0) & NUMBERS["MSG_TRUNC"]
        # Python itself answers where nothing is asked for
        if truncates or program.interrupted or integer(size) == 0:
            told = f"tell(count, {program.use('quoted')}(data))"
            given = f"{program.number(fd)}, {program.number(size)}, {program.number(flags)}"
            return [
                *([f"kept = {program.use('keeps')}({program.number(fd)})"] if truncates else []),
                f"count, data = {program.use('raw_read')}(libc.recv, {given})",
                *(["if kept or not count:", f"    {told}", "else:", "    tell(count)"] if truncates else [told]),
            ]
        return [*program.borrowed(fd), f"tell(sock.recv({program.number(size)}, {program.number(flags)}))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        given = {"fd": narrow(words[0]), "size": words[2], "flags": narrow(words[3])}
        return given | address_room(memory, words[4], words[5])

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"fd": narrow(arguments[0]), "size": arguments[1], "flags": narrow(arguments[2])}

    def strace(self, traced: Traced) -> Words:
        fd, size, flags = traced.words()
        return [fd, traced.came(), size, flags, "NULL", "NULL"]

    def gave(self, back: Return) -> Made:
        made: Made = {}
        if back.kept:
            made["data"] = back.data(back.words[1], min(back.value, back.given["size"]))
        if back.words[4]:
            made["address"] = back.address(back.words[4], *back.integers(back.words[5], 1))
        return made
