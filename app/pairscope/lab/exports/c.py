"""A scenario as one C program, with a function for each process. docs/lab.md tells how such a program keeps the order
of the steps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pairscope.lab import named as naming
from pairscope.lab.constants import NUMBERS
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
)
from pairscope.lab.model import Constants, Name, Number, Scenario, Step, Text, Value

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
_SPACES = {20: "CMSG_LEN(sizeof(int))", 24: "CMSG_SPACE(sizeof(int))"}
"""Lengths of control data that say more as what they are."""
_PLAIN_COMMANDS = (
    *("F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_ADD_SEALS", "F_GET_SEALS"),
    *("F_SETPIPE_SZ", "F_GETPIPE_SZ", "F_GETOWN", "F_SETOWN", "F_GETSIG", "F_SETSIG"),
)
"""Of fcntl, those whose argument is a number."""
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
    return _Program(scenario).text()


class _Program:
    def __init__(self, scenario: Scenario) -> None:
        self._plan = planning.plan(scenario)
        self._members = planning.apart(self._plan.descriptors, reserved)
        self._pieces: set[str] = {"say"}
        self._headers = set(_STAGE_HEADERS)
        self._constants: set[str] = set()
        self._room = 0
        """Bytes that the control messages of one sendmsg may take or claim."""
        self._port = False

    # ---- the whole

    def text(self) -> str:
        functions = [self._function(actor) for actor in self._plan.actors]
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
        if "tell_message" in self._pieces and self._plan.credentials:
            self._use("say_creds")
        waiting = list(self._pieces)
        while waiting:
            needed = PIECES[waiting.pop()]
            self._headers.update(needed.imports)
            waiting += [name for name in needed.needs if name not in self._pieces]
            self._pieces.update(needed.needs)
        if "received" in self._pieces and self._plan.pidfds:
            self._constants.add("SCM_PIDFD")

    def _piece(self, name: str) -> str:
        return self._filled(PIECES[name].body)

    def _filled(self, text: str) -> str:
        files = self._files()
        marks = {
            "ROOM": str(max(self._room, 64)),
            "SHOWN": str(SHOWN),
            "MOST_FDS": str(CONTROL_ROOM // 4),
            "CREDS": _CREDENTIALS if self._plan.credentials else "",
            "RIGHTS": "(cmsg->cmsg_type != SCM_RIGHTS && cmsg->cmsg_type != SCM_PIDFD)"
            if self._plan.pidfds
            else "cmsg->cmsg_type != SCM_RIGHTS",
            "ACCESS": ", ".join(f'"{name}"' for name in naming.ACCESS),
            **{kind.key.upper(): _bits(kind.names) for kind in naming.KINDS},
            "LINE": str(self._line_room()),
            "SECONDS": str(SECONDS),
            "LONGER": str(SECONDS + 2),
            "NUMBERS_MAX": str(NUMBERS_MAX),
            "NAMES": ", ".join(f'"{actor.name}"' for actor in self._plan.actors),
            "SCRIPT": "\n".join(
                f"\t/* {number:2} */ {{ {_actor(line.actor)}, {_literal(line.call.encode())}, {line.patience}, "
                f"{'true' if line.returned else 'false'} }},"
                for number, line in enumerate(self._plan.lines, 1)
            ),
            "PORT": "\n\tint port[2][2];         /* of IPv4 and of IPv6; of TCP and of UDP; in the network's order */"
            if self._port
            else "",
            "FIRST": _function_name(self._plan.actors[0]),
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
        for turn in self._plan.turns():
            step = turn.step
            if step.call == "open":
                found[content(step.arguments[0])] = None
            elif step.call in ("bind", "connect"):
                kind, path, _ = planning.address(step.arguments[1])
                if kind == "unix" and not path.startswith(b"\0"):
                    found[path] = None
        return list(found)

    def _line_room(self) -> int:
        """A line holds the data shown, every descriptor that may come, and what is found of each that is polled."""
        polled = max(
            (len(items(turn.step.arguments[0])) for turn in self._plan.turns() if turn.step.call == "poll"), default=0
        )
        return 512 + 5 * CONTROL_ROOM // 4 * ("tell_message" in self._pieces) + 128 * polled

    # ---- in front

    def _head(self) -> str:
        said = self._plan.scenario.said
        lines = _wrapped(said("title") or "A scenario", "")
        for word, what in (
            ("quirk", "Unexpected: "),
            ("notice", "Notice: "),
            ("ask", "Question: "),
            ("man", "Manual pages: "),
        ):
            texts = [text for key, text in self._plan.scenario.about if key == word]
            lines += ["", *(line for text in texts for line in _wrapped(text, what))] if texts else []
        steps = planning.steps(self._plan.scenario)
        lines += [
            "",
            *(_comment(line) for line in steps),
            "",
            "    cc -std=c11 -Wall -Wextra -O2 -pthread -o lab lab.c && ./lab",
            "",
            *_wrapped("Linux, and the GNU C library 2.34 or later.", ""),
            "",
            *_wrapped(
                "Each process has a function below. turn(N) waits until it is time for step N, the system call "
                "that follows, and tell() says "
                "what came of it: one line is printed for each step. The steps are taken one at a time, in the "
                "order of their numbers, whichever process "
                "they belong to. Beside a turn stands what is to be expected.",
                "",
            ),
        ]
        comment = "\n".join(f" * {line}".rstrip() for line in lines)
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
        parts.append(f"enum {{ {', '.join(_actor(actor.name) for actor in self._plan.actors)}, ACTORS }};")
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
        declared = [f"{_heading(actor)};" for actor in self._plan.actors[1:]]
        return "\n".join([*parts, *([*declared, ""] if declared else [])])

    # ---- the steps

    def _function(self, actor: Actor) -> str:
        body = [line for turn in actor.turns for line in self._turn(actor, turn)]
        declared = self._declarations(actor)
        lines = [_heading(actor), "{", *([*declared, ""] if declared else [])]
        lines += ["\t(void)unused;"] if actor.thread else []
        lines += [f"\tbegin({_actor(actor.name)});", *body]
        if not actor.exits:
            lines += ["", f"\t{self._use('stay')}();"]
        return "\n".join([*lines, "}"]) + "\n"

    def _declarations(self, actor: Actor) -> list[str]:
        calls = {turn.step.call for turn in actor.turns}
        found = []
        if "fork" in calls:
            found.append("\tpid_t pid;")
        if "thread" in calls:
            found.append("\tpthread_t thread;")
        if calls & {"socketpair", "pipe", "pipe2"}:
            found.append("\tint pair[2];")
        if calls & {"wait", "waitpid"}:
            found.append("\tint status = 0;")
        if room := max((_text_room(turn) for turn in actor.turns), default=0):
            found.append(f"\t{'static ' if room > _LARGE else ''}char text[{room}];")
        if room := max((_control_room(turn) for turn in actor.turns), default=0):
            self._headers.add("stdalign.h")
            found.append(f"\talignas(struct cmsghdr) {'static ' if room > _LARGE else ''}char control[{room}];")
        return found

    def _turn(self, actor: Actor, turn: Turn) -> list[str]:
        said = _comment(expected(turn))
        call = turn.step.call
        made = getattr(self, f"_{call}", None)
        lines = made(actor, turn) if made else [self._told("tell", self._plain(turn))]
        head = f"turn({turn.number});"
        return [
            "",
            f"\t{head:<16}/* => {said} */" if said else f"\t{head}",
            *(f"\t{line}" if line else "" for line in lines),
        ]

    def _told(self, piece: str, *arguments: str) -> str:
        self._pieces.add(piece)
        return f"{piece}({', '.join(arguments)});"

    def _use(self, piece: str) -> str:
        self._pieces.add(piece)
        return piece

    def _plain(self, turn: Turn) -> str:
        """A call whose arguments are integers alone."""
        step = turn.step
        wide = {"ftruncate": 1, "lseek": 1}.get(step.call)
        arguments = [self._int(value, 64 if index == wide else 32) for index, value in enumerate(step.arguments)]
        self._headers.update(
            {
                "socket": ["sys/socket.h"],
                "listen": ["sys/socket.h"],
                "shutdown": ["sys/socket.h"],
                "eventfd": ["sys/eventfd.h"],
            }.get(step.call, [])
        )
        return f"{step.call}({', '.join(arguments)})"

    def _fd(self, actor: Actor, turn: Turn) -> list[str]:
        return [self._named(turn, self._plain(turn))]

    _socket = _dup = _dup2 = _dup3 = _eventfd = _fd

    def _named(self, turn: Turn, call: str) -> str:
        """A call that makes a descriptor, and the name that it gets."""
        return (
            self._told("tell_fd", call, f"&{self._member(turn.binds[0])}") if turn.binds else self._told("tell", call)
        )

    def _pair(self, turn: Turn, call: str) -> list[str]:
        first, second = (f"&{self._member(name)}" for name in turn.binds) if turn.binds else ("&pair[0]", "&pair[1]")
        return [self._told("tell_pair", call, "pair", first, second)]

    def _socketpair(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/socket.h")
        return self._pair(turn, f"socketpair({', '.join(map(self._int, turn.step.arguments))}, pair)")

    def _pipe2(self, actor: Actor, turn: Turn) -> list[str]:
        return self._pair(turn, f"pipe2(pair, {self._int(turn.step.arguments[0])})")

    def _pipe(self, actor: Actor, turn: Turn) -> list[str]:
        return self._pair(turn, "pipe(pair)")

    def _fork(self, actor: Actor, turn: Turn) -> list[str]:
        child = turn.step.binds[0]
        return [
            "pid = fork();",
            "if (pid == 0)",
            f"\t{child}_process();",
            self._told("tell_birth", _actor(child), "pid"),
        ]

    def _thread(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("pthread.h")
        name = turn.step.binds[0]
        return [self._told("tell_thread", _actor(name), f"pthread_create(&thread, NULL, {name}_thread, NULL)")]

    def _exit(self, actor: Actor, turn: Turn) -> list[str]:
        return ["return NULL;"] if actor.thread else [f"_exit({self._int(turn.step.arguments[0])});"]

    def _read(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        room = step.arguments[1]
        size = step.arguments[2] if step.call == "read" and len(step.arguments) > 2 else room
        more = step.arguments[2:] if step.call != "read" else ()
        where = self._address(room) or "text"
        arguments = [self._int(step.arguments[0]), where, self._int(size), *(self._int(value, 64) for value in more)]
        call = f"{step.call}({', '.join(arguments)})"
        if step.call == "recv":
            self._headers.add("sys/socket.h")
            flags = integer(more[0]) or 0
            if flags & NUMBERS["MSG_TRUNC"]:
                return _block(
                    [*self._kept(step), "", self._told("tell_cut", call, "kept ? text : NULL", self._int(size))]
                )
            if flags & NUMBERS["MSG_OOB"]:  # AF_UNIX gives 1 where there is room for none
                return [self._told("tell_cut", call, "text", self._int(size))]
        return [self._told("tell", call) if where != "text" else self._told("tell_data", call, "text")]

    _recv = _pread = _read

    def _kept(self, step: Step) -> list[str]:
        return [f"bool kept = {self._use('keeps')}({self._int(step.arguments[0])});"]

    def _write(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        data = step.arguments[1]
        where = self._address(data) or self._text(data)
        count, more = None, step.arguments[2:]
        if step.call == "write":
            count, more = (more[0] if more else None), ()
        elif step.call == "send":
            self._headers.add("sys/socket.h")
        size = self._int(count) if count is not None else str(len(content(data)))
        arguments = [
            self._int(step.arguments[0]),
            where,
            size,
            *(self._int(value, 64 if step.call == "pwrite" else 32) for value in more),
        ]
        lines = where.split("\n")
        if len(lines) == 1:
            return [self._told("tell", f"{step.call}({', '.join(arguments)})")]
        # A text of several lines stands under itself.
        self._pieces.add("tell")
        rows = [f"tell({step.call}({arguments[0]},", *(f"\t{line}" for line in lines)]
        return [*rows[:-1], f"{rows[-1]}, {', '.join(arguments[2:])}));"]

    _send = _pwrite = _write

    def _sendmsg(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        self._headers.update(("sys/socket.h", "sys/uio.h"))
        lines, message = self._gathered(items(given["iov"]), pointer(given["bad_iov"]) if "bad_iov" in given else "")
        bodies, sent = [], 0
        length = integer(given["control"]) if "control" in given else None
        told = integer(given["cmsg_len"]) if "cmsg_len" in given else None
        if fds := items(given.get("fds")):
            lines += self._numbers(fds)
            bodies.append(("SCM_RIGHTS", "fds", "sizeof(fds)"))
            sent += 16 + (4 * len(fds) + 7 & ~7)
        if "creds" in given:
            pid, uid, gid = items(given["creds"])
            lines.append(
                f"struct ucred creds = {{ {self._process(pid)}, (uid_t){self._int(uid)}, (gid_t){self._int(gid)} }};"
            )
            bodies.append(("SCM_CREDENTIALS", "&creds", "sizeof(creds)"))
            sent += 32
        attached = []
        if "raw" in given:
            data = content(given["raw"])
            claimed = len(data) if length is None else length
            room = max(len(data), claimed)
            if data:
                lines += [f"unsigned char raw[{room if room > len(data) else ''}] = {{", *_rows(data, 8), "};"]
            elif room:
                lines.append(f"unsigned char raw[{room}] = {{ 0 }};")
            message += [f".msg_control = raw, .msg_controllen = {claimed}"] if claimed else []
        else:
            for kind, where, size in bodies:
                attached.append(
                    f"attach(&message, {kind}, {where}, {size})"
                    + (f"->cmsg_len = {_number(told)};" if told is not None else ";")
                )
                self._use("attach")
            self._room = max(self._room, sent, length or 0)
            if length is not None:
                if not bodies and length:
                    lines.append(f"static char zeros[{length}];")
                    attached.append("message.msg_control = zeros;")
                attached.append(f"message.msg_controllen = {length};")
        lines += _list("struct msghdr message = {", message, 80)
        flags = self._int(given["flags"]) if "flags" in given else "0"
        return _block(
            [*lines, "", *attached, self._told("tell", f"sendmsg({self._int(step.arguments[0])}, &message, {flags})")]
        )

    def _gathered(self, parts: tuple[Value, ...], bad: str) -> tuple[list[str], list[str]]:
        """The lines before, and the first fields of the message."""
        lines: list[str] = []
        if bad:
            return lines, [f".msg_iov = {self._address(Constants((bad,)))}, .msg_iovlen = {max(len(parts), 1)}"]
        if not parts:
            return lines, [".msg_iov = NULL, .msg_iovlen = 0"]
        pieces = []
        for index, part in enumerate(parts):
            assert isinstance(part, Text)
            if part.hexadecimal and part.times == 1 and len(part.data) > 4:
                name = "bytes" if len(parts) == 1 else f"bytes{index}"
                lines += [f"unsigned char {name}[] = {{", *_rows(part.data, 8 if len(part.data) <= 64 else 16), "};"]
                pieces.append(f"{{ {name}, sizeof({name}) }}")
            else:
                pieces.append(f"{{ {self._text(part)}, {len(part.bytes)} }}")
        return [*lines, *_list("struct iovec iov[] = {", pieces)], [f".msg_iov = iov, .msg_iovlen = {len(parts)}"]

    def _numbers(self, fds: tuple[Value, ...]) -> list[str]:
        """The array of descriptors to pass."""
        shown = [self._int(value) for value in fds]
        if len(shown) > 8 and len(set(shown)) == 1:
            return [f"int fds[{len(shown)}];", "", f"for (int i = 0; i < {len(shown)}; i++)", f"\tfds[i] = {shown[0]};"]
        return _list("int fds[] = {", shown)

    def _recvmsg(self, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        self._headers.update(("sys/socket.h", "sys/uio.h"))
        sizes = [integer(value) or 0 for value in items(given["iov"])]
        bad = pointer(given["bad_iov"]) if "bad_iov" in given else ""
        lines: list[str] = []
        if bad:
            message = [f".msg_iov = {self._address(Constants((bad,)))}, .msg_iovlen = {max(len(sizes), 1)}"]
        elif not sizes:
            message = [".msg_iov = NULL, .msg_iovlen = 0"]
        else:
            pieces, at = [], 0
            for size in sizes:
                pieces.append(f"{{ text{f' + {at}' if at else ''}, {size} }}")
                at += size
            lines = _list("struct iovec iov[] = {", pieces)
            message = [f".msg_iov = iov, .msg_iovlen = {len(sizes)}"]
        if room := _control_room(turn):
            whole = "control" not in given and _most_control(actor) == room
            message.append(
                f".msg_control = control, .msg_controllen = {'sizeof(control)' if whole else _SPACES.get(room, room)}"
            )
        lines += _list("struct msghdr message = {", message, 80)
        flags = self._int(given["flags"]) if "flags" in given else "0"
        call = f"recvmsg({self._int(step.arguments[0])}, &message, {flags})"
        if bad:
            return _block([*lines, "", self._told("tell", call)])
        names = [f"&{self._member(name)}" for name in turn.binds]
        if sizes and (integer(given["flags"]) or 0 if "flags" in given else 0) & NUMBERS["MSG_TRUNC"]:
            lines += [*self._kept(step), f"ssize_t count = {call};"]
            return _block(
                [
                    *lines,
                    "",
                    "message.msg_iov = kept ? iov : NULL;",
                    self._told("tell_message", "count", "&message", *names, "NULL"),
                ]
            )
        return _block([*lines, "", self._told("tell_message", call, "&message", *names, "NULL")])

    def _setsockopt(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/socket.h")
        *first, value = turn.step.arguments
        if isinstance(value, Text):
            last = f"{self._text(value)}, {len(value.bytes)}"
        else:
            last = f"&(int){{ {self._int(value)} }}, sizeof(int)"
        return [self._told("tell", f"setsockopt({', '.join(map(self._int, first))}, {last})")]

    def _getsockopt(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/socket.h")
        arguments = turn.step.arguments
        first = ", ".join(map(self._int, arguments))
        if [integer(value) for value in arguments[1:]] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]]:
            lines = ["struct ucred peer;", "socklen_t length = sizeof(peer);", ""]
            return _block([*lines, self._told("tell_peer", f"getsockopt({first}, &peer, &length)", "&peer")])
        if kind := naming.of_option([integer(value) for value in arguments]):
            lines = [f"int {kind.key};", f"socklen_t length = sizeof({kind.key});", ""]
            return _block(
                [*lines, self._told(f"tell_{kind.key}", f"getsockopt({first}, &{kind.key}, &length)", f"&{kind.key}")]
            )
        lines = ["char option[256];", "socklen_t length = sizeof(option);", ""]
        return _block([*lines, self._told("tell_option", f"getsockopt({first}, option, &length)", "option", "&length")])

    def _fcntl(self, actor: Actor, turn: Turn) -> list[str]:
        fd, command, *argument = turn.step.arguments
        shown = [self._int(fd), self._int(command), *map(self._int, argument)]
        if integer(command) not in [NUMBERS[name] for name in _PLAIN_COMMANDS]:
            # It may take an address: all bits of it are given.
            shown = [*shown[:2], f"(long){shown[2]}" if argument else "0L"]
        call = f"fcntl({', '.join(shown)})"
        if kind := naming.of_return("fcntl", [integer(value) for value in turn.step.arguments]):
            self._constants.update(set(kind.names) - {"O_LARGEFILE"})
            return [self._told(f"tell_{kind.key}", call)]
        return [self._named(turn, call)]

    def _open(self, actor: Actor, turn: Turn) -> list[str]:
        name, flags, *mode = turn.step.arguments
        return [
            self._named(turn, f"open({self._text(name)}, {self._int(flags)}, {_octal(mode[0]) if mode else '0600'})")
        ]

    def _memfd_create(self, actor: Actor, turn: Turn) -> list[str]:
        name, flags = turn.step.arguments
        return [self._named(turn, f"memfd_create({self._text(name)}, {self._int(flags)})")]

    def _accept(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/socket.h")
        return [self._named(turn, f"accept({self._int(turn.step.arguments[0])}, NULL, NULL)")]

    def _bind(self, actor: Actor, turn: Turn) -> list[str]:
        return self._addressed(turn)

    _connect = _bind

    def _addressed(self, turn: Turn) -> list[str]:
        step = turn.step
        fd = self._int(step.arguments[0])
        kind, path, port = planning.address(step.arguments[1])
        self._headers.add("sys/socket.h")
        if kind == "unix":
            self._headers.update(("sys/un.h", "stddef.h"))
            length = len(path) + (not path.startswith(b"\0"))
            line = f"struct sockaddr_un address = {{ .sun_family = AF_UNIX, .sun_path = {_literal(path)} }};"
            call = f"{step.call}({fd}, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + {length})"
            return _block([line, "", self._told("tell", call)])
        self._headers.add("netinet/in.h")
        self._port = True
        chosen = step.call == "connect" and port == 0
        self._pieces.update({"bound_port"} if chosen else ())
        shown = f"bound_port(AF_INET{'6' if kind == 'inet6' else ''}, {fd})" if chosen else f"htons({port & 0xFFFF})"
        if kind == "inet":
            line = (
                f"struct sockaddr_in address = {{ .sin_family = AF_INET, .sin_port = {shown}, .sin_addr = {{ "
                f"htonl(INADDR_LOOPBACK) }} }};"
            )
        else:
            line = (
                f"struct sockaddr_in6 address = {{ .sin6_family = AF_INET6, .sin6_port = {shown}, .sin6_addr = "
                f"IN6ADDR_LOOPBACK_INIT }};"
            )
        call = f"{step.call}({fd}, (struct sockaddr *)&address, sizeof(address))"
        return _block(
            [line, "", self._told("tell_bound", call, fd) if step.call == "bind" else self._told("tell", call)]
        )

    def _poll(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("poll.h")
        fds, events, timeout = turn.step.arguments
        numbers = items(fds)
        wanted = items(events) if len(items(events)) == len(numbers) else items(events) * len(numbers)
        if not numbers:
            return [self._told("tell_poll", f"poll(NULL, 0, {self._int(timeout)})", "NULL", "0")]
        entries = [f"{{ .fd = {self._int(fd)}, .events = {self._int(mask, 16)} }}" for fd, mask in zip(numbers, wanted)]
        count = len(numbers)
        lines = [*_list("struct pollfd fds[] = {", entries), ""]
        return _block([*lines, self._told("tell_poll", f"poll(fds, {count}, {self._int(timeout)})", "fds", str(count))])

    def _pidfd_open(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/syscall.h")
        process, flags = turn.step.arguments
        return [self._named(turn, f"syscall(SYS_pidfd_open, {self._process(process)}, {self._int(flags)})")]

    def _pidfd_send_signal(self, actor: Actor, turn: Turn) -> list[str]:
        self._headers.add("sys/syscall.h")
        fd, number = turn.step.arguments
        return [self._told("tell", f"syscall(SYS_pidfd_send_signal, {self._int(fd)}, {self._int(number)}, NULL, 0)")]

    def _signal(self, actor: Actor, turn: Turn) -> list[str]:
        number, handler = turn.step.arguments
        shown = planning.word(handler)
        return [
            self._told(
                "tell_handler", f"signal({self._int(number)}, {self._use('handler') if shown == 'HANDLER' else shown})"
            )
        ]

    def _kill(self, actor: Actor, turn: Turn) -> list[str]:
        process, number = turn.step.arguments
        return [self._told("tell", f"kill({self._process(process)}, {self._int(number)})")]

    def _waitpid(self, actor: Actor, turn: Turn) -> list[str]:
        arguments = turn.step.arguments
        if not arguments:
            return [self._told("tell_child", "wait(&status)", "&status")]
        options = self._int(arguments[1]) if len(arguments) > 1 else "0"
        return [self._told("tell_child", f"waitpid({self._process(arguments[0])}, &status, {options})", "&status")]

    _wait = _waitpid

    # ---- values

    def _member(self, name: str) -> str:
        return f"fd.{self._members[name]}"

    def _process(self, value: Value) -> str:
        if isinstance(value, Name):
            return f"{self._use('pid_of')}({_actor(value.text)})"
        return self._int(value)

    def _int(self, value: Value, bits: int = 32) -> str:
        if isinstance(value, Name):
            return self._member(value.text)
        if isinstance(value, Constants):
            self._constants.update(value.names)
            return " | ".join(value.names)
        assert isinstance(value, Number)
        number = narrow(value.value, bits)
        return _number(number) if number != value.value else _written(value)

    def _address(self, value: Value) -> str:
        """What stands for NULL or BADPTR; empty: the value is neither."""
        return {"": "", "NULL": "nowhere", "BADPTR": "BADPTR"}[self._pointer(value)]

    def _pointer(self, value: Value) -> str:
        found = pointer(value)
        if found:
            self._use({"NULL": "nowhere", "BADPTR": "BADPTR"}[found])
        return found

    def _text(self, value: Value) -> str:
        assert isinstance(value, Text)
        if value.times > 1:
            return f"{self._use('repeated')}({_literal(value.data)}, {len(value.data)}, {value.times})"
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


def _rows(data: bytes, width: int) -> Iterable[str]:
    for at in range(0, len(data), width):
        yield "\t" + " ".join(f"0x{byte:02x}," for byte in data[at : at + width])


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


def _octal(value: Value) -> str:
    found = integer(value)
    return f"0{found:o}" if found is not None and found > 0 else str(found or 0)


def _block(lines: list[str]) -> list[str]:
    return ["{", *(f"\t{line}" if line else "" for line in lines), "}"]


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


def _bits(names: Iterable[str]) -> str:
    """Rows of a table. The C library's O_LARGEFILE is not the kernel's."""
    return "\n".join(f'\t\t{{ {"LARGEFILE" if name == "O_LARGEFILE" else name}, "{name}" }},' for name in names)


def _comment(text: str) -> str:
    """Text that neither ends a comment, nor begins another, nor is a trigraph, nor joins lines."""
    for pair, apart in (("*/", "* /"), ("/*", "/ *"), ("??", "? ?"), ("??", "? ?")):
        text = text.replace(pair, apart)
    return text.rstrip("\\")


def _wrapped(text: str, before: str) -> list[str]:
    return [
        _comment(line)
        for line in textwrap.wrap(
            text, 100, initial_indent=before, subsequent_indent="    " if before else "", break_long_words=True
        )
    ]


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


def _text_room(turn: Turn) -> int:
    """Bytes that a step may read into."""
    step = turn.step
    if step.call in ("read", "recv", "pread"):
        return 0 if pointer(step.arguments[1]) else max(1, integer(step.arguments[1]) or 0)
    if step.call == "recvmsg" and "bad_iov" not in named(step):
        return (
            max(1, sum(integer(value) or 0 for value in items(named(step)["iov"]))) if items(named(step)["iov"]) else 0
        )
    return 0


def _control_room(turn: Turn) -> int:
    """Bytes of control buffer that a step gives."""
    if turn.step.call != "recvmsg":
        return 0
    given = named(turn.step)
    return integer(given["control"]) or 0 if "control" in given else CONTROL_ROOM


def _most_control(actor: Actor) -> int:
    return max(map(_control_room, actor.turns))
