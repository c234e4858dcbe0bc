"""What the run's own calls say of the queues between its sockets, where the kernel cannot be asked: which descriptors
are in flight, and where a message without a byte stands. Everything here is derived; :mod:`contents` holds it against
what is observed. Pure.
"""

from __future__ import annotations

import dataclasses

_MESSAGES = ("SOCK_DGRAM", "SOCK_SEQPACKET")


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """A descriptor that rides with a message."""

    description: int
    """As the facts number it; 0: not known."""
    inode: int
    kind: str
    sender: str
    number: int
    """By which its sender knew it."""


@dataclasses.dataclass(slots=True, eq=False)
class Sent:
    """One call that sends, from its order on."""

    to: int
    """The inode of the socket in whose queue it lands."""
    size: int
    """Bytes."""
    carried: tuple[Carried, ...]
    messages: bool
    """The socket keeps the borders of messages."""
    data: bytes = b""
    """How it begins."""
    returned: bool = False


class Queues:
    """By the inode of the receiving socket, oldest first."""

    def __init__(self) -> None:
        self._sent: dict[int, list[Sent]] = {}
        self._since: list[Sent] = []

    def sending(self, to: int, kind: str, size: int, data: bytes, carried: tuple[Carried, ...]) -> Sent:
        """A call is about to send `size` bytes, which begin with `data`."""
        sent = Sent(to, size, carried, kind in _MESSAGES, data)
        self._sent.setdefault(to, []).append(sent)
        self._since.append(sent)
        return sent

    def ahead(self) -> list[int]:
        """The sockets from which something was sent before anybody accepted their connection: until then its other end
        has no inode, and stands here as the sender's own, less than 0."""
        return [-to for to in self._sent if to < 0]

    def accepted(self, sender: int, to: int) -> None:
        """The other end of a connection is known by its inode now."""
        self._sent[to] = self._sent.pop(-sender, []) + self._sent.get(to, [])
        for sent in self._sent[to]:
            sent.to = to

    def waiting(self, sender: int) -> list[Sent]:
        """What was sent ahead from there."""
        return [sent for sent in self._sent.get(-sender, ()) if sent.returned]

    def since(self, to: int) -> list[Sent]:
        """What has been sent there since the last look."""
        return [sent for sent in self._since if sent.to == to and sent.returned and sent in self._sent.get(to, ())]

    def brought(self, to: int) -> tuple[Carried, ...]:
        """Every descriptor that has been sent there since the last look, received or not."""
        return tuple(one for sent in self._since if sent.to == to and sent.returned for one in sent.carried)

    def begin_step(self) -> None:
        """Everything that was sent so far has been seen: from here on ``since`` and ``brought`` begin anew."""
        self._since.clear()

    def all(self, inode: int) -> tuple[Carried, ...]:
        """Every descriptor that may be in flight to this socket."""
        return tuple(one for sent in self._sent.get(inode, ()) for one in sent.carried)

    def carrying(self, inode: int) -> list[int]:
        """The sockets to which descriptors of this object may be in flight."""
        return [to for to in self._sent if any(one.inode == inode for one in self.all(to))]

    def returned(self, sent: Sent, value: int | None) -> None:
        """It has returned; a call without a result has sent nothing, and a stream takes no descriptor without a
        byte."""
        if value is None or value < 0 or (value == 0 and not sent.messages):
            self._drop(sent)
            sent.carried = ()
        elif not sent.messages:
            sent.size, sent.data = value, sent.data[:value]
        sent.returned = True

    def received(self, inode: int, descriptors: int, peeked: bool) -> tuple[Carried, ...]:
        """A call has received from this socket, with so many descriptors: which ones those are."""
        queue = self._sent.get(inode, [])
        first = next((sent for sent in queue if sent.messages or sent.carried), None)
        if first is None:
            return ()
        if not peeked and (first.messages or descriptors):
            self._drop(first)
        return first.carried[:descriptors]

    def _drop(self, sent: Sent) -> None:
        queue = self._sent.get(sent.to, [])
        if sent in queue:
            queue.remove(sent)

    def flying(self, inode: int, count: int) -> tuple[Carried, ...] | None:
        """The `count` descriptors that are in flight to this socket; None: what was sent does not tell. What came
        before has left."""
        queue = self._sent.get(inode, [])
        # A call on a stream that has not returned may have queued its first part, and with it what it carries.
        for waiting in ([sent for sent in queue if sent.returned], queue):
            kept: list[Sent] = []
            for sent in reversed(waiting):
                if sum(len(one.carried) for one in kept) + len(sent.carried) > count:
                    break
                kept.insert(0, sent)
            if sum(len(sent.carried) for sent in kept) == count:
                self._sent[inode] = [sent for sent in queue if sent in kept or sent.messages or not sent.returned]
                return tuple(one for sent in kept for one in sent.carried)
        return None

    def messages(self, inode: int) -> list[Sent]:
        """The messages that wait at this socket, those of calls that have not returned left out."""
        return [sent for sent in self._sent.get(inode, []) if sent.messages and sent.returned]
