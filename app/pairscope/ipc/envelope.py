"""The envelope: the header of every message, and what it reports of messages that came before. Pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""What a peer says that the record will keep: msgpack's integers go up to 2**64, a BIGINT does not."""
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
"""A C int that is not negative: a descriptor's number, msg_flags."""


class Receipt(msgspec.Struct, array_like=True, gc=False):
    """What a receiver says of a message that it got: reported in the header of its own next message."""

    message: Whole
    """Id that the supervisor gave to the message."""
    received: Whole
    """CLOCK_MONOTONIC in ns when recvmsg returned. One clock for all processes of a machine: time_namespaces(7)."""
    flags: Number = 0
    """msg_flags as recvmsg returned them."""
    fds: list[Number] = []
    """Numbers under which the descriptors arrived, in the order of the control message."""


class Envelope(msgspec.Struct, array_like=True, gc=False):
    """The header of every message, and its payload."""

    kind: int
    id: Whole = 0
    """Given by the supervisor to what it sends; 0 in what is sent to it, which gets its id on arrival."""
    job: Whole = 0
    """The job that the message belongs to; 0: none."""
    seq: int = 0
    """Number of the sender's request on this channel; an answer carries the number of what it answers."""
    sent: int = 0
    """CLOCK_MONOTONIC in ns just before sendmsg."""
    payload: msgspec.Raw = msgspec.Raw(b"\xc0")
    fds: list[Number] = []
    """The sender's own numbers of the descriptors that ride along, the spill not among them."""
    spill: int = 0
    """Bytes of payload that travel in a sealed memfd, as the last descriptor, because they exceed 64 KiB; 0: none."""
    receipts: list[Receipt] = []
