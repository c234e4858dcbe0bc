"""Files: open, memfd_create, ftruncate, lseek, pread, pwrite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pairscope.lab.calls.call import (
    Actor,
    Call,
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
    plain_strace,
)
from pairscope.lab.calls.decoding import (
    MOST,
    Given,
    Memory,
    data,
    gives_descriptor,
    gives_nothing,
    in_registers,
    string,
    whole,
)
from pairscope.lab.calls.io import reading, room_of, writing, writing_c, written
from pairscope.lab.calls.libc import INT, OFF, POINTER, SIZE, UINT, content, function, made_one, make
from pairscope.lab.calls.results import data_line
from pairscope.lab.calls.strace import numbers, text
from pairscope.lab.given import content as text_of
from pairscope.lab.given import integer, narrow
from pairscope.lab.model import Step, Value

_open = function("open", INT, POINTER, INT, UINT)
_memfd_create = function("memfd_create", INT, POINTER, UINT)
_ftruncate = function("ftruncate", INT, INT, OFF)
_lseek = function("lseek", OFF, INT, OFF, INT)
_pread = function("pread", OFF, INT, POINTER, SIZE, OFF)
_pwrite = function("pwrite", OFF, INT, POINTER, SIZE, OFF)

_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
"""With this bit, or with O_CREAT, open(2) reads a mode."""

_PATH = 256
"""Bytes of a name that strace shows."""


def _octal(value: Value) -> str:
    found = integer(value)
    return f"0{found:o}" if found is not None and found > 0 else str(found or 0)


class Open(Call):
    name = "open"
    takes = "name:file flags:flags mode:number?"
    binds = "one"
    manual = "open(2)"
    summary = "opens a file of the run's scratch directory"
    kernel = numbered("openat", 257, 56)
    blocks = False
    line = plain_line
    gave = gives_descriptor
    seccomp = allow("openat")

    def make(self, name: Any, flags: int, mode: int = 0o600) -> Made:
        return made_one(make(_open, content(name) + b"\0", flags, mode))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        name, flags, *mode = turn.step.arguments
        given = f"{program.text(name)}, {program.number(flags)}, {_octal(mode[0]) if mode else '0600'}"
        return [program.named(turn, f"open({given})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        name, flags, *mode = turn.step.arguments
        cloexec = bool((integer(flags) or 0) & os.O_CLOEXEC)
        shown = oct((integer(mode[0]) or 0) & 0xFFFFFFFF) if mode else "0o600"
        return program.binds(turn, f"os.open({program.path(text_of(name))}, {program.number(flags)}, {shown})", cloexec)

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        flags = narrow(words[2])
        mode = {"mode": words[3] & 0xFFFF_FFFF} if flags & (os.O_CREAT | _TMPFILE) else {}
        return {"name": string(memory, words[1]), "flags": flags} | mode

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        name, flags, *mode = arguments
        makes = narrow(flags) & (os.O_CREAT | _TMPFILE)
        told = {"mode": (mode[0] if mode else 0o600) & 0xFFFF_FFFF} if makes else {}
        return {"name": whole(name, MOST), "flags": narrow(flags)} | told

    def strace(self, traced: Traced) -> Words:
        name, flags, *mode = traced.made
        words: Words = ["AT_FDCWD", text(name, _PATH), traced.word(1)]
        if not numbers(flags)[0] & os.O_CREAT:
            return words
        return [*words, f"{numbers(mode[0])[0] if mode else 0o600:#05o}".replace("0o", "0")]

    def file(self, step: Step) -> bytes:
        return text_of(step.arguments[0])


class MemfdCreate(Call):
    name = "memfd_create"
    takes = "name:text flags:flags"
    binds = "one"
    manual = "memfd_create(2)"
    summary = "a file that lives in memory alone"
    kernel = numbered("memfd_create", 319, 279)
    blocks = False
    line = plain_line
    gave = gives_descriptor
    seccomp = allow("memfd_create")

    def make(self, name: Any, flags: int) -> Made:
        return made_one(make(_memfd_create, content(name) + b"\0", flags))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        name, flags = turn.step.arguments
        return [program.named(turn, f"memfd_create({program.text(name)}, {program.number(flags)})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        name, flags = turn.step.arguments
        # As C has it, a name ends at its first NUL.
        shown = program.path(text_of(name).partition(bytes(1))[0])
        return program.binds(turn, f"os.memfd_create({shown}, {program.number(flags)})")

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"name": string(memory, words[0]), "flags": narrow(words[1])}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"name": whole([content(arguments[0]).partition(bytes(1))[0], 1], MOST), "flags": narrow(arguments[1])}

    def strace(self, traced: Traced) -> Words:
        return [text(traced.made[0], _PATH), traced.word(1)]


class Ftruncate(Call):
    name = "ftruncate"
    takes = "fd:fd size:number"
    binds = "none"
    manual = "ftruncate(2)"
    summary = "sets a file's size"
    kernel = numbered("ftruncate", 77, 46)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("ftruncate")
    by_registers, by_arguments = in_registers("fd", "size", wide=("size",))
    gave = gives_nothing

    def make(self, fd: int, size: int) -> Made:
        return make(_ftruncate, fd, size)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size = turn.step.arguments
        return [program.told("tell", f"ftruncate({program.number(fd)}, {program.number(size, 64)})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size = turn.step.arguments
        return [f"tell(os.ftruncate({program.number(fd)}, {program.number(size, 64)}))"]


class Lseek(Call):
    name = "lseek"
    takes = "fd:fd offset:number whence:number"
    binds = "none"
    manual = "lseek(2)"
    summary = "moves the offset of the open file description"
    kernel = numbered("lseek", 8, 62)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("lseek")
    by_registers, by_arguments = in_registers("fd", "offset", "whence", wide=("offset",))
    gave = gives_nothing

    def make(self, fd: int, offset: int, whence: int) -> Made:
        return make(_lseek, fd, offset, whence)

    def _given(self, program: CProgram | PythonProgram, turn: Turn) -> str:
        fd, offset, whence = turn.step.arguments
        return f"{program.number(fd)}, {program.number(offset, 64)}, {program.number(whence)}"

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        return [program.told("tell", f"lseek({self._given(program, turn)})")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        return [f"tell(os.lseek({self._given(program, turn)}))"]


class Pread(Call):
    name = "pread"
    takes = "fd:fd size:size offset:number"
    binds = "none"
    manual = "pread(2)"
    summary = "reads without moving the offset"
    kernel = numbered("pread64", 17, 67)
    blocks = False
    line = data_line
    seccomp = allow("pread64")

    def make(self, fd: int, size: int, offset: int) -> Made:
        return reading(_pread, fd, size, None, offset)

    def room(self, step: Step) -> int:
        return room_of(step)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size, offset = turn.step.arguments
        call = f"pread({program.number(fd)}, text, {program.number(size)}, {program.number(offset, 64)})"
        return [program.told("tell_data", call, "text")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, size, offset = turn.step.arguments
        program.use("quoted")
        return [f"tell(os.pread({program.number(fd)}, {program.number(size)}, {program.number(offset, 64)}))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"fd": narrow(words[0]), "size": words[2], "offset": narrow(words[3], 64)}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"fd": narrow(arguments[0]), "size": arguments[1], "offset": narrow(arguments[2], 64)}

    def strace(self, traced: Traced) -> Words:
        fd, size, offset = map(str, traced.made)
        return [fd, traced.came(), size, offset]

    def gave(self, back: Return) -> Made:
        return {"data": back.data(back.words[1], back.value)}


class Pwrite(Call):
    name = "pwrite"
    takes = "fd:fd data:text offset:number"
    binds = "none"
    manual = "pwrite(2)"
    summary = "writes without moving the offset"
    kernel = numbered("pwrite64", 18, 68)
    blocks = False
    line = plain_line
    gave = gives_nothing
    seccomp = allow("pwrite64")

    def make(self, fd: int, data: Any, offset: int) -> Made:
        return writing(_pwrite, fd, data, None, offset)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, offset = turn.step.arguments
        return writing_c(program, "pwrite", fd, data, str(len(text_of(data))), program.number(offset, 64))

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, data, offset = turn.step.arguments
        behind = f", {program.number(offset, 64)}))"
        return program.over(f"tell(os.pwrite({program.number(fd)}", program.text(data), behind)

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        held = data(memory, words[1], words[2], most)
        return {"fd": narrow(words[0]), "data": held, "offset": narrow(words[3], 64)}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        fd, text, offset = arguments
        return {"fd": narrow(fd), "data": whole(text, most), "offset": narrow(offset, 64)}

    def strace(self, traced: Traced) -> Words:
        data, size = written(traced)
        return [str(traced.made[0]), data, size, str(traced.made[2])]
