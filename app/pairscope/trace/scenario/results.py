"""What a call gave: what its line expects, and what it makes has a name from there on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pairscope.lab.constants import ERRNOS, NUMBERS, signal_name
from pairscope.lab.model import Items, Name, Number, Text, Value
from pairscope.sentence import phrase
from pairscope.trace.scenario.line import LeftOut, Line, constant, flags, listed, number, text_of
from pairscope.trace.scenario.numbers import Numbers
from pairscope.trace.scenario.script import Script
from pairscope.trace.scenario.turn import LITERAL, NO_CHILD, SET, UNSEEN, Turn, data, made, whole
from pairscope.trace.scenario.world import Description

NONBLOCK = 0o4000
"""O_NONBLOCK, SOCK_NONBLOCK, EFD_NONBLOCK: asm-generic/fcntl.h"""
_WOULD_WAIT = frozenset({"EAGAIN", "EINPROGRESS"})
_GIVES = frozenset({"socket", "accept", "memfd_create", "eventfd", "pidfd_open", "dup", "dup2", "dup3", "fcntl"})
_NUMBERS = 1 << 30
"""More than any RLIMIT_NOFILE."""
_MOVES = frozenset({"read", "write", "send", "recv", "sendmsg", "recvmsg", "accept", "connect"})
_SENDS = frozenset({"write", "send", "sendmsg"})
_TYPES = {1: "stream", 2: "dgram", 5: "packet"}
_MAKES = {"socket": "sock", "accept": "conn", "memfd_create": "mem", "eventfd": "event", "pidfd_open": "proc"}


class Results:
    """Of one script."""

    def __init__(self, script: Script, numbers: Numbers) -> None:
        self._script, self._numbers = script, numbers

    def enter(self, turn: Turn, line: Line, gave: Mapping[str, Any], back: int, *, alone: bool) -> None:
        """Writes what came into a line. `back`: the step that returned. `alone`: nobody has done anything since the
        call was made. Raises LeftOut."""
        held = self._of(turn)
        errno = gave.get("errno")
        if errno is not None:
            if not isinstance(errno, str) or errno not in ERRNOS:
                raise LeftOut(UNSEEN)
            line.first = constant(errno)
            if errno in _WOULD_WAIT and held and not self._flag(turn) & NUMBERS["MSG_DONTWAIT"]:
                self._blocking(turn, line, held, nonblock=True)
            return
        value = whole(gave.get("value"))
        line.first = number(value)
        if line.call in _GIVES and not 0 <= value < _NUMBERS:
            raise LeftOut(UNSEEN)
        match line.call:
            case "socketpair" | "pipe2":
                self._pair(turn, line, made(gave, 2))
            case "socket" | "accept" | "memfd_create" | "eventfd" | "pidfd_open":
                self._one(turn, line, value)
            case "dup" | "fcntl" | "dup2" | "dup3":
                self._again(turn, line, value)
            case "close":
                turn.table.drop(turn.number("fd"))
            case "read" | "recv" | "pread":
                self._read(turn, line, gave, value, held)
            case "recvmsg":
                self._message(turn, line, gave, value, back)
            case "wait" | "waitpid":
                self._waited(turn, line, gave, value, alone=alone)
            case "poll":
                self._polled(line, gave, value)
            case "getsockopt":
                self._option(turn, line, gave)
            case "write" | "send" | "sendmsg" | "pwrite":
                self._sent(turn, line, value, held)

    @staticmethod
    def _flag(turn: Turn) -> int:
        found = turn.given.get("flags", 0)
        return found if isinstance(found, int) and turn.step.call not in ("accept4", "dup3") else 0

    @staticmethod
    def _of(turn: Turn) -> Description | None:
        fd = turn.given.get("fd")
        held = turn.table.held.get(fd) if isinstance(fd, int) else None
        return held.of if held else None

    def blocks(self, turn: Turn) -> None:
        """A call that waits: so its description is none that does not wait."""
        held = self._of(turn)
        if held and held.nonblock and turn.step.call in ("read", "write", "sendto", "recvfrom", "sendmsg", "recvmsg"):
            self._blocking(turn, None, held, nonblock=False)

    def _blocking(self, turn: Turn, line: Line | None, held: Description, *, nonblock: bool) -> None:
        if held.nonblock == nonblock or (line is not None and line.call not in _MOVES):
            return
        held.nonblock = nonblock
        first = turn.fd()
        value: Value = constant("O_NONBLOCK") if nonblock else number(0)
        made_so = turn.line("fcntl", first, constant("F_SETFL"), value)
        made_so.comment = SET
        self._script.before(line, made_so)

    # ---- descriptors

    def _name(self, turn: Turn, found: int, kind: str, of: Description) -> tuple[str, bool]:
        """Names a number; whether the lab gives the same one."""
        held = turn.table.give(found, kind, of)
        return held.name, held.number == found

    def _pair(self, turn: Turn, line: Line, numbers: list[int]) -> None:
        self._numbers.align(turn.actor, numbers, line)
        kind, given = turn.given.get("type", 0), turn.given.get("flags", 0)
        bits = kind if line.call == "socketpair" else given
        words = ("in", "out")
        if line.call == "socketpair":
            words = (_TYPES.get(kind & 0xF, "sock"),) * 2 if isinstance(kind, int) else ("sock", "sock")
        nonblock = isinstance(bits, int) and bool(bits & NONBLOCK)
        names = [self._name(turn, found, word, Description(word, nonblock))[0] for found, word in zip(numbers, words)]
        line.binds = tuple(names)

    def _one(self, turn: Turn, line: Line, value: int) -> None:
        bits = turn.given.get("type" if line.call == "socket" else "flags", 0)
        nonblock = isinstance(bits, int) and bool(bits & NONBLOCK) and line.call != "memfd_create"
        self._numbers.align(turn.actor, [value], line)
        about = turn.given.get("process") if line.call == "pidfd_open" else 0
        of = Description(_MAKES[line.call], about=about if isinstance(about, int) else 0)
        name, same = self._name(turn, value, _MAKES[line.call], of)
        line.binds, line.first = (name,), number(value) if same else "ok"
        if line.call == "accept" and nonblock:
            of.nonblock = True
            said = Line(
                turn.actor.name, "fcntl", [Name(name), constant("F_SETFL"), constant("O_NONBLOCK")], first=number(0)
            )
            said.comment = phrase("accept4 has made it so")
            self._script.after(line, said)
        else:
            of.nonblock = nonblock

    def _again(self, turn: Turn, line: Line, value: int) -> None:
        source, table = turn.table.held[turn.number("fd")], turn.table
        if line.arguments[1:2] == [constant("F_SETFL")]:
            source.of.nonblock = bool(turn.number("argument") & NONBLOCK)
        if line.arguments[1:2] in ([constant("F_SETFL")], [constant("F_ADD_SEALS")]):
            return
        if line.call in ("dup2", "dup3"):
            if value in table.held:
                if table.held[value] is source:
                    return
                at = table.drop(value).number
            else:
                at = value
                table.taken.pop(value, None)
            line.binds = (table.give(value, "copy", source.of, at).name,)
            line.first = number(value) if at == value else "ok"
            return
        if line.call == "fcntl":
            least = turn.number("argument")
            at = next(one for one in range(max(0, least), 1 << 20) if one not in table.taken)
            line.binds = (table.give(value, "copy", source.of, at).name,)
            line.first = number(value) if at == value else "ok"
            return
        self._numbers.align(turn.actor, [value], line)
        name, same = self._name(turn, value, "copy", source.of)
        line.binds, line.first = (name,), number(value) if same else "ok"

    # ---- bytes

    def _sent(self, turn: Turn, line: Line, value: int, held: Description | None) -> None:
        if not turn.literal:
            self._script.taint(turn.given.get("on"))
        asked = sum(len(one.data) * one.times for one in _texts(line))
        if held and value < asked and held.kind in ("stream", "sock", "conn", "out") and line.call in _SENDS:
            self._blocking(turn, line, held, nonblock=True)

    def _read(self, turn: Turn, line: Line, gave: Mapping[str, Any], value: int, held: Description | None) -> None:
        if held and held.kind == "event":
            count, head = data(gave.get("data"))
            if count == len(head) == 8 and not self._script.tainted(turn.given.get("on")):
                line.keys.append(("value", number(int.from_bytes(head, "little"))))
            return
        self._came(turn, line, gave, value)

    def _came(self, turn: Turn, line: Line, gave: Mapping[str, Any], value: int) -> None:
        """The bytes that came, where the lab will send the same."""
        if "data" not in gave:
            return
        count, head = data(gave["data"])
        if not count and not value and turn.given.get("size") != 0 and line.call != "recvmsg":
            line.first = Text(b"")
        elif count and len(head) == count <= LITERAL and not self._script.tainted(turn.given.get("on")):
            line.first, line.data = (text_of(head), None) if count == value else (number(value), text_of(head))

    def _message(self, turn: Turn, line: Line, gave: Mapping[str, Any], value: int, back: int) -> None:
        self._came(turn, line, gave, value)
        received = gave.get("received")
        if not isinstance(received, Mapping):
            return
        came, control = received.get("flags"), received.get("control")
        if isinstance(came, int):
            line.keys.append(("flags", flags("MSG_", came & 0xFFFF_FFFF & ~NUMBERS["MSG_CMSG_CLOEXEC"])))
        fds: list[int] = []
        creds: list[Value] = []
        for part in control if isinstance(control, list) else ():
            if isinstance(part, Mapping) and isinstance(part.get("fds"), list):
                fds += [whole(one) for one in part["fds"]]
            if isinstance(part, Mapping) and isinstance(part.get("creds"), list) and part["creds"]:
                process = turn.find(whole(part["creds"][0]))
                creds += [Name(process.main.name)] if process and process.main else []
        if len(set(fds)) != len(fds) or any(not 0 <= one < 1 << 31 for one in fds):
            raise LeftOut(UNSEEN)
        line.keys.append(("fds", number(len(fds))))
        if creds:
            line.keys.append(("creds", listed(creds[:1])))
        if fds:
            self._numbers.align(turn.actor, fds, line)
            names = [self._name(turn, found, "got", self._script.flown(turn, found, back))[0] for found in fds]
            line.binds = tuple(names)

    # ---- the rest

    def _waited(self, turn: Turn, line: Line, gave: Mapping[str, Any], value: int, *, alone: bool) -> None:
        if not value:
            return
        child = turn.find(value)
        status = gave.get("wait")
        line.first = "ok"
        if child is None or child.main is None or child.parent is not turn.actor.process:
            raise LeftOut(NO_CHILD)
        if not isinstance(status, int):
            told = self._script.status(child)
            status = None if told is None else told << 8 if told >= 0 else -told
        others = [one for one in turn.actor.process.children if one.ended and not one.reaped]
        if line.call == "wait" and alone and len(others) > 1:
            line.call, line.arguments = "waitpid", [Name(child.main.name), number(0)]
            line.comment = phrase("any child, of which several had ended")
        if status is None:
            return
        if status & 0xFFFF == 0xFFFF:
            line.keys.append(("continued", constant("SIGCONT")))
            return
        if status & 0xFF == 0x7F:
            line.keys.append(("stopped", constant(signal_name(status >> 8 & 0xFF))))
            return
        child.reaped = True
        if status & 0x7F:
            line.keys.append(("killed", constant(signal_name(status & 0x7F))))
        else:
            line.keys.append(("status", number(status >> 8 & 0xFF)))

    @staticmethod
    def _polled(line: Line, gave: Mapping[str, Any], value: int) -> None:
        timeout = line.arguments[2]
        if isinstance(timeout, Number) and timeout.value > 0:
            # What comes in time comes without it, too; what did not come is not there yet.
            line.arguments[2] = number(-1 if value else 0)
        found = gave.get("revents")
        if isinstance(found, list) and found:
            events = [flags("POLL", whole(one)) for one in found]
            line.keys.append(("revents", events[0] if len(events) == 1 else Items(tuple(events))))

    def _option(self, turn: Turn, line: Line, gave: Mapping[str, Any]) -> None:
        option, value = turn.given.get("option"), gave.get("option")
        if not isinstance(value, bytes):
            return
        if option == NUMBERS["SO_PEERCRED"] and len(value) == 12:
            process = turn.find(int.from_bytes(value[:4], "little"))
            if process and process.main:
                line.keys.append(("value", listed([Name(process.main.name)])))
        elif len(value) == 4 and option in _STEADY:
            line.keys.append(("value", number(int.from_bytes(value, "little", signed=True))))


_STEADY = frozenset(
    NUMBERS[name]
    for name in (
        "SO_TYPE", "SO_DOMAIN", "SO_PROTOCOL", "SO_ERROR", "SO_PASSCRED", "SO_REUSEADDR", "SO_ACCEPTCONN",
        "SO_KEEPALIVE",
    )
)  # fmt: skip
"""Options whose values do not come from the machine's settings."""


def _texts(line: Line) -> list[Text]:
    found = [one for one in line.arguments if isinstance(one, Text)]
    for key, value in line.named:
        if key == "iov" and isinstance(value, Items):
            found += [one for one in value.values if isinstance(one, Text)]
    return found
