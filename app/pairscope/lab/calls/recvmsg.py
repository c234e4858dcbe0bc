"""A message that is received, with control data beside its bytes: recvmsg."""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Sequence
from typing import Any

from pairscope.lab import named as naming
from pairscope.lab.calls import strace
from pairscope.lab.calls.call import (
    Actor,
    Call,
    CProgram,
    Made,
    PythonProgram,
    Return,
    Returned,
    Traced,
    Turn,
    Words,
    allow,
    numbered,
)
from pairscope.lab.calls.decoding import MESSAGE, MOST, Data, Given, Memory, message, parts_at
from pairscope.lab.calls.io import keeps, kept_c
from pairscope.lab.calls.libc import INT, OFF, POINTER, function, make
from pairscope.lab.calls.msghdr import Msghdr, header, iovecs, parts_of
from pairscope.lab.constants import NUMBERS, decode
from pairscope.lab.given import integer, items, named, narrow, pointer
from pairscope.lab.model import Constants, Step
from pairscope.lab.run import Message, Result, given

CONTROL_ROOM = 1152
"""Bytes of control buffer where a recvmsg says nothing: 253 descriptors, credentials and a pidfd fit."""
_CONTROL_MOST = 1 << 16
"""Bytes of control data that are read of another process. The kernel writes a few KiB at most; the length stands in
memory that other threads may change."""
_SPACES = {20: "CMSG_LEN(sizeof(int))", 24: "CMSG_SPACE(sizeof(int))"}
"""Lengths of control data that say more as what they are."""
_recvmsg = function("recvmsg", OFF, INT, POINTER, INT)


def _control_room(step: Step) -> int:
    given = named(step)
    return integer(given["control"]) or 0 if "control" in given else CONTROL_ROOM


def _received(result: Result) -> Message:
    """The message that came. Raises ValueError if this run has not got it."""
    if result.message is None:
        raise ValueError("there is no message")
    return result.message


class Recvmsg(Call):
    name = "recvmsg"
    takes = "fd:fd"
    takes_named = "iov:list/size control:size? flags:flags? bad_iov:pointer?"
    binds = "received"
    expects = ("flags", "fds", "creds")
    manual = "recvmsg(2)"
    summary = "receives scattered bytes and what came beside them"
    kernel = numbered("recvmsg", 47, 212)
    blocks = True
    seccomp = allow("recvmsg")

    def make(
        self, fd: int, iov: Any = (), control: int | None = None, flags: int = 0, bad_iov: str | None = None
    ) -> Made:
        parts = [(ctypes.c_char * size)() for size in iov]
        array = iovecs(parts)
        length = CONTROL_ROOM if control is None else control
        room = ctypes.create_string_buffer(length + 64)
        header = Msghdr(
            iov=ctypes.addressof(array) if bad_iov is None else NUMBERS[bad_iov],
            iovlen=len(parts) or (1 if bad_iov else 0),
            control=ctypes.addressof(room) if length else None, controllen=length,
        )  # fmt: skip
        kept = keeps(fd, flags)
        made = make(_recvmsg, fd, ctypes.byref(header), flags)
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

    def room(self, step: Step) -> int:
        given = named(step)
        sizes = items(given["iov"])
        if "bad_iov" in given or not sizes:
            return 0
        return max(1, sum(integer(value) or 0 for value in sizes))

    def control_room(self, step: Step) -> int:
        return _control_room(step)

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        program.header("sys/socket.h", "sys/uio.h")
        sizes = [integer(value) or 0 for value in items(given["iov"])]
        bad = pointer(given["bad_iov"]) if "bad_iov" in given else ""
        lines: list[str] = []
        if bad:
            message = [f".msg_iov = {program.address(Constants((bad,)))}, .msg_iovlen = {max(len(sizes), 1)}"]
        elif not sizes:
            message = [".msg_iov = NULL, .msg_iovlen = 0"]
        else:
            pieces, at = [], 0
            for size in sizes:
                pieces.append(f"{{ text{f' + {at}' if at else ''}, {size} }}")
                at += size
            lines = program.listed("struct iovec iov[] = {", pieces)
            message = [f".msg_iov = iov, .msg_iovlen = {len(sizes)}"]
        if room := _control_room(step):
            rooms = (_control_room(other.step) for other in actor.turns if other.step.call == self.name)
            whole = "control" not in given and max(rooms) == room
            length = "sizeof(control)" if whole else _SPACES.get(room, room)
            message.append(f".msg_control = control, .msg_controllen = {length}")
        lines += program.listed("struct msghdr message = {", message, 80)
        flags = program.number(given["flags"]) if "flags" in given else "0"
        call = f"recvmsg({program.number(step.arguments[0])}, &message, {flags})"
        if bad:
            return program.block([*lines, "", program.told("tell", call)])
        names = [f"&{program.member(name)}" for name in turn.binds]
        if sizes and (integer(given["flags"]) or 0 if "flags" in given else 0) & NUMBERS["MSG_TRUNC"]:
            lines += [kept_c(program, step.arguments[0]), f"ssize_t count = {call};"]
            told = program.told("tell_message", "count", "&message", *names, "NULL")
            return program.block([*lines, "", "message.msg_iov = kept ? iov : NULL;", told])
        return program.block([*lines, "", program.told("tell_message", call, "&message", *names, "NULL")])

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        step = turn.step
        given = named(step)
        program.module("socket")
        fd = program.number(step.arguments[0])
        flags = program.number(given["flags"]) if "flags" in given else ""
        sizes = [integer(value) or 0 for value in items(given["iov"])]
        room = _control_room(step)
        if "bad_iov" in given:
            program.use("raw_message")
            sent = program.listed([f"bytes({size})" for size in sizes])
            address = "0" if pointer(given["bad_iov"]) == "NULL" else "1"
            more = f", flags={flags}" if flags else ""
            return [f"tell(raw_message(libc.recvmsg, {fd}, {sent}, bytes({room}){more}, iov={address}))"]
        program.use("message")
        names = "".join(f', "{program.own_name(name)}"' for name in turn.binds)
        lines = program.borrowed(step.arguments[0])
        shown_pieces = "pieces"
        if (integer(given["flags"]) or 0 if flags else 0) & NUMBERS["MSG_TRUNC"]:  # TCP copies nothing then: tcp(7)
            shown_pieces = "pieces if sock.proto != socket.IPPROTO_TCP else None"
        made = f"pieces = [{', '.join(f'bytearray({size})' for size in sizes)}]"
        shown = f"socket.CMSG_{'LEN' if room == 20 else 'SPACE'}(4)" if room in (20, 24) else str(room)
        more = f", {shown}" if room or flags else ""
        more += f", {flags}" if flags else ""
        if program.interrupted:
            call = f"{program.use('raw_recvmsg')}({fd}, pieces, {shown}, {flags or 0})"
            borrowed = lines if shown_pieces != "pieces" else []
            return [*borrowed, made, f"tell(*message({call}, {shown_pieces}{names}))"]
        return [*lines, made, f"tell(*message(sock.recvmsg_into(pieces{more}), {shown_pieces}{names}))"]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        given = {"fd": narrow(words[0]), "flags": narrow(words[2])}
        found = message(memory, words[1], 0)
        if isinstance(found, str):
            return given | {"message": found}
        room = found.pop("control")
        if "iov" in found:
            found["iov"] = [length for _, length in found["iov"]]
        return given | found | {"control": room.length if isinstance(room, Data) else room}

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        given = {"fd": narrow(arguments[0]), "flags": narrow(named.get("flags", 0))}
        parts = {"bad_iov": named["bad_iov"]} if "bad_iov" in named else {"iov": list(named.get("iov", ()))}
        return given | parts | {"control": named.get("control", CONTROL_ROOM)}

    def line(self, returned: Returned) -> str:
        result = returned.result
        # The kernel hands the caller's own MSG_CMSG_CLOEXEC back among the flags.
        flags = given(result.msg_flags, "msg_flags") & 0xFFFFFFFF & ~NUMBERS["MSG_CMSG_CLOEXEC"]
        words = [str(result.value), *returned.data(), f"flags={naming.MESSAGE_FLAGS.told(flags)}"]
        if fds := given(result.fds, "fds"):
            words.append(f"fds={fds}")
        parts = _received(result).parts
        return " ".join([*words, *(f"creds={returned.credentials(part.creds)}" for part in parts if part.creds)])

    def strace(self, traced: Traced) -> Words:
        fd = traced.word(0)
        if traced.unfinished:
            return [fd, None]
        if traced.failed:
            return [fd, "{msg_namelen=0}", traced.flags()]
        data, entries, at = base64.b64decode(traced.result.data or ""), [], 0
        for size, filled in zip(parts_of(traced), _received(traced.result).iov):
            entries.append(f"{{iov_base={strace.quoted(data[at : at + filled], filled)}, iov_len={size}}}")
            at += filled
        flags = decode("MSG_", given(traced.result.msg_flags, "msg_flags") & 0xFFFFFFFF)
        return [fd, header(traced, entries, len(entries), flags), traced.flags()]

    def gave(self, back: Return) -> Made:
        name, length, iov, count, control, controllen, flags = MESSAGE.unpack(back.memory(back.words[1], MESSAGE.size))
        parts = parts_at(back.memory, iov, count)
        left = back.value if back.kept else 0
        filled = []
        for _, size in parts:
            filled.append(min(left, size))
            left -= filled[-1]
        received = {
            "room": back.given["control"], "controllen": controllen, "flags": flags,
            "control": back.memory(control, min(controllen, _CONTROL_MOST)) if controllen else b"",
        }  # fmt: skip
        if back.kept is not None:
            received["iov"] = filled
        made: Made = {"received": received}
        if back.kept:
            head = b""
            for (address, _), size in zip(parts, filled):
                kept = min(size, back.most - len(head))
                head += back.memory(address, kept) if kept else b""
            made["data"] = Data(sum(filled), head)
        return made | ({"address": back.address(name, length)} if name else {})
