"""What the kernel tells of a pipe, and what waits in it: pipe(7).

A pipe is copied by tee(2), borders of packets included, and the copy is read.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import os
from collections.abc import Iterator

from pairscope.lab.constants import NUMBERS
from pairscope.lab.probes import peek
from pairscope.lab.probes.descriptions import Description
from pairscope.lab.reasons import Reason
from pairscope.lab.run import UNSET, Object

_SPLICE_F_NONBLOCK = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(slots=True)
class Piped:
    """What waits in a pipe."""

    parts: list[bytes]
    """What each read gives that has room enough."""
    packets: bool
    """A read that has less room loses the rest: some of it are packets, pipe(2)."""
    whole: bool
    """Whether that is all that waits."""


def describe(told: Object, description: Description) -> None:
    """Fills in the capacity, and what waits. Called for each description of the pipe: only a reading end shows
    bytes, and only a writing end says that it writes packets."""
    seen = description.seen
    if seen.flags & os.O_PATH:
        return  # it is the file of a pipe, and answers nothing: open(2)
    told.queued = peek.queued(description.own)
    told.capacity = fcntl.fcntl(description.own, NUMBERS["F_GETPIPE_SZ"])
    told.borders = told.borders or False
    told.how |= {"queued": "observed", "contents": "observed", "borders": "observed"}
    if seen.access == "write":
        told.borders = told.borders or bool(seen.flags & os.O_DIRECT)  # packets: pipe(2)
        told.contents = None if told.contents is UNSET else told.contents
        return
    told.contents = []
    if told.queued:
        found = copied(description.own, told.capacity)
        told.borders = told.borders or found.packets
        told.contents = [peek.piece(part) for part in found.parts[: peek.MOST]]
        if not found.whole:
            told.why = Reason.FIRST_BYTES.say(bytes=told.queued, count=sum(map(len, found.parts)))
        elif len(found.parts) > peek.MOST:
            told.why = Reason.PACKETS.say(count=len(found.parts), most=peek.MOST)


def copied(pipe: int, capacity: int) -> Piped:
    """Copies a pipe and reads the copy. `capacity`: bytes that the copy is to hold. tee(2) keeps what is a packet a
    packet. Raises OSError."""
    parts: list[bytes] = []
    waits = peek.queued(pipe) or 0
    with _copy(pipe, capacity) as out:
        came = peek.queued(out) or 0
        while left := peek.queued(out) or 0:
            parts.append(os.read(out, left))
    packets = len(parts) > 1
    if len(parts) == 1 and came > 1:
        with _copy(pipe, capacity) as out:
            os.read(out, 1)
            packets = (peek.queued(out) or 0) < came - 1
    return Piped(parts, packets, sum(map(len, parts)) == waits)


@contextlib.contextmanager
def _copy(pipe: int, capacity: int) -> Iterator[int]:
    out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OSError):  # EPERM: a user's pipes have their bounds, pipe(7); then it holds less
            fcntl.fcntl(into, NUMBERS["F_SETPIPE_SZ"], capacity)
        if (
            _libc.tee(pipe, into, ctypes.c_size_t(capacity), _SPLICE_F_NONBLOCK) < 0
            and ctypes.get_errno() != errno.EAGAIN
        ):
            raise OSError(ctypes.get_errno(), "tee")
        yield out
    finally:
        os.close(out)
        os.close(into)
