"""A channel: one end of a SOCK_SEQPACKET pair that speaks the vocabulary.

Who owns a descriptor is in the verb. :meth:`Channel.prepare` and :meth:`Channel.post` *borrow* what they send; an
:class:`Arrival` owns what came until :meth:`Arrival.take`; :meth:`Arrival.close` closes the rest.

Distrust the peer: what does not fit the vocabulary raises :class:`ChannelBroken` with a sentence, all descriptors
that came with it closed, and ends this one channel.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import Counter, deque
from typing import Any, Sequence

import msgspec

from app.ipc import memfd
from app.ipc.passing import PACKET_MAX, PassingError, close_all, receive, send
from app.ipc.vocabulary import BY_CODE, BY_NAME, Envelope, Kind, Receipt

SPILL = 64 * 1024
"""Bytes of payload beyond which it travels as a sealed memfd."""
PATIENCE = 2
"""Seconds after which a call that blocks looks at its deadline."""
SPILL_MAX = 16 * 1024 * 1024
TOGETHER = 64
"""Messages that may travel in one packet: one wake-up then brings many. Only those without descriptors do."""
RECEIPTS_MAX = 512
"""Receipts that ride on one message: enough for a full socket queue of about 278 small ones."""


class ChannelClosed(Exception):
    """The peer's end is closed and everything it had sent has been read."""


class ChannelBroken(Exception):
    """The peer said something that the vocabulary does not allow."""


class Arrival(msgspec.Struct, eq=False, gc=False):
    """One message that came, with its descriptors."""

    kind: Kind
    envelope: Envelope
    payload: Any
    raw: Any
    """The payload as it travelled."""
    fds: list[int]
    received: int
    """CLOCK_MONOTONIC in ns."""
    flags: int
    size: int
    """Bytes of the message, header and payload, and of its spill."""

    def take(self) -> list[int]:
        """The descriptors; the caller owns them now."""
        fds, self.fds = self.fds, []
        return fds

    def close(self) -> None:
        """Closes the descriptors that nobody took."""
        if self.fds:
            close_all(self.take())


class Outgoing(msgspec.Struct, eq=False, gc=False):
    """A message ready to be sent: borrows its descriptors, owns its spill."""

    kind: Kind
    envelope: Envelope
    raw: bytes
    fds: Sequence[int]
    spill: int
    """A sealed memfd, or -1."""
    data: bytes = b""
    """The message, once it is encoded."""

    @property
    def size(self) -> int:
        """Bytes of the message, header and payload, and of its spill."""
        return len(self.data) + (len(self.raw) if self.spill >= 0 else 0)

    def close(self) -> None:
        """Closes the spill."""
        if self.spill >= 0:
            os.close(self.spill)
            self.spill = -1


_envelope_decoder = msgspec.msgpack.Decoder(Envelope)
_single_decoder = msgspec.msgpack.Decoder(tuple[Envelope])
_packet_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_payload_decoders = {kind.code: msgspec.msgpack.Decoder(kind.payload) for kind in BY_CODE.values()}
_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_NOTHING = _encode({})
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises: the two latter, for bytes that are no UTF-8 and for deep nesting, are no MsgspecError."""


class Channel:
    """One end. `hears` names the roles whose kinds may arrive here, as in the vocabulary's `sender` column.

    Channels of one thread may share a `buffer` of PACKET_MAX bytes.
    """

    def __init__(
        self, sock: socket.socket, hears: str = "supervisor", blocking: bool = True, buffer: memoryview | None = None
    ) -> None:
        self.sock = sock
        # A fresh buffer for each packet would be 96 KiB from the heap, cleared and given back, a hundred thousand times a second.
        self._buffer = memoryview(bytearray(PACKET_MAX)) if buffer is None else buffer
        sock.setblocking(blocking)
        self._patient = blocking
        if blocking:
            # A call that blocks in the kernel saves the poll(2) before it; now and then it must look at its deadline.
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PATIENCE, 0))
        self._accepted = {kind.code for kind in BY_CODE.values() if hears in kind.sender.split()}
        self._waiting: deque[tuple[msgspec.Raw, int, int]] = deque()
        self.receipts: list[Receipt] = []
        """What came from the supervisor and is not yet reported."""
        self.housekeeping: Counter[str] = Counter()
        """Messages of housekeeping kinds, by name, both ways."""
        self.spare = -1
        """An empty memfd, lent by the supervisor, for a long reply of a process that may make none."""

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    # ---- sending

    def prepare(self, kind: str, payload: Any = None, *, fds: Sequence[int] = (), id: int = 0, job: int = 0, seq: int = 0) -> Outgoing:
        """Encodes a message without sending it; borrows `fds` until it is sent.

        Raises ValueError if the vocabulary forbids it, OSError if no memfd can be had for a long payload, RecursionError
        if it is nested too deeply.
        """
        entry = BY_NAME[kind]
        if len(fds) > entry.most_fds:
            raise ValueError(f"{kind} carries at most {entry.most_fds} descriptors, not {len(fds)}")
        raw = _NOTHING if payload is None else _encode(payload)
        spill = -1
        size = len(raw)
        if size > SPILL:
            if size > SPILL_MAX:
                raise ValueError(f"the payload has {size} bytes; at most {SPILL_MAX} can travel")
            if self.spare >= 0:
                memfd.write_all(self.spare, raw)
                envelope = Envelope(entry.code, id, job, seq, 0, msgspec.Raw(b"\xc0"), list(fds), -size)
            else:
                spill = memfd.sealed(f"spill of {kind}", raw)
                envelope = Envelope(entry.code, id, job, seq, 0, msgspec.Raw(b"\xc0"), list(fds), size)
        else:
            envelope = Envelope(entry.code, id, job, seq, 0, msgspec.Raw(raw), list(fds))
        return Outgoing(entry, envelope, raw, fds, spill)

    def transmit(self, outs: Sequence[Outgoing]) -> None:
        """Sends prepared messages in one packet, once; more than one only if :func:`together` says so.

        Raises BlockingIOError (try again later), BrokenPipeError, OSError; then none of them is sent.
        """
        first = outs[0]
        if len(outs) == 1:
            if not first.data:
                self.stamp(first)
            fds = first.fds if first.spill < 0 else [*first.fds, first.spill]
            send(self.sock, b"\x91" + first.data, fds)
        else:
            for out in outs:
                if not out.data:
                    self.stamp(out)
            send(self.sock, b"".join((b"\xdc", len(outs).to_bytes(2, "big"), *[out.data for out in outs])))
        for out in outs:
            if out.kind.housekeeping:
                self.housekeeping[out.kind.name] += 1
            if out.spill >= 0:
                out.close()

    def stamp(self, out: Outgoing) -> int:
        """Encodes the message with its time of sending and what is to be reported; returns that time (CLOCK_MONOTONIC, ns)."""
        envelope = out.envelope
        if self.receipts:
            envelope.receipts, self.receipts = self.receipts[:RECEIPTS_MAX], self.receipts[RECEIPTS_MAX:]
        envelope.sent = now = time.monotonic_ns()
        out.data = _encode(envelope)
        return now

    def post(self, kind: str, payload: Any = None, *, fds: Sequence[int] = (), job: int = 0, seq: int = 0, timeout: float | None = None) -> None:
        """Prepares and sends, waiting for room. Raises ChannelClosed, or TimeoutError after `timeout` seconds: it is then not sent."""
        self.send((self.prepare(kind, payload, fds=fds, job=job, seq=seq),), timeout)

    def send(self, outs: Sequence[Outgoing], timeout: float | None = None) -> None:
        """As :meth:`post_all`, and fast where it is one message."""
        if len(outs) > 1:
            return self.post_all(outs, timeout)
        try:
            self.transmit(outs)
        except BlockingIOError:
            self.post_all(outs, timeout)
        except (BrokenPipeError, ConnectionResetError):
            outs[0].close()
            raise ChannelClosed("the peer has closed its end") from None
        except BaseException:
            outs[0].close()
            raise

    def post_all(self, outs: Sequence[Outgoing], timeout: float | None = None) -> None:
        """Sends prepared messages in order, waiting for room. Raises as :meth:`post`; what was sent before then is sent."""
        deadline = None if timeout is None else time.monotonic() + timeout
        done = 0
        try:
            for out in outs:
                if not out.data:
                    self.stamp(out)
            while done < len(outs):
                count = together(outs, done)
                try:
                    self.transmit(outs[done : done + count])
                    done += count
                except BlockingIOError:
                    self._await(select.POLLOUT, None if deadline is None else deadline - time.monotonic(), f"room for {outs[done].kind.name}")
                except (BrokenPipeError, ConnectionResetError):
                    raise ChannelClosed("the peer has closed its end") from None
        finally:
            for out in outs:
                out.close()
            self.receipts[:0] = [receipt for out in outs[done:] for receipt in out.envelope.receipts]

    # ---- receiving

    def receive(self) -> Arrival:
        """The next message. Raises BlockingIOError (nothing there), ChannelClosed, ChannelBroken."""
        if self._waiting:
            data, received, flags = self._waiting.popleft()
            return self._parse(data, _envelope_decoder, len(memoryview(data)), [], received, flags)
        try:
            packet = receive(self.sock, self._buffer)
        except PassingError as error:
            raise ChannelBroken(str(error)) from None
        received = time.monotonic_ns()
        if packet is None:
            raise ChannelClosed("the peer has closed its end")
        data, fds, flags = packet.data, packet.fds, packet.flags
        if data[0] == 0x91:
            return self._parse(data, _single_decoder, len(data) - 1, fds, received, flags)
        try:
            messages = _packet_decoder.decode(data)
            if fds or not 0 < len(messages) <= TOGETHER:
                raise ChannelBroken(f"a packet of {len(messages)} messages with {len(fds)} descriptors; several come without any, at most {TOGETHER}")
        except _UNDECODABLE as error:
            close_all(fds)
            raise ChannelBroken(f"what came does not fit the vocabulary: {error}") from None
        except ChannelBroken:
            close_all(fds)
            raise
        self._waiting.extend((message, received, flags) for message in messages)
        return self.receive()

    @property
    def waiting(self) -> bool:
        """True: messages of a packet that was read are still to be received; the socket need not be readable for them."""
        return bool(self._waiting)

    def _parse(self, data: bytes | msgspec.Raw, decoder: Any, size: int, fds: list[int], received: int, flags: int) -> Arrival:
        try:
            envelope = decoder.decode(data)
            if decoder is _single_decoder:
                (envelope,) = envelope
            kind = BY_CODE.get(envelope.kind)
            if kind is None or envelope.kind not in self._accepted:
                name = kind.name if kind else f"kind {envelope.kind}"
                raise ChannelBroken(f"{name} may not arrive here")
            raw = envelope.payload
            spilled = envelope.spill
            expected = len(envelope.fds) + (1 if spilled > 0 else 0)
            if len(fds) != expected or len(envelope.fds) > kind.most_fds:
                raise ChannelBroken(f"{kind.name} announced {expected} descriptors (at most {kind.most_fds}), {len(fds)} came")
            if spilled > 0:
                raw = self._unspill(fds.pop(), spilled)
                size += spilled
            elif spilled < 0:
                if self.spare < 0 or -spilled > SPILL_MAX:
                    raise ChannelBroken(f"{kind.name} announced a reply in a spare that it was not lent")
                raw = memfd.read_all(self.spare, -spilled)
                size -= spilled
            payload = _payload_decoders[envelope.kind].decode(raw)
        except _UNDECODABLE as error:
            close_all(fds)
            raise ChannelBroken(f"what came does not fit the vocabulary: {error}") from None
        except ChannelBroken:
            close_all(fds)
            raise
        if kind.housekeeping:
            self.housekeeping[kind.name] += 1
        elif envelope.id:
            self.receipts.append(Receipt(envelope.id, received, flags, list(fds)))
        return Arrival(kind, envelope, payload, raw, fds, received, flags, size)

    def next(self, timeout: float | None = None) -> Arrival | None:
        """The next message, after waiting for it at most `timeout` seconds (None: for ever); None if there is none. Raises as :meth:`receive`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._waiting:
            left = None if deadline is None else deadline - time.monotonic()
            if self._patient and (left is None or left >= PATIENCE):
                try:
                    return self.receive()
                except BlockingIOError:
                    continue
            return self.receive() if self._await(select.POLLIN, left) else None
        return self.receive()

    def wait(self, timeout: float | None = None) -> list[Arrival]:
        """Every message that is there, after waiting as :meth:`next` for the first. Raises ChannelClosed."""
        first = self.next(timeout)
        arrivals = [] if first is None else [first]
        while arrivals and (self._waiting or self._await(select.POLLIN, 0)):
            try:
                arrivals.append(self.receive())
            except ChannelClosed:
                break
        return arrivals

    def _await(self, event: int, timeout: float | None, what: str = "") -> bool:
        poll = select.poll()
        poll.register(self.sock, event)
        ready = poll.poll(None if timeout is None else max(0, timeout) * 1000)
        if not ready and what:
            raise TimeoutError(f"no {what} within the time")
        return bool(ready)

    @staticmethod
    def _unspill(fd: int, size: int) -> bytes:
        try:
            if not memfd.is_sealed(fd):
                raise ChannelBroken("a long payload came in a memfd that is not sealed")
            if size > SPILL_MAX or os.fstat(fd).st_size != size:
                raise ChannelBroken(f"a long payload announced {size} bytes, its memfd has {os.fstat(fd).st_size}")
            return memfd.read_all(fd, size)
        finally:
            os.close(fd)


def together(outs: Sequence[Outgoing], start: int) -> int:
    """How many messages of `outs`, from `start` on, travel in one packet: one with descriptors travels alone."""
    size = count = 0
    for out in outs[start : start + TOGETHER]:
        size += len(out.data or out.raw)  # housekeeping is stamped when it is sent
        if out.fds or out.spill >= 0 or size > SPILL:
            break
        count += 1
    return count or 1


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a fresh socketpair(AF_UNIX, SOCK_SEQPACKET), both close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
