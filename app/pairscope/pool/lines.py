"""The lines to the peers: what is to be said, sent and reported. The one owner of the list of who can be written to.

A peer that fails is marked here, and nothing else: it gets nothing any more, and stands on the list of the lost. It is
lost in one place of the supervisor's turn. So whoever says or sends something need not think of what the loss of its
peer does to jobs, to other peers and to itself.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any, Protocol

from pairscope.ipc.channel import Outgoing
from pairscope.ipc.envelope import Receipt
from pairscope.ipc.passing import close_all
from pairscope.ipc.payloads import Release
from pairscope.ipc.sentences import Gone, Unsent
from pairscope.pool.agenda import Agenda
from pairscope.pool.members import ChildMember, Member
from pairscope.pool.tap import Tap
from pairscope.pool.unread import Unread
from pairscope.pool.watch import Watch

OUTBOX_MOST = 8192
"""Messages that may wait for a client that does not read; then its channel is closed."""
UNREPORTED_MOST = 65_536
"""Messages that a peer may leave without a receipt: more than what fits into an outbox, a socket and its own list
together."""
REASON_MOST = 400
"""Characters of a reason: a peer may have written it."""


class Keeper(Protocol):
    """Keeps what clients are told until the disk has its records: disk.py."""

    def withhold(self, member: Member, out: Outgoing) -> None: ...

    def take(self, member: Member) -> list[Outgoing]: ...


class Lines:
    """All lines of one supervisor."""

    def __init__(self, tap: Tap, watch: Watch, agenda: Agenda, unread: Unread) -> None:
        self._tap, self._watch, self._agenda = tap, watch, agenda
        self.unread = unread
        self.disk: Keeper | None = None
        """None: clients need not wait."""
        self.writable: dict[Member, None] = {}
        """Peers whose outbox is to be sent at the end of this turn, in the order in which that was decided."""
        self.reports: list[tuple[Member, list[Receipt]]] = []
        """What peers said of earlier messages in those of the last turns: looked at when nothing else has come, for
        nobody waits for it."""
        self.lost: dict[Member, None] = {}
        """Peers that are marked, in the order in which they were."""

    # ---- saying and sending

    def say(
        self,
        member: Member,
        kind: str,
        payload: Any,
        job: int = 0,
        seq: int = 0,
        fds: Sequence[int] = (),
        kept: Sequence[int] = (),
    ) -> int:
        """Decides that a message shall be sent in this turn; returns its id, 0 for housekeeping. `kept`: descriptors to
        be closed when the outcome is known. A message that cannot even be made marks the peer."""
        try:
            out = member.channel.prepare(kind, payload, fds, 0, job, seq)
        except (OSError, ValueError, RecursionError) as error:
            close_all(kept)
            self.fail(member, Unsent.CANNOT.say(kind=kind, why=error))
            return 0
        identity = 0 if out.kind.housekeeping else self._tap.sending(member, out, kept)
        self.put(member, out)
        return identity

    def put(self, member: Member, out: Outgoing) -> None:
        """Decides that a prepared message shall be sent in this turn. It is recorded elsewhere, or not at all."""
        if self.disk is not None and member.hears_late:
            self.disk.withhold(member, out)
        else:
            member.outbox.append(out)
            self.writable[member] = None

    def resume(self, member: Member) -> None:
        """What waits in the peer's outbox may go at the end of this turn."""
        self.writable[member] = None

    def write(self) -> None:
        """Sends what was decided, as long as nobody fails: what the others are to be told of that loss goes with what
        they are told anyway.

        It marks and decides nothing, so nothing is sent here that is not journaled.
        """
        writable, self.writable = self.writable, {}
        for member in writable:
            if self.lost:
                self.writable[member] = None
            else:
                self._write(member)

    def _write(self, member: Member) -> None:
        """Sends what the peer has room for; the rest stays in its outbox until it has room again."""
        outbox = member.outbox
        if not member.open:
            return self.unsent(member, Unsent.CLOSED.say(peer=member))
        try:
            member.channel.transmit(outbox)
        except BlockingIOError:
            pass
        except OSError as error:
            self.unsent(member, Unsent.SENDMSG.say(peer=member, fault=error.strerror))
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                # ETOOMANYREFS, ENOBUFS: the peer would wait for ever for what it will never get. That it has closed its
                # end is found out by reading.
                return self.fail(member, Unsent.SENDMSG_TO_IT.say(fault=error.strerror))
        if outbox or member.held_fds or member.counted or member.writing:
            self.count(member)
            if len(outbox) > OUTBOX_MOST:
                return self.fail(member, Gone.MESSAGES.say(most=OUTBOX_MOST))
            self._watch.room(member)
        if len(member.unreported) > UNREPORTED_MOST:
            self.fail(member, Gone.UNREPORTED.say(most=UNREPORTED_MOST))

    def count(self, member: Member) -> None:
        """Marks who has to go for what waits for this peer, and for all."""
        if (found := self.unread.count(member)) is not None and found[0].open:
            self.unread.let_go += 1
            self.fail(*found)

    def unsent(self, member: Member, reason: str) -> None:
        """What waits in the outbox, or for the disk, is not sent."""
        self.unread.forget(member)
        if self.disk is not None:
            member.outbox += self.disk.take(member)
        while member.outbox:
            out = member.outbox.popleft()
            out.close()
            if out.envelope.id:
                self._tap.failed(member, out.envelope.id, "failed", reason)

    def report(self) -> None:
        """Records what peers have reported, and lets them close what they kept for the proofs that are now made."""
        reports, self.reports = self.reports, []
        for member, receipts in reports:
            for message in self._tap.reported(member, receipts):
                self.say(member, "release", Release(message))
            if member.counted:  # and perhaps less than it was
                self.count(member)

    # ---- marking

    def fail(self, member: Member, reason: str) -> None:
        """Marks a peer for its fault: its channel will be closed, and a child killed."""
        if member.open:
            member.fault = reason[:REASON_MOST]
            self.part(member, member.fault)

    def part(self, member: Member, reason: str) -> None:
        """Marks a peer whose channel has come to its end, or is to be closed without any fault of its own."""
        if member.open:
            member.open = member.able = False
            member.loss = reason
            self.lost[member] = None
            self._agenda.wake()

    def died(self, child: ChildMember) -> None:
        """Marks a child whose process has ended. Everything that it had sent has been read."""
        # somebody else may hold its end as well, a debugger perhaps: end-of-file need never come
        self.part(child, Gone.ENDED.value)
        child.dead = True
        self.lost[child] = None
