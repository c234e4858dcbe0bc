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
from pairscope.lab.constants import FROM_HEADERS, NUMBERS
from pairscope.lab.exports import piece
from pairscope.lab.exports import plan as planning
from pairscope.lab.exports.lines import SHOWN
from pairscope.lab.exports.plan import (
    CONTROL_ROOM,
    NUMBERS_MAX,
    SECONDS,
    Actor,
    Turn,
    content,
    expected,
    integer,
    items,
    named,
    narrow,
    pointer,
    word,
)
from pairscope.lab.model import Constants, Name, Number, Scenario, Text, Value

_MODULES = {"socket": socket, "os": os, "fcntl": fcntl, "select": select, "signal": signal}
_CLOEXEC = os.O_CLOEXEC
_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r"}
_PLAIN_COMMANDS = [
    NUMBERS[name]
    for name in (
        "F_DUPFD",
        "F_DUPFD_CLOEXEC",
        "F_GETFD",
        "F_SETFD",
        "F_GETFL",
        "F_SETFL",
        "F_ADD_SEALS",
        "F_GET_SEALS",
        "F_SETPIPE_SZ",
        "F_GETPIPE_SZ",
    )
]
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
    return _Program(scenario).text()


class _Program:
    def __init__(self, scenario: Scenario) -> None:
        self._plan = planning.plan(scenario)
        self._members = planning.apart(self._plan.descriptors, keyword.iskeyword)
        self._pieces: set[str] = {"libc"}
        self._imports = set(_STAGE_IMPORTS)
        self._own: set[str] = set()
        """Constants that no module has."""
        commands = {integer(turn.step.arguments[1]) for turn in self._plan.turns() if turn.step.call == "fcntl"}
        self._shows_cloexec = NUMBERS["F_GETFD"] in commands
        self._families = self._known_families()

    # ---- the whole

    def text(self) -> str:
        functions = [self._function(actor) for actor in self._plan.actors]
        if "message" in self._pieces and self._plan.credentials:
            self._use("creds")
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
            "LINE": str(self._line_room()),
            "ACCESS": ", ".join(f'"{name}"' for name in naming.ACCESS),
            **{kind.key.upper(): _rows(kind.names) for kind in naming.KINDS},
            "CREDS": _CREDENTIALS if self._plan.credentials else "",
            "RIGHTS": "kind in (socket.SCM_RIGHTS, 4)" if self._plan.pidfds else "kind == socket.SCM_RIGHTS",
            "TOLD": (
                'f"{len(word)} {quoted(word)}" if isinstance(word, bytes) else "0" if word is None else str(word)'
                if "quoted" in self._pieces
                else '"0" if word is None else str(word)'
            ),
            "NAMES": ", ".join(f'"{actor.name}"' for actor in self._plan.actors),
            "SCRIPT": "\n".join(
                f'    ("{line.actor}", "{line.call}", {line.patience}, {line.returned}),' for line in self._plan.lines
            ),
            "SECONDS": str(SECONDS),
            "LONGER": str(SECONDS + 2),
            "NUMBERS_MAX": str(NUMBERS_MAX),
            "FIRST": _function_name(self._plan.actors[0]),
            "ENTER": '    scratch = tempfile.mkdtemp(prefix="lab")  # where files are made\n    os.chdir(scratch)\n'
            if files
            else "",
            "CLEAN": '        os.chdir("/")\n        shutil.rmtree(scratch)\n' if files else "",
        }
        return piece.fill("py", text, marks)

    def _files(self) -> bool:
        files = planning.makes_files(self._plan.scenario)
        self._imports.update(("shutil", "tempfile") if files else ())
        return files

    def _line_room(self) -> int:
        polled = max(
            (len(items(turn.step.arguments[0])) for turn in self._plan.turns() if turn.step.call == "poll"), default=0
        )
        return 512 + 5 * CONTROL_ROOM // 4 * ("message" in self._pieces) + 128 * polled

    def _head(self) -> str:
        said = self._plan.scenario.said
        lines = _wrapped(said("title") or "A scenario", "")
        for key, what in (
            ("quirk", "Unexpected: "),
            ("notice", "Notice: "),
            ("ask", "Question: "),
            ("man", "Manual pages: "),
        ):
            texts = [text for other, text in self._plan.scenario.about if other == key]
            lines += ["", *(line for text in texts for line in _wrapped(text, what))] if texts else []
        lines += [
            "",
            *planning.steps(self._plan.scenario),
            "",
            "    python3 lab.py",
            "",
            "Linux, and Python 3.11 or later.",
            "",
        ]
        lines += _wrapped(
            "Each process has a function below. turn(N) waits until it is time for step N, the system call "
            "that follows, and tell() says "
            "what came of it: one line is printed for each step. The steps are taken one at a time, in the "
            "order of their numbers, whichever process "
            "they belong to. Beside a turn stands what is to be expected.",
            "",
        )
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
        lines = getattr(self, f"_{turn.step.call}")(actor, turn)
        managers = [f"turn({turn.number})"]
        while lines and lines[0].startswith("borrow("):
            managers.append(lines.pop(0))
        said = expected(turn)
        return [f"with {', '.join(managers)}:" + (f"  # => {said}" if said else ""), *(f"    {line}" for line in lines)]

    def _use(self, piece: str) -> str:
        self._pieces.add(piece)
        return piece

    def _module(self, name: str) -> str:
        self._imports.add(name)
        return name

    def _borrowed(self, value: Value, name: str = "sock") -> list[str]:
        return [f"{self._use('borrow')}({self._int(value)}) as {name}"]

    def _binds(self, turn: Turn, made: str, cloexec: bool = True) -> list[str]:
        """A descriptor that a call makes, and the name that it gets. `cloexec`: whether it is made as the call itself
        would."""
        made = made if cloexec or not self._shows_cloexec else f"{self._use('plain')}({made})"
        if not turn.binds:
            return [f"tell({made})"]
        return [f"{self._member(turn.binds[0])} = {made}", f"tell({self._member(turn.binds[0])})"]

    def _pair(self, turn: Turn, made: str, ends: tuple[str, str], wanted: str, cloexec: bool) -> list[str]:
        first, second = (self._member(name) for name in turn.binds) if turn.binds else ("one", "two")
        shown = ends if cloexec or not self._shows_cloexec else tuple(f"{self._use('plain')}({end})" for end in ends)
        if shown == ("one", "two"):
            return [f"{first}, {second} = {made}", f"tell(0, [{first}, {second}])"]
        return [f"{wanted} = {made}", f"{first}, {second} = {shown[0]}, {shown[1]}", f"tell(0, [{first}, {second}])"]

    def _socketpair(self, actor: Actor, turn: Turn) -> list[str]:
        self._module("socket")
        cloexec = bool((integer(turn.step.arguments[1]) or 0) & _CLOEXEC)
        made = f"socket.socketpair({', '.join(map(self._int, turn.step.arguments))})"
        return self._pair(turn, made, ("one.detach()", "two.detach()"), "one, two", cloexec)

    def _pipe2(self, actor: Actor, turn: Turn) -> list[str]:
        return self._pair(turn, f"os.pipe2({self._int(turn.step.arguments[0])})", ("one", "two"), "one, two", True)

    def _pipe(self, actor: Actor, turn: Turn) -> list[str]:
        return self._pair(turn, "os.pipe()", ("one", "two"), "one, two", False)

    def _socket(self, actor: Actor, turn: Turn) -> list[str]:
        self._module("socket")
        cloexec = bool((integer(turn.step.arguments[1]) or 0) & _CLOEXEC)
        return self._binds(turn, f"socket.socket({', '.join(map(self._int, turn.step.arguments))}).detach()", cloexec)

    def _fork(self, actor: Actor, turn: Turn) -> list[str]:
        name = turn.step.binds[0]
        return [
            "pid = os.fork()",
            "if pid == 0:",
            f'    act("{name}", {name}_process)',
            f'tell({self._use("born")}("{name}", pid))',
        ]

    def _thread(self, actor: Actor, turn: Turn) -> list[str]:
        name = turn.step.binds[0]
        return [
            f'threading.Thread(target=act, args=("{name}", {name}_thread), daemon=True).start()',
            f'{self._use("born")}("{name}", os.getpid())',
            "tell(0)",
        ]

    def _exit(self, actor: Actor, turn: Turn) -> list[str]:
        return (
            ["sys.exit()  # of this thread"]
            if actor.thread
            else [f"os._exit({(integer(turn.step.arguments[0]) or 0) & 0xFF})"]
        )

    def _close(self, actor: Actor, turn: Turn) -> list[str]:
        return [f"tell(os.close({self._int(turn.step.arguments[0])}))"]

    def _dup(self, actor: Actor, turn: Turn) -> list[str]:
        return self._binds(turn, f"os.dup({self._int(turn.step.arguments[0])})", False)

    def _dup2(self, actor: Actor, turn: Turn) -> list[str]:
        old, new = turn.step.arguments
        if (integer(old) or 0) < 0 or (integer(new) or 0) < 0:
            return self._binds(turn, f"{self._raw('dup2')}, {self._int(old)}, {self._int(new)})")
        return self._binds(turn, f"os.dup2({self._int(old)}, {self._int(new)})")

    def _dup3(self, actor: Actor, turn: Turn) -> list[str]:
        return self._binds(turn, f"{self._raw('dup3')}, {', '.join(map(self._int, turn.step.arguments))})")

    def _raw(self, name: str) -> str:
        self._use("call")
        return f"call(libc.{name}"

    def _read(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        fd, room, *more = step.arguments
        if where := self._address(room):
            return [f"tell({self._raw('read')}, {self._int(fd)}, {where}, ctypes.c_size_t({self._int(more[0])})))"]
        if self._interrupted:
            count = f", count={self._int(more[0])}" if more else ""
            return [f"tell({self._use('raw_read')}(libc.read, {self._int(fd)}, {self._int(room)}{count})[1])"]
        return [f"tell(os.read({self._int(fd)}, {self._int(more[0] if more else room)}))"]

    def _recv(self, actor: Actor, turn: Turn) -> list[str]:
        fd, size, flags = turn.step.arguments
        truncates = (integer(flags) or 0) & NUMBERS["MSG_TRUNC"]
        if truncates or self._interrupted or integer(size) == 0:  # Python itself answers where nothing is asked for
            told = f"tell(count, {self._use('quoted')}(data))"
            return [
                *([f"kept = {self._use('keeps')}({self._int(fd)})"] if truncates else []),
                (
                    f"count, data = {self._use('raw_read')}(libc.recv, {self._int(fd)}, {self._int(size)}, "
                    f"{self._int(flags)})"
                ),
                *(["if kept or not count:", f"    {told}", "else:", "    tell(count)"] if truncates else [told]),
            ]
        return [*self._borrowed(fd), f"tell(sock.recv({self._int(size)}, {self._int(flags)}))"]

    def _pread(self, actor: Actor, turn: Turn) -> list[str]:
        fd, size, offset = turn.step.arguments
        self._use("quoted")
        return [f"tell(os.pread({self._int(fd)}, {self._int(size)}, {self._int(offset, 64)}))"]

    def _write(self, actor: Actor, turn: Turn) -> list[str]:
        fd, data, *count = turn.step.arguments
        where = self._address(data)
        shown = where or self._text(data)
        if where or self._interrupted:
            size = self._int(count[0]) if count else str(len(content(data)))
            return [f"tell({self._raw('write')}, {self._int(fd)}, {shown}, ctypes.c_size_t({size})))"]
        return self._over(
            f"tell(os.write({self._int(fd)}", f"{shown}[:{self._int(count[0])}]" if count else shown, "))"
        )

    def _send(self, actor: Actor, turn: Turn) -> list[str]:
        fd, data, flags = turn.step.arguments
        if self._interrupted:
            return [
                (
                    f"tell({self._raw('send')}, {self._int(fd)}, {self._text(data)}, "
                    f"ctypes.c_size_t({len(content(data))}), {self._int(flags)}))"
                )
            ]
        return [*self._borrowed(fd), *self._over("tell(sock.send(", self._text(data), f", {self._int(flags)}))")]

    def _pwrite(self, actor: Actor, turn: Turn) -> list[str]:
        fd, data, offset = turn.step.arguments
        return self._over(f"tell(os.pwrite({self._int(fd)}", self._text(data), f", {self._int(offset, 64)}))")

    @staticmethod
    def _over(before: str, data: str, after: str) -> list[str]:
        comma = "" if before.endswith("(") else ", "
        return f"{before}{comma}{data}{after}".split("\n")

    @property
    def _interrupted(self) -> bool:
        """Whether a call may end with EINTR that Python would take up again: where a socket has a time-out,
        signal(7)."""
        self._use("quoted")
        return self._plan.handles and self._plan.waits

    def _sendmsg(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        self._module("socket")
        fd, flags = self._int(step.arguments[0]), self._int(given["flags"]) if "flags" in given else "0"
        pieces = self._list([self._text(value) for value in items(given["iov"])])
        fds, creds = items(given.get("fds")), items(given.get("creds"))
        lines: list[str] = []
        bodies = []
        if fds:
            self._module("array")
            lines.append(f'fds = array.array("i", {self._numbers(fds)})')
            bodies.append(("socket.SCM_RIGHTS", "fds"))
        if creds:
            self._module("struct")
            pid, uid, gid = creds
            lines.append(
                f'who = struct.pack("=iII", {self._process(pid)}, {self._unsigned(uid)}, {self._unsigned(gid)})'
            )
            bodies.append(("socket.SCM_CREDENTIALS", "who"))
        if {"raw", "control", "cmsg_len", "bad_iov"}.isdisjoint(given) and not self._interrupted:
            control = [f"(socket.SOL_SOCKET, {kind}, {body})" for kind, body in bodies]
            more = f", [{', '.join(control)}]" if control else ", []" if flags != "0" else ""
            more += f", {flags}" if flags != "0" else ""
            return [*self._borrowed(step.arguments[0]), *lines, *f"tell(sock.sendmsg({pieces}{more}))".split("\n")]
        self._use("raw_message")
        claimed = f", {narrow(integer(given['cmsg_len']) or 0, 64)}" if "cmsg_len" in given else ""
        if "raw" in given:
            lines += [*f"control = {self._text(given['raw'], 8)}".split("\n")]
        else:
            parts = [
                f"{self._use('cmsg')}({kind}, {body if body == 'who' else 'bytes(fds)'}{claimed})"
                for kind, body in bodies
            ]
            lines += [f"control = {' + '.join(parts)}"] if parts else []
        more = f", length={self._int(given['control'])}" if "control" in given else ""
        more += f", flags={flags}" if flags != "0" else ""
        more += f", iov={'0' if pointer(given['bad_iov']) == 'NULL' else '1'}" if "bad_iov" in given else ""
        more = (", control" if "raw" in given or bodies else "") + more
        return [*lines, *f"tell(raw_message(libc.sendmsg, {fd}, {pieces}{more}))".split("\n")]

    def _recvmsg(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        self._module("socket")
        flags = self._int(given["flags"]) if "flags" in given else ""
        sizes = [integer(value) or 0 for value in items(given["iov"])]
        room = (integer(given["control"]) or 0) if "control" in given else CONTROL_ROOM
        if "bad_iov" in given:
            self._use("raw_message")
            sent = self._list([f"bytes({size})" for size in sizes])
            address = "0" if pointer(given["bad_iov"]) == "NULL" else "1"
            more = f", flags={flags}" if flags else ""
            return [
                (
                    f"tell(raw_message(libc.recvmsg, {self._int(step.arguments[0])}, {sent}, bytes({room}){more}, "
                    f"iov={address}))"
                )
            ]
        self._use("message")
        names = "".join(f', "{self._members[name]}"' for name in turn.binds)
        lines = self._borrowed(step.arguments[0])
        shown_pieces = "pieces"
        if (integer(given["flags"]) or 0 if flags else 0) & NUMBERS["MSG_TRUNC"]:  # TCP copies nothing then: tcp(7)
            shown_pieces = "pieces if sock.proto != socket.IPPROTO_TCP else None"
        made = f"pieces = [{', '.join(f'bytearray({size})' for size in sizes)}]"
        shown = f"socket.CMSG_{'LEN' if room == 20 else 'SPACE'}(4)" if room in (20, 24) else str(room)
        more = f", {shown}" if room or flags else ""
        more += f", {flags}" if flags else ""
        if self._interrupted:
            call = f"{self._use('raw_recvmsg')}({self._int(step.arguments[0])}, pieces, {shown}, {flags or 0})"
            return [
                *(lines if shown_pieces != "pieces" else ()),
                made,
                f"tell(*message({call}, {shown_pieces}{names}))",
            ]
        return [*lines, made, f"tell(*message(sock.recvmsg_into(pieces{more}), {shown_pieces}{names}))"]

    def _shutdown(self, actor: Actor, turn: Turn) -> list[str]:
        fd, how = turn.step.arguments
        return [*self._borrowed(fd), f"tell(sock.shutdown({self._int(how)}))"]

    def _setsockopt(self, actor: Actor, turn: Turn) -> list[str]:
        fd, level, option, value = turn.step.arguments
        shown = self._text(value) if isinstance(value, Text) else self._int(value)
        return [
            *self._borrowed(fd),
            *f"tell(sock.setsockopt({self._int(level)}, {self._int(option)}, {shown}))".split("\n"),
        ]

    def _getsockopt(self, actor: Actor, turn: Turn) -> list[str]:
        fd, level, option = turn.step.arguments
        numbers = [integer(level), integer(option)]
        asked = f"sock.getsockopt({self._int(level)}, {self._int(option)}"
        call = f"{asked}, 256)"
        lines = self._borrowed(fd)
        if numbers == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]]:
            self._use("creds")
            return [*lines, f'tell(0, f"value={{creds({call})}}")']
        if kind := naming.of_option([integer(value) for value in turn.step.arguments]):
            if kind is naming.ERROR:
                return [*lines, f"error = {asked})", 'tell(0, f"value={ERRNOS.get(error, error)}")']
            return [*lines, f'tell(0, f"value={{{self._use("named")}({asked}), {self._use(kind.key.upper())})}}")']
        return [*lines, f"tell(0, {self._use('option')}({call}))"]

    def _fcntl(self, actor: Actor, turn: Turn) -> list[str]:
        fd, command, *argument = turn.step.arguments
        if integer(command) in _PLAIN_COMMANDS and (integer(fd) or 0) >= 0:
            self._module("fcntl")
            call = f"fcntl.fcntl({', '.join(map(self._int, turn.step.arguments))})"
        else:
            last = f"ctypes.c_long({self._int(argument[0], 64) if argument else 0})"
            call = f"{self._raw('fcntl')}, {self._int(fd)}, {self._int(command)}, {last})"
        if kind := naming.of_return("fcntl", [integer(value) for value in turn.step.arguments]):
            return [f"tell({self._use(kind.key)}({call}))"]
        return self._binds(turn, call)

    def _open(self, actor: Actor, turn: Turn) -> list[str]:
        name, flags, *mode = turn.step.arguments
        cloexec = bool((integer(flags) or 0) & _CLOEXEC)
        return self._binds(
            turn,
            f"os.open({self._path(content(name))}, {self._int(flags)}, "
            f"{oct((integer(mode[0]) or 0) & 0xFFFFFFFF) if mode else '0o600'})",
            cloexec,
        )

    def _memfd_create(self, actor: Actor, turn: Turn) -> list[str]:
        name, flags = turn.step.arguments
        # As C has it, a name ends at its first NUL.
        return self._binds(
            turn, f"os.memfd_create({self._path(content(name).partition(bytes(1))[0])}, {self._int(flags)})"
        )

    def _eventfd(self, actor: Actor, turn: Turn) -> list[str]:
        value, flags = turn.step.arguments
        return self._binds(turn, f"os.eventfd({self._unsigned(value)}, {self._int(flags)})")

    def _ftruncate(self, actor: Actor, turn: Turn) -> list[str]:
        fd, size = turn.step.arguments
        return [f"tell(os.ftruncate({self._int(fd)}, {self._int(size, 64)}))"]

    def _lseek(self, actor: Actor, turn: Turn) -> list[str]:
        fd, offset, whence = turn.step.arguments
        return [f"tell(os.lseek({self._int(fd)}, {self._int(offset, 64)}, {self._int(whence)}))"]

    def _listen(self, actor: Actor, turn: Turn) -> list[str]:
        fd, backlog = turn.step.arguments
        if not isinstance(backlog, Number) or backlog.value < 0:
            return [f"tell({self._raw('listen')}, {self._int(fd)}, {self._int(backlog)}))"]
        return [*self._borrowed(fd), f"tell(sock.listen({self._int(backlog)}))"]

    def _accept(self, actor: Actor, turn: Turn) -> list[str]:
        fd = turn.step.arguments[0]
        if self._interrupted:
            return self._binds(turn, f"{self._raw('accept')}, {self._int(fd)}, None, None)")
        return [*self._borrowed(fd), *self._binds(turn, "sock.accept()[0].detach()", False)]

    def _known_families(self) -> dict[str, int | None]:
        """The family of the sockets that a name stands for, where only such calls give it that name."""
        found: dict[str, int | None] = {}
        for turn in self._plan.turns():
            family = integer(turn.step.arguments[0]) if turn.step.call in ("socket", "socketpair") else None
            for name in turn.binds:
                found[name] = family if found.get(name, family) == family else None
        return found

    def _bind(self, actor: Actor, turn: Turn) -> list[str]:
        return self._addressed(turn)

    _connect = _bind

    def _addressed(self, turn: Turn) -> list[str]:
        step = turn.step
        fd, address = step.arguments
        kind, path, port = planning.address(address)
        family = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6}[kind]
        chosen = step.call == "connect" and kind != "unix" and port == 0
        shown = (
            f"{self._use('bound_port')}(socket.{'AF_INET6' if kind == 'inet6' else 'AF_INET'}, {self._int(fd)})"
            if chosen
            else str(port & 0xFFFF)
        )
        kept = [f"{self._use('bound')}(sock)"] if step.call == "bind" and kind != "unix" else []
        if isinstance(fd, Name) and self._families.get(fd.text) == family and not self._interrupted:
            where = self._path(path) if kind == "unix" else f'("{"127.0.0.1" if kind == "inet" else "::1"}", {shown})'
            return [
                *self._borrowed(fd),
                *([f"sock.{step.call}({where})", *kept, "tell(0)"] if kept else [f"tell(sock.{step.call}({where}))"]),
            ]
        self._module("socket")
        self._module("struct")
        if kind == "unix":
            data = path + (b"" if path.startswith(b"\0") else b"\0")
            where = f'struct.pack("=H", socket.AF_UNIX) + {data!r}'
        elif kind == "inet":
            where = f'struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", {shown}, socket.inet_aton("127.0.0.1"))'
        else:
            where = (
                f'struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", {shown}, 0, '
                'socket.inet_pton(socket.AF_INET6, "::1"), 0)'
            )
        lines = [f"address = {where}", f"{self._raw(step.call)}, {self._int(fd)}, address, len(address))"]
        if kept:
            return [*lines, f"with {self._use('borrow')}({self._int(fd)}) as sock:", f"    {kept[0]}", "tell(0)"]
        return [lines[0], f"tell({lines[1]})"]

    def _poll(self, actor: Actor, turn: Turn) -> list[str]:
        fds, events, timeout = turn.step.arguments
        numbers = items(fds)
        wanted = items(events) if len(items(events)) == len(numbers) else items(events) * len(numbers)
        self._module("select")
        self._use("revents")
        simple = len(numbers) == 1 and (integer(numbers[0]) or 0) >= 0 and (integer(wanted[0]) or 0) >> 15 == 0
        if simple and not self._plan.handles:
            head = [
                "poller = select.poll()",
                f"poller.register({self._int(numbers[0])}, {self._int(wanted[0])})",
                f"found = poller.poll({self._int(timeout)})",
            ]
            return [*head, "tell(len(found), revents([found[0][1] if found else 0]))"]
        self._use("pollfd")
        entries = [f"PollFd({self._int(fd)}, {self._int(mask, 16)})" for fd, mask in zip(numbers, wanted)]
        return [
            *f"fds = (PollFd * {len(numbers)})({self._list(entries)[1:-1]})".split("\n"),
            (
                f"tell({self._raw('poll')}, fds, ctypes.c_ulong({len(numbers)}), {self._int(timeout)}), "
                "revents(entry.revents for entry in fds))"
            ),
        ]

    def _pidfd_open(self, actor: Actor, turn: Turn) -> list[str]:
        process, flags = turn.step.arguments
        return self._binds(turn, f"os.pidfd_open({self._process(process)}, {self._unsigned(flags)})")

    def _pidfd_send_signal(self, actor: Actor, turn: Turn) -> list[str]:
        fd, number = turn.step.arguments
        return [f"tell(signal.pidfd_send_signal({self._int(fd)}, {self._int(number)}))"]

    def _signal(self, actor: Actor, turn: Turn) -> list[str]:
        number, handler = turn.step.arguments
        shown = word(handler)
        known = 0 < (integer(number) or 0) < 65 and integer(number) not in (32, 33)
        if actor.thread or not known:
            return [f'tell({self._use("raw_signal")}({self._int(number)}, "{shown}"))']
        what = self._use("handler") if shown == "HANDLER" else f"signal.{shown}"
        call = f"signal.signal({self._int(number)}, {what})"
        self._use("before")
        if shown != "HANDLER":
            return [f"tell(before({call}))"]
        again = (
            f"signal.siginterrupt({self._int(number)}, False)  # as the C library's signal(2) has it: calls are "
            "taken up again"
        )
        return [f"found = {call}", again, "tell(before(found))"]

    def _kill(self, actor: Actor, turn: Turn) -> list[str]:
        process, number = turn.step.arguments
        return [f"tell(os.kill({self._process(process)}, {self._int(number)}))"]

    def _waitpid(self, actor: Actor, turn: Turn) -> list[str]:
        arguments = turn.step.arguments
        self._use("ended")
        if not arguments:
            return ["tell(*ended(*os.wait()))"]
        return [
            (
                f"tell(*ended(*os.waitpid({self._process(arguments[0])}, "
                f"{self._int(arguments[1]) if len(arguments) > 1 else 0})))"
            )
        ]

    _wait = _waitpid

    # ---- values

    def _member(self, name: str) -> str:
        return f"fd.{self._members[name]}"

    def _process(self, value: Value) -> str:
        if isinstance(value, Name):
            return f'{self._use("pid_of")}("{value.text}")'
        return self._int(value)

    def _int(self, value: Value, bits: int = 32) -> str:
        if isinstance(value, Name):
            return self._member(value.text)
        if isinstance(value, Constants):
            return " | ".join(map(self._constant, value.names))
        assert isinstance(value, Number)
        number = narrow(value.value, bits)
        return str(number) if number != value.value else _written(value)

    def _unsigned(self, value: Value) -> str:
        found = integer(value)
        return self._int(value) if found is None or 0 <= found < 1 << 31 else str(found & 0xFFFFFFFF)

    def _constant(self, name: str) -> str:
        for module, held in _MODULES.items():
            if isinstance(getattr(held, name, None), int) and int(getattr(held, name)) == NUMBERS[name]:
                return f"{self._module(module)}.{name}"
        self._own.add(name)
        return name

    def _address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""
        found = pointer(value)
        return self._use("BADPTR") if found == "BADPTR" else "None" if found else ""

    def _numbers(self, fds: tuple[Value, ...]) -> str:
        shown = [self._int(value) for value in fds]
        if len(shown) > 8 and len(set(shown)) == 1:
            return f"[{shown[0]}] * {len(shown)}"
        return f"[{', '.join(shown)}]"

    def _text(self, value: Value, width: int = 16) -> str:
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
    def _path(data: bytes) -> str:
        return _bytes(data)[1:] if re.fullmatch(rb"[\x20-\x7e]*", data) else _bytes(data)

    @staticmethod
    def _list(entries: list[str]) -> str:
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


def _wrapped(text: str, before: str) -> list[str]:
    return textwrap.wrap(
        text, 100, initial_indent=before, subsequent_indent="    " if before else "", break_long_words=True
    )


def _function_name(actor: Actor) -> str:
    return f"{actor.name}_{'thread' if actor.thread else 'process'}"
