"""What waits for peers that do not read: how much of each, how much of all, and who has to go when it is too much.

Messages alone are no measure: an answer may have 16 MiB, which wait in a memfd and so cost a descriptor as well. They
wait until the peer's receipt has come, not until they are sent: a socket takes some 280 messages whose memfds nobody
has.
"""

from __future__ import annotations

from pairscope.ipc.sentences import Gone
from pairscope.pool.members import Member

BYTES_EACH = 64 * 1024 * 1024
"""Bytes that may wait for one peer: four of the longest messages."""
BYTES_ALL = 256 * 1024 * 1024
FDS_EACH = 512
FDS_ALL = 2048
"""Descriptors; fewer where the process may have few, of which this is an eighth."""


class Unread:
    """Of all peers of one supervisor. `descriptors`: as many may this process have."""

    def __init__(self, descriptors: int) -> None:
        self.fds_all = max(1, min(FDS_ALL, descriptors // 8))
        self.fds_each = max(1, min(FDS_EACH, self.fds_all // 2))
        self.bytes = 0
        self.fds = 0
        self.let_go = 0
        """Peers that had to go."""
        self._waiting: set[Member] = set()

    def count(self, member: Member) -> tuple[Member, str] | None:
        """Counts what waits for a peer now. Returns who has to go for it, which may be another, and why."""
        waiting = member.held_bytes + member.backlog()
        fds = member.held_fds
        self.bytes += waiting - member.unread_bytes
        self.fds += fds - member.unread_fds
        member.unread_bytes, member.unread_fds = waiting, fds
        member.counted = bool(waiting or fds)
        if not member.counted:
            self._waiting.discard(member)
            return None
        self._waiting.add(member)
        if waiting > BYTES_EACH:
            return member, Gone.BYTES.say(bytes=waiting, most=BYTES_EACH)
        if fds > self.fds_each:
            return member, Gone.DESCRIPTORS.say(count=fds, most=self.fds_each)
        if self.bytes > BYTES_ALL:
            worst = max(self._waiting, key=lambda one: one.unread_bytes)
            return worst, Gone.MOST_BYTES.say(bytes=worst.unread_bytes, count=self.bytes, most=BYTES_ALL)
        if self.fds > self.fds_all:
            worst = max(self._waiting, key=lambda one: one.unread_fds)
            return worst, Gone.MOST_DESCRIPTORS.say(first=worst.unread_fds, count=self.fds, most=self.fds_all)
        return None

    def forget(self, member: Member) -> None:
        """Nothing waits for a peer any more."""
        self.bytes -= member.unread_bytes
        self.fds -= member.unread_fds
        member.unread_bytes = member.unread_fds = 0
        member.counted = False
        self._waiting.discard(member)
