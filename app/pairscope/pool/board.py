"""The board: every job that the supervisor knows, who has it, and which worker gets the next. Pure: it decides; it does
no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from pairscope.ipc.vocabulary import LAB

DEPTH = 32
"""Quick jobs that may wait in one worker's socket: a wake-up then brings many. Far below the 278 small messages that
fit."""


RESULTS_MOST = 256
"""EndedJob jobs whose results are kept, those that ended last. A database that is away for an hour must not fill the
memory."""


class Holder(Protocol):
    """What the board counts of a client."""

    queued_jobs: int
    queued_bytes: int


class Entry(msgspec.Struct, eq=False):
    """A job that has not ended. Owns its descriptors until :meth:`take_fds`."""

    id: int
    kind: str
    name: str
    size: int
    parameters: dict[str, Any]
    data: bytes
    input: int
    held: int = 0
    """Bytes that wait with it: of its message, and behind its descriptor."""
    client: Any = None
    """Who waits for its end; None: nobody does any more."""
    holder: Holder | None = None
    """Who sent it."""
    seq: int = 0
    want: int = 0
    output: int = -1
    spare: int = -1
    quick: bool = False
    state: str = "queued"
    worker: int = 0
    started: float = 0.0
    """When it came to the head of its worker's queue, s of the monotonic clock: its deadline counts from here."""
    cancelled: str = ""
    late: str = ""
    output_size: int = 0
    has_input: bool = False
    slow: bool = False
    """It is the head of a worker's queue, and was not taken, or not done though it is quick, within a moment."""
    moved: bool = False
    """Another entry of the same job has taken its place: it stays in its worker's queue for what that may still say."""

    def take_fds(self) -> list[int]:
        """All descriptors; the caller owns them now."""
        if self.input == self.output == self.spare == -1:
            return []
        fds = [fd for fd in (self.input, self.output, self.spare) if fd >= 0]
        self.input = self.output = self.spare = -1
        return fds


class EndedJob(msgspec.Struct, eq=False, gc=False):
    """What is known of a job that has ended, until the record has it."""

    id: int
    kind: str
    state: str
    reason: str
    output_size: int
    position: int = 0
    """Of its end in the journal; 0: not there yet."""


class Able(Protocol):
    """What the board must know of a worker."""

    in_flight: deque[Entry]
    able: bool
    """True: it may get a job, if it has room."""


def _slow_hand(hands: Collection[Able]) -> Able | None:
    """Whom a quick job may wait behind, though the head there is slow; None where one that is not slow does quick jobs,
    and only has no room now."""
    best, least = None, DEPTH
    for hand in hands:
        in_flight = hand.in_flight
        if hand.able and in_flight[0].quick and in_flight[-1].quick:
            if not in_flight[0].slow:
                return None
            if len(in_flight) < least:
                best, least = hand, len(in_flight)
    return best


class Board:
    """Jobs in the order in which they came; the ended ones until the record has them."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.ended: dict[int, EndedJob] = {}
        self.queue: deque[Entry] = deque()
        self.scenarios: deque[Entry] = deque()
        """The lab's own queue: a job never waits behind a scenario."""
        self._ended: deque[EndedJob] = deque()
        """In the order in which they ended."""
        self._results: deque[tuple[int, bytes]] = deque(maxlen=RESULTS_MOST)
        self.bytes = 0
        """That wait with all jobs that have not ended."""
        self.inputs = 0
        """Descriptors that wait with them."""
        self.counts = {"done": 0, "failed": 0, "cancelled": 0}

    def add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        held, holder = entry.held, entry.holder
        self.bytes += held
        if entry.has_input:
            self.inputs += 1
        if holder is not None:
            holder.queued_jobs += 1
            holder.queued_bytes += held
        (self.scenarios if entry.kind == LAB else self.queue).append(entry)

    @property
    def waiting(self) -> int:
        return len(self.queue) + len(self.scenarios)

    @staticmethod
    def hand_for(entry: Entry, hands: Collection[Able]) -> Any:
        """Who gets the job: an idle hand first. Quick jobs may also wait behind quick ones, with the hand that has
        fewest; with one that is slow only where no other does quick jobs. None: nobody yet."""
        best, least = None, DEPTH if entry.quick else 0
        slow = False
        for hand in hands:
            if hand.able:
                in_flight = hand.in_flight
                if not in_flight:
                    return hand
                if len(in_flight) < least and (head := in_flight[0]).quick and in_flight[-1].quick:
                    if head.slow:
                        slow = True
                    else:
                        best, least = hand, len(in_flight)
        return _slow_hand(hands) if slow and best is None else best

    @staticmethod
    def has_room(hand: Able, entry: Entry) -> bool:
        """Whether that hand could do the job, or soon will."""
        in_flight = hand.in_flight
        if not hand.able or not in_flight:
            return hand.able
        return entry.quick and in_flight[0].quick and not in_flight[0].slow and len(in_flight) < DEPTH

    def move(self, entries: Iterable[Entry], inputs: Iterable[int]) -> None:
        """Puts jobs that a hand has and does not begin to the head of the queue again, with another descriptor of each
        one's input. What that hand may still say of them is for nobody."""
        again = []
        for entry, input in zip(entries, inputs):
            entry.moved = True
            again.append(replace(entry, input=input, output=-1, spare=-1, started=0.0, slow=False, moved=False))
            self.entries[entry.id] = again[-1]
        self.give_back(again)

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Puts jobs that were never begun to the head of the queue again, in their order."""
        for entry in reversed(list(entries)):
            entry.state = "queued"
            entry.worker = 0
            self.queue.appendleft(entry)

    def end(self, entry: Entry, state: str, reason: str, result: bytes = b"") -> EndedJob:
        """The job has ended. Raises ValueError if it had before: a job ends exactly once."""
        if self.entries.pop(entry.id, None) is None:
            raise ValueError(f"job {entry.id} has ended before")
        if entry.state == "queued":
            try:
                (self.scenarios if entry.kind == LAB else self.queue).remove(entry)
            except ValueError:
                pass
        entry.state = state
        held, holder = entry.held, entry.holder
        self.bytes -= held
        if entry.has_input:
            self.inputs -= 1
        if holder is not None:
            holder.queued_jobs -= 1
            holder.queued_bytes -= held
        self.counts[state] += 1
        ended = self.ended[entry.id] = EndedJob(entry.id, entry.kind, state, reason, entry.output_size)
        self._ended.append(ended)
        self._results.append((entry.id, result))
        return ended

    def result(self, id: int) -> bytes:
        """What an ended job found, as JSON; empty where that was nothing or is no longer kept."""
        return next((result for job, result in self._results if job == id), b"")

    def forget(self, drained: int) -> None:
        """Forgets the ended jobs that the record has."""
        while self._ended and self._ended[0].position and self._ended[0].position <= drained:
            self.ended.pop(self._ended.popleft().id, None)

    @property
    def running(self) -> int:
        return len(self.entries) - self.waiting
