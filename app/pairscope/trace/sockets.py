"""Who is whose other end, and what waits in a socket of AF_UNIX. Nothing is duplicated for that: sock_diag(7), and
``scm_fds`` in fdinfo."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading

from pairscope.lab.probes import diag, tables
from pairscope.trace.recording import Queue
from pairscope.trace.tasks import Holders

_NEWNET = 0x40000000
"""CLONE_NEWNET, linux/sched.h."""


class Sockets:
    """What is known of sockets, by inode."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._asker = diag.Asker()
        self._abroad: dict[int, diag.Asker | None] = {_network("self"): self._asker}
        """By network namespace, whom to ask there; None: nobody can be."""
        self._settled: dict[int, diag.Asker] = {}
        """By socket, who knows it, where that is another one."""
        self._peers: dict[int, int] = {}
        self._others: set[int] = set()
        """Sockets of other families, and of other network namespaces."""
        self.told: dict[int, Queue] = {}
        """As they were told last."""

    def close(self) -> None:
        for asker in self._abroad.values():
            if asker is not None:
                asker.close()

    def pair(self, one: int, other: int) -> None:
        """The two ends of a socketpair."""
        if one and other:
            self._peers[one], self._peers[other] = other, one

    def ask(self, inode: int) -> diag.Diagnosis | None:
        """What the kernel says of a socket; None: it says nothing."""
        if not inode or inode in self._others:
            return None
        said = self._settled.get(inode, self._asker).ask(inode)
        if said is None:
            if held := self._holders.one(inode):
                said = self._elsewhere(inode, held[0].tid)
                if said is None:
                    self._others.add(inode)
        if said is not None and said.peer:
            self.pair(inode, said.peer)
        return said

    def _elsewhere(self, inode: int, tid: int) -> diag.Diagnosis | None:
        """What the kernel says of a socket of the network namespace that its holder is in: it tells of the asker's own
        alone."""
        network = _network(tid)
        if network and network not in self._abroad:
            self._abroad[network] = _asker_at(tid)
        for asker in self._abroad.values():
            if asker is not None and asker is not self._asker and (said := asker.ask(inode)) is not None:
                self._settled[inode] = asker
                return said
        return None

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


def _network(task: int | str) -> int:
    """The network namespace of a task; 0: it is hidden. namespaces(7)"""
    try:
        return os.stat(f"/proc/{task}/ns/net").st_ino
    except OSError:
        return 0


def _asker_at(tid: int) -> diag.Asker | None:
    """Somebody to ask in a task's network namespace; None: this user may not enter it. A socket stays in that in which
    it was made, so a thread goes there, makes it, and ends: setns(2)."""
    made: list[diag.Asker] = []

    def go() -> None:
        with contextlib.suppress(OSError), open(f"/proc/{tid}/ns/net") as namespace:
            if not ctypes.CDLL(None).setns(namespace.fileno(), _NEWNET):
                made.append(diag.Asker())

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    return made[0] if made else None
