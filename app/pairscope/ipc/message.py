"""One message at one end of a channel: one that came, one that is ready to be sent, and why none comes any more.

Who owns a descriptor is in the verb: an :class:`Arrival` owns what came until :meth:`Arrival.take`;
:meth:`Arrival.close` closes the rest. An :class:`Outgoing` borrows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from pairscope.ipc.envelope import Envelope
from pairscope.ipc.vocabulary import Kind


class ChannelClosed(Exception):
    """The peer's end is closed and everything it had sent has been read."""


class ChannelBroken(Exception):
    """The peer said something that the vocabulary does not allow."""


class Arrival(msgspec.Struct, eq=False, gc=False):
    """One message that came, with its descriptors."""

    kind: Kind
    envelope: Envelope
    payload: Any
    raw: msgspec.Raw | bytes
    """The payload as it travelled."""
    fds: list[int]
    received: int
    """CLOCK_MONOTONIC in ns."""
    flags: int
    size: int
    """Bytes of the message, header and payload, and of its spill."""

    def take(self) -> list[int]:
        """The descriptors; the caller owns them now."""
        fds, self.fds = self.fds, []
        return fds

    def close(self) -> None:
        """Closes the descriptors that nobody took."""
        fds, self.fds = self.fds, []
        for fd in fds:
            os.close(fd)


class Outgoing(msgspec.Struct, eq=False, gc=False):
    """A message ready to be sent: borrows its descriptors, owns its spill."""

    kind: Kind
    envelope: Envelope
    raw: bytes
    fds: Sequence[int] = ()
    spill: int = -1
    """A sealed memfd, or -1."""
    data: bytes = b""
    """The message, once it is encoded."""
    mark: int = 0
    """For whoever keeps a list of what waits, to note where in it this one stands; 0: not noted."""

    @property
    def size(self) -> int:
        """Bytes of the message, header and payload, and of its spill."""
        return len(self.data) + (len(self.raw) if self.spill >= 0 else 0)

    def close(self) -> None:
        """Closes the spill."""
        if self.spill >= 0:
            os.close(self.spill)
            self.spill = -1
