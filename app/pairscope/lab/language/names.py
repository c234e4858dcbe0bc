"""Which names each process can use at each step."""

from __future__ import annotations

from collections.abc import Iterable

from pairscope.lab.calls import CALLS
from pairscope.lab.language.bounds import PROCESSES_MAX
from pairscope.lab.language.line import Line
from pairscope.lab.model import Position, ScenarioError, Step
from pairscope.sentence import phrase


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
            raise ScenarioError(
                step.place, step.actor, phrase("one of the processes so far: %(names)s", names=", ".join(self._known))
            )
        for kind, name, place in line.used:
            self._require(name, self._known if kind == "process" else mine, step.actor, kind, place)
        for name, place in line.bound:
            if CALLS[step.call].binds != "process":
                mine.add(name)
                continue
            if name in self._known:
                raise ScenarioError(place, phrase("a second process %(name)s", name=name), phrase("another name"))
            if len(self._known) == PROCESSES_MAX:
                raise ScenarioError(
                    place,
                    phrase("process %(number)s", number=PROCESSES_MAX + 1),
                    phrase("at most %(most)s processes and threads", most=PROCESSES_MAX),
                )
            self._known[name] = mine if step.call == "thread" else set(mine)

    @staticmethod
    def _require(name: str, known: Iterable[str], actor: str, kind: str, place: Position) -> None:
        if name in known:
            return
        if kind == "process":
            raise ScenarioError(place, name, phrase("a process: %(names)s", names=", ".join(known)))
        none = phrase("it has named none yet")
        raise ScenarioError(
            place, name, phrase("a descriptor of %(who)s: %(names)s", who=actor, names=", ".join(sorted(known)) or none)
        )
