"""Sockets and how they find each other: socket, bind, listen, connect, accept."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Sequence
from typing import Any

from pairscope.lab.calls.call import (
    Actor,
    Call,
    CProgram,
    Made,
    Observed,
    PythonProgram,
    Return,
    Traced,
    Turn,
    Words,
    allow,
    naming_c,
    numbered,
    plain_c,
    plain_line,
    plain_strace,
)
from pairscope.lab.calls.decoding import (
    MOST,
    Data,
    Given,
    Memory,
    address_room,
    data,
    gives_descriptor,
    gives_nothing,
    in_registers,
    where,
)
from pairscope.lab.calls.families import DOMAIN, allow_domains, clash_of_protocol
from pairscope.lab.calls.libc import INT, POINTER, UINT, content, function, made_one, make
from pairscope.lab.calls.options import getsockopt
from pairscope.lab.calls.strace import piece, quoted
from pairscope.lab.given import address as parted
from pairscope.lab.given import integer, narrow
from pairscope.lab.model import Name, Number, Step, Text

_socket = function("socket", INT, INT, INT, INT)
_bind = function("bind", INT, INT, POINTER, UINT)
_listen = function("listen", INT, INT, INT)
_connect = function("connect", INT, INT, POINTER, UINT)
_accept = function("accept", INT, INT, POINTER, POINTER)
_getsockname = function("getsockname", INT, INT, POINTER, POINTER)


def sockaddr(address: Any) -> bytes:
    """A file's name, an abstract name, ``127.0.0.1:PORT`` or ``[::1]:PORT`` as struct sockaddr_*."""
    text = content(address)
    host, colon, port = text.rpartition(b":")
    if colon and not text.startswith(b"\0") and port.isdigit():
        ip = ipaddress.ip_address(host.strip(b"[]").decode())
        if ip.version == 4:
            return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", int(port), ip.packed)
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", int(port), 0, ip.packed, 0)
    return struct.pack("=H", socket.AF_UNIX) + text + (b"" if text.startswith(b"\0") else b"\0")


class Socket(Call):
    name = "socket"
    takes = "domain:domain type:flags protocol:number"
    choices = {"domain": DOMAIN}
    binds = "one"
    manual = "socket(2)"
    summary = "a socket that is connected to nothing"
    kernel = numbered("socket", 41, 198)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow_domains("socket")
    clash = clash_of_protocol
    by_registers, by_arguments = in_registers("domain", "type", "protocol")
    gave = gives_descriptor

    def make(self, domain: int, kind: int, protocol: int) -> Made:
        return made_one(make(_socket, domain, kind, protocol))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        return naming_c(self, program, actor, turn)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        program.module("socket")
        cloexec = bool((integer(turn.step.arguments[1]) or 0) & socket.SOCK_CLOEXEC)
        made = f"socket.socket({', '.join(map(program.number, turn.step.arguments))}).detach()"
        return program.binds(turn, made, cloexec)


class _Addressed(Call):
    """A call with an address. Each program's own function for it is the same but for its name."""

    takes = "fd:fd address:address"
    binds = "none"
    line = plain_line
    gave = gives_nothing

    names_a_port = False
    """Whether the program remembers which port it was."""

    def _chooses(self, port: int) -> bool:
        """Whether port 0 stands for that which the last bind was given."""
        return not self.names_a_port and port == 0

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, (kind, path, port) = program.number(turn.step.arguments[0]), parted(turn.step.arguments[1])
        program.header("sys/socket.h")
        if kind == "unix":
            program.header("sys/un.h", "stddef.h")
            length = len(path) + (not path.startswith(b"\0"))
            line = f"struct sockaddr_un address = {{ .sun_family = AF_UNIX, .sun_path = {program.literal(path)} }};"
            call = f"{self.name}({fd}, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + {length})"
            return program.block([line, "", program.told("tell", call)])
        program.header("netinet/in.h")
        program.ports()
        chosen = self._chooses(port)
        shown = (
            f"{program.use('bound_port')}(AF_INET{'6' if kind == 'inet6' else ''}, {fd})"
            if chosen
            else f"htons({port & 0xFFFF})"
        )
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
        call = f"{self.name}({fd}, (struct sockaddr *)&address, sizeof(address))"
        told = program.told("tell_bound", call, fd) if self.names_a_port else program.told("tell", call)
        return program.block([line, "", told])

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, address = turn.step.arguments
        kind, path, port = parted(address)
        family = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6}[kind]
        shown = (
            f"{program.use('bound_port')}(socket.{'AF_INET6' if kind == 'inet6' else 'AF_INET'}, {program.number(fd)})"
            if kind != "unix" and self._chooses(port)
            else str(port & 0xFFFF)
        )
        kept = [f"{program.use('bound')}(sock)"] if self.names_a_port and kind != "unix" else []
        if isinstance(fd, Name) and program.families.get(fd.text) == family and not program.interrupted:
            where = program.path(path) if kind == "unix" else f'("{"127.0.0.1" if kind == "inet" else "::1"}", {shown})'
            call = f"sock.{self.name}({where})"
            return [*program.borrowed(fd), *([call, *kept, "tell(0)"] if kept else [f"tell({call})"])]
        program.module("socket")
        program.module("struct")
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
        lines = [f"address = {where}", f"{program.raw(self.name)}, {program.number(fd)}, address, len(address))"]
        if kept:
            return [*lines, f"with {program.use('borrow')}({program.number(fd)}) as sock:", f"    {kept[0]}", "tell(0)"]
        return [lines[0], f"tell({lines[1]})"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        found = data(memory, words[1], min(words[2] & 0xFFFF_FFFF, 128), 128)
        return {"fd": narrow(words[0]), "address": where(found.head) if isinstance(found, Data) else found}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        return {"fd": narrow(arguments[0]), "address": where(sockaddr(arguments[1]))}

    def strace(self, traced: Traced) -> Words:
        fd, (name, _) = traced.word(0), piece(traced.made[1])
        kind, path, port = parted(Text(name))
        if kind == "unix":
            where = f"@{quoted(path[1:], len(path) - 1)}" if path.startswith(b"\0") else quoted(path, len(path), 108)
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

    def file(self, step: Step) -> bytes:
        kind, path, _ = parted(step.arguments[1])
        return path if kind == "unix" and not path.startswith(b"\0") else b""


class Bind(_Addressed):
    name = "bind"
    manual = "bind(2)"
    summary = "gives a socket its address: a file, an abstract name, or a loopback port"
    kernel = numbered("bind", 49, 200)
    blocks = False
    seccomp = allow("bind")
    names_a_port = True

    def make(self, fd: int, address: Any) -> Made:
        there = sockaddr(address)
        made = make(_bind, fd, there, len(there))
        if made["value"] == 0 and struct.unpack("=H", there[:2])[0] in (socket.AF_INET, socket.AF_INET6):
            room, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
            if _getsockname(fd, room, ctypes.byref(length)) == 0:
                kind = ctypes.c_int(0)
                getsockopt(fd, socket.SOL_SOCKET, socket.SO_TYPE, ctypes.byref(kind), ctypes.byref(ctypes.c_uint(4)))
                over = "udp" if kind.value == socket.SOCK_DGRAM else "tcp"
                port = struct.unpack("!H", room.raw[2:4])[0]
                made |= {"port": port, "address": content(address), "protocol": over}
        return made


class Listen(Call):
    name = "listen"
    takes = "fd:fd backlog:number"
    binds = "none"
    manual = "listen(2)"
    summary = "makes a socket one that connections come to"
    kernel = numbered("listen", 50, 201)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("listen")
    by_registers, by_arguments = in_registers("fd", "backlog")
    gave = gives_nothing

    def make(self, fd: int, backlog: int) -> Made:
        return make(_listen, fd, backlog)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        return plain_c(self, program, actor, turn)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd, backlog = turn.step.arguments
        if not isinstance(backlog, Number) or backlog.value < 0:
            return [f"tell({program.raw('listen')}, {program.number(fd)}, {program.number(backlog)}))"]
        return [*program.borrowed(fd), f"tell(sock.listen({program.number(backlog)}))"]


class Connect(_Addressed):
    name = "connect"
    manual = "connect(2)"
    summary = "connects a socket to that of an address"
    kernel = numbered("connect", 42, 203)
    blocks = True
    seccomp = allow("connect")

    def make(self, fd: int, address: Any) -> Made:
        there = sockaddr(address)
        return make(_connect, fd, there, len(there))


class Accept(Call):
    name = "accept"
    takes = "fd:fd"
    binds = "one"
    manual = "accept(2)"
    summary = "takes the next connection that has come"
    kernel = numbered("accept", 43, 202)
    blocks = True
    line = plain_line
    seccomp = allow("accept", "accept4")
    by_arguments = in_registers("fd")[1]

    def make(self, fd: int) -> Made:
        return made_one(make(_accept, fd, None, None))

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        return {"fd": narrow(words[0])} | address_room(memory, words[1], words[2])

    def gave(self, back: Return) -> Made:
        made: Made = {"made": [back.value]}
        if back.words[1]:
            made["address"] = back.address(back.words[1], *back.integers(back.words[2], 1))
        return made

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/socket.h")
        return [program.named(turn, f"accept({program.number(turn.step.arguments[0])}, NULL, NULL)")]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fd = turn.step.arguments[0]
        if program.interrupted:
            return program.binds(turn, f"{program.raw('accept')}, {program.number(fd)}, None, None)")
        return [*program.borrowed(fd), *program.binds(turn, "sock.accept()[0].detach()", False)]

    def strace(self, traced: Traced) -> Words:
        return [*traced.words(), "NULL", "NULL"]


class Accept4(Observed):
    """The same with flags, which most programs call."""

    name = "accept4"
    kernel = numbered("accept4", 288, 242)
    gave = Accept.gave

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        room = address_room(memory, words[1], words[2])
        return {"fd": narrow(words[0]), "flags": narrow(words[3])} | room
