"""Payloads that are too long for a message: they travel in a memfd beside it, or wait in one that was lent."""

from __future__ import annotations

import os

import msgspec

from pairscope.ipc import memfd
from pairscope.ipc.envelope import Envelope
from pairscope.ipc.message import ChannelBroken
from pairscope.ipc.sentences import Broken
from pairscope.ipc.vocabulary import Kind

SPILL = 64 * 1024
"""Bytes of payload beyond which it travels as a sealed memfd."""
SPILL_MAX = 16 * 1024 * 1024
"""Bytes of the longest payload."""
_NIL = msgspec.Raw(b"\xc0")


def put_out(kind: str, envelope: Envelope, raw: bytes, spare: int) -> int:
    """Takes a long payload out of its message: into the spare that was lent (-1: none was), or a sealed memfd, which is
    returned (-1: none).

    Raises ValueError for one that is too long, OSError if no memfd can be had.
    """
    if len(raw) > SPILL_MAX:
        raise ValueError(Broken.TOO_LONG.say(bytes=len(raw), most=SPILL_MAX))
    envelope.payload = _NIL
    if spare >= 0:
        memfd.write_all(spare, raw)
        envelope.spill = -len(raw)
        return -1
    envelope.spill = len(raw)
    return memfd.sealed(f"spill of {kind}", raw)


def take_in(kind: Kind, envelope: Envelope, fds: list[int], size: int, spare: int) -> tuple[bytes, int]:
    """The payload of a message beside which it travelled, or something that its header does not announce; and the
    message's size with that. A memfd that held it is taken off `fds` and closed.

    Raises ChannelBroken if what came is not what the header announces.
    """
    spilled = envelope.spill
    announced = len(envelope.fds)
    if announced > kind.most_fds or len(fds) != announced + (spilled > 0):
        raise ChannelBroken(
            Broken.ANNOUNCED.say(kind=kind.name, count=announced + (spilled > 0), most=kind.most_fds, number=len(fds))
        )
    if spilled > 0:
        if not memfd.is_sealed(fds[-1]):  # whatever it is then, it is for the caller to let go
            raise ChannelBroken(Broken.UNSEALED.value)
        return _read(fds.pop(), spilled), size + spilled
    if spare < 0 or -spilled > SPILL_MAX:
        raise ChannelBroken(Broken.NOT_LENT.say(kind=kind.name))
    return memfd.read_all(spare, -spilled), size - spilled


def _read(fd: int, size: int) -> bytes:
    try:
        if size > SPILL_MAX or os.fstat(fd).st_size != size:
            raise ChannelBroken(Broken.LENGTH.say(bytes=size, count=os.fstat(fd).st_size))
        return memfd.read_all(fd, size)
    except OSError as error:
        raise ChannelBroken(Broken.UNREADABLE.say(fault=error.strerror)) from None
    finally:
        os.close(fd)
