"""The desk: jobs, from a client's submit to the answer. Here they are taken or refused, given to whoever does them, and
ended."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Collection
from typing import Any

import msgspec

from pairscope.ipc import memfd
from pairscope.ipc.channel import Arrival, ChannelBroken
from pairscope.ipc.nesting import excess
from pairscope.ipc.passing import close_all
from pairscope.ipc.payloads import Accepted, Answer, Refused, Stop, Task
from pairscope.ipc.sentences import Answered, Broken, Gone, Undone
from pairscope.ipc.vocabulary import LAB, REFUSALS
from pairscope.journal.records import JobEnded, JobSubmitted, Message, OutputGone
from pairscope.pool import agenda as dates
from pairscope.pool import lifecycle
from pairscope.pool.agenda import Agenda
from pairscope.pool.board import EndedJob, Entry
from pairscope.pool.floor import Floor
from pairscope.pool.handover import Handover
from pairscope.pool.lifecycle import State
from pairscope.pool.lines import REASON_MOST, Lines
from pairscope.pool.members import ChildMember, Hand, Member

RESULT_MOST = 8 * 1024
QUICK_MOST = 32 * 1024
"""Bytes of data beyond which a job gets a spare for its reply, and is not quick."""
SCENARIOS_MOST = 32
"""Scenarios that may wait for a station: with two of them the last one begins within the time that a page waits."""
STATION_PAUSE = 5.0
"""Seconds that a scenario waits while no station is there."""
HANDS_ALONE = Answered.HANDS_ALONE.value
"""Why a hello or a result of another client is refused."""
EMPTY = b"{}"


def as_json(said: dict[str, Any]) -> bytes:
    """What a worker said, for the record. Raises ChannelBroken for what msgpack can say and JSON cannot: extensions,
    odd keys, deep nesting."""
    try:
        return msgspec.json.encode(said)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ChannelBroken(Broken.NO_JSON.say(fault=error)) from None


class Desk:
    """Its methods `submit` and `result` are the handlers of these kinds of messages."""

    hears = ("submit", "result")

    def __init__(self, floor: Floor, lines: Lines, agenda: Agenda) -> None:
        self._floor, self._lines, self._agenda = floor, lines, agenda
        self._settings, self._catalogue = floor.settings, floor.catalogue
        self._handover = Handover(floor, agenda)
        self._tap, self._board, self._results = floor.tap, floor.board, floor.results
        # who fills the queue leaves half of it to the others
        self._jobs_each, self._bytes_each = floor.settings.queue_max // 2 + 1, floor.settings.queue_bytes // 2
        self.ended: list[EndedJob] = []
        """Jobs whose end is among the records of this turn."""

    # ---- refusing

    def refusal(self, code: str) -> str:
        """The sentence for a refusal, with its particulars."""
        settings = self._settings
        particulars = {
            "unknown-kind": Answered.KINDS.say(names=", ".join(sorted(self._catalogue.keys() - {LAB}))),
            "queue-full": Answered.QUEUE.say(most=settings.queue_max, bytes=settings.queue_bytes),
            "journal-full": Answered.JOURNAL.say(bytes=settings.journal_limit),
            "too-large": Answered.BYTES.say(bytes=settings.upload_max),
        }
        return " ".join(filter(None, (REFUSALS[code], particulars.get(code))))

    def refuse(self, member: Member, arrival: Arrival, code: str, more: str = "", job: int = 0) -> None:
        reason = " ".join(filter(None, (self.refusal(code), more)))
        self._lines.say(member, "refused", Refused(code, reason), job=job, seq=arrival.envelope.seq)

    def turn_away(self, member: Member, arrival: Arrival) -> None:
        """The journal is at its bound: refused, counted, and alone of all messages not recorded."""
        self._floor.refusals += 1
        self._agenda.wake()
        refused = Refused("journal-full", self.refusal("journal-full"))
        self._lines.put(member, member.channel.prepare("refused", refused, seq=arrival.envelope.seq))

    def not_for(self, member: Member, arrival: Arrival, why: str) -> None:
        """Refuses a recorded message of a kind that is declared, and not for this peer to send."""
        if isinstance(member, ChildMember) or not member.role:
            raise ChannelBroken(Broken.NOT_ITS.say(kind=arrival.kind.name, why=why))
        self.refuse(member, arrival, "bad-request", Answered.CAME.say(kind=arrival.kind.name, why=why))

    def _unfit(self, entry: Entry) -> tuple[str, str] | None:
        """Why nobody can do this job: (code, sentence). None: somebody can, and the entry says whether it is quick."""
        spec = self._catalogue.get(entry.kind)
        if entry.kind == LAB:
            floor = self._floor
            if not floor.stations and time.monotonic() > floor.station_left + STATION_PAUSE:
                return "lab-away", self.refusal("lab-away")
        elif spec is None:
            return "unknown-kind", self.refusal("unknown-kind")
        if entry.input < 0:
            if spec is None or spec.needs_input:
                return "needs-input", self.refusal("needs-input")
            entry.quick = spec.quick and not spec.output and len(entry.data) <= QUICK_MOST
        return None

    # ---- taking

    def _no_room(self, client: Member, held: int, input: bool) -> str:
        """Why no job with that many bytes, and perhaps an input, may wait besides those that do; empty: it may."""
        board, settings = self._board, self._settings
        if board.bytes + held > settings.queue_bytes and board.bytes:
            return Answered.TOGETHER.say(bytes=board.bytes, count=held)
        if input and board.inputs >= self._floor.inputs_most:
            return Answered.WITH_DESCRIPTOR.say(most=self._floor.inputs_most)
        jobs, size = self._jobs_each, self._bytes_each
        if client.queued_jobs >= jobs:
            return Answered.ONE_CLIENT.say(most=jobs)
        if client.queued_bytes + held > size and client.queued_bytes:
            return Answered.ONE_CLIENTS_BYTES.say(most=size, bytes=client.queued_bytes, count=held)
        return ""

    def submit(self, member: Member, arrival: Arrival, seen: Message) -> None:
        payload = arrival.payload
        identity = seen.id
        if self._floor.stopping is not None:
            return self.refuse(member, arrival, "stopping", job=identity)
        board, settings = self._board, self._settings
        kind, data, fds = payload.kind[:16], payload.data, arrival.fds
        if len(board.queue) + len(board.scenarios) >= settings.queue_max:
            return self.refuse(member, arrival, "queue-full", job=identity)
        if kind == LAB and len(board.scenarios) >= SCENARIOS_MOST:
            return self.refuse(member, arrival, "queue-full", Answered.SCENARIOS.say(most=SCENARIOS_MOST), job=identity)
        if not 1 <= payload.want <= 3:
            return self.refuse(member, arrival, "bad-request", Answered.WANT.say(number=payload.want), job=identity)
        if payload.parameters and (why := excess(payload.parameters)):
            return self.refuse(member, arrival, "bad-request", Answered.PARAMETERS.say(why=why), job=identity)
        size = len(data)
        held = arrival.size
        input = -1
        if fds:
            input = fds[0]
            found = seen.transfers[0]
            if found.object == "foreign file":
                return self.refuse(member, arrival, "bad-request", Answered.INPUT_FOREIGN.value, job=identity)
            if found.object not in ("regular file", "memfd") or found.access not in ("read", "read-write"):
                return self.refuse(
                    member,
                    arrival,
                    "bad-request",
                    Answered.INPUT_OPEN.say(object=found.object, access=found.access),
                    job=identity,
                )
            if found.access != "read" and not memfd.is_sealed(input):
                return self.refuse(
                    member,
                    arrival,
                    "bad-request",
                    Answered.INPUT_WRITABLE.value,
                    job=identity,
                )
            size = found.size
            if size > settings.upload_max:
                return self.refuse(member, arrival, "too-large", Answered.INPUT_BYTES.say(bytes=size), job=identity)
            held += size
        # Only where all clients together hold more than one may, it can be this one: the rest need not be asked.
        if (input >= 0 or board.bytes + held > self._bytes_each or member.queued_jobs >= self._jobs_each) and (
            why := self._no_room(member, held, input >= 0)
        ):
            return self.refuse(member, arrival, "queue-full", why, job=identity)
        name, want, seq = payload.name[:255], payload.want, arrival.envelope.seq
        entry = Entry(identity, kind, name, size, payload.parameters, data, input, held, member, member, seq, want)
        # Without a worker's hello nobody knows what workers can do: the job waits for one.
        if (self._floor.heard or kind == LAB) and (refusal := self._unfit(entry)) is not None:
            entry.input = -1
            return self.refuse(member, arrival, refusal[0], job=identity)
        if fds:
            arrival.take()
            entry.has_input = True
        tap = self._tap
        tap.records.append(
            JobSubmitted(
                identity, kind, name, size, arrival.received + tap.offset, member.role, member.serial, member.pid
            )
        )
        if want & 1:
            self._lines.say(member, "accepted", Accepted(identity, board.waiting), job=identity, seq=seq)
        board.add(entry)

    # ---- giving

    def assign(self, queue: deque[Entry], hands: Collection[Hand]) -> None:
        """Gives jobs to workers, or scenarios to stations, for as long as both are there."""
        hand_for = self._board.hand_for
        while queue and (hand := hand_for(queue[0], hands)) is not None:
            self._give(hand, queue.popleft())

    def _give(self, hand: Hand, entry: Entry) -> None:
        spec = self._catalogue[entry.kind]
        channel = hand.channel
        try:
            if entry.quick:
                out = channel.prepare(
                    "task", Task(entry.kind, entry.name, entry.parameters, entry.data), (), 0, entry.id
                )
            else:
                if spec.output and entry.output < 0:
                    entry.output = memfd.empty(f"output of {entry.kind}")
                if len(entry.data) > QUICK_MOST and entry.spare < 0:
                    entry.spare = memfd.empty(f"spare of {entry.kind}")
                fds = [fd for fd in (entry.input, entry.output, entry.spare) if fd >= 0]
                task = Task(
                    entry.kind,
                    entry.name,
                    entry.parameters,
                    entry.data,
                    entry.input >= 0,
                    entry.output >= 0,
                    entry.spare >= 0,
                )
                out = channel.prepare("task", task, fds=fds, job=entry.id)
        except (OSError, ValueError, RecursionError) as error:
            # No descriptor left for a memfd, a payload that grew beyond the bound with its new header, parameters
            # nested too deeply.
            self.end(entry, "failed", Undone.NOT_GIVEN.say(why=error))
            return
        self._tap.sending(hand, out)
        self._lines.put(hand, out)
        if not hand.in_flight:
            entry.started = now = time.monotonic()
            self._agenda.put(hand, now + spec.deadline)
            channel.spare = entry.spare
        if not self._handover.planned:
            self._handover.check_soon(time.monotonic())
        entry.state, entry.worker = "running", hand.serial
        self._agenda.changed = True
        hand.in_flight.append(entry)

    def late(self, entry: Entry) -> None:
        """Says in the words of the job's end that its deadline is over, unless something else is to be said."""
        entry.late = entry.late or Undone.DEADLINE.say(seconds=f"{self._catalogue[entry.kind].deadline:g}")

    # ---- ending

    def result(self, member: Hand, arrival: Arrival, _: Message) -> None:
        in_flight, payload = member.in_flight, arrival.payload
        if not in_flight or (entry := in_flight[0]).id != arrival.envelope.job:
            if not member.is_hand:
                return self.not_for(member, arrival, HANDS_ALONE)
            raise ChannelBroken(Broken.NO_TASK.say(job=arrival.envelope.job))
        if entry.moved:
            close_all(in_flight.popleft().take_fds())
            self._next(member)
            return self._idle(member)
        state, reason, result, told = "failed", "", EMPTY, {}
        if not payload.ok:
            reason = payload.reason[:REASON_MOST] or Undone.NO_REASON.value
        elif why := excess(payload.result):
            reason = Undone.ANSWER.say(why=why)
        else:
            state, result, told = "done", as_json(payload.result), payload.result
        in_flight.popleft()
        self._next(member)
        if entry.output >= 0 and state == "done":
            state, reason = self._keep_output(entry, time.monotonic())
        if state == "done":
            member.done += 1
        else:
            member.failed += 1
        self.end(entry, state, reason, result, told)
        if member.state is State.STOPPING:
            self._idle(member)

    def _next(self, hand: Hand) -> None:
        """The hand has come to its next job, if it has one."""
        if hand.in_flight:
            head = hand.in_flight[0]
            head.started = now = time.monotonic()
            if head.moved:
                self._agenda.strike(hand)
            else:
                self._agenda.put(hand, now + self._catalogue[head.kind].deadline)
            hand.channel.spare = head.spare
        else:
            self._agenda.strike(hand)
            hand.channel.spare = -1

    def _idle(self, member: Hand) -> None:
        """Tells a worker that shall end, and has nothing in hand any more, to do so."""
        if not member.in_flight and member.state is State.STOPPING:
            self._agenda.put(member, time.monotonic() + lifecycle.GRACE)
            self._agenda.wake()
            self._lines.say(member, "stop", Stop(Gone.NOT_WANTED.value))

    def _keep_output(self, entry: Entry, now: float) -> tuple[str, str]:
        """Seals the output and keeps it for download; the state and reason of the job."""
        try:
            memfd.seal(entry.output)
        except OSError as error:
            return "failed", Undone.UNSEALED.say(fault=error.strerror)
        size = os.fstat(entry.output).st_size
        if size > self._settings.output_max:
            return "failed", Undone.TOO_LARGE.say(bytes=size, most=self._settings.output_max)
        entry.output_size = size
        spec = self._catalogue[entry.kind]
        self._results.add(entry.id, entry.output, size, spec.media, (entry.name or entry.kind) + spec.suffix, now)
        entry.output = -1
        self._agenda.wake()
        return "done", ""

    def end(self, entry: Entry, state: str, reason: str, result: bytes = EMPTY, told: dict[str, Any] = {}) -> None:  # noqa: B006 never changed
        """Ends a job, exactly once: in the record, and to the client that waits. `result` is what the client is `told`,
        as JSON."""
        if len(result) > RESULT_MOST:
            shown = msgspec.json.encode({"note": Undone.RESULT.say(bytes=len(result), most=RESULT_MOST)})
        else:
            shown = result
        now = self._tap.now()
        ended = JobEnded(entry.id, state, now, reason, shown)
        if not entry.quick and (kept := self._results.get(entry.id)) is not None:
            ended.output, ended.media, ended.output_name = kept.size, kept.media, kept.name
            ended.expires = now + int(self._results.age * 1e9)
        self._tap.records.append(ended)
        client = entry.client
        if client is not None and client.open and entry.want & 2:
            answer = Answer(entry.id, state, told, reason, entry.worker, entry.output_size)
            self._lines.say(client, "answer", answer, entry.id, entry.seq)
        if not entry.quick:  # a quick one has no descriptors
            close_all(entry.take_fds())
        self.ended.append(self._board.end(entry, state, reason, b"" if result is EMPTY else shown))
        self._agenda.changed = True

    def bereave(self, hand: Hand, how: str, cost: str) -> None:
        """Somebody who takes jobs is gone: what it had in hand ends, what waited behind that goes back to the queue."""
        self._agenda.strike(hand)
        if hand.in_flight:
            head = hand.in_flight.popleft()
            if head.moved:
                close_all(head.take_fds())
            elif head.cancelled:
                self.end(head, "cancelled", f"{head.cancelled}; {cost}")
            elif head.late:
                self.end(head, "failed", f"{head.late}; {cost}")
            else:
                self.end(head, "failed", Undone.DIED.say(who=hand.role, count=hand.serial, why=how))
            for entry in hand.in_flight:
                if entry.moved:
                    close_all(entry.take_fds())
                else:
                    close_all([fd for fd in (entry.output, entry.spare) if fd >= 0])
                    entry.output = entry.spare = -1
            self._board.give_back([entry for entry in hand.in_flight if not entry.moved])
            hand.in_flight.clear()

    def orphan(self, client: Member) -> None:
        """A client is gone: nobody waits for the ends of its jobs any more."""
        for entry in self._board.entries.values():
            if entry.client is client:
                entry.client = None

    def end_unfit(self) -> None:
        """Ends what waits and can be done by nobody, now that a worker has said what workers can do."""
        for entry in list(self._board.queue):
            if (refusal := self._unfit(entry)) is not None:
                self.end(entry, "failed", refusal[1])

    def abandon(self) -> None:
        """The pool stops and waits no longer: jobs that nobody has begun end."""
        for entry in [*self._board.queue, *self._board.scenarios]:
            self.end(entry, "failed", Undone.NOT_BEGUN.value)

    def pass_time(self, now: float) -> None:
        """Ends scenarios that have waited for a station in vain, and lets outputs go that are kept no longer."""
        floor = self._floor
        self._handover.pass_time(now)
        if self._board.scenarios and not floor.stations:
            until = floor.station_left + STATION_PAUSE
            if until <= now:
                for entry in list(self._board.scenarios):
                    self.end(entry, "failed", self.refusal("lab-away"))
            else:
                self._agenda.put(dates.LAB, until)
        for job, reason in self._results.expire(now):
            self._tap.records.append(OutputGone(job, self._tap.now(), reason))
            self._agenda.wake()
        if (end := self._results.next_end()) is not None:
            self._agenda.put(dates.OUTPUTS, end)
