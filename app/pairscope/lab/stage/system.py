"""The calls of a scenario as an actor makes them: through the C library, with the arguments as they stand.

Each takes resolved values (numbers, bytes) and gives a dictionary: ``value`` and ``errno`` as the C library gave them,
and beside them what the call wrote into memory. Nothing is checked or mended: a wrong argument is the kernel's to
judge.
"""

from __future__ import annotations

import ctypes
import ipaddress
import platform
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from pairscope.lab.constants import NUMBERS

Made = dict[str, Any]
_libc = ctypes.CDLL(None, use_errno=True)
_X86 = platform.machine() == "x86_64"
NUMBERS_OF_CALLS = (
    {
        "read": 0,
        "write": 1,
        "poll": 7,
        "connect": 42,
        "accept": 43,
        "sendto": 44,
        "recvfrom": 45,
        "sendmsg": 46,
        "recvmsg": 47,
        "wait4": 61,
    }
    if _X86
    else {
        "read": 63,
        "write": 64,
        "poll": 73,
        "connect": 203,
        "accept": 202,
        "sendto": 206,
        "recvfrom": 207,
        "sendmsg": 211,
        "recvmsg": 212,
        "wait4": 260,
    }
)
"""asm/unistd_64.h and asm-generic/unistd.h: of the calls that can block, for /proc/PID/syscall. poll is ppoll where
there is no other."""

CONTROL_ROOM = 1152
"""Bytes of control buffer where a recvmsg says nothing: 253 descriptors, credentials and a pidfd fit."""

_SIZE, _OFF, _POINTER, _INT, _UINT = ctypes.c_size_t, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "socketpair": (_INT, _INT, _INT, _INT, _POINTER),
    "pipe2": (_INT, _POINTER, _INT),
    "pipe": (_INT, _POINTER),
    "socket": (_INT, _INT, _INT, _INT),
    "bind": (_INT, _INT, _POINTER, _UINT),
    "listen": (_INT, _INT, _INT),
    "connect": (_INT, _INT, _POINTER, _UINT),
    "accept": (_INT, _INT, _POINTER, _POINTER),
    "getsockname": (_INT, _INT, _POINTER, _POINTER),
    "close": (_INT, _INT),
    "dup": (_INT, _INT),
    "dup2": (_INT, _INT, _INT),
    "dup3": (_INT, _INT, _INT, _INT),
    "read": (_OFF, _INT, _POINTER, _SIZE),
    "write": (_OFF, _INT, _POINTER, _SIZE),
    "send": (_OFF, _INT, _POINTER, _SIZE, _INT),
    "recv": (_OFF, _INT, _POINTER, _SIZE, _INT),
    "sendmsg": (_OFF, _INT, _POINTER, _INT),
    "recvmsg": (_OFF, _INT, _POINTER, _INT),
    "shutdown": (_INT, _INT, _INT),
    "setsockopt": (_INT, _INT, _INT, _INT, _POINTER, _UINT),
    "getsockopt": (_INT, _INT, _INT, _INT, _POINTER, _POINTER),
    "fcntl": (_INT, _INT, _INT, ctypes.c_long),
    "open": (_INT, _POINTER, _INT, _UINT),
    "memfd_create": (_INT, _POINTER, _UINT),
    "ftruncate": (_INT, _INT, _OFF),
    "lseek": (_OFF, _INT, _OFF, _INT),
    "pread": (_OFF, _INT, _POINTER, _SIZE, _OFF),
    "pwrite": (_OFF, _INT, _POINTER, _SIZE, _OFF),
    "eventfd": (_INT, _UINT, _INT),
    "poll": (_INT, _POINTER, ctypes.c_ulong, _INT),
    "signal": (_POINTER, _INT, _POINTER),
    "kill": (_INT, _INT, _INT),
    "waitpid": (_INT, _INT, _POINTER, _INT),
    "syscall": (ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long),
}
for _name, (_result, *_arguments) in _SIGNATURES.items():
    getattr(_libc, _name).restype = _result
    getattr(_libc, _name).argtypes = _arguments

_PIDFD_SEND_SIGNAL, _PIDFD_OPEN = 424, 434
"""The same numbers on every architecture; the C library has no function for them everywhere."""
_handler = 0
"""The handler HANDLER: CPython's own, in C, which puts the signal's number into a pipe and may be called at any moment;
plain_signals finds it. signal(7)"""


class Iovec(ctypes.Structure):
    _fields_ = [("base", _POINTER), ("length", _SIZE)]


class Msghdr(ctypes.Structure):
    """struct msghdr, recvmsg(2), as the kernel has it on machines of 64 bits."""

    _fields_ = [
        ("name", _POINTER), ("namelen", _UINT), ("iov", _POINTER), ("iovlen", _SIZE),
        ("control", _POINTER), ("controllen", _SIZE), ("flags", _INT),
    ]  # fmt: skip


def perform(call: str, arguments: list[Any], named: dict[str, Any]) -> Made:
    """Makes the call and gives what came of it, with ``duration_ns``. Raises KeyError for a call that is none."""
    function = CALLS[call]
    started = time.monotonic_ns()
    made = function(*arguments, **named)
    # The inner time, where the function took it, leaves the building of buffers out.
    made.setdefault("duration_ns", time.monotonic_ns() - started)
    return made


def _make(name: str, *arguments: Any) -> Made:
    function = getattr(_libc, name)
    ctypes.set_errno(0)
    started = time.monotonic_ns()
    value = function(*arguments)
    took = time.monotonic_ns() - started
    return {"value": value, "errno": ctypes.get_errno() if value == -1 else 0, "duration_ns": took}


def _made_one(made: Made) -> Made:
    if made["value"] >= 0:
        made["made"] = [made["value"]]
    return made


def _pair(name: str, *before: Any, after: tuple[Any, ...] = ()) -> Made:
    numbers = (ctypes.c_int * 2)(-1, -1)
    made = _make(name, *before, ctypes.addressof(numbers), *after)
    if made["value"] == 0:
        made["made"] = list(numbers)
    return made


def _bytes(value: Any) -> bytes:
    """A text crosses as its piece and how often."""
    return bytes(value[0]) * value[1] if isinstance(value, (list, tuple)) else bytes(value)


def _word(value: int) -> int:
    """The 32 bits that an int of C keeps of it."""
    return value & 0xFFFFFFFF


def _read(name: str, fd: int, size: int | str, count: int | None, *more: int) -> Made:
    if isinstance(size, str):
        return _make(name, fd, NUMBERS[size], count or 0, *more)
    room = ctypes.create_string_buffer(max(size, 1))
    kept = name != "recv" or _keeps(fd, more[0])
    made = _make(name, fd, room, size if count is None else count, *more)
    if made["value"] == 0 or (made["value"] > 0 and kept):
        made["data"] = room.raw[: min(made["value"], size)]
    return made


def _keeps(fd: int, flags: int) -> bool:
    """Whether what is received is written into memory: TCP counts what MSG_TRUNC asks for and copies nothing, MSG_PEEK
    and MSG_OOB beside it or not. tcp(7); net/ipv4/tcp.c"""
    if not flags & socket.MSG_TRUNC:
        return True
    protocol, length = ctypes.c_int(0), ctypes.c_uint(4)
    failed = _libc.getsockopt(
        fd, socket.SOL_SOCKET, NUMBERS["SO_PROTOCOL"], ctypes.byref(protocol), ctypes.byref(length)
    )
    return bool(failed) or protocol.value != socket.IPPROTO_TCP


def _write(name: str, fd: int, data: Any, count: int | None, *more: int) -> Made:
    if isinstance(data, str):
        return _make(name, fd, NUMBERS[data], count or 0, *more)
    text = _bytes(data)
    return _make(name, fd, text, len(text) if count is None else count, *more)


def _sockaddr(address: Any) -> bytes:
    """A file's name, an abstract name, ``127.0.0.1:PORT`` or ``[::1]:PORT`` as struct sockaddr_*."""
    text = _bytes(address)
    host, colon, port = text.rpartition(b":")
    if colon and not text.startswith(b"\0") and port.isdigit():
        ip = ipaddress.ip_address(host.strip(b"[]").decode())
        if ip.version == 4:
            return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", int(port), ip.packed)
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", int(port), 0, ip.packed, 0)
    return struct.pack("=H", socket.AF_UNIX) + text + (b"" if text.startswith(b"\0") else b"\0")


def _bind(fd: int, address: Any) -> Made:
    there = _sockaddr(address)
    made = _make("bind", fd, there, len(there))
    if made["value"] == 0 and struct.unpack("=H", there[:2])[0] in (socket.AF_INET, socket.AF_INET6):
        room, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
        if _libc.getsockname(fd, room, ctypes.byref(length)) == 0:
            kind = ctypes.c_int(0)
            _libc.getsockopt(fd, socket.SOL_SOCKET, socket.SO_TYPE, ctypes.byref(kind), ctypes.byref(ctypes.c_uint(4)))
            over = "udp" if kind.value == socket.SOCK_DGRAM else "tcp"
            made |= {"port": struct.unpack("!H", room.raw[2:4])[0], "address": _bytes(address), "protocol": over}
    return made


def _connect(fd: int, address: Any) -> Made:
    there = _sockaddr(address)
    return _make("connect", fd, there, len(there))


def _iovecs(parts: list[Any]) -> Any:
    array = (Iovec * max(len(parts), 1))()
    for entry, part in zip(array, parts):
        entry.base, entry.length = ctypes.addressof(part), len(part)
    return array


def _sendmsg(
    fd: int, iov: Any = (), fds: Any = (), creds: Any = None, control: int | None = None, flags: int = 0,
    raw: Any = None, cmsg_len: int | None = None, bad_iov: str | None = None,
) -> Made:  # fmt: skip
    texts = [_bytes(text) for text in iov]
    parts = [(ctypes.c_char * len(text)).from_buffer_copy(text) for text in texts]
    sent, length = control_data(fds, creds, control, raw, cmsg_len)
    # A length that claims more than there is still points into memory of ours.
    room = ctypes.create_string_buffer(sent, max(length, len(sent)) + 64)
    array = _iovecs(parts)
    header = Msghdr(
        iov=ctypes.addressof(array) if bad_iov is None else NUMBERS[bad_iov],
        iovlen=len(parts) or (1 if bad_iov else 0),
        control=ctypes.addressof(room) if length else None, controllen=length,
    )  # fmt: skip
    made = _make("sendmsg", fd, ctypes.byref(header), flags)
    made["sent"] = {
        "iov": [len(text) for text in texts],
        "control": room.raw[:length][:4096],
        "controllen": length,
        "flags": flags,
    }
    return made


def control_data(
    fds: Any = (), creds: Any = None, control: int | None = None, raw: Any = None, cmsg_len: int | None = None, **_: Any
) -> tuple[bytes, int]:
    """The control data that sendmsg is given, and the length that it claims of them. cmsg(3)"""
    bodies = []
    if fds:
        bodies.append((NUMBERS["SCM_RIGHTS"], struct.pack(f"={len(fds)}I", *map(_word, fds))))
    if creds:
        bodies.append((NUMBERS["SCM_CREDENTIALS"], struct.pack("=III", *map(_word, creds))))
    sent = b""
    for kind, body in bodies:
        header = struct.pack(
            "=QII", 16 + len(body) if cmsg_len is None else cmsg_len & (1 << 64) - 1, socket.SOL_SOCKET, kind
        )
        sent += header + body + b"\0" * (-len(body) % 8)
    if raw is not None:
        sent = _bytes(raw)
    return sent, len(sent) if control is None else control


def _recvmsg(fd: int, iov: Any = (), control: int | None = None, flags: int = 0, bad_iov: str | None = None) -> Made:
    parts = [(ctypes.c_char * size)() for size in iov]
    array = _iovecs(parts)
    length = CONTROL_ROOM if control is None else control
    room = ctypes.create_string_buffer(length + 64)
    header = Msghdr(
        iov=ctypes.addressof(array) if bad_iov is None else NUMBERS[bad_iov],
        iovlen=len(parts) or (1 if bad_iov else 0),
        control=ctypes.addressof(room) if length else None, controllen=length,
    )  # fmt: skip
    kept = _keeps(fd, flags)
    made = _make("recvmsg", fd, ctypes.byref(header), flags)
    if made["value"] >= 0:
        left = made["value"] if kept else 0
        pieces = []
        for part in parts:
            pieces.append(part.raw[: max(0, min(left, len(part)))])
            left -= len(pieces[-1])
        if kept or not made["value"]:
            made["data"] = b"".join(pieces)
        made["received"] = {
            "iov": [len(piece) for piece in pieces], "room": length, "control": room.raw[: header.controllen],
            "controllen": header.controllen, "flags": header.flags,
        }  # fmt: skip
    return made


def _setsockopt(fd: int, level: int, option: int, value: Any) -> Made:
    body = struct.pack("=I", _word(value)) if isinstance(value, int) else _bytes(value)
    return _make("setsockopt", fd, level, option, body, len(body))


def _getsockopt(fd: int, level: int, option: int) -> Made:
    room, length = ctypes.create_string_buffer(256), ctypes.c_uint(256)
    made = _make("getsockopt", fd, level, option, room, ctypes.byref(length))
    if made["value"] == 0:
        made["option"] = room.raw[: length.value]
        if level == socket.SOL_SOCKET and option == NUMBERS["SO_PEERPIDFD"] and length.value == 4:
            made["made"] = [struct.unpack("=i", made["option"])[0]]
    return made


def _fcntl(fd: int, command: int, argument: int = 0) -> Made:
    made = _make("fcntl", fd, command, argument)
    return _made_one(made) if command in (NUMBERS["F_DUPFD"], NUMBERS["F_DUPFD_CLOEXEC"]) else made


def _poll(fds: Any, events: Any, timeout: int) -> Made:
    numbers = list(fds) if isinstance(fds, (list, tuple)) else [fds]
    wanted = list(events) if isinstance(events, (list, tuple)) else [events] * len(numbers)
    entries = (ctypes.c_uint64 * max(len(numbers), 1))()
    packed = b"".join(struct.pack("=IHH", _word(fd), mask & 0xFFFF, 0) for fd, mask in zip(numbers, wanted))
    ctypes.memmove(entries, packed, len(packed))
    made = _make("poll", entries, len(numbers), timeout)
    if made["value"] >= 0:
        made["revents"] = [found for _, _, found in struct.iter_unpack("=ihh", bytes(entries)[: len(packed)])]
    return made


def _signal(number: int, handler: str) -> Made:
    ctypes.set_errno(0)
    before = _libc.signal(number, _handler if handler == "HANDLER" else {"SIG_DFL": 0, "SIG_IGN": 1}[handler])
    if before == (1 << 64) - 1:
        return {"value": -1, "errno": ctypes.get_errno()}
    return {
        "value": 0,
        "errno": 0,
        "before": "HANDLER"
        if before and before == _handler
        else {None: "SIG_DFL", 0: "SIG_DFL", 1: "SIG_IGN"}.get(before, "other"),
    }


def _waitpid(process: int = -1, options: int = 0) -> Made:
    status = ctypes.c_int(0)
    made = _make("waitpid", process, ctypes.byref(status), options)
    if made["value"] > 0:
        made["wait"] = status.value
    return made


CALLS: dict[str, Callable[..., Made]] = {
    "socketpair": lambda domain, kind, protocol: _pair("socketpair", domain, kind, protocol),
    "pipe2": lambda flags: _pair("pipe2", after=(flags,)),
    "pipe": lambda: _pair("pipe"),
    "socket": lambda domain, kind, protocol: _made_one(_make("socket", domain, kind, protocol)),
    "bind": _bind,
    "listen": lambda fd, backlog: _make("listen", fd, backlog),
    "connect": _connect,
    "accept": lambda fd: _made_one(_make("accept", fd, None, None)),
    "close": lambda fd: _make("close", fd),
    "dup": lambda fd: _made_one(_make("dup", fd)),
    "dup2": lambda fd, to: _made_one(_make("dup2", fd, to)),
    "dup3": lambda fd, to, flags: _made_one(_make("dup3", fd, to, flags)),
    "read": lambda fd, size, count=None: _read("read", fd, size, count),
    "write": lambda fd, data, count=None: _write("write", fd, data, count),
    "send": lambda fd, data, flags: _write("send", fd, data, None, flags),
    "recv": lambda fd, size, flags: _read("recv", fd, size, None, flags),
    "sendmsg": _sendmsg,
    "recvmsg": _recvmsg,
    "shutdown": lambda fd, how: _make("shutdown", fd, how),
    "setsockopt": _setsockopt,
    "getsockopt": _getsockopt,
    "fcntl": _fcntl,
    "open": lambda name, flags, mode=0o600: _made_one(_make("open", _bytes(name) + b"\0", flags, mode)),
    "memfd_create": lambda name, flags: _made_one(_make("memfd_create", _bytes(name) + b"\0", flags)),
    "ftruncate": lambda fd, size: _make("ftruncate", fd, size),
    "lseek": lambda fd, offset, whence: _make("lseek", fd, offset, whence),
    "pread": lambda fd, size, offset: _read("pread", fd, size, None, offset),
    "pwrite": lambda fd, data, offset: _write("pwrite", fd, data, None, offset),
    "eventfd": lambda value, flags: _made_one(_make("eventfd", value, flags)),
    "poll": _poll,
    "pidfd_open": lambda process, flags: _made_one(_make("syscall", _PIDFD_OPEN, process, flags, 0, 0)),
    "pidfd_send_signal": lambda fd, number: _make("syscall", _PIDFD_SEND_SIGNAL, fd, number, 0, 0),
    "signal": _signal,
    "kill": lambda process, number: _make("kill", process, number),
    "waitpid": _waitpid,
    "wait": _waitpid,
}
"""Those that a single call of the C library makes; fork, thread and exit are the actor's own."""


def _ran(*_: Any) -> None:
    """What CPython calls some time after its handler has run: there is no more to do."""


def plain_signals() -> None:
    """Every signal does what it does by default, and none is blocked: CPython ignores SIGPIPE and SIGXFSZ. Finds
    CPython's handler on the way."""
    global _handler
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, _ran)
        _handler = _libc.signal(int(number), None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
