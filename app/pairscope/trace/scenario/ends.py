"""Signals, and how processes end."""

from __future__ import annotations

from typing import TypeGuard

from pairscope.lab.constants import NUMBERS
from pairscope.lab.model import Constants, Name
from pairscope.trace.recording import Step
from pairscope.trace.scenario.line import Line, constant, number
from pairscope.trace.scenario.script import Script
from pairscope.trace.scenario.turn import SET, Turn
from pairscope.trace.scenario.world import Process

_IGNORED = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"})
"""Signals that end nobody by default. signal(7)"""


class Ends:
    """Of one script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._kills: dict[tuple[int, str], Line] = {}

    def sent(self, turn: Turn, line: Line) -> None:
        """A signal is on its way."""
        target = self._target(turn, line)
        signal = line.arguments[1]
        name = signal.names[0] if isinstance(signal, Constants) else ""
        if target is None or not is_signal(name) or "errno" in turn.gave:
            return
        status = self._script.status(target)
        self._kills[target.number, name] = line
        if status == -NUMBERS[name] and self._script.facts.last_kill.get((target.pid, name)) == turn.at:
            target.doomed = True
            if target is turn.actor.process:
                line.first, line.keys = None, [("killed", constant(name))]

    def signal(self, at: int, step: Step, process: Process) -> None:
        """One reaches a process. Who lives on after it has asked for that before."""
        name = step.gave.get("signal")
        if not is_signal(name) or name in _IGNORED or name in process.spared:
            return
        if self._script.facts.fatal.get(process.number) == at or process.main is None:
            return
        actor = self._script.actor(process, step.tid)
        cause = self._kills.get((process.number, name))
        if name == "SIGPIPE":
            own = next((line for line in reversed(self._script.lines) if line.actor == actor.name), None)
            cause = own if own and own.first == constant("EPIPE") else cause
        if cause is None:
            return
        process.spared.add(name)
        earlier = self._script.lines[: self._script.lines.index(cause)] if cause in self._script.lines else []
        waiting = next((line for line in reversed(earlier) if line.actor == actor.name), None)
        handler = "SIG_IGN" if name == "SIGPIPE" else "HANDLER"
        said = Line(actor.name, "signal", [constant(name), constant(handler)], comment=SET)
        self._script.before(waiting if waiting and waiting.first == "blocks" else cause, said)

    def ended(self, at: int, step: Step, process: Process) -> None:
        """A process ends."""
        process.ended = True
        status, killed = step.gave.get("status"), step.gave.get("killed")
        actor = self._script.actor(process, step.tid if step.tid in process.threads else process.pid)
        speaker = next((one for one in [actor, *process.actors()] if not one.waits), None)
        if process.doomed:
            return
        if isinstance(status, int) and speaker:
            self._script.add(Line(speaker.name, "exit", [number(status & 0xFF)], at=at))
        elif isinstance(status, int):
            self._script.untold.append((process, "SIGKILL"))
        elif is_signal(killed):
            last = next((line for line in reversed(self._script.lines) if not line.waits), None)
            own = {one.name for one in process.actors()}
            if killed == "SIGPIPE" and last and last.actor in own and last.first == constant("EPIPE"):
                if killed in process.spared:
                    default = Line(last.actor, "signal", [constant(killed), constant("SIG_DFL")], comment=SET)
                    self._script.before(last, default)
                last.first, last.keys = None, [("killed", constant(killed))]
            else:
                self._script.untold.append((process, killed))
        process.doomed = True

    def _target(self, turn: Turn, line: Line) -> Process | None:
        first = line.arguments[0]
        if line.call == "kill" and isinstance(first, Name):
            return next(
                (one for one in self._script.processes.values() if one.main and one.main.name == first.text), None
            )
        held = turn.table.held.get(turn.number("fd")) if line.call != "kill" else None
        return self._script.find(held.of.about) if held else None


def is_signal(name: object) -> TypeGuard[str]:
    """Whether it is the name of a signal that a scenario may have."""
    return isinstance(name, str) and name in NUMBERS and name.startswith("SIG") and not name.startswith("SIG_")
