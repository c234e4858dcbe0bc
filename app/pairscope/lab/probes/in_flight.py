"""What waits in the queues of sockets, and the descriptors that are in flight there: SCM_RIGHTS, unix(7).

A descriptor in flight stands in no table. A peek with a control buffer gives this process a duplicate of it, by which
it is asked like any other; and if it is a socket, its own queue is followed in turn.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable

from pairscope.lab.probes import peek, sockets, tables
from pairscope.lab.probes.descriptions import Descriptions, Queue

MOST = 256
"""Descriptors in flight that one call asks the kernel about. Of further ones it counts, and no more."""


def follow(descriptions: Descriptions, empties: Callable[[int], int]) -> None:
    """Looks into the queue of each socket, and takes in the descriptions that are in flight there.

    `empties`: how many messages without a byte the caller knows to wait in a socket of this inode. The kernel shows
    such a message and the end alike, so at the end of a queue no more than these are passed over.
    """
    left = MOST
    for description in descriptions.all:  # it grows meanwhile
        sock = description.sock
        if sock is None or sockets.listens(sock) or sock.family not in sockets.QUEUES:
            continue
        flying = int(tables.fdinfo(os.getpid(), description.own).get("scm_fds", "0"))
        description.queue = queue = _queue(sock, description.inode, empties, min(flying, left))
        if flying:
            carried = [[descriptions.adopt(own, description.inode) for own in fds] for fds in queue.waits.fds]
            left -= sum(map(len, carried))
            queue.carried = carried if sum(map(len, carried)) == flying else None


def _queue(sock: socket.socket, inode: int, empties: Callable[[int], int], descriptors: int) -> Queue:
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLPRI | select.POLLRDHUP)
    events = dict(poller.poll(0)).get(sock.fileno(), 0)
    queue = Queue(
        peek.Waits(),
        error=bool(events & select.POLLERR),
        ends=bool(events & (select.POLLRDHUP | select.POLLHUP)),
    )
    if events & (select.POLLIN | select.POLLPRI) and not queue.error:
        queue.waits = peek.walk(sock, sockets.borders(sock), empties(inode) if queue.ends else peek.MOST, descriptors)
    return queue
