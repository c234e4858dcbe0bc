"""Which names each process can use at each step."""

from __future__ import annotations

from collections.abc import Iterable

from pairscope.lab.calls import CALLS
from pairscope.lab.language.bounds import PROCESSES_MAX
from pairscope.lab.language.line import Line
from pairscope.lab.model import Position, ScenarioError, Step


class Names:
    """Who there is, and which names each can use: a child inherits its parent's, threads share them."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def check(self, step: Step, line: Line) -> None:
        """Takes one step in order. Raises ScenarioError where it uses a name that is not bound there."""
        if not self._known:
            self._known[step.actor] = set()
        mine = self._known.get(step.actor)
        if mine is None:
            raise ScenarioError(step.place, step.actor, "one of the processes so far: " + ", ".join(self._known))
        for kind, name, place in line.used:
            self._require(name, self._known if kind == "process" else mine, step.actor, kind, place)
        for name, place in line.bound:
            if CALLS[step.call].binds != "process":
                mine.add(name)
                continue
            if name in self._known:
                raise ScenarioError(place, f"a second process {name}", "another name")
            if len(self._known) == PROCESSES_MAX:
                raise ScenarioError(
                    place, f"process {PROCESSES_MAX + 1}", f"at most {PROCESSES_MAX} processes and threads"
                )
            self._known[name] = mine if step.call == "thread" else set(mine)

    @staticmethod
    def _require(name: str, known: Iterable[str], actor: str, kind: str, place: Position) -> None:
        if name in known:
            return
        if kind == "process":
            raise ScenarioError(place, name, "a process: " + ", ".join(known))
        raise ScenarioError(
            place, name, f"a descriptor of {actor}: " + (", ".join(sorted(known)) or "it has named none yet")
        )
