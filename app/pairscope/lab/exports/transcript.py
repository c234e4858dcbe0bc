"""A run as strace would have told it: the calls of all processes in the order in which they were made. strace(1)

What the run does not know is left out, or is ``?``: addresses, the users of signals. Calls have the kernel's names, as
on x86_64.
"""

from __future__ import annotations

import base64
import os
import signal
import struct
from collections.abc import Iterable
from typing import Any

from pairscope.lab import named, values
from pairscope.lab.calls import CALLS
from pairscope.lab.constants import NUMBERS, decode, signal_name
from pairscope.lab.given import address, integer, items, word
from pairscope.lab.language import parse
from pairscope.lab.model import Constants, Scenario, Step, Text, Value
from pairscope.lab.run import UNSET, Completed, Part, Result, Run, State, given, known
from pairscope.lab.run import Step as Taken

SHOWN = 32
"""Bytes of a text, as strace shows them."""
COLUMN = 40
"""Where results stand."""
_ESCAPES = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def transcript(run: Run) -> str:
    """The run in strace's manner."""
    return "".join(line + "\n" for line in _Teller(run, parse(run.text)).lines())


class _Teller:
    def __init__(self, run: Run, scenario: Scenario) -> None:
        self._run = run
        self._steps = scenario.steps
        self._pids: dict[str, int] = {}
        """Of each actor: of a thread its own number."""
        self._process: dict[str, str] = {}
        """Of each actor: the name of its process."""
        for process in (process for number in range(1, len(run.steps) + 1) for process in run.state(number).processes):
            self._pids.setdefault(process.name, process.pid)
            self._process.setdefault(process.name, process.name)
            for task in process.threads or ():
                self._pids[task.name] = task.tid
                self._process[task.name] = process.name
        self._ended: set[str] = set()
        self._broken = {pair for index, step in enumerate(run.steps) for pair in self._died_of_it(index, step)}
        """(actor, index of its step): the calls that brought SIGPIPE on their process and did not return."""

    def lines(self) -> Iterable[str]:
        for index, step in enumerate(self._run.steps):
            if step.result is None:
                return
            if not step.returned:
                yield from self._call(index, step, step.result)
            for actor, result in step.completed.items():
                # That of the step itself stands with it, unless the call was begun before.
                yield from self._back(actor, result)
            if step.call == "kill" and not step.returned and not step.result.errno:
                yield from self._signalled(self._steps[index], step.actor)
            yield from self._ends(step, self._run.state(index + 1))

    def _call(self, index: int, step: Taken, result: Result) -> Iterable[str]:
        own, actor = self._steps[index], step.actor
        if result.blocked:
            later: Result = next(
                (found for other in self._run.steps for found in other.completed.values() if found.of == index),
                result,
            )
            yield self._said(
                actor, f"{_name(own)}({self._arguments(own, step, later, unfinished=True)} <unfinished ...>"
            )
            return
        yield from self._whole(actor, index, result, f"{_name(own)}({self._arguments(own, step, result)})")

    def _back(self, actor: str, result: Completed) -> Iterable[str]:
        """The return of a call that was blocked."""
        step, own = self._run.steps[result.of], self._steps[result.of]
        begun = self._arguments(own, step, result, unfinished=True)
        rest = "" if result.ended else self._arguments(own, step, result)[len(begun) :].lstrip() if begun else ""
        yield from self._whole(actor, result.of, result, f"<... {_name(own)} resumed>{rest})")

    def _whole(self, actor: str, index: int, result: Result, text: str) -> Iterable[str]:
        own, step = self._steps[index], self._run.steps[index]
        line = self._said(actor, text)
        pipe = self._pipes(index, actor, result)
        yield f"{line:<{COLUMN}} = " + (
            "-1 EPIPE (Broken pipe)" if result.ended and pipe else self._value(own, step, result)
        )
        if pipe:
            yield self._said(
                actor,
                f"--- SIGPIPE {{si_signo=SIGPIPE, si_code=SI_USER, "
                f"si_pid={self._pids.get(self._process.get(actor, actor), 0)}}} ---",
            )
        if own.call == "fork" and not result.errno and result.value:
            yield f"strace: Process {result.value} attached"
        if own.call == "thread" and not result.errno:
            yield f"strace: Process {self._pids.get(own.binds[0], 0)} attached"

    def _said(self, actor: str, text: str) -> str:
        return f"[pid {self._pids.get(actor, 0):5}] {text}" if len(self._pids) > 1 else text

    def _signalled(self, own: Step, actor: str) -> Iterable[str]:
        """What a kill brought on its process. Nobody sees SIGKILL come: it is told by the end."""
        number, name = integer(own.arguments[1]) or 0, getattr(own.arguments[0], "text", "")
        if name in self._pids and number not in (0, signal.SIGKILL):
            sender = self._pids.get(self._process.get(actor, actor), 0)
            yield self._said(
                self._process[name],
                f"--- {signal_name(number)} {{si_signo={signal_name(number)}, si_code=SI_USER, si_pid={sender}}} ---",
            )

    def _died_of_it(self, index: int, step: Taken) -> Iterable[tuple[str, int]]:
        """Of the calls that SIGPIPE has ended in this step, those that brought it: of each process one. The others'
        threads died with theirs in calls of their own."""
        own, arguments = self._steps[index], step.arguments
        if own.call in ("kill", "pidfd_send_signal") and arguments[1:2] == [signal.SIGPIPE]:
            return
        ended: list[tuple[str, int, Result]] = [(actor, result.of, result) for actor, result in step.completed.items()]
        if step.result and not step.returned:
            ended.insert(0, (step.actor, index, step.result))
        found: dict[str, tuple[str, int]] = {}
        for actor, of, result in ended:
            if (
                result.ended
                and result.killed == signal.SIGPIPE
                and self._steps[of].call in ("write", "send", "sendmsg")
            ):
                found.setdefault(self._process.get(actor, actor), (actor, of))
        yield from found.values()

    def _pipes(self, index: int, actor: str, result: Result) -> bool:
        """Whether the call brought SIGPIPE on its process: streams and pipes do, unless they are asked not to."""
        own = self._steps[index]
        if own.call not in ("write", "send", "sendmsg"):
            return False
        if result.ended:
            return (actor, index) in self._broken
        if result.errno != "EPIPE" or _flags(own) & NUMBERS["MSG_NOSIGNAL"]:
            return False
        after, fd = self._run.state(index + 1), self._run.steps[index].arguments[0]
        held = [
            row.inode
            for process in after.processes
            if process.name == self._process.get(actor)
            for row in process.descriptors
            if row.number == fd
        ]
        return any(
            found.kind == "pipe" or found.type == "SOCK_STREAM" for found in after.objects if found.inode in held
        )

    def _ends(self, step: Taken, state: State) -> Iterable[str]:
        """Who has ended by this step, and whom the kernel told of it."""
        if step.call == "exit" and not step.returned and self._process.get(step.actor, "") != step.actor:
            yield self._said(step.actor, "+++ exited with 0 +++")
        processes = {process.name: process for process in state.processes}
        for name, process in processes.items():
            if process.exit is UNSET or name in self._ended:
                continue
            self._ended.add(name)
            status, killed = process.exit.status, process.exit.killed
            how = f"killed by {signal_name(killed)}" if killed else f"exited with {'?' if status is None else status}"
            yield self._said(name, f"+++ {how} +++")
            parent = processes.get(process.parent or "")
            if parent and parent.exit is UNSET:
                code, value = (
                    ("CLD_KILLED", signal_name(killed)) if killed else ("CLD_EXITED", "?" if status is None else status)
                )
                yield self._said(
                    parent.name,
                    f"--- SIGCHLD {{si_signo=SIGCHLD, si_code={code}, si_pid={process.pid}, si_status={value}}} ---",
                )

    # ---- what came

    def _value(self, own: Step, step: Taken, result: Result) -> str:
        if result.ended or result.fault or own.call == "exit":
            return "?"
        if result.errno:
            return f"-1 {result.errno} ({os.strerror(NUMBERS.get(result.errno, 0))})"
        value = result.value
        if not CALLS[own.call].kernels_value:
            return "?"
        if own.call == "thread":
            return str(self._pids.get(own.binds[0], 0))
        if own.call == "poll":
            fds = _fds(step)
            found = [
                f"{{fd={fd}, revents={decode('POLL', revents)}}}"
                for fd, revents in zip(fds, given(result.revents, "revents"))
                if revents
            ]
            return f"{value} ([{', '.join(found)}])" if found else f"{value} (Timeout)"
        if own.call == "fcntl" and (meaning := values.meaning(step, result, {})):
            return f"{value:#x} ({'seals' if step.arguments[1] == NUMBERS['F_GET_SEALS'] else 'flags'} {meaning})"
        return str(value)

    # ---- what was given

    def _arguments(self, own: Step, step: Taken, result: Result, unfinished: bool = False) -> str:
        """All arguments; `unfinished`: those that are known before the call has given anything, up to the first that is
        not."""
        given = _Given(own, step.arguments, result, unfinished)
        if told := CALLS[own.call].strace:
            return ", ".join(told(given.plain(), None if given.failed else known(result.held)))
        words: list[str] = []
        for argument in getattr(given, own.call, given.plain)():
            if argument is None:
                return ", ".join(words) + ("," if words else "")
            words.append(argument)
        return ", ".join(words)


class _Given:
    """The arguments of one call as strace writes them. None stands for what only the kernel's answer tells, where there
    is none yet."""

    def __init__(self, own: Step, made: list[Any], result: Result, unfinished: bool) -> None:
        self._own, self._result, self._unfinished = own, result, unfinished
        self._made = [value for value in made if not (isinstance(value, dict) and "data" not in value)]
        self._named: dict[str, Any] = {
            key: value
            for entry in made
            if isinstance(entry, dict) and "data" not in entry
            for key, value in entry.items()
        }
        self._words: dict[str, Value] = dict(own.named)
        self.failed = bool(result.errno or result.ended or result.fault)

    def plain(self) -> list[str]:
        return [_shown(value, made) for value, made in zip(self._own.arguments, self._made)]

    def _pair(self) -> str:
        return "[?, ?]" if self.failed else str(given(self._result.made, "made"))

    def socketpair(self) -> Iterable[str | None]:
        return [*self.plain(), self._pair()]

    def pipe(self) -> Iterable[str | None]:
        return [self._pair()]

    def pipe2(self) -> Iterable[str | None]:
        return [self._pair(), *self.plain()]

    def bind(self) -> Iterable[str | None]:
        text = base64.b64decode(self._made[1]["data"])
        kind, path, port = address(Text(text))
        fd = _shown(self._own.arguments[0], self._made[0])
        if kind == "unix":
            where = f"@{_quoted(path[1:], len(path) - 1)}" if path.startswith(b"\0") else _quoted(path, len(path), 108)
            return [fd, f"{{sa_family=AF_UNIX, sun_path={where}}}", str(2 + len(path) + (not path.startswith(b"\0")))]
        if kind == "inet":
            return [fd, f'{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr("127.0.0.1")}}', "16"]
        return [
            fd,
            (
                f"{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "
                f'"::1", &sin6_addr), sin6_scope_id=0}}'
            ),
            "28",
        ]

    connect = bind

    def accept(self) -> Iterable[str | None]:
        return [*self.plain(), "NULL", "NULL"]

    def fork(self) -> Iterable[str | None]:
        return ["child_stack=NULL", "flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"]

    def thread(self) -> Iterable[str | None]:
        return [
            (
                "{flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|"
                "CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, "
                "...}"
            ),
            "88",
        ]

    def _came(self) -> str | None:
        if self._unfinished:
            return None
        if self.failed or self._result.data is None:
            return "?"
        return _quoted(base64.b64decode(self._result.data), given(self._result.bytes, "bytes"))

    def read(self) -> Iterable[str | None]:
        fd, room, *count = self._made
        where = {"NULL": "NULL", "BADPTR": "0x1"}.get(room) if isinstance(room, str) else None
        return [str(fd), where or self._came(), str(count[0] if count else room)]

    def recv(self) -> Iterable[str | None]:
        return [
            str(self._made[0]),
            self._came(),
            str(self._made[1]),
            _shown(self._own.arguments[2], self._made[2]),
            "NULL",
            "NULL",
        ]

    def pread(self) -> Iterable[str | None]:
        return [str(self._made[0]), self._came(), str(self._made[1]), str(self._made[2])]

    def _data(self) -> tuple[str, str]:
        value = self._made[1]
        if isinstance(value, str):
            return {"NULL": "NULL"}.get(value, "0x1"), "0"
        return _text(value), str(len(self._own.arguments[1].bytes))  # type: ignore[union-attr]

    def write(self) -> Iterable[str | None]:
        data, size = self._data()
        return [str(self._made[0]), data, str(self._made[2]) if len(self._made) > 2 else size]

    def send(self) -> Iterable[str | None]:
        data, size = self._data()
        return [str(self._made[0]), data, size, _shown(self._own.arguments[2], self._made[2]), "NULL", "0"]

    def pwrite(self) -> Iterable[str | None]:
        data, size = self._data()
        return [str(self._made[0]), data, size, str(self._made[2])]

    def _message(self, iov: str, length: int, flags: str) -> str:
        message = self._result.message
        control = "msg_controllen=0"
        if message and message.controllen:
            control = f"msg_control=[{', '.join(map(_part, message.parts))}], msg_controllen={message.controllen}"
        return f"{{msg_name=NULL, msg_namelen=0, msg_iov={iov}, msg_iovlen={length}, {control}, msg_flags={flags}}}"

    def _flags(self) -> str:
        return _shown(self._words["flags"], self._named["flags"]) if "flags" in self._named else "0"

    def _bad(self, entries: list[str]) -> str:
        return (
            {"NULL": "NULL", "BADPTR": "0x1"}[self._named["bad_iov"]]
            if "bad_iov" in self._named
            else f"[{', '.join(entries)}]"
        )

    def sendmsg(self) -> Iterable[str | None]:
        texts = [value for value in items(self._words["iov"]) if isinstance(value, Text)]
        entries = [
            f"{{iov_base={_text(made)}, iov_len={len(text.bytes)}}}" for made, text in zip(self._named["iov"], texts)
        ]
        return [
            str(self._made[0]),
            self._message(self._bad(entries), len(entries) or int("bad_iov" in self._named), "0"),
            self._flags(),
        ]

    def recvmsg(self) -> Iterable[str | None]:
        fd = str(self._made[0])
        if self._unfinished:
            return [fd, None]
        if self.failed:
            return [fd, "{msg_namelen=0}", self._flags()]
        data, message = base64.b64decode(self._result.data or ""), self._result.message
        if message is None:
            raise ValueError("there is no message")
        entries, at = [], 0
        for size, filled in zip(self._named["iov"], message.iov):
            entries.append(f"{{iov_base={_quoted(data[at : at + filled], filled)}, iov_len={size}}}")
            at += filled
        flags = decode("MSG_", given(self._result.msg_flags, "msg_flags") & 0xFFFFFFFF)
        return [fd, self._message(self._bad(entries), len(entries), flags), self._flags()]

    def setsockopt(self) -> Iterable[str | None]:
        value = self._made[3]
        if isinstance(value, dict):
            return [*self._first(3), _text(value), str(len(self._own.arguments[3].bytes))]  # type: ignore[union-attr]
        return [*self._first(3), f"[{_shown(self._own.arguments[3], value)}]", "4"]

    def getsockopt(self) -> Iterable[str | None]:
        if self.failed:
            return [*self._first(3), "?", "[256]"]
        option = base64.b64decode(given(self._result.option, "option"))
        if self._made[1:3] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]] and len(option) == 12:
            pid, uid, gid = struct.unpack("=iII", option)
            return [*self._first(3), f"{{pid={pid}, uid={uid}, gid={gid}}}", "[256 => 12]"]
        held = given(self._result.held, "held")
        if (kind := named.of_option(self._made)) and isinstance(held, int):
            return [*self._first(3), f"[{kind.told(held)}]", f"[256 => {len(option)}]"]
        return [*self._first(3), str(held if isinstance(held, list) else [held]), f"[256 => {len(option)}]"]

    def _first(self, count: int) -> list[str]:
        return [_shown(value, made) for value, made in zip(self._own.arguments[:count], self._made)]

    def open(self) -> Iterable[str | None]:
        name, flags, *mode = self._made
        made = ["AT_FDCWD", _text(name, 256), _shown(self._own.arguments[1], flags)]
        return [*made, f"{mode[0] if mode else 0o600:#05o}".replace("0o", "0")] if flags & os.O_CREAT else made

    def memfd_create(self) -> Iterable[str | None]:
        return [_text(self._made[0], 256), _shown(self._own.arguments[1], self._made[1])]

    def poll(self) -> Iterable[str | None]:
        fds, events, timeout = self._made
        numbers = fds if isinstance(fds, list) else [fds]
        wanted = events if isinstance(events, list) else [events] * len(numbers)
        entries = [f"{{fd={fd}, events={decode('POLL', mask)}}}" for fd, mask in zip(numbers, wanted)]
        return [f"[{', '.join(entries)}]", str(len(numbers)), str(timeout)]

    def pidfd_send_signal(self) -> Iterable[str | None]:
        return [*self.plain(), "NULL", "0"]

    def signal(self) -> Iterable[str | None]:
        handler = {"HANDLER": "?"}.get(word(self._own.arguments[1]), word(self._own.arguments[1]))
        before = {"HANDLER": "?"}.get(self._result.before or "?", self._result.before or "?")
        flags = "SA_RESTART"
        return [
            _shown(self._own.arguments[0], self._made[0]),
            f"{{sa_handler={handler}, sa_flags={flags}, ...}}",
            f"{{sa_handler={before}, ...}}",
            "8",
        ]

    def waitpid(self) -> Iterable[str | None]:
        pid = str(self._made[0]) if self._made else "-1"
        options = _shown(self._own.arguments[1], self._made[1]) if len(self._made) > 1 else "0"
        if self._unfinished:
            return [pid, None]
        status = "?"
        if not self.failed and self._result.value:
            if self._result.killed is not UNSET:
                status = f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(self._result.killed)}}}]"
            elif self._result.status is not UNSET:
                status = f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {self._result.status}}}]"
            elif self._result.stopped is not UNSET:
                status = f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(self._result.stopped)}}}]"
            elif self._result.continued is not UNSET:
                status = "[{WIFCONTINUED(s)}]"
        return [pid, status, options, "NULL"]

    wait = waitpid


def _name(own: Step) -> str:
    return CALLS[own.call].sysno


def _shown(value: Value, made: Any) -> str:
    """A constant by its name; any other number as it was resolved."""
    return "|".join(value.names) if isinstance(value, Constants) else str(made)


def _flags(own: Step) -> int:
    """The flags of a call that sends."""
    value = own.arguments[2] if own.call == "send" else dict(own.named).get("flags")
    return (integer(value) or 0) if value is not None else 0


def _fds(step: Taken) -> list[int]:
    fds = step.arguments[0]
    return [fd for fd in (fds if isinstance(fds, list) else [fds]) if isinstance(fd, int)]


def _part(part: Part) -> str:
    """One control message."""
    if isinstance(part.fds, list):
        data = str(part.fds)
    elif part.creds:
        data = "{{pid={}, uid={}, gid={}}}".format(*part.creds)
    else:
        raw = base64.b64decode(part.data)
        data = _quoted(raw, len(raw))
    return f"{{cmsg_len={part.cmsg_len}, cmsg_level={part.level}, cmsg_type={part.type}" + (
        f", cmsg_data={data}}}" if part.data else "}"
    )


def _text(made: dict[str, Any], most: int = SHOWN) -> str:
    """A text as an argument has it: its piece, and how often."""
    piece = base64.b64decode(made["data"])
    times = max(0, made["times"])
    return _quoted(piece * min(times, most + 1), len(piece) * times, most)


def _quoted(data: bytes, length: int, most: int = SHOWN) -> str:
    """The first bytes of a text of this length."""
    shown = data[:most]
    found = []
    for index, byte in enumerate(shown):
        if byte in _ESCAPES:
            found.append(_ESCAPES[byte])
        elif 32 <= byte < 127:
            found.append(chr(byte))
        else:
            digits = shown[index + 1 : index + 2].isdigit()
            found.append(f"\\{byte:03o}" if digits else f"\\{byte:o}")
    return f'"{"".join(found)}"' + ("..." if length > most else "")
