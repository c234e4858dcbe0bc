"""The viewers: who is here, what waits for each, who has to go and why.

What is sent to many is one object, so what waits for a viewer who does not read is a list of references.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable

from pairscope.live.door import Handed
from pairscope.live.subject import Subject

BEHIND_SECONDS = 15.0
"""So long a viewer may leave something unread."""
BEHIND_BYTES = 1 << 20
"""So many bytes may wait for one viewer, beside what the kernel holds."""
SEND_BUFFER = 128 * 1024
"""Bytes that the kernel holds for one viewer; by itself it would let that grow to 4 MB."""
SILENT_MS = 20_000
"""TCP_USER_TIMEOUT: whose machine acknowledges nothing for so long is dead. With a word every few seconds that finds
the dead within half a minute. tcp(7)."""


class Viewer:
    """One connection that follows a stream."""

    __slots__ = ("address", "apache", "behind", "fd", "left", "since", "sock", "stream", "until")

    def __init__(self, handed: Handed, stream: Subject) -> None:
        self.sock = handed.sock
        self.apache = handed.pid
        """The process that handed it over."""
        self.fd = handed.sock.fileno()
        self.address = handed.address
        self.stream = stream
        self.behind: deque[bytes | memoryview] | None = None
        """What waits for room in its socket; None: nothing."""
        self.since = 0.0
        """Since when something waits (s of the monotonic clock)."""
        self.left = False
        """True: it has been told that it has to go, and goes when it has read that."""
        self.until = float("inf")
        """When it has to come again (s of the monotonic clock)."""


class Viewers:
    """All of them. `room` is told of a viewer whose socket is to be watched for room, or no more."""

    def __init__(self, most: int, each: int, room: Callable[[Viewer, bool], None]) -> None:
        self._most, self._each, self._room = most, each, room
        self.by_fd: dict[int, Viewer] = {}
        self.by_stream: dict[Subject, dict[int, Viewer]] = {}
        self._addresses: Counter[str] = Counter()
        self.behind: dict[int, Viewer] = {}
        """Those for whom something waits."""
        self.sent_bytes = 0
        self.ends: Counter[str] = Counter()
        """How viewers ended: ``left``, ``slow``, ``spoke``; and who was not taken: ``full``, ``crowd``."""

    def __len__(self) -> int:
        return len(self.by_fd)

    def refusal(self, address: str) -> str:
        """Which bound a further viewer would exceed, ``full`` or ``crowd``; empty: none."""
        if len(self.by_fd) >= self._most:
            return "full"
        return "crowd" if self._addresses[address] >= self._each else ""

    def add(self, handed: Handed, stream: Subject) -> Viewer:
        """A new one."""
        viewer = Viewer(handed, stream)
        sock = viewer.sock
        with contextlib.suppress(OSError):  # it may have gone
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.by_fd[viewer.fd] = viewer
        self.by_stream.setdefault(stream, {})[viewer.fd] = viewer
        self._addresses[viewer.address] += 1
        return viewer

    def send(self, viewer: Viewer, block: bytes, now: float) -> None:
        """Sends as much as there is room for; the rest waits."""
        self._send((viewer,), block, now)

    def broadcast(self, stream: Subject, block: bytes, now: float) -> None:
        """Sends to all who follow a stream."""
        those = self.by_stream.get(stream, {}).values()
        self._send([viewer for viewer in those if not viewer.left], block, now)

    def _send(self, those: Iterable[Viewer], block: bytes, now: float) -> None:
        # One loop without a call but send(2): to thousands, a call more for each is a tenth of what sending costs.
        size, total = len(block), 0
        for viewer in those:
            if viewer.behind is not None:
                viewer.behind.append(block)
                continue
            try:
                sent = viewer.sock.send(block)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop(viewer, "left")
                continue
            total += sent
            if sent < size:
                viewer.behind = deque((memoryview(block)[sent:],))
                viewer.since = now
                self.behind[viewer.fd] = viewer
                self._room(viewer, True)
        self.sent_bytes += total

    def resume(self, viewer: Viewer, now: float) -> None:
        """There is room in its socket again."""
        waiting = viewer.behind
        while waiting:
            try:
                sent = viewer.sock.send(waiting[0])
            except BlockingIOError:
                return
            except OSError:
                return self.drop(viewer, "left")
            self.sent_bytes += sent
            viewer.since = now
            if sent < len(waiting[0]):
                waiting[0] = memoryview(waiting[0])[sent:]
                return
            waiting.popleft()
        viewer.behind = None
        self.behind.pop(viewer.fd, None)
        self._room(viewer, False)
        if viewer.left:
            self.drop(viewer, "")

    def late(self, word: bytes, now: float) -> None:
        """Lets those go who are too far behind: with a word after what they are just being sent, and at once if they
        do not read that either."""
        for viewer in list(self.behind.values()):
            assert viewer.behind is not None
            if now > viewer.since + BEHIND_SECONDS:
                self.drop(viewer, "" if viewer.left else "slow")
            elif not viewer.left and sum(map(len, viewer.behind)) > BEHIND_BYTES:
                self.ends["slow"] += 1
                viewer.left = True
                viewer.behind = deque((viewer.behind[0], word))

    def renew(self, word: bytes, now: float) -> None:
        """Lets those go whose time is over: who may still follow comes again."""
        for stream in [stream for stream in self.by_stream if stream.operator]:
            for viewer in [viewer for viewer in self.by_stream[stream].values() if now > viewer.until]:
                if not viewer.left:
                    self.farewell(viewer, word, "again", now)

    def farewell(self, viewer: Viewer, word: bytes, why: str, now: float) -> None:
        """The last word to a viewer, who goes when it is sent."""
        self.ends[why] += 1
        viewer.left = True
        self.send(viewer, word, now)
        if viewer.behind is None:
            self.drop(viewer, "")

    def drop(self, viewer: Viewer, why: str) -> None:
        """It is gone. `why` counts; empty: that is counted already."""
        if self.by_fd.pop(viewer.fd, None) is None:
            return
        if why:
            self.ends[why] += 1
        those = self.by_stream[viewer.stream]
        del those[viewer.fd]
        if not those:
            del self.by_stream[viewer.stream]
        self._addresses[viewer.address] -= 1
        if not self._addresses[viewer.address]:
            del self._addresses[viewer.address]
        self.behind.pop(viewer.fd, None)
        viewer.sock.close()  # the kernel takes it out of epoll: nobody else holds it
