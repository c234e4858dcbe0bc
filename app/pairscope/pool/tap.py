"""The tap: what crosses the supervisor's channels becomes journal records.

It stands at one end of every pair. What arrives is complete at once: the sender's side is reported in the header, the
receiver's is observed. What is sent is known in two parts: *sent*, written before sendmsg, and the *outcome*, which the
peer reports in the header of its next message. Both ends keep a descriptor until kcmp has been asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from pairscope.ipc.channel import Arrival, Channel, Outgoing
from pairscope.ipc.descriptor import look, prove
from pairscope.ipc.envelope import Receipt
from pairscope.ipc.identity import TIME_SHIFT, Issuer, first_id_at
from pairscope.ipc.mounts import Mounts
from pairscope.ipc.passing import close_all
from pairscope.ipc.sentences import Unproved
from pairscope.journal.records import Message, Outcome, Proof, Record, Transfer
from pairscope.journal.writer import Writer

PREVIEW = 256
"""Bytes of a payload that the record keeps."""
UNSAVED_IDS = 60_000 << TIME_SHIFT
"""A minute of ids: more than the kernel keeps from the disk."""


def issuer(journal: Writer, node: int) -> Issuer:
    """Ids that go on after those in the journal, and after those that it may have lost."""
    last_id = journal.last_id
    damaged = journal.gaps or journal.cut
    if journal.lost or (damaged and last_id >= first_id_at(time.time_ns(), node)):
        # Of damage alone only where the clock does not make ids grow: else each would put them a minute ahead of the
        # time that they tell. The database may have ids that the journal has not, and a clock that was set back would
        # issue them again.
        last_id = max(last_id + UNSAVED_IDS, first_id_at(journal.begin * 1000, node))
    return Issuer(node, last_id)


class Peer:
    """The other end of one of the supervisor's channels, as the record names it."""

    def __init__(self, channel: Channel, role: str, serial: int, pid: int, uid: int) -> None:
        self.channel = channel
        self.role = role
        self.serial = serial
        self.pid = pid
        self.uid = uid
        self.messages = 0
        self.held_fds = self.held_bytes = 0
        """Descriptors that are held for it alone until it has reported them, and the bytes of the long payloads among
        them."""
        self.unreported: dict[int, Sent] = {}
        """What was sent to it and not yet reported, oldest first."""

    def let_go(self, sent: Sent) -> None:
        """Nothing is held for that message any more."""
        self.held_fds -= len(sent.kept) + (sent.spill > 0)
        self.held_bytes -= sent.spill
        close_all(sent.kept)

    def __str__(self) -> str:
        return f"{self.role} {self.serial} (pid {self.pid})"


class Sent(msgspec.Struct, eq=False, gc=False):
    """A message on its way: the descriptors that the proof will need, and those kept for it alone."""

    fds: Sequence[int]
    kept: Sequence[int]
    spill: int = 0
    """Bytes of a long payload, which is one more descriptor until it is reported."""


PLAIN = Sent((), ())
"""A message without descriptors."""
_NONE: list[Transfer] = []
"""Its transfers: never changed."""


class Tap:
    """Collects the records of one turn of the loop; the loop appends them before anything is sent or answered."""

    def __init__(self, issuer: Issuer, mounts: Mounts | None = None) -> None:
        self._mounts = mounts
        self._another = issuer.another
        self.records: list[Record] = []
        self.closed_messages = 0
        """Messages of peers that are gone."""
        self.transfers = 0
        self.set_clock()

    def set_clock(self) -> None:
        """Aligns the monotonic clock, by which all is timed, with the real one, in which it is recorded."""
        self.offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """ns since 1970, never the difference of two clocks."""
        return time.monotonic_ns() + self.offset

    def arrived(self, peer: Peer, arrival: Arrival, job: int | None) -> Message:
        """Records a message that came; `job` None: the message begins a job, whose id is the message's own.

        Returns what was recorded: its id, and what was seen of its descriptors, so that nobody looks at them again.
        """
        identity = self._another()
        envelope = arrival.envelope
        received = arrival.received
        sent = envelope.sent
        if not 0 < sent <= received:
            sent = received
        size = arrival.size
        fds = arrival.fds
        transfers = self._transfers(peer, envelope.fds, fds) if fds else _NONE
        offset = self.offset
        seen = Message(
            identity,
            identity if job is None else job,
            envelope.kind,
            True,
            peer.role,
            peer.serial,
            peer.pid,
            size,
            len(transfers),
            arrival.flags,
            sent + offset,
            received + offset,
            bytes(arrival.raw if size <= PREVIEW else memoryview(arrival.raw)[:PREVIEW]),
            transfers,
        )
        self.records.append(seen)
        peer.messages += 1
        return seen

    def _transfers(self, peer: Peer, theirs: Sequence[int], own: Sequence[int]) -> list[Transfer]:
        """What came with a message: the sender's number, ours, and the proof that they are one open file
        description."""
        self.transfers += len(own)
        return [
            Transfer(at, number, fd, *look(fd, self._mounts), *prove(peer.pid, number, fd))
            for at, (number, fd) in enumerate(zip(theirs, own))
        ]

    def sending(self, peer: Peer, out: Outgoing, kept: Sequence[int] = ()) -> int:
        """Gives the message its id and records it as sent; owns `kept` until the outcome is known. Returns the id."""
        envelope = out.envelope
        identity = envelope.id = self._another()
        sent = peer.channel.stamp(out)
        if out.fds or out.spill >= 0:
            transfers = self._passing(peer, out, kept)
        else:
            transfers = _NONE
            peer.unreported[identity] = PLAIN
        self.records.append(
            Message(
                identity,
                envelope.job,
                out.kind.code,
                False,
                peer.role,
                peer.serial,
                peer.pid,
                out.size if out.spill >= 0 else len(out.data),
                len(transfers),
                0,
                sent + self.offset,
                0,
                out.raw[:PREVIEW],
                transfers,
            )
        )
        peer.messages += 1
        return identity

    def _passing(self, peer: Peer, out: Outgoing, kept: Sequence[int]) -> list[Transfer]:
        """What is sent beside a message, which counts as held for the peer until that has reported it."""
        fds, spill = out.fds, len(out.raw) if out.spill >= 0 else 0
        peer.unreported[out.envelope.id] = Sent(fds, kept, spill)
        peer.held_fds += len(kept) + (spill > 0)
        peer.held_bytes += spill
        self.transfers += len(fds)
        return [Transfer(position, fd, -1, *look(fd)) for position, fd in enumerate(fds)]

    def reported(self, peer: Peer, receipts: list[Receipt]) -> list[int]:
        """Records what the peer says it received; returns the messages whose descriptors it may now close."""
        release = []
        records, offset, sent_before = self.records, self.offset, peer.unreported.pop
        now = time.monotonic_ns()
        for receipt in receipts:
            message, received = receipt.message, receipt.received
            if received > now:
                received = now
            sent = sent_before(message, None)
            if sent is PLAIN:  # as most are
                records.append(Outcome(message, "received", received + offset, receipt.flags, []))
            elif sent is not None:
                records.append(
                    Outcome(message, "received", received + offset, receipt.flags, receipt.fds[: len(sent.fds)])
                )
                for position, own in enumerate(sent.fds):
                    theirs = receipt.fds[position] if position < len(receipt.fds) else -1
                    verdict = prove(peer.pid, theirs, own) if theirs >= 0 else ("unproved", Unproved.UNREPORTED.value)
                    records.append(Proof(message, position, *verdict))
                peer.let_go(sent)
                release.append(message)
        return release

    def failed(self, peer: Peer, message: int, state: str, reason: str) -> None:
        """Records that a message was not sent (``failed``), or that nobody will say what became of it (``unknown``)."""
        sent = peer.unreported.pop(message, None)
        if sent is None:
            return
        self.records.append(Outcome(message, state, 0, 0, [], reason))
        for position in range(len(sent.fds)):
            self.records.append(Proof(message, position, "unproved", reason))
        peer.let_go(sent)

    def closed(self, peer: Peer, reason: str) -> None:
        """Records that the peer will report nothing more."""
        self.closed_messages += peer.messages
        peer.messages = 0
        for message in list(peer.unreported):
            self.failed(peer, message, "unknown", reason)

    def take(self) -> list[Record]:
        """The records of this turn."""
        records, self.records = self.records, []
        return records
