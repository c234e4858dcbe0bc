"""What calls are given and give that the lab has none of: vectors, several messages at once, sets of descriptors,
splice and its kin. The others are read by the lab's table."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pairscope.lab.calls import OBSERVED, cmsg
from pairscope.lab.calls.decoding import MESSAGE, Data, Memory, Return, message, parts_at
from pairscope.lab.constants import signal_name
from pairscope.lab.given import narrow
from pairscope.trace.recording import Told

MMSGHDR = 64
"""Bytes of struct mmsghdr: a msghdr and a length. recvmmsg(2)"""
CONTROL = 1 << 16
"""Bytes of control data that are read: more than net.core.optmem_max lets anybody send."""
_MMSG_MOST = 1024
_SET_MOST = 1024
"""FD_SETSIZE of the C library; the kernel takes more."""
_SETS = ("read", "write", "except")
_PARTS = 16
"""Parts of a vector whose bytes are read, and messages of a call that are told."""
VECTORS = frozenset({"readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"})


def headers(name: str, words: Sequence[int], count: int) -> list[int]:
    """Where the msghdrs of a call stand in memory."""
    if name in ("sendmmsg", "recvmmsg"):
        return [words[1] + MMSGHDR * place for place in range(min(count, _MMSG_MOST))]
    return [words[1]]


def control_at(memory: Memory, address: int) -> bytes:
    """The control data of the msghdr there; nothing where they cannot be read."""
    told = message(memory, address, CONTROL)
    control = told["control"] if isinstance(told, dict) else b""
    return control.head if isinstance(control, Data) else b""


def controls(value: Any) -> Any:
    """Control data in parts; where they are none, as it stands."""
    control = value.head if isinstance(value, Data) else value
    return msgspec.to_builtins(cmsg.parts(control)) if isinstance(control, bytes) else value


def gathered(memory: Memory, parts: Sequence[tuple[int, int]], length: int, kept: int) -> Told:
    """So many bytes of a vector, of which the first ones are kept; nothing where none are. Raises OSError."""
    head = b""
    left = min(length, kept)
    for address, size in parts[:_PARTS]:
        if left <= 0:
            break
        head += memory(address, min(size, left))
        left = min(length, kept) - len(head)
    return {"data": {"bytes": length, "head": head}} if head else {}


def _vector(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    parts = parts_at(memory, words[1], words[2])
    told: Told = {"fd": narrow(words[0]), "iov": [length for _, length in parts]}
    if name.startswith("p"):
        told["offset"] = narrow(words[3], 64)
    if name.endswith("2"):
        told["flags"] = narrow(words[5])
    if "write" in name:
        told |= gathered(memory, parts, sum(length for _, length in parts), kept)
    return told


def _messages(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    """sendmmsg tells each message; recvmmsg how many there is room for."""
    count = words[2] & 0xFFFFFFFF
    told: Told = {"fd": narrow(words[0]), "flags": narrow(words[3]), "messages": count}
    if name == "sendmmsg":
        told["messages"] = [_sent(memory, at, kept) for at in headers(name, words, min(count, _PARTS))]
        told["count"] = count
    return told


def _vector_at(memory: Memory, address: int) -> list[tuple[int, int]]:
    """Address and length of each part of the msghdr there. Raises OSError."""
    _, _, iov, count, *_ = MESSAGE.unpack(memory(address, MESSAGE.size))
    return parts_at(memory, iov, count)


def _sent(memory: Memory, address: int, kept: int) -> Told:
    parts = _vector_at(memory, address)
    told: Told = {"iov": [length for _, length in parts]}
    if control := control_at(memory, address):
        told["control"] = controls(control)
    return told | gathered(memory, parts, sum(length for _, length in parts), kept)


def _received(memory: Memory, address: int, kept: int) -> Told:
    (length,) = struct.unpack("=I", memory(address + MMSGHDR - 8, 4))
    told: Told = {"bytes": length, "control": controls(control_at(memory, address))}
    return told | gathered(memory, _vector_at(memory, address), length, kept)


def _set(memory: Memory, address: int, count: int) -> list[int]:
    """The numbers in a set of descriptors. Raises OSError. select(2)"""
    bits = int.from_bytes(memory(address, (count + 63) // 64 * 8), "little") if address and count > 0 else 0
    return [number for number in range(count) if bits >> number & 1]


def _sets(words: Sequence[int], memory: Memory) -> Told:
    count = max(0, min(narrow(words[0]), _SET_MOST))
    return {name: _set(memory, at, count) for name, at in zip(_SETS, words[1:4]) if at}


def _seconds(memory: Memory, address: int, unit: int) -> Told:
    """A time to wait; nothing: without end. Raises OSError."""
    if not address:
        return {}
    seconds, part = struct.unpack("=qq", memory(address, 16))
    return {"timeout_ns": seconds * 1_000_000_000 + part * unit}


def _select(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    told = {"count": narrow(words[0])} | _sets(words, memory)
    return told | _seconds(memory, words[4], 1000 if name == "select" else 1)


def _ppoll(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    told = dict(OBSERVED["poll"].by_registers((*words[:2], 0, 0, 0, 0), memory, kept))
    told.pop("timeout", None)
    return told | _seconds(memory, words[2], 1)


def _waitid(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    return {"idtype": narrow(words[0]), "id": narrow(words[1]), "options": narrow(words[3])}


def _timer(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    """struct itimerspec: timerfd_settime(2)."""
    again, part, first, rest = struct.unpack("=qqqq", memory(words[2], 32))
    return {
        "fd": narrow(words[0]), "flags": narrow(words[1]),
        "value_ns": first * 1_000_000_000 + rest, "interval_ns": again * 1_000_000_000 + part,
    }  # fmt: skip


def _signalfd(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    mask = int.from_bytes(memory(words[1], 8), "little")
    told: Told = {"fd": narrow(words[0]), "signals": [signal_name(one + 1) for one in range(64) if mask >> one & 1]}
    return told | ({"flags": narrow(words[3])} if name == "signalfd4" else {})


def _between(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    if name == "sendfile":
        return {"fd": narrow(words[1]), "to": narrow(words[0]), "length": words[3]}
    if name == "tee":
        return {"fd": narrow(words[0]), "to": narrow(words[1]), "length": words[2], "flags": narrow(words[3])}
    return {"fd": narrow(words[0]), "to": narrow(words[2]), "length": words[4], "flags": narrow(words[5])}


_GIVEN: dict[str, Callable[[str, Sequence[int], Memory, int], Told]] = {
    **dict.fromkeys(VECTORS, _vector),
    **dict.fromkeys(("sendmmsg", "recvmmsg"), _messages),
    **dict.fromkeys(("select", "pselect6"), _select),
    **dict.fromkeys(("splice", "tee", "sendfile"), _between),
    **dict.fromkeys(("signalfd", "signalfd4"), _signalfd),
    "timerfd_settime": _timer,
    "waitid": _waitid,
    "ppoll": _ppoll,
}


def given(name: str, words: Sequence[int], memory: Memory, kept: int) -> Told:
    """What a call was given. Raises OSError."""
    read = _GIVEN.get(name)
    return read(name, words, memory, kept) if read else {"words": [narrow(word, 64) for word in words]}


def gave(name: str, back: Return) -> Told:
    """What one gave that has not failed. Raises OSError."""
    words, value, memory, kept = back.words, back.value, back.memory, back.most
    if name in VECTORS and "read" in name:
        return gathered(memory, parts_at(memory, words[1], words[2]), value, kept)
    if name == "recvmmsg":
        return {"messages": [_received(memory, at, kept) for at in headers(name, words, min(value, _PARTS))]}
    if name in ("select", "pselect6"):
        return _sets(words, memory)
    if name == "waitid" and words[2]:
        _, _, code, pid, _, status = struct.unpack("=iii4xiii", memory(words[2], 28))
        return {"pid": pid, "code": code, "status": status}
    if name == "ppoll":
        return dict(OBSERVED["poll"].gave(back))
    return {}
