"""What clients may ask for beside jobs: to cancel one, to have its output, to signal a worker, to scale the pool, to look a job up."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Callable

import msgspec

from app.ipc import memfd
from app.ipc.channel import Arrival, ChannelBroken
from app.ipc.identity import node_of
from app.ipc.vocabulary import LAB, Done, Known, Output
from app.pool import children
from app.pool.members import Hand, Member, Station

if TYPE_CHECKING:
    from app.pool.supervisor import Supervisor

KEPT_MOST = 64
"""Outputs, each a descriptor kept for its proof, that a client may leave without a receipt."""
SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "CONT": signal.SIGCONT}


class Requests:
    """Each answers in the same turn, done or refused."""

    def __init__(self, pool: Supervisor) -> None:
        self._pool = pool
        self.handlers: dict[str, Callable[[Member, Arrival, int], None]] = {
            "cancel": self._cancel,
            "fetch": self._fetch,
            "signal": self._signal,
            "scale": self._scale,
        }

    def _cancel(self, member: Member, arrival: Arrival, _: int) -> None:
        job = arrival.payload.job
        entry = self._pool.board.entries.get(job)
        if entry is None:
            if (ended := self._pool.board.ended.get(job)) is None:
                return self._pool.refuse(member, arrival, "unknown-job", job=job)
            self._pool.say(member, "done", Done(f"The job had ended before: {ended.state}."), job=job, seq=arrival.envelope.seq)
            return
        who = f"through {member.role} {member.serial}"  # it stands behind the word cancelled
        if entry.state == "queued":
            self._pool.end(entry, "cancelled", who)
            what = "The job was cancelled before it began."
        else:
            worker: Hand = (self._pool.stations if entry.kind == LAB else self._pool.workers)[entry.worker]
            if isinstance(worker, Station):
                entry.cancelled = who
                self._pool.drop(worker, f"job {entry.id} was cancelled")
                what = f"Lab station {worker.serial} kills the run."
            elif worker.in_flight[0] is entry:
                entry.cancelled = who
                children.send_signal(worker.child, signal.SIGKILL)
                what = f"Worker {worker.serial} is being killed for it."
            else:
                # Only quick jobs wait in a worker's socket, and a message that is sent cannot be recalled.
                what = "The job takes microseconds and is on its way: it will have ended before it could be cancelled."
        self._pool.say(member, "done", Done(what), job=entry.id, seq=arrival.envelope.seq)

    def _fetch(self, member: Member, arrival: Arrival, _: int) -> None:
        job = arrival.payload.job
        kept = self._pool.results.get(job)
        if kept is None:
            board = self._pool.board
            entry = board.entries.get(job) or board.ended.get(job)
            if entry is None:
                code = "expired" if self._ours(job) else "unknown-job"
            else:
                code = "expired" if entry.output_size else "no-output"
            return self._pool.refuse(member, arrival, code, "It has not ended." if job in board.entries else "", job=job)
        try:
            fd = memfd.read_only(kept.fd)
        except OSError as error:
            return self._pool.refuse(member, arrival, "expired", f"It could not be opened: {error.strerror}.", job=job)
        if sum(bool(sent.kept) for sent in member.unreported.values()) >= KEPT_MOST:
            os.close(fd)
            raise ChannelBroken(f"it reported nothing of {KEPT_MOST} outputs")
        self._pool.say(member, "output", Output(job, kept.size, kept.media, kept.name), fds=[fd], kept=[fd], job=job, seq=arrival.envelope.seq)

    def _signal(self, member: Member, arrival: Arrival, _: int) -> None:
        payload = arrival.payload
        worker = self._pool.workers.get(payload.worker)
        if worker is None:
            alive = ", ".join(str(serial) for serial in self._pool.workers) or "none"
            return self._pool.refuse(member, arrival, "unknown-worker", f"Alive: {alive}.")
        if payload.signal not in SIGNALS:
            return self._pool.refuse(member, arrival, "out-of-range", f"The signal is {payload.signal[:20]!r}; expected {', '.join(SIGNALS)}.")
        children.send_signal(worker.child, SIGNALS[payload.signal])
        self._pool.look()  # the snapshot is to tell soon whether it has stopped
        self._pool.say(member, "done", Done(f"SIG{payload.signal} was sent to worker {worker.serial} (pid {worker.pid})."), seq=arrival.envelope.seq)

    def _scale(self, member: Member, arrival: Arrival, _: int) -> None:
        wanted = arrival.payload.workers
        if not 1 <= wanted <= self._pool.settings.workers_max:
            return self._pool.refuse(member, arrival, "out-of-range", f"{wanted} workers are asked for; expected 1 to {self._pool.settings.workers_max}.")
        before, self._pool.wanted = self._pool.wanted, wanted
        self._pool.births.clear()
        self._pool.look()
        self._pool.say(member, "done", Done(f"The pool goes from {before} to {wanted} workers, until it is started again."), seq=arrival.envelope.seq)

    def lookup(self, member: Member, arrival: Arrival) -> None:
        """Says whether a job is known: housekeeping, and so not among `handlers`."""
        job = arrival.payload.job
        board = self._pool.board
        if (ended := board.ended.get(job)) is not None:
            result = msgspec.json.decode(board.result(job) or b"{}")
            known = Known(job, True, ended.state, ended.kind, result, ended.reason, ended.output_size)
        elif (entry := board.entries.get(job)) is not None:
            known = Known(job, True, entry.state, entry.kind)
        else:
            # An earlier epoch's job whose records still wait in the journal: it may be one.
            drained = self._pool.progress.position if self._pool.progress is not None else 0
            known = Known(job, drained < self._pool.first_position and 0 < job <= self._pool.first_id and node_of(job) == self._pool.settings.node)
        self._pool.say(member, "known", known, seq=arrival.envelope.seq)

    def _ours(self, job: int) -> bool:
        return 0 < job <= self._pool.issuer.last and node_of(job) == self._pool.settings.node
