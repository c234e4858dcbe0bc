"""At which line of the program's source a task stands: docs/programs.md, "Each step at its line".

It is the line of the innermost frame that lies in the program's own file. Frames are found as a debugger finds them:
from the registers of the task, by the call frame information of each module on the way (:mod:`pairscope.trace.cfi`).
"""

from __future__ import annotations

import struct

from pairscope.lab.calls import MACHINE
from pairscope.trace import callers, cfi, line_table, maps, ptrace
from pairscope.trace.memory import Memory
from pairscope.trace.sentences import Unseen

_FRAMES = 64
_MOST = 256
"""Processes, and modules, that are remembered."""


class _Space:
    """What a process has mapped."""

    def __init__(self, tid: int, text: bytes, program: tuple[int, int]) -> None:
        self.text = text
        self._mappings = [one for one in maps.parsed(text) if one.executable]
        file, path = maps.program(tid)
        self.own = path if file == program else None
        """The path of the program, as its mappings have it; None: this process is another one."""

    def find(self, address: int) -> maps.Mapping | None:
        return next((one for one in self._mappings if one.start <= address < one.end), None)


class CompiledLines:
    """Lines of a program that was compiled with -g."""

    def __init__(self, path: str, seconds: int = 10) -> None:
        """Reads the table of lines. `path`: the program's file, as this process sees it. `seconds`: of processor time
        that this may take. It forks: before anything is traced."""
        self._missing = ""
        self._spaces: dict[int, _Space] = {}
        self._modules: dict[tuple[int, tuple[bytes, ...]], cfi.Module | None] = {}
        if MACHINE != "x86_64":
            self._missing = Unseen.MACHINE.say(machine=MACHINE)
            return
        try:
            self._table, self._program = line_table.read(path, seconds)
        except line_table.NoLines as error:
            self._missing = error.args[0]

    def missing(self) -> str:
        return self._missing

    def at(self, tid: int, *, call: bool) -> int:
        if self._missing:
            return 0
        try:
            return self._line(tid, call)
        except (OSError, ptrace.Gone, callers.Unknown, struct.error, ValueError):
            return 0

    def _line(self, tid: int, call: bool) -> int:
        space = self._space(tid)
        if space.own is None:
            return 0
        read = Memory(tid).read
        registers = ptrace.registers(tid)
        back = 0
        for _ in range(_FRAMES):
            at = registers.get(callers.RETURN, 0)
            mapping = space.find(at)
            module = self._module(mapping, read) if mapping else None
            if mapping is None or module is None:
                return 0
            at -= module.bias
            if mapping.path == space.own:
                # What is returned to stands behind the call, maybe on another line already, or in another function.
                line = self._table.at(at - int(call))
                if line != line_table.NONE:
                    return max(line, 0)
            if not call:
                return 0
            if not back and cfi.CLONE.match(read(at + module.bias, 8)):
                row = cfi.AT_ONCE
            else:
                row = module.row(read, at - back)
            if row.signal:
                return 0  # a handler that is not the program's: who was interrupted has not made this call
            above = callers.caller(row, registers, read)
            if above[callers.STACK] < registers[callers.STACK]:
                return 0
            registers, back = above, 1
        return 0

    def _space(self, tid: int) -> _Space:
        now = maps.read(tid)
        space = self._spaces.get(tid)
        if space is None or space.text != now:
            if len(self._spaces) > _MOST:
                self._spaces.clear()
            space = self._spaces[tid] = _Space(tid, now, self._program)
        return space

    def _module(self, mapping: maps.Mapping, read: callers.Read) -> cfi.Module | None:
        key = mapping.base, mapping.file
        if key not in self._modules:
            if len(self._modules) > _MOST:
                self._modules.clear()
            try:
                self._modules[key] = cfi.Module(read, mapping.base)
            except (callers.Unknown, struct.error, OSError):
                self._modules[key] = None
        return self._modules[key]
