"""A second observer of scenarios, which shares no code with the stage: it has them played by processes of its own, and
looks in ways of its own.

Its actors make raw system calls (syscall(2), the numbers of x86_64), into memory of which they know every byte
beforehand, so that what was written is what has changed. Orders and answers cross in pipes that were made before the
first fork. Tables are read from /proc/PID/fdinfo and /proc/PID/fd, identity from kcmp(2) between the processes
themselves, and what waits in a queue is what a reader gets: it is received, which ends the play. proc_pid_fdinfo(5),
proc_pid_stat(5).
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import ipaddress
import marshal
import os
import pwd
import re
import resource
import select
import signal
import socket
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pairscope.lab.model import Constants, Items, Name, Number, Scenario, Step, Text, Value

FIRST, LAST = 210, 256
"""Where the ends of the pipes stand in every actor: numbers that a scenario is not given either."""
LONGEST = 8.0
"""Seconds that one play may take."""
CALL = {
    "read": 0, "write": 1, "close": 3, "poll": 7, "lseek": 8, "pread": 17, "pwrite": 18, "pipe": 22, "dup": 32,
    "dup2": 33, "socket": 41, "connect": 42, "accept": 43,
    "send": 44, "recv": 45, "sendmsg": 46, "recvmsg": 47, "shutdown": 48, "bind": 49, "listen": 50, "socketpair": 53,
    "setsockopt": 54, "getsockopt": 55, "wait": 61,
    "waitpid": 61, "kill": 62, "fcntl": 72, "ftruncate": 77, "open": 257, "eventfd": 290, "dup3": 292, "pipe2": 293,
    "kcmp": 312, "memfd_create": 319,
    "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
}  # fmt: skip
"""arch/x86/entry/syscalls/syscall_64.tbl"""
OURS = {"NULL": 0, "BADPTR": 1, "SIG_DFL": 0, "SIG_IGN": 1, "HANDLER": 2, "SCM_RIGHTS": 1, "SCM_CREDENTIALS": 2}
"""Words of the language that are no constant of a module of Python; of kernel headers beside them. linux/socket.h,
linux/memfd.h, linux/fcntl.h"""
HEADERS = {
    "SO_PEEK_OFF": 42, "SO_PASSCRED": 16, "SO_PEERCRED": 17, "SO_PASSPIDFD": 76, "SO_PEERPIDFD": 77,
    "SO_PASSRIGHTS": 83, "SCM_SECURITY": 3, "SCM_PIDFD": 4,
    "F_ADD_SEALS": 1033, "F_GET_SEALS": 1034, "F_SEAL_SEAL": 1, "F_SEAL_SHRINK": 2, "F_SEAL_GROW": 4,
    "F_SEAL_WRITE": 8, "F_SEAL_FUTURE_WRITE": 16,
    "F_SETPIPE_SZ": 1031, "F_GETPIPE_SZ": 1032, "MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "EFD_SEMAPHORE": 1,
    "EFD_NONBLOCK": 0o4000, "EFD_CLOEXEC": 0o2000000,
    "MSG_CMSG_CLOEXEC": 0x40000000, "MSG_NOSIGNAL": 0x4000, "O_LARGEFILE": 0o100000,
}  # fmt: skip
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.signal.restype = ctypes.c_void_p
Answer = dict[str, Any]


def constant(name: str) -> int:
    """The number of a constant."""
    for place in (OURS, HEADERS):
        if name in place:
            return place[name]
    for module in (socket, os, fcntl, select, signal, errno):
        if isinstance(value := getattr(module, name, None), int):
            return int(value)
    raise KeyError(name)


# ---- the actors


def system(name: str, *arguments: Any) -> tuple[int, int]:
    """A raw system call: value and errno."""
    ctypes.set_errno(0)
    value = libc.syscall(CALL[name], *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    return value, ctypes.get_errno() if value == -1 else 0


class Room:
    """Memory that is known byte by byte: what a call has written into it can be told from what it has not."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._before = bytes((at * 151 + 89) & 0xFF for at in range(256)) * (size // 256 + 1)
        self.memory = ctypes.create_string_buffer(self._before[: size + 64],
        size + 64) if size + 64 <= len(self._before) else ctypes.create_string_buffer(
            self._before + bytes(size + 64 - len(self._before)), size + 64
        )  # fmt: skip
        self._start = self.memory.raw

    def written(self) -> tuple[bytes, int]:
        """The memory, and how much of it is certain to have been written: up to the last byte that has changed."""
        now = self.memory.raw
        changed = (
            max((at for at in range(len(now)) if now[at] != self._start[at]), default=-1) + 1
            if now != self._start
            else 0
        )
        return now[: self.size], changed


def came(found: tuple[int, int], **more: Any) -> Answer:
    return {"value": found[0], "errno": found[1], **more}


def spoken(data: Any) -> bytes:
    return data[0] * data[1]


def reading(name: str, fd: int, room: Any, *more: int) -> Answer:
    if isinstance(room, str):
        return came(system(name, fd, constant(room), *(more or (0,))))
    memory = Room(room)
    if name == "read":
        found = system(name, fd, memory.memory, more[0] if more else room)
    elif name == "pread":
        found = system(name, fd, memory.memory, room, more[0])
    else:
        found = system(name, fd, memory.memory, room, more[0], 0, 0)
    return came(found, memory=memory.written()) if found[0] >= 0 else came(found)


def writing(name: str, fd: int, data: Any, *more: int) -> Answer:
    if isinstance(data, str):
        return came(system(name, fd, constant(data), *(more or (0,))))
    text = spoken(data)
    if name == "write":
        return came(system(name, fd, text, more[0] if more else len(text)))
    return came(system(name, fd, text, len(text), more[0], *((0, 0) if name == "send" else ())))


def two(name: str, *arguments: int) -> Answer:
    pair = (ctypes.c_int * 2)()
    found = system(name, *arguments[:3], pair) if name == "socketpair" else system(name, pair, *arguments)
    return came(found, made=list(pair) if found[0] == 0 else [])


def one(name: str, *arguments: Any) -> Answer:
    found = system(name, *arguments)
    return came(found, made=[found[0]] if found[0] >= 0 else [])


def address(text: bytes, fd: int, ports: dict[str, int], connects: bool) -> bytes:
    """struct sockaddr_un, sockaddr_in, sockaddr_in6."""
    host, colon, port = text.rpartition(b":")
    if not colon or text[:1] == b"\0":
        return struct.pack("=H", socket.AF_UNIX) + text + (b"" if text[:1] == b"\0" else b"\0")
    number = int(port)
    if connects and not number:
        number = ports.get(f"{style(fd)} {host.decode()}", 0)
    if host[:1] == b"[":
        return struct.pack("=H", socket.AF_INET6) + struct.pack(
            "!HI16sI", number, 0, ipaddress.IPv6Address(host[1:-1].decode()).packed, 0
        )
    return struct.pack("=H", socket.AF_INET) + struct.pack(
        "!H4s8x", number, ipaddress.IPv4Address(host.decode()).packed
    )


def style(fd: int) -> int:
    """The type of a socket; 0: it is none."""
    found, length = ctypes.c_int(0), ctypes.c_uint(4)
    system("getsockopt", fd, socket.SOL_SOCKET, socket.SO_TYPE, ctypes.byref(found), ctypes.byref(length))
    return found.value


def binding(fd: int, text: Any, ports: dict[str, int]) -> Answer:
    there = address(spoken(text), fd, ports, False)
    found = came(system("bind", fd, there, len(there)))
    if found["value"] == 0 and there[:2] != struct.pack("=H", socket.AF_UNIX):
        with socket.socket(fileno=os.dup(fd)) as sock:
            found["port"] = [f"{style(fd)} {spoken(text).rpartition(b':')[0].decode()}", sock.getsockname()[1]]
    return found


def connecting(fd: int, text: Any, ports: dict[str, int]) -> Answer:
    there = address(spoken(text), fd, ports, True)
    return came(system("connect", fd, there, len(there)))


def vector(parts: list[Any]) -> Any:
    """struct iovec[]."""
    return (ctypes.c_uint64 * max(2, 2 * len(parts)))(
        *(number for part in parts for number in (ctypes.addressof(part), len(part)))
    )


def header(iov: int, count: int, control: int, length: int) -> Any:
    """struct msghdr."""
    return (ctypes.c_uint64 * 7)(0, 0, iov, count, control, length, 0)


def sending(fd: int, named: dict[str, Any]) -> Answer:
    texts = [spoken(text) for text in named["iov"]]
    parts = [(ctypes.c_char * len(text)).from_buffer_copy(text) for text in texts]
    length = named.get("cmsg_len")
    control = b""
    bodies = (
        [(1, struct.pack(f"={len(named['fds'])}I", *(number & 0xFFFFFFFF for number in named["fds"])))]
        if named.get("fds")
        else []
    )
    bodies += (
        [(2, struct.pack("=III", *(number & 0xFFFFFFFF for number in named["creds"])))] if named.get("creds") else []
    )
    for kind, body in bodies:
        claimed = 16 + len(body) if length is None else length
        control += (
            struct.pack("=QII", claimed & 0xFFFFFFFFFFFFFFFF, socket.SOL_SOCKET, kind) + body + bytes(-len(body) % 8)
        )
    control = spoken(named["raw"]) if "raw" in named else control
    claimed = named.get("control", len(control))
    room = ctypes.create_string_buffer(control + bytes(max(0, claimed - len(control)) + 64))
    iov = vector(parts)
    where, count = (
        (ctypes.addressof(iov), len(parts))
        if "bad_iov" not in named
        else (constant(named["bad_iov"]), max(1, len(parts)))
    )
    return came(
        system(
            "sendmsg",
            fd,
            header(where, count, ctypes.addressof(room) if claimed else 0, claimed),
            named.get("flags", 0),
        )
    )


def receiving(fd: int, named: dict[str, Any]) -> Answer:
    rooms = [Room(size) for size in named["iov"]]
    iov = (ctypes.c_uint64 * max(2, 2 * len(rooms)))(
        *(number for room in rooms for number in (ctypes.addressof(room.memory), room.size))
    )
    length = named.get("control", 1152)
    control = ctypes.create_string_buffer(length + 64)
    where, count = (
        (ctypes.addressof(iov), len(rooms))
        if "bad_iov" not in named
        else (constant(named["bad_iov"]), max(1, len(rooms)))
    )
    message = header(where, count, ctypes.addressof(control) if length else 0, length)
    found = came(system("recvmsg", fd, message, named.get("flags", 0)))
    if found["value"] >= 0:
        found |= {
            "flags": message[6] & 0xFFFFFFFF,
            "rooms": [room.written() for room in rooms],
            "made": [],
            "creds": None,
        }
        data = control.raw[: message[5]]
        while len(data) >= 16:
            size, level, kind = struct.unpack_from("=QII", data)
            if level == socket.SOL_SOCKET and kind in (1, 4):
                found["made"] += [
                    number for (number,) in struct.iter_unpack("=i", data[16 : 16 + (size - 16) // 4 * 4])
                ]
            elif level == socket.SOL_SOCKET and kind == 2:
                found["creds"] = list(struct.unpack("=iII", data[16:28]))
            data = data[max(16, size + 7 & ~7) :]
    return found


def setting(fd: int, level: int, option: int, value: Any) -> Answer:
    body = struct.pack("=I", value & 0xFFFFFFFF) if isinstance(value, int) else spoken(value)
    return came(system("setsockopt", fd, level, option, body, len(body)))


def getting(fd: int, level: int, option: int) -> Answer:
    room, length = ctypes.create_string_buffer(256), ctypes.c_uint(256)
    found = came(system("getsockopt", fd, level, option, room, ctypes.byref(length)))
    if found["value"] == 0:
        found["option"] = room.raw[: length.value]
        if level == socket.SOL_SOCKET and option == 77 and length.value == 4:
            found["made"] = list(struct.unpack("=i", found["option"]))
    return found


def polling(fds: Any, events: Any, timeout: int) -> Answer:
    numbers = fds if isinstance(fds, list) else [fds]
    masks = events if isinstance(events, list) else [events] * len(numbers)
    entries = ctypes.create_string_buffer(
        b"".join(struct.pack("=IHH", fd & 0xFFFFFFFF, mask & 0xFFFF, 0) for fd, mask in zip(numbers, masks)) + b"\0"
    )
    found = came(system("poll", entries, len(numbers), timeout))
    if found["value"] >= 0:
        found["revents"] = [struct.unpack_from("=H", entries.raw, 8 * at + 6)[0] for at in range(len(numbers))]
    return found


def handling(number: int, what: str) -> Answer:
    """signal(2) of the C library: the kernel's call wants a way back out of the handler, which only a library has."""
    harmless = ctypes.cast(libc.abs, ctypes.c_void_p).value
    ctypes.set_errno(0)
    before = libc.signal(ctypes.c_int(number), ctypes.c_void_p(harmless if what == "HANDLER" else constant(what)))
    if before == 0xFFFFFFFFFFFFFFFF:
        return {"value": -1, "errno": ctypes.get_errno()}
    return {
        "value": 0,
        "errno": 0,
        "before": {None: "SIG_DFL", 0: "SIG_DFL", 1: "SIG_IGN", harmless: "HANDLER"}[before],
    }


def waiting(name: str, process: int = -1, options: int = 0) -> Answer:
    status = ctypes.c_int(0)
    return came(system("wait", process, ctypes.byref(status), options, 0), status=status.value)


def carried_out(call: str, arguments: list[Any], named: dict[str, Any], ports: dict[str, int]) -> Answer:
    """One call, whatever it is."""
    if call in ("read", "pread", "recv"):
        return reading(call, *arguments)
    if call in ("write", "pwrite", "send"):
        return writing(call, *arguments)
    if call in ("socketpair", "pipe", "pipe2"):
        return two(call, *arguments)
    if call in ("open", "memfd_create"):
        name = ctypes.create_string_buffer(spoken(arguments[0]))
        if call == "open":
            return one(call, -100, name, arguments[1], arguments[2] if len(arguments) > 2 else 0o600)
        return one(call, name, arguments[1])
    if call in ("socket", "dup", "dup2", "dup3", "eventfd", "pidfd_open"):
        return one(call, *arguments)
    if call == "accept":
        return one(call, arguments[0], 0, 0)
    if call == "fcntl":
        made = arguments[1] in (0, 1030)  # F_DUPFD, F_DUPFD_CLOEXEC
        return (one if made else lambda *words: came(system(*words)))(
            call, arguments[0], arguments[1], arguments[2] if len(arguments) > 2 else 0
        )
    special: dict[str, Callable[..., Answer]] = {
        "setsockopt": setting,
        "getsockopt": getting,
        "poll": polling,
        "signal": handling,
    }
    if call in special:
        return special[call](*arguments)
    if call in ("bind", "connect"):
        fd, text = arguments
        return (binding if call == "bind" else connecting)(fd, text, ports)
    if call in ("sendmsg", "recvmsg"):
        return (sending if call == "sendmsg" else receiving)(arguments[0], named)
    if call in ("wait", "waitpid"):
        return waiting(call, *arguments)
    if call == "pidfd_send_signal":
        return came(system(call, *arguments, 0, 0))
    return came(system(call, *arguments))  # close, shutdown, listen, ftruncate, lseek, kill


class Player:
    """An actor's own loop, in its process or thread. Orders and answers cross in its two pipes."""

    def __init__(self, place: int, ends: list[tuple[int, int]], thread: bool = False) -> None:
        self._place, self._ends, self._thread = place, ends, thread

    def play(self) -> None:
        self._say({"pid": os.getpid(), "tid": threading.get_native_id()})
        orders = self._ends[self._place][0]
        while True:
            length = struct.unpack("=I", _whole(orders, 4))[0]
            call, arguments, named, ports = marshal.loads(_whole(orders, length))
            if call == "exit":
                if self._thread:
                    return
                os._exit(arguments[0] & 0xFF)
            if call == "fork":
                try:
                    pid = os.fork()
                except OSError as error:
                    self._say({"value": -1, "errno": error.errno})
                    continue
                if pid == 0:
                    self._place, self._thread = arguments[0], False
                    orders = self._ends[self._place][0]
                    self._say({"pid": os.getpid(), "tid": threading.get_native_id()})
                else:
                    self._say({"value": pid, "errno": 0})
            elif call == "thread":
                threading.Thread(target=Player(arguments[0], self._ends, True).play, daemon=True).start()
                self._say({"value": 0, "errno": 0})
            else:
                self._say(carried_out(call, arguments, named, ports))

    def _say(self, answer: Answer) -> None:
        body = marshal.dumps(answer)
        body = struct.pack("=I", len(body)) + body
        while body:
            body = body[os.write(self._ends[self._place][1], body) :]


def _whole(fd: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = os.read(fd, length - len(data))
        if not piece:
            os._exit(71)
        data += piece
    return data


# ---- the play


@dataclasses.dataclass(slots=True)
class Part:
    """An actor, seen from outside."""

    name: str
    place: int
    pid: int
    tid: int
    thread: bool
    names: dict[str, int]
    """Shared by the threads of a process."""
    pending: tuple[int, Step] | None = None
    """The index of a step whose call has not returned, and the step."""
    last: Answer | None = None
    made: str = ""
    ended: bool = False


@dataclasses.dataclass(slots=True)
class Seen:
    """What came of one step, and what there was after it."""

    outcome: Answer | None
    """None: it could not be taken. ``{"blocks": True}``; ``{"ended": status}`` of a caller that did not survive; else
    what the call gave."""
    processes: dict[str, dict[str, Any]]
    """By name: ``state``, and of the living ``table``, a list of rows."""


class Play:
    """One scenario, played by real processes up to a step."""

    def __init__(self, scenario: Scenario, user: str = "nobody") -> None:
        self._scenario = scenario
        self._account = pwd.getpwnam(user) if os.geteuid() == 0 else None
        self._parts: dict[str, Part] = {}
        self._processes: dict[str, tuple[int, int]] = {}
        """By name: pid and pidfd."""
        self._status: dict[str, int] = {}
        self._given: dict[str, int] = {}
        self._wait = 0.0
        self._until = 0.0

    def __enter__(self) -> Play:
        self._directory = tempfile.TemporaryDirectory(prefix="oracle")
        os.chmod(self._directory.name, 0o700)
        if self._account:
            os.chown(self._directory.name, self._account.pw_uid, self._account.pw_gid)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        self._until = time.monotonic() + LONGEST
        self._pipes = [(os.pipe(), os.pipe()) for _ in range(8)]
        first = self._scenario.steps[0].actor
        pid = os.fork()
        if pid == 0:
            try:
                self._become()
            finally:
                os._exit(72)
        self._first = pid
        self._enter(first, 0, False, {})
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._first, signal.SIGKILL)
            os.killpg(self._first, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._first, 0)
            while True:
                os.waitpid(-self._first, 0)
        libc.prctl(36, 0, 0, 0, 0)
        for orders, answers in self._pipes:
            for end in (*orders, *answers):
                os.close(end)
        for _pid, pidfd in self._processes.values():
            os.close(pidfd)
        self._directory.cleanup()

    def _become(self) -> None:
        """The first actor, in the process that was just forked: nothing but its pipes, a process group and a directory
        of its own, and signals as they are by default."""
        ends = [
            (fcntl.fcntl(orders[0], 1030, FIRST), fcntl.fcntl(answers[1], 1030, FIRST))
            for orders, answers in self._pipes
        ]
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.closerange(3, FIRST)
        os.closerange(LAST, 4096)
        os.setpgid(0, 0)  # in an orphaned group, as that of a new session is, SIGTSTP would stop nobody
        os.chdir(self._directory.name)
        resource.setrlimit(resource.RLIMIT_NOFILE, (LAST, LAST))
        if self._account:
            os.setgroups([])
            os.setresgid(*[self._account.pw_gid] * 3)
            os.setresuid(*[self._account.pw_uid] * 3)
        for number in set(range(1, 65)) - {9, 19, 32, 33}:
            libc.signal(number, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        Player(0, ends).play()

    def _enter(self, name: str, place: int, thread: bool, names: dict[str, int]) -> None:
        greeting = self._hear(place)
        self._parts[name] = Part(name, place, greeting["pid"], greeting["tid"], thread, names)
        if not thread:
            self._processes[name] = greeting["pid"], os.pidfd_open(greeting["pid"])

    def _hear(self, place: int) -> Answer:
        answers = self._pipes[place][1][0]
        if not select.select([answers], [], [], max(0, self._until - time.monotonic()))[0]:
            raise TimeoutError("an actor says nothing")
        found: Answer = marshal.loads(_whole(answers, struct.unpack("=I", _whole(answers, 4))[0]))
        return found

    def pids(self) -> dict[int, str]:
        """The name of every process, by its number."""
        return {pid: name for name, (pid, _) in self._processes.items()}

    def step(self, index: int) -> Seen:
        """Takes the step, and looks."""
        step = self._scenario.steps[index]
        part = self._parts.get(step.actor)
        outcome: Answer | None
        if step.returned:
            outcome = self._returned(part, step)
        elif part is None or part.ended or part.pending or self._state(part) == "T":
            outcome = None
        else:
            outcome = self._take(part, index, step)
        return Seen(outcome, self._look())

    def _take(self, part: Part, index: int, step: Step) -> Answer | None:
        try:
            arguments = [self._value(part, value) for value in step.arguments]
            named = {key: self._value(part, value) for key, value in step.named}
        except KeyError:
            return None
        place = len(self._parts)
        if step.call in ("fork", "thread"):
            arguments = [place]
        part.pending, part.last, part.made = (index, step), None, step.call
        body = marshal.dumps((step.call, arguments, named, self._given))
        body = struct.pack("=I", len(body)) + body
        while body:
            body = body[os.write(self._pipes[part.place][0][1], body) :]
        if step.call in ("fork", "thread"):
            self._settle()
            if part.last and part.last["value"] >= 0:
                self._enter(
                    step.binds[0],
                    place,
                    step.call == "thread",
                    part.names if step.call == "thread" else dict(part.names),
                )
        self._settle()
        self._be_patient(part, step)
        return part.last if part.pending is None else {"blocks": True}

    def _returned(self, part: Part | None, step: Step) -> Answer | None:
        if part is None or part.made != step.call:
            return None
        if part.pending:
            self._be_patient(part, part.pending[1], True)
        return None if part.pending else part.last

    def _be_patient(self, part: Part, step: Step, returned: bool = False) -> None:
        """A call may return though nobody moves: when its time is up, or by the kernel's own work."""
        own = step.arguments[2].value / 1000 if step.call == "poll" and isinstance(step.arguments[2], Number) else 0.0
        expected = step.expectation.first if step.expectation else None
        if (expected == "blocks" and not returned) or not (step.expectation or own > 0 or returned):
            return
        until = min(self._until, time.monotonic() + max(own, 0) + 0.25)
        while part.pending and not part.ended and time.monotonic() < until:
            self._settle(until - time.monotonic())

    def _value(self, part: Part, value: Value) -> Any:
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Text):
            return [value.data, value.times]
        if isinstance(value, Items):
            return [self._value(part, one) for one in value.values]
        if isinstance(value, Constants):
            if value.names[0] in ("NULL", "BADPTR", "SIG_DFL", "SIG_IGN", "HANDLER"):
                return value.names[0]
            total = 0
            for name in value.names:
                total |= constant(name)
            return total
        assert isinstance(value, Name)
        return part.names[value.text] if value.text in part.names else self._parts[value.text].pid

    # Standing still

    def _settle(self, seconds: float = 0.0) -> None:
        """Takes answers in until everybody stands, at two looks between which nobody was given the processor."""
        before: dict[str, Any] = {}
        while True:
            if time.monotonic() > self._until:
                raise TimeoutError("nobody stands still")
            heard = self._collect(seconds)
            seconds = 0.0
            now = {part.name: self._stands(part) for part in self._parts.values() if not part.ended}
            if not heard and now == before and all(now.values()):
                return
            before = now if not heard else {}

    def _stands(self, part: Part) -> Any:
        """What tells one stand of a task from another: how often it has slept, and been thrown off; None: it runs."""
        try:
            at = f"/proc/{part.pid}/task/{part.tid}"
            state = Path(f"{at}/stat").read_text().rpartition(")")[2].split()[0]
            switches = re.findall(r"ctxt_switches:\s*(\d+)", Path(f"{at}/status").read_text())
            where = Path(f"{at}/syscall").read_text().split()[0] if state == "S" else ""
        except (FileNotFoundError, ProcessLookupError):
            return None
        wanted = CALL[part.pending[1].call] if part.pending and part.pending[1].call in CALL else CALL["read"]
        if state == "T" or (state == "S" and where == str(wanted)):
            return state, *switches
        return None

    def _collect(self, seconds: float) -> bool:
        poller = select.poll()
        answers = {self._pipes[part.place][1][0]: part for part in self._parts.values() if not part.ended}
        deaths = {pidfd: name for name, (_, pidfd) in self._processes.items() if name not in self._status}
        for fd in (*answers, *deaths):
            poller.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(max(0.0, seconds) * 1000)}
        for fd in ready & set(answers):
            self._answered(answers[fd], self._hear(answers[fd].place))
        for fd in ready & set(deaths):
            self._died(deaths[fd])
        for part in self._parts.values():
            if (
                part.thread
                and not part.ended
                and part.made == "exit"
                and not os.path.exists(f"/proc/{part.pid}/task/{part.tid}")
            ):
                part.ended = True
                self._answered(part, {"value": 0, "errno": 0})
                return True
        return bool(ready)

    def _answered(self, part: Part, answer: Answer) -> None:
        assert part.pending is not None or part.ended
        step = part.pending[1] if part.pending else None
        part.pending, part.last = None, answer
        if step and step.call not in ("fork", "thread"):
            part.names.update(zip(step.binds, answer.get("made") or ()))
        if "port" in answer:
            self._given[answer["port"][0]] = answer["port"][1]
        if (
            step
            and step.call in ("wait", "waitpid")
            and answer["value"] > 0
            and (os.WIFEXITED(answer["status"]) or os.WIFSIGNALED(answer["status"]))
        ):
            for name, (pid, _) in self._processes.items():
                if pid == answer["value"]:
                    self._status[name] = answer["status"]

    def _died(self, name: str) -> None:
        pid = self._processes[name][0]
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            status = int(words[49]) if words[0] == "Z" else -1
        except OSError:
            status = -1
        self._status.setdefault(name, status)
        for part in self._parts.values():
            if part.pid == pid and not part.ended:
                part.ended = True
                if part.pending:
                    self._answered(part, {"ended": self._status[name]})

    def _state(self, part: Part) -> str:
        try:
            return Path(f"/proc/{part.pid}/task/{part.tid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "X"

    # Looking

    def _look(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, (pid, pidfd) in self._processes.items():
            if name in self._status:
                found[name] = {"state": "ended", "status": self._status[name]}
                continue
            mine = [part for part in self._parts.values() if part.pid == pid and not part.ended]
            found[name] = {
                "state": "stopped"
                if any(self._state(part) == "T" for part in mine[:1])
                else "blocked"
                if mine and mine[0].pending
                else "waits",
                "table": [
                    self._row(pid, pidfd, number)
                    for number in sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
                    if self._shown(pid, number)
                ],
            }
        rows: list[dict[str, Any]] = []
        for row in (row for process in found.values() for row in process.get("table", ())):
            row["description"] = next(
                (one["description"] for one in rows if one["inode"] == row["inode"] and self._same(one, row)), len(rows)
            )
            rows.append(row)
        return found

    @staticmethod
    def _shown(pid: int, number: int) -> bool:
        return not FIRST <= number < LAST and not (
            number < 3 and os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null"
        )

    @staticmethod
    def _row(pid: int, pidfd: int, number: int) -> dict[str, Any]:
        text = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        link = os.readlink(f"/proc/{pid}/fd/{number}")
        flags = int(lines["flags"], 8)
        row = {
            "pid": pid, "number": number, "inode": int(lines["ino"]), "cloexec": bool(flags & os.O_CLOEXEC),
            "flags": flags & ~os.O_CLOEXEC & ~os.O_ACCMODE, "access": flags & os.O_ACCMODE,
            "kind": kind_of(link), "offset": int(lines["pos"]), "in_flight": int(lines.get("scm_fds", -1)),
            "count": int(lines["eventfd-count"], 16) if "eventfd-count" in lines else None,
        }  # fmt: skip
        with borrowed(pidfd, number) as own:
            row["queued"] = waits(own) if row["kind"] in ("socket", "pipe") else None
            row["size"] = os.fstat(own).st_size if row["kind"] in ("regular file", "memfd") else None
            row["capacity"] = fcntl.fcntl(own, 1032) if row["kind"] == "pipe" else None
        return row

    @staticmethod
    def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
        """Whether two rows are one open file description."""
        return system("kcmp", one["pid"], other["pid"], 0, one["number"], other["number"])[0] == 0

    def drained(self) -> dict[int, dict[str, Any]]:
        """Receives everything that waits, in the queues of what was received too. By inode: ``messages``, ``fds``
        (inodes, a list for each message), ``oob``, ``error``, ``connections``. Nothing can be played after that."""
        found: dict[int, dict[str, Any]] = {}
        left: list[tuple[int, str, int]] = []
        with contextlib.ExitStack() as held:
            for process in self._look().values():
                for row in process.get("table", ()):
                    pidfd = next(pidfd for pid, pidfd in self._processes.values() if pid == row["pid"])
                    left.append((row["inode"], row["kind"], held.enter_context(borrowed(pidfd, row["number"]))))
            while left:
                inode, kind, own = left.pop(0)
                if kind == "socket" and inode not in found:
                    found[inode] = emptied(own)
                elif (
                    kind == "pipe"
                    and fcntl.fcntl(own, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
                    and inode not in found
                ):
                    found[inode] = read_out(own)
                else:
                    continue
                for number in found[inode].pop("taken", ()):
                    held.callback(os.close, number)
                    left.append((os.fstat(number).st_ino, kind_of(os.readlink(f"/proc/self/fd/{number}")), number))
        return found


def kind_of(link: str) -> str:
    """By what /proc/PID/fd shows."""
    for begin, kind in (
        ("socket:", "socket"),
        ("pipe:", "pipe"),
        ("/memfd:", "memfd"),
        ("anon_inode:[eventfd]", "eventfd"),
        ("anon_inode:[pidfd]", "pidfd"),
        ("pidfd:", "pidfd"),
    ):
        if link.startswith(begin):
            return kind
    if link.startswith("/dev/"):
        return "character device"
    return "regular file" if link.startswith("/") else "other"


@contextlib.contextmanager
def borrowed(pidfd: int, number: int) -> Iterator[int]:
    own, failed = system("pidfd_getfd", pidfd, number, 0)
    if own < 0:
        raise OSError(failed, "pidfd_getfd")
    try:
        yield own
    finally:
        os.close(own)


def waits(fd: int) -> int | None:
    room = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, room)
    except OSError:
        return None
    return room[0]


def emptied(own: int) -> dict[str, Any]:
    """Everything that a socket has to give."""
    found: dict[str, Any] = {"messages": [], "fds": [], "oob": b"", "error": 0, "connections": 0, "taken": []}
    with socket.socket(fileno=os.dup(own)) as sock:
        sock.setblocking(False)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            with contextlib.suppress(OSError):
                while True:
                    sock.accept()[0].close()
                    found["connections"] += 1
            return found
        if sock.family == socket.AF_UNIX:
            # an empty message comes with credentials, the end without
            sock.setsockopt(socket.SOL_SOCKET, HEADERS["SO_PASSCRED"], 1)
        if sock.type == socket.SOCK_STREAM:
            with contextlib.suppress(OSError):
                found["oob"] = sock.recv(1, socket.MSG_OOB | socket.MSG_DONTWAIT)
        while True:
            try:
                data, control, _, _ = sock.recvmsg(300 * 1024, socket.CMSG_SPACE(4 * 253) + 128, socket.MSG_DONTWAIT)
            except OSError as error:
                found["error"] = 0 if error.errno == errno.EAGAIN else error.errno
                return found
            if not data and (sock.type == socket.SOCK_STREAM or (not control and sock.family == socket.AF_UNIX)):
                return found
            fds = array.array("i")
            for level, kind, body in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(body[: len(body) // 4 * 4])
                elif (level, kind) == (socket.SOL_SOCKET, 4):
                    os.close(struct.unpack("=i", body[:4])[0])
            found["messages"].append(data)
            found["fds"].append([os.fstat(fd).st_ino for fd in fds])
            found["taken"] += list(fds)


def read_out(own: int) -> dict[str, Any]:
    """Everything that a pipe has to give, read by read."""
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_NONBLOCK)
    found: dict[str, Any] = {"messages": [], "fds": [], "oob": b"", "error": 0, "connections": 0}
    with contextlib.suppress(BlockingIOError):
        while data := os.read(own, 1 << 20):
            found["messages"].append(data)
    return found
