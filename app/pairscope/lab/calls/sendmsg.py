"""A message that is sent, with control data beside its bytes: sendmsg."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Any

from pairscope.lab.calls import strace
from pairscope.lab.calls.call import (
    Actor,
    Call,
    CProgram,
    Made,
    PythonProgram,
    Traced,
    Turn,
    Words,
    allow,
    numbered,
    plain_line,
)
from pairscope.lab.calls.decoding import MOST, Data, Given, Memory, data, gives_nothing, message, whole
from pairscope.lab.calls.libc import INT, OFF, POINTER, content, function, low, make
from pairscope.lab.calls.msghdr import Msghdr, header, iovecs, parts_of
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import content as text_of
from pairscope.lab.given import integer, items, named, narrow, pointer
from pairscope.lab.model import Constants, Step, Text, Value

_sendmsg = function("sendmsg", OFF, INT, POINTER, INT)


def control_data(
    fds: Any = (), creds: Any = None, control: int | None = None, raw: Any = None, cmsg_len: int | None = None, **_: Any
) -> tuple[bytes, int]:
    """The control data that sendmsg is given, and the length that it claims of them. cmsg(3)"""
    bodies = []
    if fds:
        bodies.append((NUMBERS["SCM_RIGHTS"], struct.pack(f"={len(fds)}I", *map(low, fds))))
    if creds:
        bodies.append((NUMBERS["SCM_CREDENTIALS"], struct.pack("=III", *map(low, creds))))
    sent = b""
    for kind, body in bodies:
        header = struct.pack(
            "=QII", 16 + len(body) if cmsg_len is None else cmsg_len & (1 << 64) - 1, socket.SOL_SOCKET, kind
        )
        sent += header + body + b"\0" * (-len(body) % 8)
    if raw is not None:
        sent = content(raw)
    return sent, len(sent) if control is None else control


class Sendmsg(Call):
    name = "sendmsg"
    takes = "fd:fd"
    takes_named = (
        "iov:list/text fds:list/fd? creds:list/id? control:size? flags:flags? raw:text? cmsg_len:number? "
        "bad_iov:pointer?"
    )
    binds = "none"
    manual = "sendmsg(2)"
    summary = "sends gathered bytes, descriptors and credentials"
    kernel = numbered("sendmsg", 46, 211)
    blocks = True
    line = plain_line
    gave = gives_nothing
    breaks_pipe = True
    seccomp = allow("sendmsg")

    def make(
        self, fd: int, iov: Any = (), fds: Any = (), creds: Any = None, control: int | None = None, flags: int = 0,
        raw: Any = None, cmsg_len: int | None = None, bad_iov: str | None = None,
    ) -> Made:  # fmt: skip
        texts = [content(text) for text in iov]
        parts = [(ctypes.c_char * len(text)).from_buffer_copy(text) for text in texts]
        sent, length = control_data(fds, creds, control, raw, cmsg_len)
        # A length that claims more than there is still points into memory of ours.
        room = ctypes.create_string_buffer(sent, max(length, len(sent)) + 64)
        array = iovecs(parts)
        header = Msghdr(
            iov=ctypes.addressof(array) if bad_iov is None else NUMBERS[bad_iov],
            iovlen=len(parts) or (1 if bad_iov else 0),
            control=ctypes.addressof(room) if length else None, controllen=length,
        )  # fmt: skip
        made = make(_sendmsg, fd, ctypes.byref(header), flags)
        made["sent"] = {
            "iov": [len(text) for text in texts],
            "control": room.raw[:length][:4096],
            "controllen": length,
            "flags": flags,
        }
        return made

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        program.header("sys/socket.h", "sys/uio.h")
        bad = pointer(given["bad_iov"]) if "bad_iov" in given else ""
        lines, message = self._gathered(program, items(given["iov"]), bad)
        bodies, sent = [], 0
        length = integer(given["control"]) if "control" in given else None
        told = integer(given["cmsg_len"]) if "cmsg_len" in given else None
        if fds := items(given.get("fds")):
            lines += self._numbers(program, fds)
            bodies.append(("SCM_RIGHTS", "fds", "sizeof(fds)"))
            sent += 16 + (4 * len(fds) + 7 & ~7)
        if "creds" in given:
            pid, uid, gid = items(given["creds"])
            ids = f"(uid_t){program.number(uid)}, (gid_t){program.number(gid)}"
            lines.append(f"struct ucred creds = {{ {program.process(pid)}, {ids} }};")
            bodies.append(("SCM_CREDENTIALS", "&creds", "sizeof(creds)"))
            sent += 32
        attached = []
        if "raw" in given:
            data = text_of(given["raw"])
            claimed = len(data) if length is None else length
            room = max(len(data), claimed)
            if data:
                lines += [f"unsigned char raw[{room if room > len(data) else ''}] = {{", *program.rows(data, 8), "};"]
            elif room:
                lines.append(f"unsigned char raw[{room}] = {{ 0 }};")
            message += [f".msg_control = raw, .msg_controllen = {claimed}"] if claimed else []
        else:
            for kind, where, size in bodies:
                attached.append(
                    f"{program.use('attach')}(&message, {kind}, {where}, {size})"
                    + (f"->cmsg_len = {program.decimal(told)};" if told is not None else ";")
                )
            program.control_space(max(sent, length or 0))
            if length is not None:
                if not bodies and length:
                    lines.append(f"static char zeros[{length}];")
                    attached.append("message.msg_control = zeros;")
                attached.append(f"message.msg_controllen = {length};")
        lines += program.listed("struct msghdr message = {", message, 80)
        flags = program.number(given["flags"]) if "flags" in given else "0"
        call = f"sendmsg({program.number(step.arguments[0])}, &message, {flags})"
        return program.block([*lines, "", *attached, program.told("tell", call)])

    @staticmethod
    def _gathered(program: CProgram, parts: tuple[Value, ...], bad: str) -> tuple[list[str], list[str]]:
        """The lines before, and the first fields of the message."""
        lines: list[str] = []
        if bad:
            return lines, [f".msg_iov = {program.address(Constants((bad,)))}, .msg_iovlen = {max(len(parts), 1)}"]
        if not parts:
            return lines, [".msg_iov = NULL, .msg_iovlen = 0"]
        pieces = []
        for index, part in enumerate(parts):
            assert isinstance(part, Text)
            if part.hexadecimal and part.times == 1 and len(part.data) > 4:
                name = "bytes" if len(parts) == 1 else f"bytes{index}"
                rows = program.rows(part.data, 8 if len(part.data) <= 64 else 16)
                lines += [f"unsigned char {name}[] = {{", *rows, "};"]
                pieces.append(f"{{ {name}, sizeof({name}) }}")
            else:
                pieces.append(f"{{ {program.text(part)}, {len(part.bytes)} }}")
        listed = program.listed("struct iovec iov[] = {", pieces)
        return [*lines, *listed], [f".msg_iov = iov, .msg_iovlen = {len(parts)}"]

    @staticmethod
    def _numbers(program: CProgram, fds: tuple[Value, ...]) -> list[str]:
        """The array of descriptors to pass."""
        shown = [program.number(value) for value in fds]
        if len(shown) > 8 and len(set(shown)) == 1:
            return [f"int fds[{len(shown)}];", "", f"for (int i = 0; i < {len(shown)}; i++)", f"\tfds[i] = {shown[0]};"]
        return program.listed("int fds[] = {", shown)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        program.module("socket")
        fd, flags = program.number(step.arguments[0]), program.number(given["flags"]) if "flags" in given else "0"
        pieces = program.listed([program.text(value) for value in items(given["iov"])])
        fds, creds = items(given.get("fds")), items(given.get("creds"))
        lines: list[str] = []
        bodies = []
        if fds:
            program.module("array")
            shown = [program.number(value) for value in fds]
            same = len(shown) > 8 and len(set(shown)) == 1
            numbers = f"[{shown[0]}] * {len(shown)}" if same else f"[{', '.join(shown)}]"
            lines.append(f'fds = array.array("i", {numbers})')
            bodies.append(("socket.SCM_RIGHTS", "fds"))
        if creds:
            program.module("struct")
            pid, uid, gid = creds
            ids = f"{program.unsigned(uid)}, {program.unsigned(gid)}"
            lines.append(f'who = struct.pack("=iII", {program.process(pid)}, {ids})')
            bodies.append(("socket.SCM_CREDENTIALS", "who"))
        if {"raw", "control", "cmsg_len", "bad_iov"}.isdisjoint(given) and not program.interrupted:
            control = [f"(socket.SOL_SOCKET, {kind}, {body})" for kind, body in bodies]
            more = f", [{', '.join(control)}]" if control else ", []" if flags != "0" else ""
            more += f", {flags}" if flags != "0" else ""
            return [*program.borrowed(step.arguments[0]), *lines, *f"tell(sock.sendmsg({pieces}{more}))".split("\n")]
        program.use("raw_message")
        claimed = f", {narrow(integer(given['cmsg_len']) or 0, 64)}" if "cmsg_len" in given else ""
        if "raw" in given:
            lines += [*f"control = {program.text(given['raw'], 8)}".split("\n")]
        else:
            parts = [
                f"{program.use('cmsg')}({kind}, {body if body == 'who' else 'bytes(fds)'}{claimed})"
                for kind, body in bodies
            ]
            lines += [f"control = {' + '.join(parts)}"] if parts else []
        more = f", length={program.number(given['control'])}" if "control" in given else ""
        more += f", flags={flags}" if flags != "0" else ""
        more += f", iov={'0' if pointer(given['bad_iov']) == 'NULL' else '1'}" if "bad_iov" in given else ""
        more = (", control" if "raw" in given or bodies else "") + more
        return [*lines, *f"tell(raw_message(libc.sendmsg, {fd}, {pieces}{more}))".split("\n")]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        given = {"fd": narrow(words[0]), "flags": narrow(words[2])}
        found = message(memory, words[1], most)
        if isinstance(found, str):
            return given | {"message": found}
        if "iov" in found:
            found["iov"] = [data(memory, address, length, most) for address, length in found["iov"]]
        return given | found

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        sent, length = control_data(**named)
        claimed = sent[:length].ljust(min(length, len(sent) + 64), bytes(1))
        given = {"fd": narrow(arguments[0]), "flags": narrow(named.get("flags", 0))}
        parts = {"iov": [whole(text, most) for text in named.get("iov", ())]}
        if bad := named.get("bad_iov"):
            parts = {"bad_iov": bad}
        return given | parts | {"control": Data(length, claimed[:most])}

    def strace(self, traced: Traced) -> Words:
        texts = [value for value in items(dict(traced.own.named)["iov"]) if isinstance(value, Text)]
        entries = [
            f"{{iov_base={strace.text(made)}, iov_len={len(own.bytes)}}}" for made, own in zip(parts_of(traced), texts)
        ]
        count = len(entries) or int("bad_iov" in traced.named)
        return [traced.word(0), header(traced, entries, count, "0"), traced.flags()]

    def sent_flags(self, step: Step) -> int:
        given = named(step)
        return (integer(given["flags"]) or 0) if "flags" in given else 0
