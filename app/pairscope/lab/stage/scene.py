"""The scene: who is on the stage, and what is known of the run. The rooms of the stage share it; it has no behaviour.

Each entry names the room that writes it; all others read it.
"""

from __future__ import annotations

from pairscope.lab.model import Scenario
from pairscope.lab.run import NOTHING, Result, State
from pairscope.lab.run import Step as Taken
from pairscope.lab.stage.allowance import Allowance
from pairscope.lab.stage.cast import Actor, Process
from pairscope.lab.stage.memory import Memory
from pairscope.lab.stage.reach import Ports


class Scene:
    """Of one run."""

    def __init__(self, scenario: Scenario, allowance: Allowance) -> None:
        self.scenario = scenario
        self.allowance = allowance
        """Whoever waits tells it for how long."""

        self.actors: dict[str, Actor] = {}
        """By their names. Of the births, as is the next."""
        self.processes: list[Process] = []
        """The first one leads the group that all belong to."""

        self.steps: list[Taken] = []
        """Of the manager, as is the next."""
        self.state: State = NOTHING
        """What the last look has found."""

        self.memory = Memory()
        """Of the ledger and of the observation, as each entry says."""
        self.ports = Ports()
        """Of the ledger, as is the next."""
        self.received: list[tuple[str, Result, int]] = []
        """Who has received since the last look, with what result, and from which socket."""

        self.signals: set[int] = set()
        """Every signal that a step has sent. Of the guard, as is the next."""
        self.timeout = 0.0
        """Seconds that a call may wait by an option of its socket."""
