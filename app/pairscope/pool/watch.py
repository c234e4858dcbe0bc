"""The watch: which descriptors the one selector looks at, and who reacts when one is ready. epoll(7)."""

from __future__ import annotations

import functools
import select
from collections.abc import Callable

from pairscope.pool.members import ChildMember, Member


class Watch:
    """`read` takes what a peer's channel has, by the mask of epoll(7); `died` is told of a child whose pidfd says
    so."""

    def __init__(self, read: Callable[[Member, int], None], died: Callable[[ChildMember], None]) -> None:
        self._epoll = select.epoll()
        self._read, self._died = read, died
        self.poll = self._epoll.poll
        self.reactions: dict[int, Callable[[int], None]] = {}
        """By descriptor: what to do with the mask."""

    def add(self, fd: int, react: Callable[[int], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        self.reactions[fd] = react

    def remove(self, fd: int) -> None:
        self._epoll.unregister(fd)
        del self.reactions[fd]

    def listen(self, fd: int, on: bool) -> None:
        """Whether one that was added is looked at."""
        self._epoll.modify(fd, select.EPOLLIN if on else 0)

    def meet(self, member: Member) -> None:
        """Looks at a peer's channel from now on, and at a child's pidfd."""
        self.add(member.channel.fileno(), functools.partial(self._read, member))
        if isinstance(member, ChildMember):
            self.add(member.child.pidfd, lambda _: self._died(member))

    def room(self, member: Member) -> None:
        """Looks for room in a peer's socket while something waits for it, and no longer."""
        writing = bool(member.outbox)
        if writing != member.writing and member.open:
            member.writing = writing
            self._epoll.modify(member.channel.fileno(), select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def close(self) -> None:
        self._epoll.close()
