"""Who there is in the scenario, what each number of a process is called in it, and which number the lab will give."""

from __future__ import annotations

import dataclasses
import re

from pairscope.lab.calls import CALLS
from pairscope.trace.scenario.line import Line

KINDS = ("sock", "stream", "dgram", "packet", "in", "out", "mem", "event", "proc", "conn", "got", "copy", "gap", "file")
"""What names of descriptors begin with; the number of the recording follows."""
_TAKEN = frozenset({"blocks", "ok", "the", "pending", "returns", *CALLS, *KINDS})
"""Words that would read oddly, or as something else, as the name of a process."""
STANDARD = (0, 1, 2)
"""What a process of the lab begins with: they lead to /dev/null."""


@dataclasses.dataclass(slots=True, eq=False)
class Description:
    """An open file description, as far as its calls are concerned."""

    kind: str
    """Such as ``socket``, ``stream``, ``datagram``, ``pipe``, ``eventfd``, ``file``."""
    nonblock: bool = False
    about: int = 0
    """The process that a pidfd stands for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """A number of the recording that has a name in the scenario."""

    name: str
    number: int
    """The one that the lab gives."""
    of: Description


class Table:
    """What a process holds. Threads share one."""

    def __init__(self) -> None:
        self.held: dict[int, Held] = {}
        """By the recording's number."""
        self.taken: dict[int, str] = dict.fromkeys(STANDARD, "")
        """The lab's numbers that lead anywhere; of those that only fill a gap, their names."""

    def copied(self) -> Table:
        """That of a child."""
        table = Table()
        table.held, table.taken = dict(self.held), dict(self.taken)
        return table

    def lowest(self) -> int:
        """The number that the kernel gives next: the lowest that is free. open(2)"""
        return next(number for number in range(len(self.taken) + 1) if number not in self.taken)

    def give(self, number: int, kind: str, of: Description, at: int | None = None) -> Held:
        """A new descriptor, which the recording has at this number. `at`: where the lab has it."""
        held = Held(f"{kind}{number}", self.lowest() if at is None else at, of)
        self.held[number] = held
        self.taken[held.number] = held.name
        return held

    def drop(self, number: int) -> Held:
        """One is closed."""
        held = self.held.pop(number)
        self.taken.pop(held.number, None)
        return held


@dataclasses.dataclass(slots=True, eq=False)
class Actor:
    """A thread that takes steps."""

    name: str
    process: Process
    waits: Line | None = None
    """Its line that blocks."""
    waits_in: int = 0
    """The step of the recording of its call that has not returned."""


@dataclasses.dataclass(slots=True, eq=False)
class Process:
    """A process of the recording."""

    number: int
    pid: int
    table: Table
    parent: Process | None
    main: Actor | None = None
    threads: dict[int, Actor] = dataclasses.field(default_factory=dict)
    """By the recording's task."""
    unborn: list[Line] = dataclasses.field(default_factory=list)
    """Threads that have done nothing yet."""
    beginning: Line | None = None
    """The line that has made it; None: it is the first."""
    ended: bool = False
    doomed: bool = False
    """It was sent what ends it."""
    reaped: bool = False
    spared: set[str] = dataclasses.field(default_factory=set)
    """Signals that it has said it ignores or handles."""
    children: list[Process] = dataclasses.field(default_factory=list)

    def actors(self) -> list[Actor]:
        """All that act for it."""
        return [*([self.main] if self.main else []), *self.threads.values()]


class Names:
    """One name for each actor, which nobody else has."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, name: str) -> str:
        """Made of what the recording calls it: ``nginx``, ``nginx2``."""
        base = re.sub(r"[^a-z0-9]+", "_", name.partition("#")[0].lower()).strip("_0123456789")[:12].rstrip("_") or "p"
        found, count = base, 1
        while found in self._given or found in _TAKEN:
            count += 1
            found = f"{base}{count}"
        self._given.add(found)
        return found
