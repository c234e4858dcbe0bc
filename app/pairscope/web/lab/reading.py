"""A run read for people: what a step did, what changed by it, what every process and object held after it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from flask_babel import gettext as _
from msgspec.structs import replace

from pairscope.lab.run import NOTHING, Completed, Run, State, Step
from pairscope.web.lab.changes import differences
from pairscope.web.lab.confined import Confined, confined
from pairscope.web.lab.difference import Difference
from pairscope.web.lab.words import open_way, outcome
from pairscope.web.recorded import translated


def verdict(name: str) -> str:
    """A run's verdict, in words: *held* is what pages say of a table that waits."""
    return {
        "held": _("as expected"),
        "failed": _("not as expected"),
        "none": _("nothing expected"),
        "refused": _("refused"),
        "timed out": _("timed out"),
    }.get(name, name)


SHAPES = {"held": "good", "failed": "failed", "none": "unknown", "refused": "attention", "timed out": "attention"}


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the scenario's text."""

    number: int
    tokens: list[tuple[str, str]]
    """Class and text: ``about``, ``comment``, ``actor``, ``call``, ``string``, ``binds``, ``expected``, or nothing."""
    step: int | None
    """Its step, from 1."""

    @property
    def returned(self) -> bool:
        """Whether it stands for what a call that had blocked gave, as in ``child: (read returns)``: to read it is to
        know that the call blocks."""
        return next((text for kind, text in self.tokens if kind != "actor" and text.strip(" :")), "").startswith("(")


@dataclasses.dataclass(frozen=True)
class Blocked:
    """A call that blocked, from its step to the one that released it."""

    actor: str
    call: str
    first: int
    last: int | None
    """None: it was never released."""


def lines_of(text: str, steps: Sequence[Step] = ()) -> list[Line]:
    """The lines of a scenario's text; of one that has not been run the steps are counted here."""
    by_line = {step.line: index for index, step in enumerate(steps, 1)}
    found, count = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        step = by_line.get(number)
        if not steps and _STEP.match(line):
            count += 1
            step = count
        found.append(Line(number, list(_tokens(line)), step))
    return found


class Reading:
    """A run, and ways to read it. Steps are counted from 1; step 0 is the moment before the first."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.steps = run.steps
        self.count = len(run.steps)
        self._differences: dict[int, list[Difference]] = {}
        self._facts: dict[int, State] = {}

    def said(self, word: str) -> str:
        """What ``@word`` says in the scenario."""
        return " ".join(text for key, text in self.run.about if key == word)

    @property
    def title(self) -> str:
        return self.said("title") or _("A scenario without a title")

    def step(self, number: int) -> Step:
        return self.steps[number - 1]

    @property
    def confined(self) -> Confined | None:
        """How the run was confined; None: it does not say."""
        return confined(self.run.sandbox) if self.run.sandbox else None

    def facts(self, number: int) -> State:
        """What was held after a step. Objects that have one inode between them have one of their own here, less than 0:
        :meth:`inode` has theirs."""
        if number not in self._facts:
            self._facts[number] = _apart(self.run.state(number)) if 0 < number <= self.count else NOTHING
        return self._facts[number]

    def inode(self, number: int, inode: int) -> int:
        """An object's inode, as the kernel has it, of one that :meth:`facts` gives after a step."""
        if inode >= 0:
            return inode
        return next((item.inode for item in self.run.state(number).objects if -inode in item.descriptions), inode)

    @property
    def first(self) -> int:
        """The step that is shown first: the one that failed; of a run that came to another end than its own the last;
        else the first."""
        failed = next((number for number, step in enumerate(self.steps, 1) if step.verdict == "failed"), 0)
        return failed or (min(1, self.count) if self.run.verdict in ("held", "none") else self.count)

    @property
    def reason(self) -> list[tuple[str, Line | None]]:
        """Why the run ended as it did, in pieces; with a line of the text where a piece names a line that is a step."""
        by_number = {line.number: line for line in self.lines if line.step}
        if place := re.match(r"line (\d{1,9}): ", self.run.reason):
            number = int(place[1])
            return [
                (_("line %(line)s", line=number), by_number.get(number)),
                (": " + translated(self.run.reason[place.end() :]), None),
            ]
        return [(translated(self.run.reason), None)] if self.run.reason else []

    # ---- the text

    @cached_property
    def lines(self) -> list[Line]:
        """The scenario's text."""
        return lines_of(self.run.text, self.steps)

    def source(self, number: int) -> str:
        """The line of a step, without what is expected."""
        step = self.step(number)
        lines = self.run.text.splitlines()
        line = lines[step.line - 1] if 0 < step.line <= len(lines) else f"{step.actor}: {step.call}"
        return re.sub(
            r"\s+", " ", "".join(text for kind, text in _tokens(line) if kind not in ("expected", "comment"))
        ).strip()

    # ---- what a step did

    def outcome(self, number: int) -> str:
        """What the call of a step gave, as strace would say it."""
        step = self.step(number)
        return (
            outcome(step, self.run.state(number), step.result, self.processes)
            if step.result
            else _("was not made: %(why)s", why=self.reason_of(number))
        )

    def reason_of(self, number: int) -> str:
        """Why a step was not made, or is not as it was expected; empty: it is."""
        return translated(self.step(number).reason)

    def expected(self, number: int) -> str:
        """What the scenario expected of a step; empty: nothing."""
        wanted = self.step(number).expected
        if not wanted:
            return ""
        return " ".join(filter(None, (wanted.first, *(f"{key}={value}" for key, value in wanted.keys.items()))))

    def released(self, number: int) -> list[tuple[str, int, str]]:
        """The calls that a step released: actor, the step at which it had blocked, what it gave."""
        step = self.step(number)
        return [
            (actor, result.of + 1, self._gave(result))
            for actor, result in step.completed.items()
            if result.of + 1 != number
        ]

    def _gave(self, result: Completed) -> str:
        began = self.steps[result.of]
        return outcome(began, self.run.state(result.of + 1), result, self.processes)

    @cached_property
    def blocks(self) -> list[Blocked]:
        """Every call that blocked."""
        open_: dict[str, tuple[str, int]] = {}
        found = []
        for number, step in enumerate(self.steps, 1):
            for actor, result in step.completed.items():
                if actor in open_ and result.of + 1 < number:
                    call, first = open_.pop(actor)
                    found.append(Blocked(actor, call, first, number))
            if step.result and step.result.blocked and not step.returned:
                open_[step.actor] = step.call, number
        return found + [Blocked(actor, call, first, None) for actor, (call, first) in open_.items()]

    @cached_property
    def actors(self) -> list[str]:
        """In the order in which they first speak or are made."""
        seen: dict[str, None] = {}
        for number, step in enumerate(self.steps, 1):
            seen.setdefault(step.actor)
            for process in self.run.state(number).processes:
                for thread in process.threads or (process,):
                    seen.setdefault(thread.name)
        return list(seen)

    @cached_property
    def processes(self) -> dict[int, str]:
        """The name of every process that was seen, by its pid."""
        return self.run.processes()

    def volatile(self) -> set[str]:
        """Numbers that the kernel gave and gives otherwise in each run: pids, inodes, ports."""
        found: set[Any] = set()
        for number, step in enumerate(self.steps, 1):
            facts = self.facts(number)
            for process in facts.processes:
                found |= {process.pid, *(thread.tid for thread in process.threads or ())}
                found |= {self.inode(number, row.inode) for row in process.descriptors}
            found |= {self.inode(number, item.inode) for item in facts.objects}
            found |= {result.port for result in (step.result, *step.completed.values()) if result and result.port}
        return {str(value) for value in found if value}

    # ---- what changed

    def differences(self, number: int) -> list[Difference]:
        """What a step changed."""
        if number not in self._differences:
            self._differences[number] = differences(self.facts(number - 1), self.facts(number), self.names(number))
        return self._differences[number]

    def open_ways(self, number: int) -> list[str]:
        """In which ways a step is open: another run may give another outcome."""
        return [open_way(way, self.names(number)) for way in self.step(number).open or ()]

    @cached_property
    def opened(self) -> int | None:
        """The first step that is open; None: none is, as far as is recognised."""
        return next((number for number, step in enumerate(self.steps, 1) if step.open), None)

    def changes(self, number: int) -> list[str]:
        """The same in words."""
        return [one.text for one in self.differences(number)]

    def fresh(self, number: int) -> Fresh:
        """What a step changed, for a drawing to accent."""
        before, after = self.facts(number - 1), self.facts(number)
        slots_before = {(p.name, d.number): (d.inode, d.description) for p in before.processes for d in p.descriptors}
        slots_after = {(p.name, d.number): (d.inode, d.description) for p in after.processes for d in p.descriptors}
        paths = {path for one in self.differences(number) for path in one.covers}
        return Fresh(
            slots={key for key, value in slots_after.items() if slots_before.get(key) != value},
            gone={key for key in slots_before if key not in slots_after},
            processes={path[1] for path in paths if path[0] in ("process", "thread")},
            objects={path[1] for path in paths if path[0] == "object" and path[2] != "descriptions"},
        )

    def names(self, number: int) -> dict[int, str]:
        """What an object is called: by the first name that a descriptor to it was given."""
        found: dict[int, str] = {}
        for upto in range(1, number + 1):
            for process in self.facts(upto).processes:
                for row in process.descriptors:
                    if row.names:
                        found.setdefault(row.inode, row.names[-1])
        for upto in range(1, number + 1):
            for item in self.facts(upto).objects:
                if item.inode < 0:
                    found.setdefault(item.inode, item.kind)
        return found

    @cached_property
    def order(self) -> list[int]:
        """Every object that was ever seen, by inode, in the order of appearance; the ends of a pair side by side."""
        seen: dict[int, None] = {}
        for number in range(1, self.count + 1):
            for item in self.facts(number).objects:
                if item.inode not in seen:
                    seen.setdefault(item.inode)
                    if item.peer:
                        seen.setdefault(item.peer)
        return list(seen)


def _apart(state: State) -> State:
    """The facts, with an inode for each eventfd: the kernel has one for all of them, and their descriptions tell them
    apart."""
    own = {
        (item.inode, description): -item.descriptions[0]
        for item in state.objects
        if item.kind in _SHARED and item.descriptions
        for description in item.descriptions
    }
    if not own:
        return state
    return State(
        [
            replace(
                process,
                descriptors=[
                    replace(row, inode=own.get((row.inode, row.description), row.inode)) for row in process.descriptors
                ],
            )
            for process in state.processes
        ],
        [
            replace(item, inode=own.get((item.inode, (item.descriptions or [0])[0]), item.inode))
            for item in state.objects
        ],
    )


_SHARED = ("eventfd", "anonymous inode")


@dataclasses.dataclass(frozen=True)
class Fresh:
    """What a step changed."""

    slots: set[tuple[str, int]]
    gone: set[tuple[str, int]]
    processes: set[str]
    objects: set[int]


_TOKEN = re.compile(
    r"""(?P<comment>\#.*$)|(?P<string>x?"(?:[^"\\]|\\.)*")|(?P<binds>->(?:\s*[a-z]\w*)+)|(?P<expected>=>.*$)|(?P<space>\s+)|(?P<word>[^\s"#]+)"""
)


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    """The parts of a line, each with its class."""
    if line.lstrip().startswith("@"):
        word, _space, _rest = line.partition(" ")
        yield "about", word
        yield "said", line[len(word) :]
        return
    calls = 0
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup or ""
        text = match.group()
        if kind == "word":
            kind = "actor" if not calls else "call" if calls == 1 else ""
            calls += 1
        yield ("", " ") if kind == "space" and calls else ("" if kind == "space" else kind, text)


_STEP = re.compile(r"\s*[a-z]\w*\s*:")
