"""Who is whose other end, and what waits in a socket of AF_UNIX. Nothing is duplicated for that: sock_diag(7), and
``scm_fds`` in fdinfo."""

from __future__ import annotations

from pairscope.lab.probes import diag, tables
from pairscope.trace.recording import Queue
from pairscope.trace.tasks import Holders


class Sockets:
    """What is known of sockets, by inode."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._asker = diag.Asker()
        self._peers: dict[int, int] = {}
        self._others: set[int] = set()
        """Sockets of other families, and of other network namespaces."""
        self.told: dict[int, Queue] = {}
        """As they were told last."""

    def close(self) -> None:
        self._asker.close()

    def pair(self, one: int, other: int) -> None:
        """The two ends of a socketpair."""
        if one and other:
            self._peers[one], self._peers[other] = other, one

    def ask(self, inode: int) -> diag.Diagnosis | None:
        """What the kernel says of a socket; None: it says nothing."""
        if not inode or inode in self._others:
            return None
        said = self._asker.ask(inode)
        if said is None:
            if self._holders.one(inode):
                self._others.add(inode)
        elif said.peer:
            self.pair(inode, said.peer)
        return said

    def peer(self, inode: int) -> int:
        """Inode of the other end, as far as it is known; 0: it is not."""
        found = self._peers.get(inode, 0)
        if not found:
            self.ask(inode)
        return self._peers.get(inode, 0)

    def forget(self, inode: int) -> None:
        """A socket is connected anew, or its inode has come to another one."""
        self._others.discard(inode)
        other = self._peers.pop(inode, 0)
        if self._peers.get(other) == inode:
            del self._peers[other]

    def in_flight(self, inode: int) -> int:
        """How many descriptors wait in a socket that somebody's table holds; -1: that cannot be seen."""
        found = self._holders.one(inode)
        if found is None:
            return -1
        table, number = found
        try:
            return int(tables.fdinfo(table.tid, number).get("scm_fds", "0"))
        except OSError:
            return -1

    def look(self, inode: int) -> dict[int, Queue | None]:
        """What has changed of a socket, and of its other end, since they were told last."""
        changed: dict[int, Queue | None] = {}
        for one in {inode, self._peers.get(inode, 0)} - {0}:
            said = self.ask(one)
            now = None
            if said is not None and self._holders.one(one):
                now = Queue(self._peers.get(one, 0), said.queue[0], self.in_flight(one))
            if now != self.told.get(one):
                changed[one] = now
                if now is None:
                    del self.told[one]
                else:
                    self.told[one] = now
        return changed
