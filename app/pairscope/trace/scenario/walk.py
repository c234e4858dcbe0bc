"""The way through the steps of a recording, on which they become lines."""

from __future__ import annotations

import dataclasses

import msgspec

from pairscope.lab.calls import CALLS
from pairscope.lab.model import Name, ScenarioError
from pairscope.sentence import phrase
from pairscope.trace.file import Recording
from pairscope.trace.followed import BIRTHS
from pairscope.trace.recording import Step, Told
from pairscope.trace.scenario import turn as calls
from pairscope.trace.scenario.calls import LINES
from pairscope.trace.scenario.ends import Ends
from pairscope.trace.scenario.facts import Facts
from pairscope.trace.scenario.line import LeftOut, Line, constant, printable
from pairscope.trace.scenario.numbers import Numbers
from pairscope.trace.scenario.places import Places
from pairscope.trace.scenario.results import Results
from pairscope.trace.scenario.script import Script
from pairscope.trace.scenario.turn import Turn
from pairscope.trace.scenario.world import Actor, Process

_NO_CALLS = frozenset({"attached", "foreign"})


class Walk:
    """One way through one recording."""

    def __init__(self, recording: Recording, facts: Facts) -> None:
        self.script = Script(recording.index, facts)
        self.ends: dict[int, int] = {}
        """By step of the recording: how many lines there are after it."""
        self._numbers, self._ends, self._places = Numbers(self.script), Ends(self.script), Places()
        self._results = Results(self.script, self._numbers)
        self._waiting: dict[int, tuple[Turn, Line]] = {}
        """By the step of the call."""
        self._late: dict[int, Step] = {}
        """Calls that have waited, and never do in the lab; by their steps."""
        self._again: dict[Actor, tuple[Turn, Line]] = {}
        """Calls that the kernel takes up again once a signal has been handled."""

    def _born(self, at: int, step: Step, process: Process) -> None:
        child, actor = step.gave.get("process"), self.script.actor(process, step.tid)
        if not isinstance(child, int) or not 1 <= child <= len(self.script.index.processes):
            return self.script.leave(step, calls.UNSEEN)
        if actor.waits or process.doomed or (child in self.script.processes and child != process.number):
            return self.script.leave(step, calls.WAITING)
        if child == process.number:
            line = Line(actor.name, "thread", at=at, waits=True)
            process.unborn.append(line)
            self.script.lines.append(line)
            return None
        found = self.script.index.processes[child - 1]
        made = Process(child, found.pid, process.table.copied(), process, spared=set(process.spared))
        made.main = Actor(self.script.names.of(found.name), made)
        made.beginning = Line(actor.name, "fork", binds=(made.main.name,), at=at)
        process.children.append(made)
        self.script.processes[child] = made
        return self.script.add(made.beginning)

    # ---- steps

    def take(self, at: int, step: Step) -> None:
        """One step of the recording."""
        process = self.script.processes.get(step.process)
        if process is None:
            if step.call not in ("signal", "exit"):
                self.script.leave(step, calls.STRANGERS)
        elif step.call == "signal":
            self._ends.signal(at, step, process)
        elif step.call == "exit":
            for actor in process.actors():
                if again := self._again.pop(actor, None):
                    self._interrupted(at, *again)
            self._ends.ended(at, step, process)
        elif step.call in BIRTHS:
            self._born(at, step, process)
        elif step.call not in _NO_CALLS:
            self._call(at, step, process)
        for inode, queue in step.changed.queues.items():
            if queue and queue.peer:
                self.script.peers[inode] = queue.peer
        self.ends[at] = sum(not line.waits for line in self.script.lines)

    def _call(self, at: int, step: Step, process: Process) -> None:
        actor = self.script.actor(process, step.tid) if step.call in LINES or step.call in ("bind", "connect") else None
        try:
            if process.doomed:
                raise LeftOut(calls.KILLED)
            if step.of in self._late:
                began = self._late.pop(step.of)
                step = msgspec.structs.replace(step, given=began.given, count=began.count)
            elif step.of:
                if step.of in self._waiting:
                    self._returned(at, step, *self._waiting.pop(step.of))
                elif actor:
                    raise LeftOut(calls.BEFORE)
                return
            if actor is None:
                raise LeftOut(calls.NOT_HERE)
            if again := self._again.pop(actor, None):
                if again[0].step.call == step.call and not self._handled(*again):
                    if step.blocked:
                        self._waiting[at] = again
                    else:
                        self._returned(at, step, *again)
                    return
                self._interrupted(at, *again)
            if actor.waits:
                raise LeftOut(calls.WAITING)
            if step.gave.get("errno") == "EINTR" or step.gave.get("again") or step.gave.get("ended"):
                raise LeftOut(calls.INTERRUPTED)
            self._made(at, step, actor)
        except LeftOut as why:
            self.script.leave(step, why.args[0])
            self._lost(step, process, actor)

    def _made(self, at: int, step: Step, actor: Actor) -> None:
        turn = Turn(actor, step, at, self.script.find)
        if step.call == "sendmsg":
            self._numbers.stand_in(turn)
        places = {"bind": self._places.bind, "connect": self._places.connect}
        line = (places.get(step.call) or LINES[step.call])(turn)
        _check(line)
        if step.call == "sendmsg":
            self.script.fly(turn)
        if step.count > 1:
            line.comment = phrase("%(count)s times", count=step.count)
        if step.blocked and not CALLS[line.call].blocks:
            self._late[at] = step
            return
        if step.blocked:
            self._results.blocks(turn)
            line.first = "blocks"
            self.script.add(line)
            actor.waits = line
            self._waiting[at] = turn, line
            if not turn.literal:
                self.script.taint(turn.given.get("on"))
            return
        self.script.add(line)
        self._enter(turn, line, step.gave, at, alone=True)

    def _enter(self, turn: Turn, line: Line, gave: Told, back: int, *, alone: bool) -> None:
        try:
            self._results.enter(turn, line, gave, back, alone=alone)
        except LeftOut as why:
            if why.args[0] is calls.NO_CHILD:
                self.script.lines.remove(line)
                raise
            line.first = None
        try:
            _check(dataclasses.replace(line, arguments=[], binds=()) if line.returned else line)
        except LeftOut:
            line.first, line.data, line.keys = None, None, []
        if line.call in ("kill", "pidfd_send_signal") and not line.returned:
            self._ends.sent(turn, line)

    def _returned(self, at: int, step: Step, turn: Turn, line: Line) -> None:
        self.script.tell()
        actor, alone = turn.actor, self.script.is_last(line)
        if step.gave.get("ended"):
            return
        if step.gave.get("again"):
            self._again[actor] = turn, line
            return
        actor.waits = None
        timed_out = line.call == "poll" and step.gave.get("value") == 0
        if step.gave.get("errno") == "EINTR" and (alone or line.call != "poll"):
            self.script.lines.remove(line)
            raise LeftOut(calls.INTERRUPTED)
        if timed_out and not alone:
            self.script.lines.remove(line)
            self.script.add(line)
            alone = True
        turn.gave = step.gave
        if alone:
            line.first = None
            self._enter(turn, line, step.gave, at, alone=True)
            return
        back = Line(line.actor, line.call, list(line.arguments), returned=True, at=at)
        self.script.add(back)
        try:
            self._enter(turn, back, step.gave, at, alone=False)
        except LeftOut:
            self.script.lines.remove(line)
            raise
        if line.call == "poll":
            line.arguments = back.arguments
        line.binds, back.binds, back.arguments = back.binds, (), []

    def _handled(self, turn: Turn, line: Line) -> bool:
        """Whether a call ended by a handler: poll does, however the handler was set. signal(7)"""
        main, at = turn.actor.process.main, self.script.lines.index(line)
        sent = (one for one in self.script.lines[at:] if one.call == "kill" and main)
        return line.call == "poll" and any(main and one.arguments[0] == Name(main.name) for one in sent)

    def _interrupted(self, at: int, turn: Turn, line: Line) -> None:
        """A call that the kernel did not take up again after all."""
        turn.actor.waits = None
        if self._handled(turn, line):
            back = Line(line.actor, line.call, first=constant("EINTR"), returned=True, at=at)
            return self.script.add(back)
        self.script.lines.remove(line)
        return self.script.leave(turn.step, calls.INTERRUPTED)

    def _lost(self, step: Step, process: Process, actor: Actor | None) -> None:
        """What a call has closed that is no line."""
        numbers = [one for rows in step.changed.tables.values() for one, link in rows.items() if link is None]
        if step.call in ("dup2", "dup3") and "errno" not in step.gave:
            numbers += [one for one in (step.given.get("to"),) if isinstance(one, int)]
        speaker = next((one for one in [actor or process.main, *process.actors()] if one and not one.waits), None)
        for one in dict.fromkeys(numbers):
            if one in process.table.held and speaker and not process.doomed:
                self._numbers.close(speaker, one, None, phrase("by %(call)s", call=printable(step.call, 40)))


def _check(line: Line) -> None:
    """Raises LeftOut where the language would not take a line, or would read it differently."""
    try:
        line.step()
    except (ScenarioError, UnicodeError, IndexError):
        raise LeftOut(calls.ODD) from None
