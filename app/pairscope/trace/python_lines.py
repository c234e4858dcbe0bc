"""At which line of its source a Python program stands: docs/programs.md, "Python".

CPython keeps a list of its threads, each with the number that the kernel has for it and its innermost frame. That is
read from outside while the thread stands still, as py-spy reads it, so nothing is added to the program. How these
structures look is no part of Python's interface: it is known for the versions below, and no other is read.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import struct
from collections.abc import Sequence

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.hash import GNUHashSection

from pairscope.trace import maps
from pairscope.trace.memory import Memory
from pairscope.trace.sentences import Unseen

_INTERPRETERS, _THREADS, _FRAMES, _TASKS = 16, 1024, 4096, 256
_TABLE = 256 << 10
"""Bytes of a table of lines."""
_TYPE, _SIZE, _BYTES = 8, 16, 32
"""Where an object has its type, how long it is, and of bytes where they begin: object.h, bytesobject.h."""
_MARK = b"xdebugpy" + bytes(8)
"""How the runtime of 3.13 begins, and that it is not the one of free threads, whose structures are others."""
_TOLD = 40, 64, 72
"""Where it says itself where the first three places of a layout are: _Py_DebugOffsets, pycore_runtime.h."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """Where in the structures of a version things stand: offsetof, in Include/internal/pycore_*.h."""

    interpreters: int
    next_interpreter: int
    threads: int
    native_id: int
    frame: tuple[int, ...]
    """From a thread to its innermost frame: by one pointer, or two."""
    code: int
    previous: int
    instructions: int
    """Of a code object, as first and text are."""
    first: int
    text: int
    """Of a text of ASCII: its letters."""
    marked: bool = False
    next_thread: int = 8
    instruction: int = 56
    file: int = 112
    table: int = 136

    def at(self, interpreters: int, next_interpreter: int, threads: int) -> _Layout:
        return dataclasses.replace(self, interpreters=interpreters, next_interpreter=next_interpreter, threads=threads)


_LAYOUTS = {
    (3, 11): _Layout(40, 0, 16, 160, (56, 8), 32, 48, 184, 72, 48),
    (3, 12): _Layout(40, 0, 72, 144, (56, 0), 0, 8, 192, 68, 40),
    (3, 13): _Layout(0, 0, 0, 160, (72,), 0, 8, 200, 68, 40, marked=True),
}


class PythonLines:
    """Lines of a script that a Python runs."""

    def __init__(self, python: str, script: str) -> None:
        """`python`: the interpreter, as this process sees it. `script`: its whole path, as the interpreter knows it."""
        self._script, self._name = script, script.encode("utf-8", "surrogateescape")
        self._spaces: dict[int, tuple[bytes, int | None]] = {}
        """By task: what it has mapped, and where the interpreter is in it; None: it is no such interpreter."""
        self._layout: _Layout | None = None
        self._known = False
        """Whether a version was read."""
        self._module, self._symbols = python, dict[str, int]()
        try:
            found = os.stat(python)
            self._program = found.st_dev, found.st_ino
            having = ((path, _symbols(path)) for path in _modules(os.path.realpath(python)))
            self._module, self._symbols = next((one for one in having if one[1]), (python, {}))
        except (OSError, ELFError):
            pass

    def missing(self) -> str:
        if not self._script.isascii():
            return Unseen.NO_ASCII.say(path=self._script)
        return Unseen.PYTHON.say() if not self._symbols or (self._known and self._layout is None) else ""

    def at(self, tid: int, *, call: bool) -> int:
        if not self._symbols:
            return 0
        try:
            return self._line(tid)
        except (OSError, ValueError, struct.error):
            return 0

    def _line(self, tid: int) -> int:
        bias = self._bias(tid)
        if bias is None:
            return 0
        memory = Memory(tid)
        layout = self._version(memory, bias)
        if layout is None:
            return 0
        kind = self._symbols["PyCode_Type"] + bias
        frame = _frame(memory, self._symbols["_PyRuntime"] + bias, layout, tid)
        for _ in range(_FRAMES):
            if not frame:
                return 0
            code = memory.word(frame + layout.code)
            if memory.word(code + _TYPE) == kind and self._is_own(memory, code, layout):
                at = memory.word(frame + layout.instruction) - code - layout.instructions
                return _line(memory, code, layout, at) if at >= 0 else 0
            frame = memory.word(frame + layout.previous)
        return 0

    def _bias(self, tid: int) -> int | None:
        now = maps.read(tid)
        before = self._spaces.get(tid)
        if before is not None and before[0] == now:
            return before[1]
        if len(self._spaces) > _TASKS:
            self._spaces.clear()
        bias = None
        if maps.program(tid)[0] == self._program:
            path = os.fsencode(self._module)
            base = next((one.base for one in maps.parsed(now) if one.path == path), None)
            bias = None if base is None else base - self._symbols["base"]
        self._spaces[tid] = now, bias
        return bias

    def _version(self, memory: Memory, bias: int) -> _Layout | None:
        if not self._known:
            version = memory.word(self._symbols["Py_Version"] + bias)
            self._layout = _LAYOUTS.get((version >> 24 & 0xFF, version >> 16 & 0xFF))
            runtime = self._symbols["_PyRuntime"] + bias
            if self._layout is not None and self._layout.marked:
                mark = memory.read(runtime, 8) + memory.read(runtime + 16, 8)
                places = (memory.word(runtime + at) for at in _TOLD)
                self._layout = self._layout.at(*places) if mark == _MARK else None
            self._known = True
        return self._layout

    def _is_own(self, memory: Memory, code: int, layout: _Layout) -> bool:
        text, name = memory.word(code + layout.file), self._name
        return memory.word(text + _SIZE) == len(name) and memory.read(text + layout.text, len(name)) == name


def script(command: Sequence[str]) -> str:
    """The script that a command has Python run; empty: it is not Python, or runs something else (-c, -m)."""
    words = iter(command[1:] if re.fullmatch(r"python(3(\.\d+)?)?", os.path.basename(command[0])) else [])
    for word in words:
        if not word.startswith("-"):
            return word
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            next(words, "")
        elif word == "-" or (not word.startswith(("--", "-W", "-X")) and set(word) & {"c", "m"}):
            return ""
    return ""


def _modules(python: str) -> list[str]:
    """Files that may hold the interpreter: the program, or a library beside it."""
    folder = os.path.join(os.path.dirname(os.path.dirname(python)), "lib")
    return [python, *(os.path.realpath(path) for path in sorted(glob.glob(f"{folder}/libpython3.*.so.*")))]


def _symbols(path: str) -> dict[str, int]:
    """Where a file has what the structures hang from, and the address of its first page; empty: it has them not. Raises
    OSError, ELFError."""
    with open(path, "rb") as file:
        elf = ELFFile(file)
        table = elf.get_section_by_name(".gnu.hash")
        first = next((one for one in elf.iter_segments() if one["p_type"] == "PT_LOAD"), None)
        if not isinstance(table, GNUHashSection) or first is None:
            return {}
        found = {name: table.get_symbol(name) for name in ("_PyRuntime", "Py_Version", "PyCode_Type")}
        places = {name: int(one["st_value"]) for name, one in found.items() if one is not None and one["st_value"]}
        return {**places, "base": first["p_vaddr"] - first["p_offset"]} if len(places) == len(found) else {}


def _frame(memory: Memory, runtime: int, layout: _Layout, tid: int) -> int:
    """The innermost frame of a thread; 0: it has none."""
    interpreter = memory.word(runtime + layout.interpreters)
    for _ in range(_INTERPRETERS):
        thread = memory.word(interpreter + layout.threads) if interpreter else 0
        for _ in range(_THREADS):
            if not thread:
                break
            # Before 3.12 a thread that is about to be made has the number of its maker, and no frame yet.
            if memory.word(thread + layout.native_id) == tid and (frame := _followed(memory, thread, layout.frame)):
                return frame
            thread = memory.word(thread + layout.next_thread)
        interpreter = memory.word(interpreter + layout.next_interpreter) if interpreter else 0
    return 0


def _followed(memory: Memory, address: int, steps: tuple[int, ...]) -> int:
    """What pointers lead to."""
    for step in steps:
        address = memory.word(address + step)
    return address


def _line(memory: Memory, code: int, layout: _Layout, at: int) -> int:
    """The line of an instruction, so many bytes behind the first of its code; 0: it has none."""
    (first,) = struct.unpack("=i", memory.read(code + layout.first, 4))
    table = memory.word(code + layout.table)
    size = memory.word(table + _SIZE)
    return located(memory.read(table + _BYTES, size), first, at) if size <= _TABLE else 0


def located(table: bytes, line: int, at: int) -> int:
    """The line of an instruction by a code's co_linetable, where the code begins at a line; 0: it has none.
    Objects/locations.md of CPython, since 3.11."""
    place = behind = 0
    while place < len(table):
        kind, units = table[place] >> 3 & 15, (table[place] & 7) + 1
        ends = place + 1
        while ends < len(table) and table[ends] < 128:
            ends += 1
        if kind in (13, 14):
            line += _signed(table[place + 1 : ends])
        elif 10 <= kind <= 12:
            line += kind - 10
        behind += 2 * units
        if at < behind:
            return 0 if kind == 15 else max(line, 0)
        place = ends
    return 0


def _signed(data: bytes) -> int:
    """The first number: six bits a byte, the lowest bit is the sign."""
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 63) << 6 * place
        if not byte & 64:
            break
    return -(value >> 1) if value & 1 else value >> 1
