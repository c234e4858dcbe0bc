"""The messages of a recording as a capture that Wireshark opens: pcapng, one packet a message.
https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-05.html

There is no link type for AF_UNIX or pipes, so the packets have LINKTYPE_USER0 (147) and the header that
docs/recorder.md, "The capture", tells; ``capture.lua`` beside this file takes it apart. Whatever the file says is
bounded here, as a recording may be anybody's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pairscope.trace.file import Recording
from pairscope.trace.recording import Passage, Step, parted

LINKTYPE = 147
"""LINKTYPE_USER0. https://www.tcpdump.org/linktypes.html"""
MAGIC, VERSION = b"PS", 1
SENDS = frozenset({"sendmsg", "sendto", "sendmmsg", "write", "writev", "pwrite64", "pwritev", "pwritev2"})
KINDS = {"socket": 1, "pipe": 2}
PROOFS = {"": 0, "both": 1, "duplicate": 2}
_FIXED = struct.Struct("<2sBBIIIIQQIHH")
"""Magic, version, kind, length of the header, step, pids of both, inodes of both ends, bytes, descriptors,
credentials."""
_CREDENTIALS = struct.Struct("<iII")
_DESCRIPTOR = struct.Struct("<iiB")
_MOST = 1024
"""Descriptors of a packet; SCM_MAX_FD is 253, and sendmmsg sends several messages."""
_BLOCK = struct.Struct("<II")
_SECTION = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
_EMPTY = struct.pack("<HH", 0, 0)


class Packet(NamedTuple):
    """One message."""

    at_us: int
    """Since 1970."""
    data: bytes
    """Header and what is kept of the message."""
    length: int
    """Bytes of the header and of the whole message."""


def capture(recording: Recording) -> Iterator[bytes]:
    """The parts of the file, in order. Raises NoRecording where a block is damaged."""
    index = recording.index
    named = "pairscope"
    yield _block(
        0x0A0D0D0A,
        _SECTION + _option(2, index.machine) + _option(3, index.kernel) + _option(4, named) + _EMPTY,
    )
    yield _block(
        1, struct.pack("<HHI", LINKTYPE, 0, 0) + _option(2, "AF_UNIX") + struct.pack("<HHBxxx", 9, 1, 6) + _EMPTY
    )
    for packet in packets(recording):
        head = struct.pack("<IIIII", 0, packet.at_us >> 32, packet.at_us & 0xFFFF_FFFF, len(packet.data), packet.length)
        body = packet.data + bytes(-len(packet.data) % 4)
        yield _block(6, head + body)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, text: str) -> bytes:
    data = text.encode("utf-8", "replace")[:1024]
    return struct.pack("<HH", code, len(data)) + data + bytes(-len(data) % 4)


def packets(recording: Recording) -> Iterator[Packet]:
    """The messages that were sent, in order."""
    index = recording.index
    sent: dict[int, list[Passage]] = {}
    for passage in index.passages:
        sent.setdefault(passage.sent_at, []).append(passage)
    peers: dict[int, int] = {}
    began: dict[int, tuple[int, Step]] = {}
    """By thread: a call that waits."""
    started = int(min(max(index.started, 0.0), 4e9) * 1_000_000) if index.started == index.started else 0
    for number, step in enumerate(recording.all(), 1):
        for inode, queue in step.changed.queues.items():
            peers[inode] = queue.peer if queue else 0
        if step.call not in SENDS:
            continue
        if step.blocked:
            began[step.tid] = number, step
            continue
        at, call = began.pop(step.tid, (number, step)) if step.of else (number, step)
        link, moved = call.given.get("on"), step.gave.get("value")
        if not isinstance(link, str) or not isinstance(moved, int) or not 0 <= moved < 1 << 32:
            continue
        kind, inode = parted(link)
        if not kind:
            continue
        carried = sent.get(at, []) or sent.get(number, [])
        yield _packet(recording, at, call, moved, KINDS[kind], inode, peers, carried, started)


def _packet(
    recording: Recording, number: int, call: Step, moved: int, kind: int, inode: int, peers: Mapping[int, int],
    carried: list[Passage], started: int,
) -> Packet:  # fmt: skip
    processes = recording.index.processes
    sender = processes[call.process - 1] if 1 <= call.process <= len(processes) else None
    receivers = {passage.receiver for passage in carried if passage.receiver}
    receiver = processes[receivers.pop() - 1] if len(receivers) == 1 else None
    texts = b"".join(_text(one.name if one else "") for one in (sender, receiver))
    credentials = b"".join(_CREDENTIALS.pack(*one) for one in _credentials(call))
    descriptors = b"".join(
        _DESCRIPTOR.pack(_int(one.sent_as), -1 if one.received_as is None else _int(one.received_as), PROOFS[one.proof])
        + _text(one.object)
        for one in carried[:_MOST]
    )
    other = peers.get(inode, 0) if kind == KINDS["socket"] else inode
    rest = texts + credentials + descriptors
    head = _FIXED.pack(
        MAGIC, VERSION, kind, _FIXED.size + len(rest), number, (sender.pid if sender else 0) & 0xFFFF_FFFF,
        (receiver.pid if receiver else 0) & 0xFFFF_FFFF, inode, other, moved, min(len(carried), _MOST),
        len(credentials) // _CREDENTIALS.size,
    )  # fmt: skip
    data = head + rest
    payload = kept(call)[:moved]
    return Packet(started + min(call.at_us, 1 << 60), data + payload, min(len(data) + moved, (1 << 32) - 1))


def kept(call: Step) -> bytes:
    """What the recording has of the bytes that a call sent."""
    given = call.given
    parts: list[Any] = [given.get("data")]
    if call.call == "sendmsg" and isinstance(given.get("iov"), list):
        parts = given["iov"]
    elif isinstance(given.get("messages"), list):
        parts = [one.get("data") for one in given["messages"] if isinstance(one, Mapping)]
    found = b""
    for part in parts[:1024]:
        head = part.get("head", b"") if isinstance(part, Mapping) else b""
        if not isinstance(head, bytes):
            break
        found += head
        if len(head) != part.get("bytes") if isinstance(part, Mapping) else True:
            break  # what follows would not stand at its place
    return found


def _credentials(call: Step) -> list[tuple[int, int, int]]:
    """Those that it sent by SCM_CREDENTIALS."""
    control = call.given.get("control")
    found = []
    for part in control if isinstance(control, list) else ():
        ids = part.get("creds") if isinstance(part, Mapping) else None
        if isinstance(ids, list) and len(ids) == 3 and all(isinstance(one, int) for one in ids):
            found.append((_int(ids[0]), ids[1] & 0xFFFF_FFFF, ids[2] & 0xFFFF_FFFF))
    return found[:16]


def _int(value: int) -> int:
    return value if -(1 << 31) <= value < 1 << 31 else -1


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")[:4096]
    return struct.pack("<H", len(data)) + data
