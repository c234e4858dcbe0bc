"""A channel: one end of a SOCK_SEQPACKET pair that speaks the vocabulary.

Who owns a descriptor is in the verb. :meth:`Channel.prepare` and :meth:`Channel.post` *borrow* what they send; an
:class:`Arrival` (:mod:`pairscope.ipc.message`) owns what came until :meth:`Arrival.take`.

Distrust the peer: what does not fit the vocabulary raises :class:`ChannelBroken` with a sentence, all descriptors
that came with it closed, and ends this one channel.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from time import monotonic, monotonic_ns
from typing import Any

import msgspec

from pairscope.ipc.envelope import Envelope, Receipt
from pairscope.ipc.message import Arrival, ChannelBroken, ChannelClosed, Outgoing
from pairscope.ipc.passing import PACKET_MAX, PassingError, close_all, receive, send
from pairscope.ipc.sentences import Broken
from pairscope.ipc.spill import SPILL, put_out, take_in
from pairscope.ipc.spin import Spin
from pairscope.ipc.vocabulary import BY_CODE, BY_NAME, Kind, Role

__all__ = ["CHANNEL_FD", "Arrival", "Channel", "ChannelBroken", "ChannelClosed", "Outgoing", "pair"]

PATIENCE = 2
"""Seconds after which a call that blocks looks at its deadline."""
SEVERAL = b"\xdc"
"""With this byte (msgpack's array 16) begins a packet of several messages; one that travels alone is its own packet."""
TOGETHER = 64
"""Messages that may travel in one packet: one wake-up then brings many. Only those without descriptors do."""
RECEIPTS_MAX = 512
"""Receipts that ride on one message: enough for a full socket queue of about 278 small ones."""
CHANNEL_FD = 3
"""The number under which a child of the supervisor finds its end."""


_several = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_envelope = msgspec.msgpack.Decoder(Envelope).decode
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = _encode({})
_Raw = msgspec.Raw
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises: the two latter, for bytes that are no UTF-8 and for deep nesting, are no MsgspecError."""
_KINDS: dict[int, tuple[Kind, Callable[[msgspec.Raw | bytes], Any]]] = {
    kind.code: (kind, msgspec.msgpack.Decoder(kind.payload).decode) for kind in BY_CODE.values()
}


class Channel:
    """One end. `hears` names the roles whose kinds may arrive here, as in the vocabulary's `sender` column.

    Channels of one thread may share a `buffer` of PACKET_MAX bytes.
    """

    def __init__(
        self, sock: socket.socket, hears: str = "supervisor", blocking: bool = True, buffer: memoryview | None = None
    ) -> None:
        self.sock = sock
        # A fresh buffer for each packet would be 96 KiB from the heap, cleared and given back, a hundred thousand times
        # a second.
        self._buffer = memoryview(bytearray(PACKET_MAX)) if buffer is None else buffer
        sock.setblocking(blocking)
        self._patient = blocking
        if blocking:
            # Whoever blocks in the kernel must look at its deadline now and then.
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PATIENCE, 0))
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._accepted = {code: entry for code, entry in _KINDS.items() if hears in entry[0].sender.split()}
        self.dispose: Callable[[list[int]], object] = close_all
        """What becomes of descriptors that came with something that the vocabulary does not allow."""
        self.held: list[Arrival | ChannelBroken] = []
        """What is left of a packet that was read: messages, and the fault of the one behind them. The socket need not
        be readable for it."""
        self.receipts: list[Receipt] = []
        """What came from the supervisor and is not yet reported."""
        self._reports = hears == Role.SUPERVISOR.value
        self.housekeeping: Counter[str] = Counter()
        """Messages of housekeeping kinds, by name, both ways."""
        self.door = 0
        """The inode of the control socket by which this process came; 0: it did not."""
        self.spare = -1
        """An empty memfd, lent by the supervisor, for a long reply of a process that may make none."""

    def fileno(self) -> int:
        """For select and poll."""
        return self.sock.fileno()

    def close(self) -> None:
        """Closes this end. What the peer has sent is lost; what this end has sent is not."""
        self.sock.close()

    # ---- sending

    def prepare(
        self, kind: str, payload: Any = None, fds: Sequence[int] = (), id: int = 0, job: int = 0, seq: int = 0
    ) -> Outgoing:
        """Encodes a message without sending it; borrows `fds` until it is sent.

        Raises ValueError if the vocabulary forbids it, OSError if no memfd can be had for a long payload,
        RecursionError if it is nested too deeply.
        """
        entry = BY_NAME[kind]
        raw = _NOTHING if payload is None else _encode(payload)
        if not fds:
            envelope = Envelope(entry.code, id, job, seq, 0, _Raw(raw))
        elif len(fds) <= entry.most_fds:
            envelope = Envelope(entry.code, id, job, seq, 0, _Raw(raw), list(fds))
        else:
            raise ValueError(Broken.TOO_MANY.say(kind=kind, most=entry.most_fds, count=len(fds)))
        if len(raw) <= SPILL:
            return Outgoing(entry, envelope, raw, fds)
        return Outgoing(entry, envelope, raw, fds, put_out(kind, envelope, raw, self.spare))

    def stamp(self, out: Outgoing) -> int:
        """Encodes the message with its time of sending and what is to be reported; returns that time (CLOCK_MONOTONIC,
        ns)."""
        envelope = out.envelope
        if receipts := self.receipts:
            if len(receipts) <= RECEIPTS_MAX:
                envelope.receipts, self.receipts = receipts, []
            else:
                envelope.receipts, self.receipts = receipts[:RECEIPTS_MAX], receipts[RECEIPTS_MAX:]
        envelope.sent = now = monotonic_ns()
        out.data = _encode(envelope)
        return now

    def transmit(self, outs: deque[Outgoing]) -> None:
        """Sends from the head of `outs`, as many in a packet as may travel together; what is sent is no longer in
        `outs`.

        Raises BlockingIOError (no room now), BrokenPipeError, OSError: what is in `outs` then was not sent.
        """
        while outs:
            out = outs[0]
            if len(outs) > 1 and not out.fds and out.spill < 0:
                found = self._together(outs)
                send(self.sock, b"".join((SEVERAL, len(found).to_bytes(2, "big"), *found)))
                for _ in found:
                    out = outs.popleft()
                    if out.kind.housekeeping:
                        self.housekeeping[out.kind.name] += 1
            else:
                self._alone(out)
                outs.popleft()

    def _alone(self, out: Outgoing) -> None:
        """Sends one message in a packet of its own. Raises as :meth:`transmit`: it was then not sent."""
        if not out.data:
            self.stamp(out)
        if out.spill < 0:
            send(self.sock, out.data, out.fds)
        else:
            send(self.sock, out.data, [*out.fds, out.spill])
            out.close()
        if out.kind.housekeeping:
            self.housekeeping[out.kind.name] += 1

    def _together(self, outs: deque[Outgoing]) -> list[bytes]:
        """The messages from the head of `outs` that travel in one packet, at least one: those with descriptors travel
        alone."""
        found: list[bytes] = []
        size = 0
        for out in islice(outs, TOGETHER):
            if out.fds or out.spill >= 0:
                break
            if not out.data:
                self.stamp(out)
            data = out.data
            size += len(data)
            if size > SPILL and found:
                break
            found.append(data)
        return found

    def post(
        self,
        kind: str,
        payload: Any = None,
        *,
        fds: Sequence[int] = (),
        job: int = 0,
        seq: int = 0,
        timeout: float | None = None,
    ) -> None:
        """Prepares a message and sends it, waiting for room at most `timeout` seconds (None: for ever).

        Raises ChannelClosed and TimeoutError (it is then not sent), and what :meth:`prepare` raises.
        """
        deadline = None if timeout is None else monotonic() + timeout
        out = self.prepare(kind, payload, fds, 0, job, seq)
        if timeout is None or timeout >= PATIENCE:  # else it may block for longer than it has
            try:
                return self._alone(out)
            except OSError:
                pass  # no room now, or what the second try will say
        self._send((out,), deadline)
        return None

    def send(self, outs: Sequence[Outgoing], timeout: float | None = None) -> None:
        """Sends prepared messages in order, waiting for room as :meth:`post` does.

        Raises ChannelClosed, TimeoutError: what was sent before that is sent.
        """
        deadline = None if timeout is None else monotonic() + timeout
        if len(outs) == 1 and (timeout is None or timeout >= PATIENCE):
            try:
                return self._alone(outs[0])
            except OSError:
                pass  # as in post
        self._send(outs, deadline)
        return None

    def _send(self, outs: Sequence[Outgoing], deadline: float | None) -> None:
        left = deque(outs)
        # else it may block for longer than it has; asking first is one more system call for each packet
        waits = deadline is not None and deadline - monotonic() < PATIENCE
        try:
            while left:
                if waits:
                    self._await(
                        select.POLLOUT,
                        None if deadline is None else deadline - monotonic(),
                        left[0].kind.name,
                    )
                waits = True
                try:
                    self.transmit(left)
                except BlockingIOError:
                    pass
        except (BrokenPipeError, ConnectionResetError):
            raise ChannelClosed(Broken.CLOSED.value) from None
        finally:
            for out in left:
                out.close()
            if left:
                self.receipts[:0] = [receipt for out in left for receipt in out.envelope.receipts]

    # ---- receiving

    def packet(self) -> list[Arrival]:
        """The messages of the next packet, at least one. Raises BlockingIOError (nothing there), ChannelClosed,
        ChannelBroken.

        What comes before a message that does not fit the vocabulary is returned first.
        """
        if self.held:
            return self._take_held()
        try:
            packet = receive(self.sock, self._buffer, self.dispose)
        except PassingError as error:
            raise ChannelBroken(str(error)) from None
        now = monotonic_ns()
        if packet is None:
            raise ChannelClosed(Broken.CLOSED.value)
        data, fds, flags = packet
        try:
            if data[:1] != SEVERAL:
                return [self._arrival(_envelope(data), fds, now, flags, len(data))]
            messages = _several(data)
            if fds or not 0 < len(messages) <= TOGETHER:
                raise ChannelBroken(Broken.SEVERAL.say(count=len(messages), number=len(fds), most=TOGETHER))
            hold, arrival = self.held.append, self._arrival
            for message in messages:
                hold(arrival(_envelope(message), [], now, flags, len(memoryview(message))))
        except _UNDECODABLE as error:
            self.dispose(fds)
            self.held.append(ChannelBroken(Broken.FOREIGN.say(fault=error)))
        except ChannelBroken as error:
            self.dispose(fds)
            self.held.append(error)
        return self._take_held()

    def _take_held(self) -> list[Arrival]:
        """Returns the messages that are held. Where only a fault is held, raises it, now and at every later call."""
        last = self.held[-1]
        if not isinstance(last, ChannelBroken):
            found, self.held = self.held, []
        else:
            found, self.held = self.held[:-1], [last]
            if not found:
                raise last
        return found  # type: ignore[return-value]  # only the last is ever a fault

    def _arrival(self, envelope: Envelope, fds: list[int], received: int, flags: int, size: int) -> Arrival:
        """Checks that the vocabulary allows this message here, and decodes it. Raises ChannelBroken; the descriptors
        are then still the caller's."""
        accepted = self._accepted.get(envelope.kind)
        if accepted is None:
            known = BY_CODE.get(envelope.kind)
            stray = Broken.STRAY.say(kind=known.name) if known else Broken.STRAY_NUMBER.say(number=envelope.kind)
            raise ChannelBroken(stray)
        kind, decode = accepted
        raw: msgspec.Raw | bytes = envelope.payload
        if fds or envelope.fds or envelope.spill:
            if envelope.spill or not len(envelope.fds) == len(fds) <= kind.most_fds:
                raw, size = take_in(kind, envelope, fds, size, self.spare)
        payload = decode(raw)
        if kind.housekeeping:
            self.housekeeping[kind.name] += 1
        elif envelope.id and self._reports:  # a peer that gives its messages ids is owed nothing for them
            self.receipts.append(Receipt(envelope.id, received, flags, [*fds]))
        return Arrival(kind, envelope, payload, raw, fds, received, flags, size)

    def receive(self) -> Arrival:
        """The next message alone. Raises as :meth:`packet`."""
        found = self.packet()
        if len(found) > 1:
            self.held[:0] = found[1:]
        return found[0]

    def wait(self, timeout: float | None = None, spin: Spin | None = None) -> list[Arrival]:
        """The messages of the next packet, after waiting for it at most `timeout` seconds (None: for ever); [] if none
        comes.

        With `spin` it asks again before it sleeps, where that pays. Raises as :meth:`packet`.
        """
        if timeout is None and self._patient and spin is None:
            while True:
                try:
                    return self.packet()
                except BlockingIOError:  # PATIENCE is over
                    pass
        if self.held:
            return self._take_held()
        begun = now = monotonic()
        until = None if timeout is None else begun + timeout
        if spin is not None:
            spin.ask(self._poll.poll, begun)
        while until is None or now <= until:
            # A call that blocks in the kernel saves the poll(2) before it.
            if (self._patient and (until is None or until - now >= PATIENCE)) or self._await(
                select.POLLIN, None if until is None else until - now
            ):
                try:
                    found = self.packet()
                    if spin is not None:
                        spin.waited(monotonic() - begun)
                    return found
                except BlockingIOError:
                    pass
            now = monotonic()
        return []

    @property
    def readable(self) -> bool:
        """True: a packet, or the end, is there."""
        return bool(self._poll.poll(0))

    def _await(self, event: int, timeout: float | None, kind: str = "") -> bool:
        poll = self._poll
        if event != select.POLLIN:
            poll = select.poll()
            poll.register(self.sock, event)
        ready = poll.poll(None if timeout is None else max(0, timeout) * 1000)
        if not ready and kind:
            raise TimeoutError(Broken.NO_ROOM.say(kind=kind))
        return bool(ready)


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a fresh socketpair(AF_UNIX, SOCK_SEQPACKET), both close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
