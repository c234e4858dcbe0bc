"""Orders: has an actor take a step, and tells what came of it once everybody stands still again."""

from __future__ import annotations

import ctypes
import socket
from typing import Any

from pairscope.lab.constants import HANDLERS, POINTERS, number
from pairscope.lab.model import Constants, Items, Name, Number, Step, Text, Value
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Step as Taken
from pairscope.lab.stage import actor as acting
from pairscope.lab.stage import answers, standing
from pairscope.lab.stage.births import Births
from pairscope.lab.stage.cast import Actor, Outcome, Pending, ending
from pairscope.lab.stage.errors import Unmade
from pairscope.lab.stage.guard import Guard
from pairscope.lab.stage.ledger import Ledger
from pairscope.lab.stage.scene import Scene
from pairscope.lab.stage.settling import Settling

PATIENCE = 0.25
"""Seconds of idle time that an expected return may take that no step made: a TCP segment or a descriptor's burial is
the kernel's own work, done when it likes."""
_AS_THEY_ARE = (*POINTERS, *HANDLERS)
"""Constants that only an actor can make a number of."""


class Orders:
    """Of one run. Both ways raise RunRefused, TimedOut, Unmade, and OSError if an actor cannot be reached; a sentence
    instead of an outcome says why the step could not be taken."""

    def __init__(self, scene: Scene, guard: Guard, ledger: Ledger, settling: Settling, births: Births) -> None:
        self._scene, self._guard, self._ledger = scene, guard, ledger
        self._settling, self._births = settling, births

    def take(self, index: int, step: Step, entry: Taken) -> Outcome | str:
        """Has the actor make the call. `entry`: the step of the run, into which its arguments are written."""
        who = self._scene.actors.get(step.actor)
        if who is None:
            return Reason.NOBODY.say(who=step.actor)
        if why := self._unable(who):
            return why
        arguments = [self.resolve(who, value) for value in step.arguments]
        named = {key: self.resolve(who, value) for key, value in step.named}
        self._guard.check(who, step, arguments, named)
        entry.arguments = [answers.told(value) for value in arguments]
        entry.arguments += [{key: answers.told(value)} for key, value in named.items()]
        ours, theirs = self._births.pairs(step)
        try:
            pending = Pending(index, step, _first(step, arguments))
            self._ledger.enter(who, pending, arguments, named)
            who.pending, who.last, who.made = pending, None, step.call
            acting.send(who.control, [step.call, arguments, named], tuple(end.fileno() for end in theirs))
            _close(theirs)
            if ours:
                self._births.bring(who, step, ours)
            self._settling.settle()
        finally:
            _close(ours + theirs)
        if who.pending and (patience := self._patience(step)):
            self._settling.await_return(who, patience)
        if who.pending:
            return answers.blocked()
        assert who.last is not None
        entry.completed.pop(who.name, None)
        return who.last

    def hear(self, step: Step) -> Outcome | str:
        """What a call gave that was blocked: a step ``NAME: (CALL returns)``."""
        who = self._scene.actors.get(step.actor)
        if who is None or who.made != step.call:
            return (Reason.NOT_LAST if who and who.made else Reason.NOT_MADE).say(
                who=step.actor, call=step.call, last=who and who.made
            )
        if who.pending:
            self._settling.await_return(who, self._patience(who.pending.step))
        if who.pending:
            where = standing.where(who).wchan or Reason.THE_KERNEL
            return Reason.STILL.say(who=step.actor, call=who.pending.step.call, where=where)
        assert who.last is not None
        return who.last

    def resolve(self, who: Actor, value: Value) -> Any:
        """A value as the actor needs it: a number, a constant's name where only that says it, a text as its piece and
        how often. Raises Unmade."""
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Text):
            return [value.data, value.times]
        if isinstance(value, Items):
            return [self.resolve(who, item) for item in value.values]
        if isinstance(value, Constants):
            alone = value.names[0]
            return alone if alone in _AS_THEY_ARE else number(value)
        assert isinstance(value, Name)
        if value.text in who.process.names:
            return who.process.names[value.text]
        if value.text in self._scene.actors:
            return self._scene.actors[value.text].process.pid
        raise Unmade(Reason.NAMELESS.say(who=value.text))

    @staticmethod
    def _unable(who: Actor) -> str:
        """Why an actor can take no step, in words; empty: it can."""
        if who.ended:
            return Reason.HAS_ENDED.say(who=who.name, how=ending(who.process.status))
        stopped = standing.stopped(who)
        if who.pending:
            return (Reason.STOPPED_IN if stopped else Reason.STANDS).say(who=who.name, call=who.pending.step.call)
        return Reason.STOPPED.say(who=who.name) if stopped else ""

    def _patience(self, step: Step) -> float:
        """How long a call that is seen blocked is waited for: not at all where it should be, else as long as it may
        take of itself."""
        patience = self._scene.timeout
        if step.call == "poll" and isinstance(step.arguments[2], Number):
            patience = max(patience, ctypes.c_int(step.arguments[2].value).value / 1000)
        expected, returned = step.expectation, self._scene.steps[-1].returned
        if expected is not None and expected.first == "blocks" and not returned:
            return 0.0
        return patience + PATIENCE if expected is not None or patience or returned else 0.0


def _first(step: Step, arguments: list[Any]) -> int | None:
    """The call's first argument, as the kernel shows it while the call is blocked; None: any."""
    if step.call == "wait" and not arguments:
        return -1
    first = arguments[0] if arguments and step.call != "poll" else None
    return first if isinstance(first, int) else None


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
