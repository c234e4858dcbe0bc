"""A job's way: its messages in order, and for each hop what is derived from them: how long each process kept the
job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pairscope.store.models import Message, Transfer
from pairscope.web.words import after

CLIENTS = ("web", "tool", "live")


class Party(NamedTuple):
    """One process in the job's way."""

    role: str
    serial: int
    pid: int

    @property
    def name(self) -> str:
        """Role and serial, as pages say them."""
        return f"{self.role} {self.serial}"


class Hop(NamedTuple):
    """One message, the descriptors that it carried, and what came before it."""

    message: Message
    sender: Party
    receiver: Party
    transfers: list[Transfer]
    kept: int | None
    """ns from the sender's last event of this job to this send (derived); None for the first."""
    elapsed: int
    """ns since the first message was sent (derived)."""


class Way(NamedTuple):
    """All hops, the parties from left to right, and the whole duration."""

    hops: list[Hop]
    parties: list[Party]
    total: int | None
    """ns from the first send to the last receipt; None while nothing was received."""

    @property
    def after(self) -> list[str]:
        """When each message was sent, told apart from its neighbours."""
        return after([hop.elapsed for hop in self.hops])

    @property
    def moving(self) -> bool:
        """True while a message's outcome is not known."""
        return any(hop.message.state == "sent" for hop in self.hops)


def sender(row: Message | Transfer) -> Party:
    """The end that sent it."""
    return Party(row.sender_role, row.sender_serial, row.sender_pid)


def receiver(row: Message | Transfer) -> Party:
    """The end that it went to."""
    return Party(row.receiver_role, row.receiver_serial, row.receiver_pid)


LATER = ("fetch", "output")
"""Kinds by which somebody takes a job's output, after its end and as often as it pleases: no part of its way."""


def part(messages: Sequence[Message], ended: int | None) -> tuple[list[Message], list[Message]]:
    """A job's messages: those of its way, and those by which its output was asked for later."""
    way: list[Message] = []
    later: list[Message] = []
    for message in messages:
        refused = message.kind == "refused" and ended is not None and message.sent > ended
        (later if message.kind in LATER or refused else way).append(message)
    return way, later


def trace(messages: Sequence[Message], transfers: Sequence[Transfer]) -> Way:
    """The way of one job from its rows, in any order."""
    carried: dict[int, list[Transfer]] = {}
    for transfer in sorted(transfers, key=lambda transfer: (transfer.message, transfer.position)):
        carried.setdefault(transfer.message, []).append(transfer)
    ordered = sorted(messages, key=lambda message: (message.sent, message.id))
    last: dict[Party, int] = {}
    hops: list[Hop] = []
    for message in ordered:
        source, target = sender(message), receiver(message)
        kept = message.sent - last[source] if source in last else None
        hops.append(Hop(message, source, target, carried.get(message.id, []), kept, message.sent - ordered[0].sent))
        last[source] = message.sent
        if message.received:
            last[target] = max(last.get(target, 0), message.received)
    parties: list[Party] = []
    for hop in hops:
        for party in (hop.sender, hop.receiver):
            if party not in parties:
                parties.append(party)
    parties.sort(key=lambda party: 0 if party.role in CLIENTS else 1 if party.role == "supervisor" else 2)
    ends = [message.received for message in ordered if message.received]
    return Way(hops, parties, max(ends) - ordered[0].sent if ends else None)


class Stage(NamedTuple):
    """One place where a descriptor of the job was: a number in a process, for one open file description."""

    transfer: Transfer
    sender: Party
    receiver: Party


def descriptors(way: Way) -> dict[tuple[int, int], list[Stage]]:
    """Each file's crossings in order, by (device, inode): the same pair is the same file on its whole way."""
    found: dict[tuple[int, int], list[Stage]] = {}
    for hop in way.hops:
        for transfer in hop.transfers:
            found.setdefault((transfer.device, transfer.inode), []).append(Stage(transfer, hop.sender, hop.receiver))
    return found
