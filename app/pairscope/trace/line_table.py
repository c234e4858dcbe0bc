"""From which line of its main source each instruction of a program comes: `.debug_line`, read by pyelftools.

The main source is the one that has `main`. Whoever made the program may have made its tables by hand, and a count
of 2^60 files there takes a reader's memory: so a process of its own reads it, with bounds, before anything is traced.
"""

from __future__ import annotations

import bisect
import os
import posixpath
import resource
import stat
import struct
from array import array
from typing import Any

from elftools.elf.elffile import ELFFile

from pairscope.trace.sentences import Unseen

NONE, OTHER = 0, -1
"""No line is known here; this comes from another file, a header for one."""
_MEMORY, _ROWS = 1 << 30, 1 << 20
_HEAD = struct.Struct("<Q")


class NoLines(Exception):
    """The program has no lines that can be told. Its argument is a sentence."""


class LineTable:
    """Lines by addresses of the file."""

    def __init__(self, addresses: array[int], lines: array[int]) -> None:
        self._addresses, self._lines = addresses, lines

    def at(self, address: int) -> int:
        """The line, NONE or OTHER."""
        place = bisect.bisect_right(self._addresses, address) - 1
        return self._lines[place] if place >= 0 else NONE


def read(path: str, seconds: int = 10) -> tuple[LineTable, tuple[int, int]]:
    """The table of a program; device and inode of the file. `seconds`: of processor time that it may take, 2.5 MB of
    `.debug_line` (CPython's) took 8. Raises NoLines."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NoLines(Unseen.UNREADABLE.say(path=path, why=error.strerror)) from None
    try:
        found = os.fstat(fd)
        data = _apart(fd, path, seconds) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(fd)
    many = _HEAD.unpack_from(data)[0] if len(data) >= _HEAD.size else 0
    if not many or len(data) != _HEAD.size + 12 * many:
        raise NoLines(Unseen.NO_TABLE.say(path=path))
    table = LineTable(array("Q", data[8 : 8 + 8 * many]), array("i", data[8 + 8 * many :]))
    return table, (found.st_dev, found.st_ino)


def _apart(fd: int, path: str, seconds: int) -> bytes:
    """What another process reads of the file; empty: nothing. Raises NoLines where that ends it at a bound."""
    take, give = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(take)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            with open(give, "wb") as pipe, open(fd, "rb", closefd=False) as file:
                pipe.write(_packed(_rows(file)))
        finally:
            os._exit(0)  # whatever was wrong with the file: it has no lines
    os.close(give)
    with open(take, "rb") as pipe:
        data = pipe.read(_HEAD.size + 12 * _ROWS)
    if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
        raise NoLines(Unseen.SLOW.say(path=path, seconds=seconds))
    return data


def _packed(rows: list[tuple[int, int]]) -> bytes:
    rows = rows[:_ROWS]
    return b"".join(
        (
            _HEAD.pack(len(rows)),
            array("Q", (row[0] for row in rows)).tobytes(),
            array("i", (row[1] for row in rows)).tobytes(),
        )
    )


def _rows(file: Any) -> list[tuple[int, int]]:
    """Addresses, and what is from there on, in order."""
    elf = ELFFile(file)
    if not elf.has_dwarf_info():
        return []
    dwarf = elf.get_dwarf_info(follow_links=False)
    units = []
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is not None:
            units.append((_files(program.header, unit.get_top_DIE()), _sequences(program)))
    source = _source(units, _main(elf))
    if not source:
        return []
    found: list[list[tuple[int, int]]] = []
    for files, sequences in units:
        for sequence in sequences:
            found.append([(at, line if files.get(file) == source else OTHER) for at, line, file in sequence[:-1]])
            found[-1].append((sequence[-1][0], NONE))
    return [row for sequence in sorted(found) for row in sequence]


def _source(units: list[tuple[dict[int, str], list[list[tuple[int, int, int]]]]], main: int) -> str:
    """The file that `main` comes from; empty: it is not known."""
    for files, sequences in units:
        for sequence in sequences:
            if sequence[0][0] <= main < sequence[-1][0]:
                return next((files.get(file, "") for at, _, file in sequence if at >= main), "")
    return ""


def _main(elf: Any) -> int:
    """The address of `main`; -1: it has no name any more."""
    table = elf.get_section_by_name(".symtab")
    symbols = table.get_symbol_by_name("main") if table is not None else None
    return int(symbols[0]["st_value"]) if symbols else -1


def _sequences(program: Any) -> list[list[tuple[int, int, int]]]:
    """Stretches of instructions: address, line and file of each row; the last row ends it."""
    found: list[list[tuple[int, int, int]]] = []
    rows: list[tuple[int, int, int]] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        rows.append((state.address, state.line if 0 < state.line < 1 << 31 else OTHER, state.file))
        if state.end_sequence:
            if rows[0][0]:  # at 0 stands what the linker has thrown out
                found.append(rows)
            rows = []
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else ""


def _files(header: Any, top: Any) -> dict[int, str]:
    """The files of a unit by their numbers. Since DWARF 5 both files and directories are counted from 0."""
    newer = header.version >= 5
    home = _text(top.attributes["DW_AT_comp_dir"].value) if "DW_AT_comp_dir" in top.attributes else ""
    folders = [*([] if newer else [b""]), *header.include_directory]
    found = {}
    for number, entry in enumerate(header.file_entry, 0 if newer else 1):
        folder = _text(folders[entry.dir_index]) if entry.dir_index < len(folders) else ""
        found[number] = posixpath.normpath(posixpath.join(home, folder, _text(entry.name)))
    return found
