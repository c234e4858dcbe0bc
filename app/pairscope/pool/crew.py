"""The crew: births of workers and of the recorder, what becomes of them, and who takes the place of one that has
died."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any, TypeVar

from pairscope.ipc.channel import Arrival, ChannelBroken
from pairscope.ipc.nesting import excess
from pairscope.ipc.payloads import Stop
from pairscope.ipc.sentences import Broken, Gone, Undone
from pairscope.ipc.vocabulary import LAB
from pairscope.journal.records import Born, Ended, Message, Ready
from pairscope.pool import births, children, lifecycle
from pairscope.pool.agenda import RECORDER, Agenda
from pairscope.pool.desk import HANDS_ALONE, RESULT_MOST, Desk, as_json
from pairscope.pool.floor import Floor
from pairscope.pool.foreign import Foreign
from pairscope.pool.lifecycle import Action, Backoff, Event, State
from pairscope.pool.lines import Lines
from pairscope.pool.members import ChildMember, Member, Station, Worker
from pairscope.pool.view import user
from pairscope.pool.watch import Watch
from pairscope.pool.words import Words

log = logging.getLogger("pairscope.supervisor")

FINISH = 1.0
"""Seconds that the recorder gets at the end to drain what is there; the rest waits in the journal."""
KILLED = Gone.KILLED.say(signal=signal.SIGKILL.name)


Spawned = TypeVar("Spawned", bound=ChildMember)


class Pause:
    """A worker's place that stays empty for a while: on the agenda it stands for the birth."""


class Crew:
    """Its method `hello` is the handler of that kind of message."""

    hears = ("hello",)

    def __init__(
        self,
        floor: Floor,
        lines: Lines,
        agenda: Agenda,
        watch: Watch,
        desk: Desk,
        foreign: Foreign,
        buffer: memoryview,
    ) -> None:
        """`buffer` is shared by the channels of all children."""
        self._floor, self._lines, self._agenda, self._watch, self._desk = floor, lines, agenda, watch, desk
        self._foreign, self._buffer = foreign, buffer
        self.words = Words(agenda, watch)
        self._pauses: list[Pause] = []
        self._backoff = {"worker": Backoff(), "recorder": Backoff()}
        agenda.put(RECORDER, 0.0)

    # ---- births

    def people(self, now: float) -> None:
        """As many workers as are wanted, and a recorder: births that are due, and stops."""
        floor = self._floor
        self._pauses = [pause for pause in self._pauses if not self._agenda.due(pause, now)]
        alive = [worker for worker in floor.workers.values() if worker.state in (State.STARTING, State.READY)]
        for _ in range(births.missing(floor.wanted, len(alive), len(self._pauses))):
            self._worker()
        for worker in births.surplus(floor.wanted, alive):
            worker.asked = True
            self.step(worker, Event.STOP)
        self.recorder(now)

    def recorder(self, now: float) -> None:
        """A recorder, if there is none and its birth is due."""
        floor = self._floor
        if floor.recorder is None and self._agenda.due(RECORDER, now):
            environment = children.recorder_environment(floor.settings, floor.journal.begin)
            floor.recorder = self._spawn("pairscope.recorder", "recorder", ChildMember, [], environment)
            if floor.recorder is None:
                self._agenda.put(RECORDER, self._backoff["recorder"].died_at_birth(time.monotonic()))

    def _worker(self) -> None:
        settings = self._floor.settings
        arguments = [settings.worker_user, str(settings.output_max), str(os.getpid())]
        worker = self._spawn("pairscope.work.worker", "worker", Worker, arguments, children.worker_environment())
        if worker is None:
            self._pause(self._backoff["worker"].died_at_birth(time.monotonic()))
        else:
            self._floor.workers[worker.serial] = worker

    def _pause(self, until: float) -> None:
        pause = Pause()
        self._pauses.append(pause)
        self._agenda.put(pause, until)

    def _spawn(
        self, module: str, role: str, kind: type[Spawned], arguments: list[str], environment: dict[str, str]
    ) -> Spawned | None:
        floor, now = self._floor, time.monotonic()
        try:
            child = children.spawn(module, role, arguments, environment, self._buffer, heard=role == "worker")
        except OSError as error:
            log.error("a %s cannot be started: %s; the next try follows", role, error.strerror)
            return None
        serial = floor.serials[role] = floor.serials.get(role, 0) + 1
        member = kind(child, role, serial, floor.tap.now(), now)
        floor.tap.records.append(Born(role, member.serial, child.pid, member.uid, member.born))
        child.channel.dispose = self._foreign.let_go
        self._watch.meet(member)
        if child.words >= 0:
            self.words.meet(member)
        self._agenda.put(member, now + lifecycle.BIRTH)
        self._agenda.wake()
        return member

    def want(self, workers: int) -> None:
        """Another number of workers is wanted: now, and so no place stays empty for a pause."""
        self._floor.wanted = workers
        for pause in self._pauses:
            self._agenda.strike(pause)
        self._pauses.clear()
        self._agenda.wake()

    # ---- lives

    def hello(self, member: Member, arrival: Arrival, _: Message) -> None:
        if isinstance(member, Station):
            return self._station_ready(member, arrival)
        if not member.is_hand:
            return self._desk.not_for(member, arrival, HANDS_ALONE)
        if not isinstance(member, Worker) or member.state not in (State.STARTING, State.STOPPING) or member.ready:
            raise ChannelBroken(Broken.HELLO.value)
        hello = arrival.payload
        _modest(hello.sandbox_detail)
        floor = self._floor
        member.ready = floor.tap.now()
        member.sandbox, member.detail = hello.sandbox, hello.sandbox_detail
        self._agenda.strike(member)
        self.step(member, Event.HELLO)
        floor.tap.records.append(
            Ready("worker", member.serial, member.ready, member.sandbox, member.detail, user(member.pid))
        )
        # Never less than before: jobs that an older worker has in hand still need their deadline.
        floor.catalogue.update({spec.name: spec for spec in hello.catalogue})
        floor.heard = True
        self._desk.end_unfit()

    def _station_ready(self, station: Station, arrival: Arrival) -> None:
        hello = arrival.payload
        if station.ready or [spec.name for spec in hello.catalogue] != [LAB]:
            raise ChannelBroken(Broken.HELLO.value)
        _modest(hello.sandbox_detail)
        floor = self._floor
        station.ready, station.able = floor.tap.now(), True
        station.sandbox, station.detail = hello.sandbox, hello.sandbox_detail
        floor.tap.records.append(Ready(station.role, station.serial, station.ready, station.sandbox, station.detail))
        floor.catalogue[LAB] = hello.catalogue[0]
        self._agenda.wake()

    def listens(self, recorder: ChildMember) -> None:
        """The recorder has said its first word."""
        tap = self._floor.tap
        recorder.ready = tap.now()
        self._agenda.strike(recorder)
        self.step(recorder, Event.HELLO)
        tap.records.append(Ready("recorder", recorder.serial, recorder.ready, "", {}))

    def late(self, now: float) -> None:
        """Takes note of who has not done by now what it had to do."""
        for worker in list(self._floor.workers.values()):
            if self._agenda.due(worker, now):
                if worker.in_flight:
                    self._desk.late(worker.in_flight[0])
                self.step(worker, Event.LATE)
        for station in self._floor.stations.values():
            if self._agenda.due(station, now):
                self._desk.late(head := station.in_flight[0])
                self._lines.fail(station, Gone.LATE.say(job=head.id))
        recorder = self._floor.recorder
        if recorder is not None and self._agenda.due(recorder, now):
            self.step(recorder, Event.LATE)

    def step(self, member: ChildMember, event: Event) -> None:
        """Takes the lifecycle's decision and carries it out."""
        member.state, action = lifecycle.step(member.state, event)
        member.able = member.is_hand and member.open and member.state is State.READY
        self._agenda.wake()
        if action is Action.ASK:
            self._ask(member)
        elif action is Action.KILL:
            self.kill(member)
        elif action in (Action.REPLACE, Action.BACK_OFF):
            now = time.monotonic()
            when = births.after(action, now - member.birth, member.used, self._backoff[member.role], now)
            if member.role == "recorder":
                self._agenda.put(RECORDER, when)
            elif when > now:
                self._pause(when)

    def _ask(self, member: ChildMember) -> None:
        """Asks it to end: a worker when it has nothing in hand, which the desk does where it has now."""
        until = time.monotonic() + lifecycle.GRACE
        if not isinstance(member, Worker):
            if member.open:
                self._lines.say(member, "finish", None)
                until = time.monotonic() + FINISH
        elif waiting := [entry for entry in member.in_flight if not entry.moved]:
            head = waiting[0]
            until = head.started + self._floor.catalogue[head.kind].deadline
        elif member.open:
            self._lines.say(
                member,
                "stop",
                Stop((Gone.POOL_STOPPING if self._floor.stopping is not None else Gone.NOT_WANTED).value),
            )
        self._agenda.put(member, until)

    def kill(self, member: ChildMember) -> None:
        """Its death, which the pidfd tells, is all that is waited for now."""
        children.send_signal(member.child, signal.SIGKILL)
        self._agenda.strike(member)

    # ---- deaths

    def cut_off(self, member: ChildMember) -> None:
        """A child's channel is closed. One that closes its end is about to die; one that stays is killed when it is
        late, for a fault at once."""
        if member.fault:
            children.send_signal(member.child, signal.SIGKILL)
        elif not member.dead:
            self._agenda.sooner(member, time.monotonic() + lifecycle.GRACE)

    def bury(self, member: ChildMember) -> None:
        """A child has ended, and its channel is closed: what it leaves is told, and what it had in hand ends."""
        floor = self._floor
        self._watch.remove(member.child.pidfd)
        self._agenda.strike(member)
        exit_words = children.reap(member.child)
        self.words.bury(member)
        told = _killed_for(member) if exit_words == KILLED else ""
        asked = member.state is State.STOPPING
        floor.tap.records.append(
            Ended(member.role, member.serial, floor.tap.now(), told or exit_words, member.asked or asked)
        )
        if not asked:
            log.warning(
                "%s %s%s",
                member,
                told or exit_words,
                " before it was ready" if member.state is State.STARTING else "",
            )
        self.step(member, Event.DIED)
        if isinstance(member, Worker):
            del floor.workers[member.serial]
            self._desk.bereave(member, exit_words, Undone.WORKER_KILLED.say(count=member.serial))
        else:
            floor.recorder = None

    # ---- the end of the pool

    def abandon(self, why: str) -> None:
        """Kills the workers for what they have in hand, and says so of each job."""
        for worker in self._floor.workers.values():
            for entry in worker.in_flight:
                entry.late = why
            self.kill(worker)

    def dismiss(self) -> None:
        """Asks every worker that was not asked before to end."""
        for worker in self._floor.workers.values():
            if worker.state in (State.STARTING, State.READY):
                worker.asked = True
                self.step(worker, Event.STOP)
                if not worker.ready:
                    # It has nothing in hand; SIGTERM would find no ear in one that is stopped.
                    children.send_signal(worker.child, signal.SIGKILL)

    def finish(self, recorder: ChildMember) -> None:
        """Asks the recorder to drain what is there and to end, whether it has said its first word or not."""
        recorder.asked = True
        if recorder.state is State.STARTING:
            recorder.state = State.READY
        self.step(recorder, Event.STOP)


def _modest(detail: dict[str, Any]) -> None:
    """Raises ChannelBroken for particulars of a sandbox that are longer or more deeply nested than they need be: the
    journal must be able to hold them."""
    if len(said := as_json(detail)) > RESULT_MOST or excess(detail, 1000):
        raise ChannelBroken(Broken.SANDBOX.say(bytes=len(said), most=RESULT_MOST))


def _killed_for(member: ChildMember) -> str:
    """How it ended, if this supervisor has killed it for a job or a fault; empty: it has not."""
    if member.fault:
        return Gone.FOR_FAULT.say(why=member.fault)
    head = member.in_flight[0] if isinstance(member, Worker) and member.in_flight else None
    if head is None or not (head.cancelled or head.late):
        return ""
    return Gone.TO_CANCEL.say(job=head.id) if head.cancelled else Gone.FOR_JOB.say(job=head.id, why=head.late)
