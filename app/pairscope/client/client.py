"""A client's side of the pool: connect to the control socket, receive one end of a pair, talk over that.

One pair for each thread. Every call borrows the descriptors it is given and returns when the supervisor has answered:
until then both ends hold the descriptor, so that the supervisor can prove that its number and ours are one open file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, overload

from pairscope.client.attach import STALE_AFTER, TIMEOUT, connect, replaced
from pairscope.client.away import Away, PoolAway, PoolRefused, late
from pairscope.config import Settings
from pairscope.ipc.channel import TOGETHER, Arrival, Channel, ChannelBroken, ChannelClosed, Outgoing
from pairscope.ipc.payloads import (
    Accepted,
    Answer,
    Cancel,
    Done,
    Fetch,
    Known,
    Leave,
    Lookup,
    Output,
    Scale,
    Signal,
    Submit,
    Welcome,
)
from pairscope.ipc.spin import Spin
from pairscope.pool import snapshot

_forks = 0
"""How many forks lie between this process and the one that imported this: the pair of a thread belongs to the process
that made it."""


def _forked() -> None:
    global _forks
    _forks += 1


# Asked by getpid(2), every request would pay for a system call.
os.register_at_fork(after_in_child=_forked)

WANT = {"accepted": 1, "ended": 2, "both": 3}
REPORT_AFTER, REPORT_SIZE = 64, 256 * 1024
"""Messages, or bytes of one, of which a client says at once that it has them: until then the supervisor counts them as
unread, and lets a client go of whom it counts too much."""
SUCCESSION = 40.0
"""Seconds that the successor of a supervisor is waited for: stop_grace, and the time that it takes to begin."""
LOOK = 0.05
"""Seconds between two looks whether it is there."""
PATIENCE = 0.25
"""Seconds between two looks whether this process is to end."""
SPIN = 200e-6
"""Seconds: an echo through the pool and back takes a little more than half of it."""


class _Line:
    """One thread's pair."""

    def __init__(self, channel: Channel, welcome: Welcome) -> None:
        self.channel = channel
        self.welcome = welcome
        self.answers: dict[int, Answer] = {}
        self.awaited: set[int] = set()
        """Jobs whose answer is still to come."""
        self.begun: list[Outgoing] = []
        self.spin = Spin(SPIN)
        self.forks = _forks


class Client:
    """Talks to the supervisor. Safe to share between threads: each thread gets a pair of its own at its first call.

    Each request waits `timeout` seconds for its answer. It raises PoolRefused where the supervisor refuses, and
    PoolAway where it cannot be asked or does not answer.
    """

    def __init__(
        self,
        settings: Settings,
        role: str = "web",
        aside: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`aside`: entered while a thread waits for the supervisor."""
        self._settings = settings
        self._role = role
        self._aside = aside
        self._local = threading.local()
        self._sequence = itertools.count(1)
        self.leaving = threading.Event()
        """Set it when this process is to end soon: no request waits any longer."""

    # ---- requests

    @overload
    def submit(
        self,
        kind: str,
        fd: int | None = None,
        *,
        name: str = "",
        size: int = 0,
        parameters: dict[str, Any] | None = None,
        data: bytes = b"",
        want: Literal["accepted", "both"] = "accepted",
        timeout: float = TIMEOUT,
    ) -> Accepted: ...

    @overload
    def submit(
        self,
        kind: str,
        fd: int | None = None,
        *,
        name: str = "",
        size: int = 0,
        parameters: dict[str, Any] | None = None,
        data: bytes = b"",
        want: Literal["ended"],
        timeout: float = TIMEOUT,
    ) -> Answer: ...

    def submit(
        self,
        kind: str,
        fd: int | None = None,
        *,
        name: str = "",
        size: int = 0,
        parameters: dict[str, Any] | None = None,
        data: bytes = b"",
        want: Literal["accepted", "both", "ended"] = "accepted",
        timeout: float = TIMEOUT,
    ) -> Accepted | Answer:
        """Asks for a job on `fd` (borrowed) or on `data`. `want`: answer when ``accepted`` (an Accepted), when
        ``ended`` (an Answer), or ``both``: then Accepted is returned, and the Answer by :meth:`answer`.

        Raises PoolRefused, PoolAway.
        """
        payload = Submit(kind, name, size, parameters or {}, data, WANT[want])
        said: Accepted | Answer = self._ask("submit", payload, [] if fd is None else [fd], timeout).payload
        if want == "both":
            line = self._line()
            if said.job not in line.answers:
                line.awaited.add(said.job)
        return said

    def answer(self, job: int, timeout: float) -> Answer | None:
        """Waits at most `timeout` seconds for the end of a job that this thread submitted with ``both``; None: it has
        not ended."""
        line = self._line()
        deadline = time.monotonic() + timeout
        with self._aside():
            while job not in line.answers:
                left = deadline - time.monotonic()
                if left <= 0 or self.leaving.is_set():
                    return None
                for arrival in self._wait(line, min(left, PATIENCE)):
                    self._keep(line, arrival)
        return line.answers.pop(job)

    def cancel(self, job: int, timeout: float = TIMEOUT) -> str:
        """Ends a job now. Returns what was done, in words."""
        return self._done("cancel", Cancel(job), timeout)

    def fetch(self, job: int, timeout: float = TIMEOUT) -> tuple[Output, int]:
        """Returns what a job's output is, and a read-only descriptor with an offset of its own, which the caller
        owns."""
        line = self._line()
        arrival = self._ask("fetch", Fetch(job), [], timeout)
        try:
            # Both ends keep the descriptor until the proof is made: say what arrived, and wait for the release. Over a
            # new pair none comes: who had to prove it has gone.
            if self._post(line, "receipt", None, [], 0, timeout) is line:
                with self._aside():
                    self._until(
                        line,
                        lambda other: other.kind.name == "release" and other.payload.message == arrival.envelope.id,
                        timeout,
                    )
        except BaseException:
            arrival.close()
            raise
        (fd,) = arrival.take()
        return arrival.payload, fd

    def scale(self, workers: int, timeout: float = TIMEOUT) -> str:
        """Asks for another number of workers. Returns what was done, in words."""
        return self._done("scale", Scale(workers), timeout)

    def signal(self, worker: int, name: str, timeout: float = TIMEOUT) -> str:
        """Sends TERM, KILL, STOP or CONT to the worker with that serial. Returns what was done, in words."""
        return self._done("signal", Signal(worker, name), timeout)

    def lookup(self, job: int, timeout: float = TIMEOUT) -> Known:
        """Asks whether the supervisor knows a job that is in no table yet, and how it stands."""
        found: Known = self._ask("lookup", Lookup(job), [], timeout).payload
        return found

    # ---- many at once

    def begin(
        self, kind: str, fd: int | None = None, *, data: bytes = b"", name: str = "", timeout: float = TIMEOUT
    ) -> int:
        """Submits without waiting; returns the request's number, which its Answer will carry in :meth:`ended`.

        Requests without a descriptor may travel together: what was begun is sent by :meth:`flush` or :meth:`ended`.
        Who begins much and never calls :meth:`ended` loses its pair: what waits for one client is bounded (unread.py).
        """
        seq = next(self._sequence)
        payload = Submit(kind, name, len(data), {}, data, WANT["ended"])
        line = self._line()
        if fd is None:
            line.begun.append(line.channel.prepare("submit", payload, seq=seq))
            if len(line.begun) >= TOGETHER // 2:
                self._send_begun(line, timeout)
        else:
            self._send_begun(line, timeout)
            self._post(line, "submit", payload, [fd], seq, timeout)
        return seq

    def ended(self, timeout: float = TIMEOUT) -> list[tuple[int, Answer | PoolRefused]]:
        """The requests of :meth:`begin` that have ended since; waits for the first at most `timeout` seconds."""
        found: list[tuple[int, Answer | PoolRefused]] = []
        line = self._line()
        self._send_begun(line, timeout)
        for arrival in self._wait(line, timeout):
            if arrival.kind.name == "answer":
                found.append((arrival.envelope.seq, arrival.payload))
            elif arrival.kind.name == "refused":
                found.append((arrival.envelope.seq, PoolRefused(arrival.payload.code, arrival.payload.reason)))
        return found

    def flush(self, timeout: float = TIMEOUT) -> None:
        """Sends what this thread has begun."""
        self._send_begun(self._line(), timeout)

    def _send_begun(self, line: _Line, timeout: float) -> None:
        outs, line.begun = line.begun, []
        try:
            line.channel.send(outs, timeout)
        except ChannelClosed:
            self.close()
            raise PoolAway(Away.SENT.say()) from None
        except TimeoutError:
            raise late(self._settings, Away.NOT_ALL.say(seconds=f"{timeout:.0f}")) from None

    # ---- the pair

    def settle(self) -> None:
        """Ends a request of this thread: reports what was received, so that the record need not wait for the next one,
        and waits for no answer any longer."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is None or line.forks != _forks:
            return
        try:
            while arrivals := line.channel.wait(0):
                for arrival in arrivals:
                    self._keep(line, arrival)
            line.answers.clear()
            if line.awaited:
                jobs, line.awaited = sorted(line.awaited), set()
                line.channel.post("leave", Leave(jobs), timeout=1.0)
            elif line.channel.receipts:
                line.channel.post("receipt", timeout=1.0)
        except (ChannelClosed, ChannelBroken, TimeoutError, OSError):
            self.close()

    def close(self) -> None:
        """Closes this thread's pair."""
        line: _Line | None = getattr(self._local, "line", None)
        if line is not None:
            line.channel.close()
            self._local.line = None

    @property
    def serial(self) -> int:
        """The serial by which the record names this thread's pair."""
        return self._line().welcome.serial

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        if line is not None and line.forks != _forks:
            self.close()
            line = None
        if line is None:
            line = self._local.line = _Line(*self._connect())
        return line

    def _connect(self) -> tuple[Channel, Welcome]:
        """A pair with the supervisor. While one gives way to its successor, the successor is waited for."""
        deadline = time.monotonic() + SUCCESSION
        while True:
            try:
                return connect(self._settings, self._role)
            except PoolAway:
                if time.monotonic() > deadline or not snapshot.succession(self._settings, time.time_ns()):
                    raise
                if self.leaving.wait(LOOK):
                    raise

    def _ask(self, kind: str, payload: Any, fds: list[int], timeout: float) -> Arrival:
        with self._aside():
            return self._asked(kind, payload, fds, timeout)

    def _asked(self, kind: str, payload: Any, fds: list[int], timeout: float) -> Arrival:
        while True:
            seq = next(self._sequence)
            line = self._post(self._line(), kind, payload, fds, seq, timeout)
            arrival = self._until(line, lambda other: other.envelope.seq == seq, timeout)
            if arrival.kind.name != "refused":
                return arrival
            if arrival.payload.code != "stopping" or not snapshot.succession(self._settings, time.time_ns()):
                raise PoolRefused(arrival.payload.code, arrival.payload.reason)
            self.close()  # nothing has changed: the successor is asked

    def _done(self, kind: str, payload: Any, timeout: float) -> str:
        done: Done = self._ask(kind, payload, [], timeout).payload
        return done.what

    def _post(self, line: _Line, kind: str, payload: Any, fds: list[int], seq: int, timeout: float) -> _Line:
        """Sends; over a new pair if the old one turns out to be dead before anything was sent."""
        for attempt in (1, 2):
            try:
                line.channel.post(kind, payload, fds=fds, seq=seq, timeout=timeout)
                return line
            except ChannelClosed:
                self.close()
                if attempt == 2:
                    raise PoolAway(Away.NOT_SENT.say()) from None
                line = self._line()
            except TimeoutError:
                raise late(self._settings, Away.TOOK_NOTHING.say(seconds=f"{timeout:.0f}")) from None
            except OSError as error:  # ETOOMANYREFS, EMFILE
                raise PoolAway(Away.SENT_NOTHING.say(fault=error.strerror)) from None
        raise AssertionError("unreachable")

    def _until(self, line: _Line, wanted: Callable[[Arrival], bool], timeout: float) -> Arrival:
        deadline = time.monotonic() + timeout
        left = timeout
        while left > 0:
            found = None
            for arrival in self._wait(line, left, line.spin):
                if found is None and wanted(arrival):
                    found = arrival
                else:
                    self._keep(line, arrival)
            if found is not None:
                return found
            left = deadline - time.monotonic()
        self.close()
        raise late(self._settings, Away.LATE.say(seconds=f"{timeout:.0f}"))

    def _wait(self, line: _Line, timeout: float, spin: Spin | None = None) -> list[Arrival]:
        try:
            while not (found := line.channel.wait(min(timeout, STALE_AFTER), spin)) and timeout > STALE_AFTER:
                timeout -= STALE_AFTER
                if replaced(self._settings, line.channel.door):
                    raise ChannelClosed
            if len(line.channel.receipts) >= REPORT_AFTER or any(arrival.size > REPORT_SIZE for arrival in found):
                with contextlib.suppress(ChannelClosed, TimeoutError, OSError):  # later, then
                    line.channel.post("receipt", timeout=0)
            return found
        except (ChannelClosed, ChannelBroken) as error:
            raise self._lost(error) from None

    def _lost(self, error: ChannelClosed | ChannelBroken) -> PoolAway:
        self.close()
        if isinstance(error, ChannelBroken):
            return PoolAway(Away.FOREIGN.say(fault=error))
        return PoolAway(Away.GONE.say())

    @staticmethod
    def _keep(line: _Line, arrival: Arrival) -> None:
        """An answer to an earlier request is kept for :meth:`answer`; descriptors that nobody waits for are closed."""
        arrival.close()
        if arrival.kind.name == "answer":
            line.answers[arrival.payload.job] = arrival.payload
            line.awaited.discard(arrival.payload.job)
