"""What clients may ask for beside jobs: to cancel one, to have its output, to signal a worker, to scale the pool, to
look a job up."""

from __future__ import annotations

import os
import signal

import msgspec

from pairscope.ipc import memfd
from pairscope.ipc.channel import Arrival, ChannelBroken
from pairscope.ipc.identity import node_of
from pairscope.ipc.payloads import Done, Known, Output
from pairscope.ipc.sentences import Answered, Gone, Undone
from pairscope.ipc.vocabulary import LAB
from pairscope.journal.records import Message
from pairscope.pool import children
from pairscope.pool.agenda import Agenda
from pairscope.pool.crew import Crew
from pairscope.pool.desk import Desk
from pairscope.pool.floor import Floor
from pairscope.pool.lines import Lines
from pairscope.pool.members import Hand, Member, Station

KEPT_MOST = 64
"""Outputs, each a descriptor kept for its proof, that a client may leave without a receipt."""
SIGNALS = {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "CONT": signal.SIGCONT}


class Requests:
    """Each answers in the same turn, done or refused. A method is the handler of the kind of messages whose name it
    has."""

    hears = ("cancel", "fetch", "signal", "scale", "lookup")

    def __init__(self, floor: Floor, lines: Lines, agenda: Agenda, desk: Desk, crew: Crew) -> None:
        self._floor, self._lines, self._agenda, self._desk, self._crew = floor, lines, agenda, desk, crew

    def cancel(self, member: Member, arrival: Arrival, _: Message) -> None:
        job = arrival.payload.job
        entry = self._floor.board.entries.get(job)
        if entry is None:
            if (ended := self._floor.board.ended.get(job)) is None:
                return self._desk.refuse(member, arrival, "unknown-job", job=job)
            self._lines.say(
                member, "done", Done(Answered.ENDED_BEFORE.say(state=ended.state)), job=job, seq=arrival.envelope.seq
            )
            return
        who = Undone.THROUGH.say(who=member.role, count=member.serial)  # it stands behind the word cancelled
        if entry.state == "queued":
            self._desk.end(entry, "cancelled", who)
            what = Answered.BEFORE_IT_BEGAN.value
        else:
            worker: Hand = (self._floor.stations if entry.kind == LAB else self._floor.workers)[entry.worker]
            if isinstance(worker, Station):
                entry.cancelled = who
                self._lines.fail(worker, Gone.CANCELLED.say(job=entry.id))
                what = Answered.STATION_KILLS.say(count=worker.serial)
            elif worker.in_flight[0] is entry:
                entry.cancelled = who
                children.send_signal(worker.child, signal.SIGKILL)
                what = Answered.WORKER_KILLED.say(count=worker.serial)
            else:
                # Only quick jobs wait in a worker's socket, and a message that is sent cannot be recalled.
                what = Answered.TOO_QUICK.value
        self._lines.say(member, "done", Done(what), job=entry.id, seq=arrival.envelope.seq)

    def fetch(self, member: Member, arrival: Arrival, _: Message) -> None:
        job = arrival.payload.job
        kept = self._floor.results.get(job)
        if kept is None:
            board = self._floor.board
            entry = board.entries.get(job) or board.ended.get(job)
            if entry is None:
                code = "expired" if self._ours(job) else "unknown-job"
            else:
                code = "expired" if entry.output_size else "no-output"
            return self._desk.refuse(
                member, arrival, code, Answered.NOT_ENDED.value if job in board.entries else "", job=job
            )
        try:
            fd = memfd.read_only(kept.fd)
        except OSError as error:
            return self._desk.refuse(member, arrival, "expired", Answered.NOT_OPENED.say(fault=error.strerror), job=job)
        if member.held_fds >= KEPT_MOST:
            os.close(fd)
            raise ChannelBroken(Gone.OUTPUTS.say(most=KEPT_MOST))
        self._lines.say(
            member,
            "output",
            Output(job, kept.size, kept.media, kept.name),
            fds=[fd],
            kept=[fd],
            job=job,
            seq=arrival.envelope.seq,
        )

    def signal(self, member: Member, arrival: Arrival, _: Message) -> None:
        payload = arrival.payload
        worker = self._floor.workers.get(payload.worker)
        if worker is None:
            alive = ", ".join(str(serial) for serial in self._floor.workers)
            told = Answered.ALIVE.say(serials=alive) if alive else Answered.NONE_ALIVE.value
            return self._desk.refuse(member, arrival, "unknown-worker", told)
        if payload.signal not in SIGNALS:
            return self._desk.refuse(
                member,
                arrival,
                "out-of-range",
                Answered.SIGNAL.say(value=repr(payload.signal[:20]), names=", ".join(SIGNALS)),
            )
        children.send_signal(worker.child, SIGNALS[payload.signal])
        self._agenda.wake()  # the snapshot is to tell soon whether it has stopped
        self._lines.say(
            member,
            "done",
            Done(Answered.SIGNALLED.say(signal=f"SIG{payload.signal}", count=worker.serial, pid=worker.pid)),
            seq=arrival.envelope.seq,
        )

    def scale(self, member: Member, arrival: Arrival, _: Message) -> None:
        wanted = arrival.payload.workers
        if not 1 <= wanted <= self._floor.settings.workers_max:
            return self._desk.refuse(
                member,
                arrival,
                "out-of-range",
                Answered.WORKERS.say(count=wanted, most=self._floor.settings.workers_max),
            )
        before = self._floor.wanted
        self._crew.want(wanted)
        self._lines.say(
            member,
            "done",
            Done(Answered.SCALED.say(count=before, most=wanted)),
            seq=arrival.envelope.seq,
        )

    def lookup(self, member: Member, arrival: Arrival, _: None) -> None:
        """Says whether a job is known. Housekeeping: nothing of it is recorded."""
        job = arrival.payload.job
        board = self._floor.board
        if (ended := board.ended.get(job)) is not None:
            result = msgspec.json.decode(board.result(job) or b"{}")
            known = Known(job, True, ended.state, ended.kind, result, ended.reason, ended.output_size)
        elif (entry := board.entries.get(job)) is not None:
            known = Known(job, True, entry.state, entry.kind)
        else:
            # An earlier epoch's job whose records still wait in the journal: it may be one.
            drained = self._floor.progress.position if self._floor.progress is not None else 0
            known = Known(
                job,
                drained < self._floor.first_position
                and 0 < job <= self._floor.first_id
                and node_of(job) == self._floor.settings.node,
            )
        self._lines.say(member, "known", known, seq=arrival.envelope.seq)

    def _ours(self, job: int) -> bool:
        return 0 < job <= self._floor.issuer.last and node_of(job) == self._floor.settings.node
