"""A scenario as one C program, with a function for each process. docs/lab.md tells how such a program keeps the order
of the steps."""

from __future__ import annotations

import textwrap

from pairscope.lab import named as naming
from pairscope.lab.calls import CALLS
from pairscope.lab.calls.programs import Actor, Turn
from pairscope.lab.calls.recvmsg import CONTROL_ROOM
from pairscope.lab.calls.results import SHOWN
from pairscope.lab.constants import NUMBERS
from pairscope.lab.exports import c_forms as forms
from pairscope.lab.exports import piece
from pairscope.lab.exports import plan as planning
from pairscope.lab.exports.plan import NUMBERS_MAX, SECONDS, expected
from pairscope.lab.given import narrow, pointer
from pairscope.lab.model import Constants, Name, Number, Scenario, Text, Value

_LARGE = 16 * 1024
"""A larger array is static: a thread's stack has its bounds."""
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
        self._members = planning.apart(self.plan.descriptors, forms.reserved)
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
            **{kind.key.upper(): forms.bits(kind.names) for kind in naming.KINDS},
            "LINE": str(planning.line_room(self.plan, "tell_message" in self._pieces)),
            "SECONDS": str(SECONDS),
            "LONGER": str(SECONDS + 2),
            "NUMBERS_MAX": str(NUMBERS_MAX),
            "NAMES": ", ".join(f'"{actor.name}"' for actor in self.plan.actors),
            "SCRIPT": "\n".join(
                f"\t/* {number:2} */ {{ {forms.actor_name(line.actor)}, {forms.literal(line.call.encode())}, "
                f"{line.patience}, {'true' if line.returned else 'false'} }},"
                for number, line in enumerate(self.plan.lines, 1)
            ),
            "PORT": "\n\tint port[2][2];         /* of IPv4 and of IPv6; of TCP and of UDP; in the network's order */"
            if self._port
            else "",
            "FIRST": forms.function_name(self.plan.actors[0]),
            "SCRATCH": 'static char scratch[] = "/tmp/lab.XXXXXX";      /* where files are made */' if files else "",
            "SCRATCH_WORDS": ", and removes the files" if files else "",
            "ENTER": " || !mkdtemp(scratch) || chdir(scratch)" if files else "",
            "CLEAN": "".join(f"\tunlink({forms.literal(name)});\n" for name in files)
            + '\tif (chdir("/") == 0)\n\t\trmdir(scratch);\n'
            if files
            else "",
        }
        return piece.fill("c", text, marks)

    def _files(self) -> list[bytes]:
        """Names of the files that steps may make."""
        names = (CALLS[turn.step.call].file(turn.step) for turn in self.plan.turns())
        return [name for name in dict.fromkeys(names) if name]

    # ---- in front

    def _head(self) -> str:
        lines = planning.heading(
            self.plan.scenario,
            "cc -std=c11 -Wall -Wextra -O2 -pthread -o lab lab.c && ./lab",
            "Linux, and the GNU C library 2.34 or later.",
        )
        comment = "\n".join(f" * {forms.comment(line)}".rstrip() for line in lines)
        includes = "\n".join(
            f"#include <{header}>" for header in sorted(self._headers, key=lambda name: ("/" in name, name))
        )
        return f"/*\n{comment}\n */\n\n#define _GNU_SOURCE\n{includes}\n"

    def _names(self) -> str:
        parts = []
        missing = sorted(name for name in self._constants if name not in forms.OLD and not name.startswith("SIG"))
        for name in missing:
            parts.append(f"#ifndef {name}\n#define {name} {NUMBERS[name]:#x}\n#endif")
        if missing:
            parts.append("")
        parts.append(f"enum {{ {', '.join(forms.actor_name(actor.name) for actor in self.plan.actors)}, ACTORS }};")
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
        declared = [f"{forms.heading(actor)};" for actor in self.plan.actors[1:]]
        return "\n".join([*parts, *([*declared, ""] if declared else [])])

    # ---- the steps

    def _function(self, actor: Actor) -> str:
        body = [line for turn in actor.turns for line in self._turn(actor, turn)]
        declared = self._declarations(actor)
        lines = [forms.heading(actor), "{", *([*declared, ""] if declared else [])]
        lines += ["\t(void)unused;"] if actor.thread else []
        lines += [f"\tbegin({forms.actor_name(actor.name)});", *body]
        if not actor.exits:
            lines += ["", f"\t{self.use('stay')}();"]
        return "\n".join([*lines, "}"]) + "\n"

    def _declarations(self, actor: Actor) -> list[str]:
        declared = {CALLS[turn.step.call].declares for turn in actor.turns} - {""}
        found = [f"\t{line}" for line in sorted(declared, key=forms.declared)]
        if room := max((CALLS[turn.step.call].room(turn.step) for turn in actor.turns), default=0):
            found.append(f"\t{'static ' if room > _LARGE else ''}char text[{room}];")
        if room := max((CALLS[turn.step.call].control_room(turn.step) for turn in actor.turns), default=0):
            self._headers.add("stdalign.h")
            found.append(f"\talignas(struct cmsghdr) {'static ' if room > _LARGE else ''}char control[{room}];")
        return found

    def _turn(self, actor: Actor, turn: Turn) -> list[str]:
        said = forms.comment(expected(turn))
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
        return forms.actor_name(name)

    def literal(self, data: bytes) -> str:
        return forms.literal(data)

    def rows(self, data: bytes, width: int) -> list[str]:
        return [
            "\t" + " ".join(f"0x{byte:02x}," for byte in data[at : at + width]) for at in range(0, len(data), width)
        ]

    def decimal(self, value: int) -> str:
        return forms.number(value)

    def block(self, lines: list[str]) -> list[str]:
        return ["{", *(f"\t{line}" if line else "" for line in lines), "}"]

    def listed(self, head: str, entries: list[str], width: int = 90) -> list[str]:
        return forms.listed(head, entries, width)

    def member(self, name: str) -> str:
        return f"fd.{self._members[name]}"

    def process(self, value: Value) -> str:
        if isinstance(value, Name):
            return f"{self.use('pid_of')}({forms.actor_name(value.text)})"
        return self.number(value)

    def number(self, value: Value, bits: int = 32) -> str:
        if isinstance(value, Name):
            return self.member(value.text)
        if isinstance(value, Constants):
            self._constants.update(value.names)
            return " | ".join(value.names)
        assert isinstance(value, Number)
        number = narrow(value.value, bits)
        return forms.number(number) if number != value.value else forms.written(value)

    def address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""
        found = pointer(value)
        return self.use({"NULL": "nowhere", "BADPTR": "BADPTR"}[found]) if found else ""

    def text(self, value: Value) -> str:
        assert isinstance(value, Text)
        if value.times > 1:
            return f"{self.use('repeated')}({forms.literal(value.data)}, {len(value.data)}, {value.times})"
        if value.hexadecimal and len(value.data) > 16:
            rows = [value.data[at : at + 16] for at in range(0, len(value.data), 16)]
            return "\n".join('"' + "".join(f"\\x{byte:02x}" for byte in row) + '"' for row in rows)
        return forms.literal(value.data)
