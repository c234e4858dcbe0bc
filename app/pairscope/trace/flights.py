"""Descriptors that are in flight by SCM_RIGHTS, and the proof of their receipt: docs/recorder.md, "How a passage is
proved".

A duplicate is taken when the sending is let through the turnstile. It is closed at the receipt, and as soon as the
kernel no longer has the descriptor in flight: kept longer, it would withhold end-of-file from the program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import socket
from collections.abc import Callable, Sequence

from pairscope.ipc import descriptor
from pairscope.lab.calls import cmsg
from pairscope.lab.calls.decoding import MESSAGE, Memory
from pairscope.lab.probes import tables
from pairscope.trace.decoding import control_at, headers
from pairscope.trace.recording import Counts, End, Passage, Proof
from pairscope.trace.sentences import Unseen
from pairscope.trace.sockets import Sockets
from pairscope.trace.tasks import Call, Scene, Table, Task, inode_of


@dataclasses.dataclass(eq=False, slots=True)
class Flight:
    """A descriptor that was sent."""

    call: Call
    process: int
    table: Table
    number: int
    object: str
    own: int
    """This process's duplicate; -1: there is none."""
    source: int
    target: int
    """Inodes of the sockets. 0: the receiver has not been accepted, or is not known."""
    part: int
    """Which message of its call has it."""
    named: bool
    """It was sent to an address, and not to the other end."""
    sent: bool = False
    end: End | None = None
    receiver: int | None = None
    received_as: int | None = None
    received_at: int | None = None
    proof: Proof = ""
    why: str = ""

    def close(self) -> None:
        if self.own >= 0:
            os.close(self.own)
            self.own = -1

    def passage(self) -> Passage:
        return Passage(
            self.process, self.number, self.call.step, self.object, self.end or "in flight", self.receiver,
            self.received_as, self.received_at, self.proof, self.why,
        )  # fmt: skip


def rights(control: bytes) -> list[int]:
    """The descriptors that control data pass."""
    found: list[int] = []
    for part in cmsg.parts(control):
        if part.type == "SCM_RIGHTS":
            found += part.fds or ()
    return found


Place = bytes | tuple[int, int]
"""Where a socket is bound: an abstract address with its network namespace; a file, by device and inode; or a path of
which no more is known."""


def place(tid: int, address: bytes) -> Place:
    """Where an address of AF_UNIX leads a task: unix(7). Two paths may be one file, and one path two."""
    if address[2:3] == b"\0":
        with contextlib.suppress(OSError):
            return os.readlink(b"/proc/%d/ns/net" % tid) + address
        return address
    path = address[2:].partition(b"\0")[0]
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(b"/proc/%d/%s/%s" % (tid, b"root" if path.startswith(b"/") else b"cwd", path))
        return found.st_dev, found.st_ino
    return path


class Flights:
    """All that were sent."""

    def __init__(self, scene: Scene, sockets: Sockets) -> None:
        self._scene = scene
        self._sockets = sockets
        self._all: list[Flight] = []
        self.flying: dict[Flight, None] = {}
        self._bound: dict[Place, int] = {}
        self._listener: dict[int, int] = {}
        """Inode of one that has connected to the inode of the listening socket."""
        self._unmatched = 0

    # ---- who is reached

    def bound(self, tid: int, inode: int, address: bytes) -> None:
        """A task has bound a socket."""
        self._bound[place(tid, address)] = inode

    def connected(self, inode: int) -> None:
        """A socket was connected. Who has not been accepted waits at a listening socket, which says so."""
        self._sockets.forget(inode)
        self._listener.pop(inode, None)
        if self._sockets.ask(inode) is None or self._sockets.peer(inode):
            return
        carried = (inode_of(flight.object) for flight in self.flying)  # a listening socket may be in flight itself
        for listener in dict.fromkeys((*self._scene.holders.all(), *carried)):
            said = self._sockets.ask(listener)
            if said is not None and inode in said.waiting:
                self._listener[inode] = listener
                break

    def accepted(self, listener: int, inode: int) -> None:
        """What was sent before the other end was accepted now waits there."""
        self._sockets.forget(inode)
        source = self._sockets.peer(inode)
        waits: dict[int, list[Flight]] = {}
        for flight in self.flying:
            if not flight.target and self._listener.get(flight.source) == listener:
                waits.setdefault(flight.source, []).append(flight)
        for flight in waits.get(source) or self._of_one_gone(waits, max(0, self._sockets.in_flight(inode))):
            flight.target = inode

    def _of_one_gone(self, waits: dict[int, list[Flight]], count: int) -> list[Flight]:
        """What somebody sent who has closed his end before he was accepted: the kernel tells how many, and no more who
        he was. The first one who connected and has sent so many."""
        for source in self._listener:
            if source in waits and len(waits[source]) == count and not self._scene.holders.one(source):
                return waits[source]
        return list(itertools.chain(*waits.values()))[:count]

    # ---- sent

    def admit(self, task: Task, call: Call, memory: Memory) -> None:
        """A sending is let in: what it passes is about to be in flight."""
        for part, address in enumerate(headers(call.name, call.words, call.words[2])):
            numbers = rights(control_at(memory, address))
            if not numbers:
                continue
            call.passes = True
            target, named = self._target(task, call, memory, address)
            for number in numbers:
                try:
                    own, why = task.duplicate(number), ""
                except OSError as error:
                    own, why = -1, os.strerror(error.errno or 0)
                flight = Flight(
                    call, task.process.number, task.table, number, task.table.link(number), own, call.inode, target,
                    part, named, why=why,
                )  # fmt: skip
                self.flying[flight] = None

    def _target(self, task: Task, call: Call, memory: Memory, address: int) -> tuple[int, bool]:
        name, length, *_ = MESSAGE.unpack(memory(address, MESSAGE.size))
        if name and length:
            try:
                return self._bound.get(place(task.tid, memory(name, min(length, 128))), 0), True
            except OSError:
                return 0, True
        return self._sockets.peer(call.inode), False

    def done(self, call: Call, value: int) -> None:
        """A sending has returned."""
        parts = value if call.name == "sendmmsg" else 1
        for flight in [flight for flight in self.flying if flight.call is call]:
            if flight.sent or (value >= 0 and flight.part < parts):
                self._sent(flight)
            else:
                del self.flying[flight]
                flight.close()

    def _sent(self, flight: Flight) -> None:
        if not flight.sent:
            flight.sent = True
            self._all.append(flight)

    # ---- received

    def receive(self, task: Task, call: Call, numbers: Sequence[int], step: int, *, peek: bool) -> None:
        """These numbers came to a task."""
        for number in numbers:
            found = self._match(task, call, number)
            if found is None:
                self._unmatched += 1
                continue
            flight, proof, why = found
            self._sent(flight)
            one = dataclasses.replace(flight, own=-1) if peek else flight
            one.end, one.receiver, one.received_as = "peeked" if peek else "received", task.process.number, number
            one.received_at, one.proof, one.why = step, proof, why
            if peek:
                self._all.append(one)
            else:
                del self.flying[flight]
                flight.close()

    def _match(self, task: Task, call: Call, number: int) -> tuple[Flight, Proof, str] | None:
        link = task.table.link(number)
        others = self._sockets.peer(call.inode)
        likely = {flight: None for flight in self.flying if flight.target == call.inode or flight.source == others}
        reason = ""
        # The first one is it as a rule: the rest is looked for only where it is not.
        for flight in itertools.chain(
            (flight for flight in likely if flight.object == link),
            (flight for flight in self.flying if flight not in likely and flight.object == link),
            (flight for flight in likely if flight.object != link),
            (flight for flight in self.flying if flight not in likely and flight.object != link),
        ):
            if flight.own >= 0:
                said, why = descriptor.prove(task.tid, number, flight.own)
                if said == "same":
                    return flight, "both" if self._still(flight, task, number) else "duplicate", ""
            elif self._still(flight, task, number):
                return flight, "both", ""
            else:
                said, why = "unproved", flight.why
            if said == "unproved":
                reason = reason or why
        alike = [flight for flight in likely if not link or flight.object == link]
        return (alike[0], "", reason[:4096]) if reason and alike else None

    @staticmethod
    def _still(flight: Flight, task: Task, number: int) -> bool:
        """Whether the sender's number still is what came. Somebody who sends to himself may get the number that he has
        closed: compared with itself it would prove nothing."""
        tid = flight.table.tid
        if flight.table is task.table and flight.number == number:
            return False
        return bool(tid) and descriptor.compare(task.tid, number, tid, flight.number)[0] == "same"

    # ---- let go

    def reconcile(self, step: int, busy: Callable[[int], bool], near: set[int] | None = None) -> int:
        """Lets go of what the kernel no longer has in flight. `busy`: whether somebody takes something out of a socket
        at this moment. `near`: of the sockets of these inodes alone. How many were let go."""
        gone = 0
        groups: dict[tuple[int, int], list[Flight]] = {}
        for flight in self.flying:
            if not flight.sent:
                continue
            if not flight.target and not flight.named:
                flight.target = self._sockets.peer(flight.source)
            listener = 0 if flight.target else self._listener.get(flight.source, 0)
            if near is None or near & {flight.source, flight.target, listener}:
                groups.setdefault((flight.target, listener), []).append(flight)
        for (target, listener), group in groups.items():
            at = target or listener
            if at and busy(at):
                continue
            left = self._waiting(at, len(group), group[0])
            for flight in group[: max(0, len(group) - left)]:
                self._let_go(flight, step, "dropped" if at in self._scene.holders.met else "outside")
                gone += 1
        return gone

    def _waiting(self, inode: int, known: int, flight: Flight) -> int:
        """How many descriptors the kernel has in flight to a socket."""
        if not inode:  # to somebody who is not known: nothing tells when it arrives
            return 0
        if self._scene.holders.one(inode):
            left = self._sockets.in_flight(inode)
            return known if left < 0 else left
        carrier = self._carrier(inode, set())
        if carrier is None or carrier.own < 0:
            return 0
        return int(tables.fdinfo(os.getpid(), carrier.own).get("scm_fds", "0"))

    def _carrier(self, inode: int, met: set[int]) -> Flight | None:
        """A flight that has this socket on board, and that somebody can still receive."""
        if inode in met:
            return None  # in flight to each other alone: the kernel's garbage collector frees them
        met.add(inode)
        for flight in self.flying:
            if inode_of(flight.object) == inode:
                to = flight.target or self._listener.get(flight.source, 0)
                if self._scene.holders.one(to) or self._carrier(to, met):
                    return flight
        return None

    def _let_go(self, flight: Flight, step: int, end: End) -> None:
        del self.flying[flight]
        flight.end = end
        flight.received_at = step
        flight.close()

    def finish(self) -> None:
        """Closes what is left. What is in flight stays so told."""
        for flight in self.flying:
            flight.close()
        self.flying.clear()

    def passages(self) -> list[Passage]:
        return [flight.passage() for flight in self._all]

    def counts(self) -> Counts:
        ends = [flight.end or "in flight" for flight in self._all]
        return Counts(
            sent=len(ends) - ends.count("peeked"),
            received=ends.count("received"),
            proved=sum(flight.end == "received" and bool(flight.proof) for flight in self._all),
            in_flight=ends.count("in flight"),
            dropped=ends.count("dropped"),
            outside=ends.count("outside"),
            peeked=ends.count("peeked"),
            unmatched=self._unmatched,
        )

    def unproved(self) -> list[str]:
        """Sentences: why passages have no proof."""
        reasons = {flight.why for flight in self._all if flight.end == "received" and not flight.proof}
        return [Unseen.UNPROVED.say(why=why) for why in sorted(reasons)]


SEND = frozenset({"sendmsg", "sendmmsg"})
RECEIVE = frozenset({"recvmsg", "recvmmsg"})
PEEK = int(socket.MSG_PEEK)
