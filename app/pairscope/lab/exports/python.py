"""A scenario as one Python program, with a function for each process: Python 3.11, the standard library, Linux.

Python's own functions make the calls. ctypes makes those that Python has no function for, or whose result it would
hide: addresses that nobody has mapped, control data as bytes, a poll that a handler ends, MSG_TRUNC's length.
"""

from __future__ import annotations

import fcntl
import keyword
import os
import re
import select
import signal
import socket
import textwrap
from collections.abc import Iterable

from pairscope.lab import named as naming
from pairscope.lab.calls import CALLS
from pairscope.lab.calls.programs import Actor, Turn
from pairscope.lab.calls.results import SHOWN
from pairscope.lab.constants import FROM_HEADERS, NUMBERS
from pairscope.lab.exports import piece
from pairscope.lab.exports import plan as planning
from pairscope.lab.exports.plan import NUMBERS_MAX, SECONDS, expected
from pairscope.lab.given import integer, narrow, pointer
from pairscope.lab.model import Constants, Name, Number, Scenario, Text, Value

_MODULES = {"socket": socket, "os": os, "fcntl": fcntl, "select": select, "signal": signal}
_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r"}
_STAGE_IMPORTS = (
    "contextlib",
    "ctypes",
    "errno",
    "mmap",
    "os",
    "resource",
    "signal",
    "sys",
    "threading",
    "time",
    "traceback",
)

_BEFORE = (
    "libc", "call", "BADPTR", "borrow", "plain", "handler", "pollfd", "raw_read", "keeps", "msghdr",
    "raw_message", "raw_recvmsg", "cmsg",
)  # fmt: skip
"""Pieces that stand before the steps: what the lesson itself is about."""
_BEHIND = (
    "quoted", "pid_of", "name_of", "born", "ended", "creds", "bits", "status_flags", "descriptor_flags",
    "seals", "named", "TYPE", "FAMILY", "PROTOCOL", "message", "revents", "option", "before", "raw_signal",
    "bound", "bound_port",
)  # fmt: skip
"""Those behind the steps: what they tell."""
PIECES = piece.read("py", (*_BEFORE, *_BEHIND))
"""In the order in which they stand in a program."""
STAGE = {name: each.body for name, each in piece.read("py", ("stage", "main")).items()}
"""The parts of a program that are no pieces: each program has them all."""
_CREDENTIALS = """\
    words += [f"creds={creds(data)}" for level, kind, data in control if (level, kind, len(data)) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, 12)]
"""  # noqa: E501 a line of the program
"""What message() has where credentials may come."""


def python(scenario: Scenario) -> str:
    """The scenario as a Python program. What it prints is :func:`pairscope.lab.exports.result_lines`."""
    return _Program(scenario).whole()


class _Program:
    def __init__(self, scenario: Scenario) -> None:
        self.plan = planning.plan(scenario)
        self._members = planning.apart(self.plan.descriptors, keyword.iskeyword)
        self._pieces: set[str] = {"libc"}
        self._imports = set(_STAGE_IMPORTS)
        self._own: set[str] = set()
        """Constants that no module has."""
        commands = {integer(turn.step.arguments[1]) for turn in self.plan.turns() if turn.step.call == "fcntl"}
        self._shows_cloexec = NUMBERS["F_GETFD"] in commands
        self.families = self._known_families()

    # ---- the whole

    def whole(self) -> str:
        functions = [self._function(actor) for actor in self.plan.actors]
        if "message" in self._pieces and self.plan.credentials:
            self.use("creds")
        waiting = list(self._pieces)
        while waiting:
            needed = PIECES[waiting.pop()]
            self._imports.update(needed.imports)
            waiting += [name for name in needed.needs if name not in self._pieces]
            self._pieces.update(needed.needs)
        before = [self._filled(PIECES[name].body) for name in _BEFORE if name in self._pieces]
        behind = [self._filled(PIECES[name].body) for name in _BEHIND if name in self._pieces]
        short = [text for text in before if not text.startswith(("def ", "class ", "@"))]
        long = [text for text in before if text not in short]
        parts = [*long, *functions, self._filled(STAGE["stage"]), *behind, self._filled(STAGE["main"])]
        return "\n".join([self._head(), *short]) + "\n\n" + "\n\n".join(parts)

    def _filled(self, text: str) -> str:
        files = self._files()
        marks = {
            "SHOWN": str(SHOWN),
            "LINE": str(planning.line_room(self.plan, "message" in self._pieces)),
            "ACCESS": ", ".join(f'"{name}"' for name in naming.ACCESS),
            **{kind.key.upper(): _rows(kind.names) for kind in naming.KINDS},
            "CREDS": _CREDENTIALS if self.plan.credentials else "",
            "RIGHTS": "kind in (socket.SCM_RIGHTS, 4)" if self.plan.pidfds else "kind == socket.SCM_RIGHTS",
            "TOLD": (
                'f"{len(word)} {quoted(word)}" if isinstance(word, bytes) else "0" if word is None else str(word)'
                if "quoted" in self._pieces
                else '"0" if word is None else str(word)'
            ),
            "NAMES": ", ".join(f'"{actor.name}"' for actor in self.plan.actors),
            "SCRIPT": "\n".join(
                f'    ("{line.actor}", "{line.call}", {line.patience}, {line.returned}),' for line in self.plan.lines
            ),
            "SECONDS": str(SECONDS),
            "LONGER": str(SECONDS + 2),
            "NUMBERS_MAX": str(NUMBERS_MAX),
            "FIRST": _function_name(self.plan.actors[0]),
            "ENTER": '    scratch = tempfile.mkdtemp(prefix="lab")  # where files are made\n    os.chdir(scratch)\n'
            if files
            else "",
            "CLEAN": '        os.chdir("/")\n        shutil.rmtree(scratch)\n' if files else "",
        }
        return piece.fill("py", text, marks)

    def _files(self) -> bool:
        files = planning.makes_files(self.plan.scenario)
        self._imports.update(("shutil", "tempfile") if files else ())
        return files

    def _head(self) -> str:
        lines = planning.heading(self.plan.scenario, "python3 lab.py", "Linux, and Python 3.11 or later.")
        self._files()
        comment = "\n".join(f"# {line}".rstrip() for line in lines)
        imports = "\n".join(f"import {name}" for name in sorted(self._imports | {"types"}))
        # The second line is empty: a title there might be taken for the declaration of an encoding.
        parts = [f"#!/usr/bin/env python3\n\n{comment}\n\n{imports}\n"]
        if self._own:
            parts.append("\n".join(f"{name} = {NUMBERS[name]:#x}" for name in sorted(self._own)) + "\n")
        if self._members:
            fields = textwrap.wrap(", ".join(f"{name}=-1" for name in self._members.values()), 100)
            inner = fields[0] if len(fields) == 1 else "\n" + "".join(f"    {line}\n" for line in fields)
            parts.append(
                "# The descriptors by their names. Like all memory they are copied by fork and shared by "
                "threads.\n"
                f"fd = types.SimpleNamespace({inner})\n"
            )
        return "\n".join(parts)

    # ---- the steps

    def _function(self, actor: Actor) -> str:
        lines = [f"def {_function_name(actor)}():"]
        for index, turn in enumerate(actor.turns):
            lines += [*([""] if index else []), *(f"    {line}" for line in self._turn(actor, turn))]
        return "\n".join([*lines, *([] if actor.turns else ["    pass"])]) + "\n"

    def _turn(self, actor: Actor, turn: Turn) -> list[str]:
        lines = CALLS[turn.step.call].python(self, actor, turn)
        managers = [f"turn({turn.number})"]
        while lines and lines[0].startswith("borrow("):
            managers.append(lines.pop(0))
        said = expected(turn)
        return [f"with {', '.join(managers)}:" + (f"  # => {said}" if said else ""), *(f"    {line}" for line in lines)]

    def use(self, piece: str) -> str:
        self._pieces.add(piece)
        return piece

    def module(self, name: str) -> str:
        self._imports.add(name)
        return name

    def borrowed(self, value: Value, name: str = "sock") -> list[str]:
        return [f"{self.use('borrow')}({self.number(value)}) as {name}"]

    def binds(self, turn: Turn, made: str, cloexec: bool = True) -> list[str]:
        """A descriptor that a call makes, and the name that it gets. `cloexec`: whether it is made as the call itself
        would."""
        made = made if cloexec or not self._shows_cloexec else f"{self.use('plain')}({made})"
        if not turn.binds:
            return [f"tell({made})"]
        return [f"{self.member(turn.binds[0])} = {made}", f"tell({self.member(turn.binds[0])})"]

    def pair(self, turn: Turn, made: str, ends: tuple[str, str], wanted: str, cloexec: bool) -> list[str]:
        first, second = (self.member(name) for name in turn.binds) if turn.binds else ("one", "two")
        shown = ends if cloexec or not self._shows_cloexec else tuple(f"{self.use('plain')}({end})" for end in ends)
        if shown == ("one", "two"):
            return [f"{first}, {second} = {made}", f"tell(0, [{first}, {second}])"]
        return [f"{wanted} = {made}", f"{first}, {second} = {shown[0]}, {shown[1]}", f"tell(0, [{first}, {second}])"]

    def raw(self, name: str) -> str:
        self.use("call")
        return f"call(libc.{name}"

    @staticmethod
    def over(before: str, data: str, after: str) -> list[str]:
        comma = "" if before.endswith("(") else ", "
        return f"{before}{comma}{data}{after}".split("\n")

    @property
    def interrupted(self) -> bool:
        """Whether a call may end with EINTR that Python would take up again: where a socket has a time-out,
        signal(7)."""
        self.use("quoted")
        return self.plan.handles and self.plan.waits

    def _known_families(self) -> dict[str, int | None]:
        """The family of the sockets that a name stands for, where only such calls give it that name."""
        found: dict[str, int | None] = {}
        for turn in self.plan.turns():
            family = integer(turn.step.arguments[0]) if turn.step.call in ("socket", "socketpair") else None
            for name in turn.binds:
                found[name] = family if found.get(name, family) == family else None
        return found

    # ---- values

    def own_name(self, name: str) -> str:
        return self._members[name]

    def member(self, name: str) -> str:
        return f"fd.{self._members[name]}"

    def process(self, value: Value) -> str:
        if isinstance(value, Name):
            return f'{self.use("pid_of")}("{value.text}")'
        return self.number(value)

    def number(self, value: Value, bits: int = 32) -> str:
        if isinstance(value, Name):
            return self.member(value.text)
        if isinstance(value, Constants):
            return " | ".join(map(self._constant, value.names))
        assert isinstance(value, Number)
        number = narrow(value.value, bits)
        return str(number) if number != value.value else _written(value)

    def unsigned(self, value: Value) -> str:
        found = integer(value)
        return self.number(value) if found is None or 0 <= found < 1 << 31 else str(found & 0xFFFFFFFF)

    def _constant(self, name: str) -> str:
        for module, held in _MODULES.items():
            if isinstance(getattr(held, name, None), int) and int(getattr(held, name)) == NUMBERS[name]:
                return f"{self.module(module)}.{name}"
        self._own.add(name)
        return name

    def address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""
        found = pointer(value)
        return self.use("BADPTR") if found == "BADPTR" else "None" if found else ""

    def text(self, value: Value, width: int = 16) -> str:
        assert isinstance(value, Text)
        if value.hexadecimal and value.data:
            if len(value.data) <= width:
                shown = f'bytes.fromhex("{value.data.hex(" ")}")'
            else:
                rows = [value.data[at : at + width].hex(" ") for at in range(0, len(value.data), width)]
                shown = "bytes.fromhex(\n" + "\n".join(f'    "{row}"' for row in rows) + "\n)"
        else:
            shown = _bytes(value.data)
        return shown if value.times == 1 else f"{shown} * {value.times}"

    @staticmethod
    def path(data: bytes) -> str:
        return _bytes(data)[1:] if re.fullmatch(rb"[\x20-\x7e]*", data) else _bytes(data)

    @staticmethod
    def listed(entries: list[str]) -> str:
        whole = f"[{', '.join(entries)}]"
        if len(whole) <= 110 or "\n" in whole:
            return whole
        return "[\n" + "\n".join(f"    {entry}," for entry in entries) + "\n]"


# ---- Python's own forms


def _rows(names: Iterable[str]) -> str:
    """A table's names with their numbers, which are those of the machine that the program runs on."""
    return "\n".join(f'    ("{name}", {_number_of(name)}),' for name in names)


def _number_of(name: str) -> str:
    if name == "O_LARGEFILE":  # Python has the C library's, which is 0
        return '0o400000 if os.uname().machine == "aarch64" else 0o100000'
    # What a header says, a Python of 3.11 need not have.
    modules = [] if name in FROM_HEADERS else [module for module, held in _MODULES.items() if hasattr(held, name)]
    return f"{modules[0]}.{name}" if modules else f"{NUMBERS[name]:#x}"


def _bytes(data: bytes) -> str:
    """Bytes as a literal in double quotes."""
    found = []
    for byte in data:
        if byte in b'"\\':
            found.append("\\" + chr(byte))
        elif byte in _ESCAPES:
            found.append(_ESCAPES[byte])
        else:
            found.append(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    return f'b"{"".join(found)}"'


def _written(value: Number) -> str:
    """A number as the scenario has it: ``64K`` as a product."""
    shown = value.shown
    for unit, factor in (("K", "1024"), ("M", "1024 * 1024")):
        if shown.endswith(unit):
            inner = shown[:-1] if "x" in shown else str(value.value // (1024 if unit == "K" else 1024 * 1024))
            return factor if inner == "1" else f"{inner} * {factor}"
    if "x" not in shown and shown.lstrip("-").startswith("0") and value.value:
        return oct(value.value)
    return shown if "x" in shown else str(value.value)


def _function_name(actor: Actor) -> str:
    return f"{actor.name}_{'thread' if actor.thread else 'process'}"
