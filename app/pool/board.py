"""The board: every job that the supervisor knows, who has it, and which worker gets the next. It decides; it does no I/O."""

from __future__ import annotations

from collections import deque
from typing import Any, Iterable, Protocol

DEPTH = 32
"""Quick jobs that may wait in one worker's socket: a wake-up then brings many. Far below the 278 small messages that fit."""


class Entry:
    """A job as the supervisor knows it. Owns its descriptors until :meth:`take_fds`."""

    __slots__ = (
        "id", "kind", "name", "size", "parameters", "data", "input", "output", "spare", "quick", "client", "seq", "want",
        "state", "worker", "started", "cancelled", "late", "result", "reason", "output_size", "ended_position",
    )  # fmt: skip

    def __init__(self, id: int, kind: str, name: str, size: int, parameters: dict[str, Any], data: bytes, input: int) -> None:
        self.id = id
        self.kind = kind
        self.name = name
        self.size = size
        self.parameters = parameters
        self.data = data
        self.input = input
        self.output = -1
        self.spare = -1
        self.quick = False
        self.client: Any = None
        self.seq = 0
        self.want = 0
        self.state = "queued"
        self.worker = 0
        self.started = 0.0
        """When it came to the head of its worker's queue, s of the monotonic clock: its deadline counts from here."""
        self.cancelled = ""
        self.late = ""
        self.result: dict[str, Any] = {}
        self.reason = ""
        self.output_size = 0
        self.ended_position = 0

    def take_fds(self) -> list[int]:
        """All descriptors; the caller owns them now."""
        fds = [fd for fd in (self.input, self.output, self.spare) if fd >= 0]
        self.input = self.output = self.spare = -1
        return fds


class Able(Protocol):
    """What the board must know of a worker."""

    in_flight: deque[Entry]

    @property
    def able(self) -> bool:
        """True: it may get a job, if it has room."""


class Board:
    """Jobs in the order in which they came; the ended ones until the record has them."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.queue: deque[Entry] = deque()
        self._ended: deque[Entry] = deque()
        self.counts = {"done": 0, "failed": 0, "cancelled": 0}

    def add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        self.queue.append(entry)

    def give(self, workers: Iterable[Able]) -> tuple[Able, Entry] | None:
        """Takes the next job from the queue for a worker that has room for it; None where nothing fits.

        An idle worker first. Quick jobs may also wait behind quick ones, with the worker that has fewest.
        """
        if not self.queue:
            return None
        entry = self.queue[0]
        best = None
        for worker in workers:
            if not worker.able:
                continue
            load = len(worker.in_flight)
            if load == 0:
                best = worker
                break
            if entry.quick and load < DEPTH and (best is None or load < len(best.in_flight)) and worker.in_flight[0].quick and worker.in_flight[-1].quick:
                best = worker
        if best is None:
            return None
        self.queue.popleft()
        return best, entry

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Puts jobs that were never begun to the head of the queue again, in their order."""
        for entry in reversed(list(entries)):
            entry.state = "queued"
            entry.worker = 0
            self.queue.appendleft(entry)

    def end(self, entry: Entry, state: str, reason: str) -> None:
        """The job has ended. Raises ValueError if it had before: a job ends exactly once."""
        if entry.state in self.counts:
            raise ValueError(f"job {entry.id} has ended before as {entry.state}")
        if entry.state == "queued":
            try:
                self.queue.remove(entry)
            except ValueError:
                pass
        entry.state, entry.reason = state, reason
        entry.data, entry.parameters, entry.client = b"", {}, None
        self.counts[state] += 1
        self._ended.append(entry)

    def forget(self, drained: int) -> None:
        """Forgets the ended jobs that the record has."""
        while self._ended and self._ended[0].ended_position and self._ended[0].ended_position <= drained:
            self.entries.pop(self._ended.popleft().id, None)

    @property
    def running(self) -> int:
        return len(self.entries) - len(self._ended) - len(self.queue)
