"""A scenario as one C program, with a function for each process. docs/lab.md tells how such a program keeps the order
of the steps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pairscope.lab import named as naming
from pairscope.lab.calls import CALLS
from pairscope.lab.calls.message import CONTROL_ROOM
from pairscope.lab.calls.programs import Actor, Turn
from pairscope.lab.constants import NUMBERS
from pairscope.lab.exports import piece
from pairscope.lab.exports import plan as planning
from pairscope.lab.exports.lines import SHOWN
from pairscope.lab.exports.plan import NUMBERS_MAX, SECONDS, expected
from pairscope.lab.given import address, content, narrow, pointer
from pairscope.lab.model import Constants, Name, Number, Scenario, Text, Value

_RESERVED = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed "
    "sizeof static struct switch typedef union unsigned void volatile while asm typeof alignas alignof bool true false "
    "errno stdin stdout stderr noreturn static_assert thread_local unix linux i386".split()
)
_PREFIXES = ("s6_", "sa_", "sched_", "si_", "st_", "h_")
OLD = frozenset(
    "AF_UNIX AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET SOCK_RAW SOCK_NONBLOCK SOCK_CLOEXEC "
        "SOL_SOCKET SCM_RIGHTS SCM_CREDENTIALS "
    "MSG_PEEK MSG_DONTWAIT MSG_WAITALL MSG_TRUNC MSG_CTRUNC MSG_OOB MSG_EOR MSG_MORE MSG_NOSIGNAL "
        "MSG_DONTROUTE MSG_CMSG_CLOEXEC MSG_ERRQUEUE MSG_CONFIRM "
    "SO_PASSCRED SO_PEERCRED SO_SNDBUF SO_RCVBUF SO_SNDTIMEO SO_RCVTIMEO SO_TYPE SO_ERROR SO_REUSEADDR "
        "SO_DOMAIN SO_PROTOCOL SO_ACCEPTCONN SO_RCVLOWAT SO_SNDLOWAT "
    "SHUT_RD SHUT_WR SHUT_RDWR SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE FD_CLOEXEC WNOHANG WUNTRACED "
        "WCONTINUED SIG_DFL SIG_IGN "
    "O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_CLOEXEC O_DIRECTORY O_NOFOLLOW "
        "O_PATH O_TMPFILE O_DIRECT "
    "O_SYNC O_DSYNC O_ASYNC O_NOCTTY O_NOATIME O_ACCMODE O_NDELAY O_FSYNC O_RSYNC "
    "F_DUPFD F_DUPFD_CLOEXEC F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_GETOWN F_SETOWN "
        "F_GETSIG F_SETSIG F_ADD_SEALS F_GET_SEALS F_SEAL_SEAL "
    "F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SETPIPE_SZ F_GETPIPE_SZ F_RDLCK F_WRLCK F_UNLCK MFD_CLOEXEC "
        "MFD_ALLOW_SEALING EFD_SEMAPHORE EFD_NONBLOCK EFD_CLOEXEC".split()
) | set(naming.EVENTS.names)  # fmt: skip
"""Constants that every C library has; the signals beside them. Any other is given its number where a header lacks
it."""
_LARGE = 16 * 1024
"""A larger array is static: a thread's stack has its bounds."""
_DECLARED = ("pid_t pid;", "pthread_t thread;", "int pair[2];")
"""In this order; others behind them."""
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_STAGE_HEADERS = (
    *("fcntl.h", "errno.h", "semaphore.h", "signal.h", "stdatomic.h", "stdbool.h", "stdio.h", "stdlib.h", "string.h"),
    *("sys/mman.h", "sys/prctl.h", "sys/resource.h", "sys/wait.h", "time.h", "unistd.h"),
)

_BEFORE = ("BADPTR", "nowhere", "handler", "repeated", "attach", "received", "keeps")
"""Pieces that stand before the steps: what the lesson itself is about."""
_BEHIND = (
    "stay", "say", "tell", "tell_fd", "tell_pair", "tell_birth", "tell_thread", "say_data", "tell_data",
    "tell_cut", "name_of", "say_creds", "say_bits", "say_number", "tell_message", "tell_poll", "tell_child",
    "LARGEFILE", "tell_status_flags", "tell_descriptor_flags", "tell_seals", "tell_type", "tell_family",
    "tell_protocol", "tell_error", "tell_option", "tell_peer", "tell_handler", "datagrams", "tell_bound",
    "bound_port", "pid_of",
)  # fmt: skip
"""Those behind the steps: what they tell."""
PIECES = piece.read("c", (*_BEFORE, *_BEHIND))
"""In the order in which they stand in a program."""
STAGE = {name: each.body for name, each in piece.read("c", ("prototypes", "stage", "acting", "main")).items()}
"""The parts of a program that are no pieces: each program has them all."""
_TOLD = "/* What the call returned (-1: and errno), and what it gave beside that. Here a descriptor gets its name. */"
_CREDENTIALS = """\
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS && cmsg->cmsg_len == CMSG_LEN(sizeof(struct ucred)))
			say_creds("creds", CMSG_DATA(cmsg));
"""  # noqa: E501 a line of C
"""What tell_message has where credentials may come."""


def c(scenario: Scenario) -> str:
    """The scenario as a C program: C11, GNU C library 2.34, Linux. What it prints is
    :func:`pairscope.lab.exports.result_lines`."""
    return _Program(scenario).whole()


class _Program:
    def __init__(self, scenario: Scenario) -> None:
        self.plan = planning.plan(scenario)
        self._members = planning.apart(self.plan.descriptors, reserved)
        self._pieces: set[str] = {"say"}
        self._headers = set(_STAGE_HEADERS)
        self._constants: set[str] = set()
        self._room = 0
        """Bytes that the control messages of one sendmsg may take or claim."""
        self._port = False

    # ---- the whole

    def whole(self) -> str:
        functions = [self._function(actor) for actor in self.plan.actors]
        self._close_needs()
        stage = self._filled(STAGE["stage"])
        main = self._filled(STAGE["main"])
        behind = [self._piece(name) for name in _BEHIND if name in self._pieces]
        before = [self._piece(name) for name in _BEFORE if name in self._pieces]
        return "\n".join(
            [
                self._head(),
                self._names(),
                *before,
                *functions,
                stage,
                self._filled(STAGE["acting"]),
                *behind,
                main,
            ]
        )

    def _close_needs(self) -> None:
        if "tell_message" in self._pieces and self.plan.credentials:
            self.use("say_creds")
        waiting = list(self._pieces)
        while waiting:
            needed = PIECES[waiting.pop()]
            self._headers.update(needed.imports)
            waiting += [name for name in needed.needs if name not in self._pieces]
            self._pieces.update(needed.needs)
        if "received" in self._pieces and self.plan.pidfds:
            self._constants.add("SCM_PIDFD")

    def _piece(self, name: str) -> str:
        return self._filled(PIECES[name].body)

    def _filled(self, text: str) -> str:
        files = self._files()
        marks = {
            "ROOM": str(max(self._room, 64)),
            "SHOWN": str(SHOWN),
            "MOST_FDS": str(CONTROL_ROOM // 4),
            "CREDS": _CREDENTIALS if self.plan.credentials else "",
            "RIGHTS": "(cmsg->cmsg_type != SCM_RIGHTS && cmsg->cmsg_type != SCM_PIDFD)"
            if self.plan.pidfds
            else "cmsg->cmsg_type != SCM_RIGHTS",
            "ACCESS": ", ".join(f'"{name}"' for name in naming.ACCESS),
            **{kind.key.upper(): _bits(kind.names) for kind in naming.KINDS},
            "LINE": str(planning.line_room(self.plan, "tell_message" in self._pieces)),
            "SECONDS": str(SECONDS),
            "LONGER": str(SECONDS + 2),
            "NUMBERS_MAX": str(NUMBERS_MAX),
            "NAMES": ", ".join(f'"{actor.name}"' for actor in self.plan.actors),
            "SCRIPT": "\n".join(
                f"\t/* {number:2} */ {{ {_actor(line.actor)}, {_literal(line.call.encode())}, {line.patience}, "
                f"{'true' if line.returned else 'false'} }},"
                for number, line in enumerate(self.plan.lines, 1)
            ),
            "PORT": "\n\tint port[2][2];         /* of IPv4 and of IPv6; of TCP and of UDP; in the network's order */"
            if self._port
            else "",
            "FIRST": _function_name(self.plan.actors[0]),
            "SCRATCH": 'static char scratch[] = "/tmp/lab.XXXXXX";      /* where files are made */' if files else "",
            "SCRATCH_WORDS": ", and removes the files" if files else "",
            "ENTER": " || !mkdtemp(scratch) || chdir(scratch)" if files else "",
            "CLEAN": "".join(f"\tunlink({_literal(name)});\n" for name in files)
            + '\tif (chdir("/") == 0)\n\t\trmdir(scratch);\n'
            if files
            else "",
        }
        return piece.fill("c", text, marks)

    def _files(self) -> list[bytes]:
        """Names of the files that steps may make."""
        found: dict[bytes, None] = {}
        for turn in self.plan.turns():
            step = turn.step
            if step.call == "open":
                found[content(step.arguments[0])] = None
            elif step.call in ("bind", "connect"):
                kind, path, _ = address(step.arguments[1])
                if kind == "unix" and not path.startswith(b"\0"):
                    found[path] = None
        return list(found)

    # ---- in front

    def _head(self) -> str:
        lines = planning.heading(
            self.plan.scenario,
            "cc -std=c11 -Wall -Wextra -O2 -pthread -o lab lab.c && ./lab",
            "Linux, and the GNU C library 2.34 or later.",
        )
        comment = "\n".join(f" * {_comment(line)}".rstrip() for line in lines)
        includes = "\n".join(
            f"#include <{header}>" for header in sorted(self._headers, key=lambda name: ("/" in name, name))
        )
        return f"/*\n{comment}\n */\n\n#define _GNU_SOURCE\n{includes}\n"

    def _names(self) -> str:
        parts = []
        missing = sorted(name for name in self._constants if name not in OLD and not name.startswith("SIG"))
        for name in missing:
            parts.append(f"#ifndef {name}\n#define {name} {NUMBERS[name]:#x}\n#endif")
        if missing:
            parts.append("")
        parts.append(f"enum {{ {', '.join(_actor(actor.name) for actor in self.plan.actors)}, ACTORS }};")
        if self._members:
            rows = textwrap.wrap(", ".join(self._members.values()) + ";", 100, break_long_words=False)
            parts += [
                "",
                "/* The descriptors by their names. Like all memory they are copied by fork and shared by threads. */",
                "static struct {",
            ]
            parts += [
                f"\tint {rows[0]}",
                *(f"\t    {row}" for row in rows[1:]),
                f"}} fd = {{ {', '.join(['-1'] * len(self._members))} }};",
            ]
        told = [PIECES[name].prototype for name in PIECES if name in self._pieces and PIECES[name].prototype]
        told = [
            STAGE["prototypes"].rstrip(),
            *(line for line in told if "tell" not in line),
            "",
            _TOLD,
            *(line for line in told if "tell" in line),
        ]
        parts += ["", *told, ""]
        declared = [f"{_heading(actor)};" for actor in self.plan.actors[1:]]
        return "\n".join([*parts, *([*declared, ""] if declared else [])])

    # ---- the steps

    def _function(self, actor: Actor) -> str:
        body = [line for turn in actor.turns for line in self._turn(actor, turn)]
        declared = self._declarations(actor)
        lines = [_heading(actor), "{", *([*declared, ""] if declared else [])]
        lines += ["\t(void)unused;"] if actor.thread else []
        lines += [f"\tbegin({_actor(actor.name)});", *body]
        if not actor.exits:
            lines += ["", f"\t{self.use('stay')}();"]
        return "\n".join([*lines, "}"]) + "\n"

    def _declarations(self, actor: Actor) -> list[str]:
        declared = {CALLS[turn.step.call].declares for turn in actor.turns} - {""}
        found = [f"\t{line}" for line in sorted(declared, key=_declared)]
        if room := max((CALLS[turn.step.call].room(turn.step) for turn in actor.turns), default=0):
            found.append(f"\t{'static ' if room > _LARGE else ''}char text[{room}];")
        if room := max((CALLS[turn.step.call].control_room(turn.step) for turn in actor.turns), default=0):
            self._headers.add("stdalign.h")
            found.append(f"\talignas(struct cmsghdr) {'static ' if room > _LARGE else ''}char control[{room}];")
        return found

    def _turn(self, actor: Actor, turn: Turn) -> list[str]:
        said = _comment(expected(turn))
        lines = CALLS[turn.step.call].c(self, actor, turn)
        head = f"turn({turn.number});"
        return [
            "",
            f"\t{head:<16}/* => {said} */" if said else f"\t{head}",
            *(f"\t{line}" if line else "" for line in lines),
        ]

    def told(self, piece: str, *arguments: str) -> str:
        self._pieces.add(piece)
        return f"{piece}({', '.join(arguments)});"

    def use(self, piece: str) -> str:
        self._pieces.add(piece)
        return piece

    def named(self, turn: Turn, call: str) -> str:
        """A call that makes a descriptor, and the name that it gets."""
        return self.told("tell_fd", call, f"&{self.member(turn.binds[0])}") if turn.binds else self.told("tell", call)

    def pair(self, turn: Turn, call: str) -> list[str]:
        first, second = (f"&{self.member(name)}" for name in turn.binds) if turn.binds else ("&pair[0]", "&pair[1]")
        return [self.told("tell_pair", call, "pair", first, second)]

    def header(self, *names: str) -> None:
        self._headers.update(names)

    def constants(self, *names: str) -> None:
        self._constants.update(names)

    def control_space(self, size: int) -> None:
        self._room = max(self._room, size)

    def ports(self) -> None:
        self._port = True

    # ---- values

    def actor(self, name: str) -> str:
        return _actor(name)

    def literal(self, data: bytes) -> str:
        return _literal(data)

    def rows(self, data: bytes, width: int) -> list[str]:
        return [
            "\t" + " ".join(f"0x{byte:02x}," for byte in data[at : at + width]) for at in range(0, len(data), width)
        ]

    def decimal(self, value: int) -> str:
        return _number(value)

    def block(self, lines: list[str]) -> list[str]:
        return ["{", *(f"\t{line}" if line else "" for line in lines), "}"]

    def listed(self, head: str, entries: list[str], width: int = 90) -> list[str]:
        return _list(head, entries, width)

    def member(self, name: str) -> str:
        return f"fd.{self._members[name]}"

    def process(self, value: Value) -> str:
        if isinstance(value, Name):
            return f"{self.use('pid_of')}({_actor(value.text)})"
        return self.number(value)

    def number(self, value: Value, bits: int = 32) -> str:
        if isinstance(value, Name):
            return self.member(value.text)
        if isinstance(value, Constants):
            self._constants.update(value.names)
            return " | ".join(value.names)
        assert isinstance(value, Number)
        number = narrow(value.value, bits)
        return _number(number) if number != value.value else _written(value)

    def address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""
        found = pointer(value)
        return self.use({"NULL": "nowhere", "BADPTR": "BADPTR"}[found]) if found else ""

    def text(self, value: Value) -> str:
        assert isinstance(value, Text)
        if value.times > 1:
            return f"{self.use('repeated')}({_literal(value.data)}, {len(value.data)}, {value.times})"
        if value.hexadecimal and len(value.data) > 16:
            rows = [value.data[at : at + 16] for at in range(0, len(value.data), 16)]
            return "\n".join('"' + "".join(f"\\x{byte:02x}" for byte in row) + '"' for row in rows)
        return _literal(value.data)


# ---- C's own forms


def reserved(name: str) -> bool:
    """Whether no member of a structure can be called that: it is a word of C, or a macro of a header or of the
    compiler."""
    return name in _RESERVED or (name.startswith(_PREFIXES) and not name.endswith("_"))


def _literal(data: bytes) -> str:
    """Bytes as a string literal of C: printable ASCII, and no trigraph."""
    found = []
    before = 0
    for byte in data:
        if byte in _ESCAPES:
            found.append(_ESCAPES[byte])
        elif byte == 63 and before == 63:
            found.append("\\?")
        else:
            found.append(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        before = byte
    return f'"{"".join(found)}"'


def _number(value: int) -> str:
    return "(-9223372036854775807 - 1)" if value == -(1 << 63) else str(value)


def _written(value: Number) -> str:
    """A number as the scenario has it: ``64K`` as a product, ``0644`` as it is."""
    shown = value.shown
    for unit, factor in (("K", "1024"), ("M", "1024 * 1024")):
        if shown.endswith(unit):
            inner = (
                shown[:-1]
                if shown[:-1].startswith(("0x", "-0x"))
                else str(value.value // (1024 if unit == "K" else 1024 * 1024))
            )
            return factor if inner == "1" else f"{inner} * {factor}"
    return shown if "x" in shown or shown.lstrip("-").startswith("0") else _number(value.value)


def _list(head: str, entries: list[str], width: int = 90) -> list[str]:
    """An initialiser, on one line if it fits."""
    whole = f"{head} {', '.join(entries)} }};"
    if len(whole) <= width + 16 and "\n" not in whole:
        return [whole]
    rows, row = [], ""
    for entry in entries:
        if row and (len(row) + len(entry) > width or "\n" in row + entry):
            rows.append(row)
            row = ""
        row += f"{' ' if row else ''}{entry},"
    return [head, *(f"\t{line}" for row in [*rows, row] for line in row.split("\n")), "};"]


def _declared(line: str) -> tuple[int, str]:
    """Where a variable that steps share is declared."""
    return _DECLARED.index(line) if line in _DECLARED else len(_DECLARED), line


def _bits(names: Iterable[str]) -> str:
    """Rows of a table. The C library's O_LARGEFILE is not the kernel's."""
    return "\n".join(f'\t\t{{ {"LARGEFILE" if name == "O_LARGEFILE" else name}, "{name}" }},' for name in names)


def _comment(text: str) -> str:
    """Text that neither ends a comment, nor begins another, nor is a trigraph, nor joins lines."""
    for pair, apart in (("*/", "* /"), ("/*", "/ *"), ("??", "? ?"), ("??", "? ?")):
        text = text.replace(pair, apart)
    return text.rstrip("\\")


def _actor(name: str) -> str:
    """The constant that stands for an actor. Headers have no names of this form, but for some as L_tmpnam is."""
    return name[0].upper() + name[1:] + ("_" if name[1:2] == "_" else "")


def _function_name(actor: Actor) -> str:
    return f"{actor.name}_{'thread' if actor.thread else 'process'}"


def _heading(actor: Actor) -> str:
    return (
        f"static void *{_function_name(actor)}(void *unused)"
        if actor.thread
        else f"static _Noreturn void {_function_name(actor)}(void)"
    )
