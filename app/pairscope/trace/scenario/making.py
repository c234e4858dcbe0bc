"""The text of a scenario that is made of a recording, with what it says of itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pairscope.lab.language import PROCESSES_MAX, STEPS_MAX, TEXT_MAX, parse
from pairscope.lab.language import format as written
from pairscope.lab.model import Scenario, ScenarioError
from pairscope.sentence import Sentence, phrase, phrase_of
from pairscope.trace.file import Recording
from pairscope.trace.scenario.facts import facts
from pairscope.trace.scenario.line import placeless, printable
from pairscope.trace.scenario.stretch import Stretch, stretch
from pairscope.trace.scenario.walk import Walk

Told = Callable[[str], str]
_NAMED = 12
"""Calls that a reason names."""


class NoScenario(ValueError):
    """There is none of these steps. Its argument is a sentence."""

    args: tuple[Sentence]


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A scenario that was made of a recording."""

    text: str
    steps: int
    left_out: tuple[tuple[str, dict[str, int]], ...]
    """By the reason: how many of each call."""


def scenario(recording: Recording, name: str, first: int = 0, last: int = 0, told: Told = str) -> Made:
    """The steps of a recording from one to another, both with it, as a scenario. 0: from its beginning; to its end.
    `name`: what the recording is called; `told`: says a sentence in the reader's language. Raises NoScenario, and
    NoRecording where a block is damaged."""
    begin, end = first or 1, last or recording.steps
    if not 1 <= begin <= end <= recording.steps:
        raise NoScenario(
            phrase(
                "steps %(first)s to %(last)s; the recording has steps 1 to %(count)s",
                first=begin, last=end, count=recording.steps,
            )
        )  # fmt: skip
    known = facts(recording)
    taken = stretch(recording, known, begin, end)
    if not taken.made and begin > 1:
        raise NoScenario(
            phrase("what steps %(first)s to %(last)s touch was made before the recording began", first=begin, last=end)
        )
    walk = Walk(recording, known)
    for process, parent in taken.cast:
        walk.script.begin(process, walk.script.processes.get(parent))
    for at, step in enumerate(recording.all(), 1):
        if at > end:
            break
        if at >= taken.first:
            walk.take(at, step)
    lines = [line for line in walk.script.lines if not line.waits]
    _bounds(walk, len(lines), taken.first)
    steps = tuple(line.step(told) for line in lines)
    head = [told(one) for one in _head(recording, name, begin, taken, walk)]
    title = printable(told(phrase("As recorded: %(command)s", command=" ".join(recording.index.command))), 100)
    text = "".join(f"# {printable(line)}\n" for line in head) + written(Scenario((("title", title),), steps))
    if len(text) > TEXT_MAX:
        raise NoScenario(
            phrase(
                "it would have %(count)s characters; a scenario has at most %(most)s", count=len(text), most=TEXT_MAX
            )
        )
    try:
        read = parse(text)
    except ScenarioError as error:
        raise NoScenario(phrase("the lab would not read it: %(why)s", why=error.args[0])) from None
    if [placeless(one) for one in read.steps] != [placeless(one) for one in steps]:
        raise NoScenario(phrase("the lab would read it differently"))
    return Made(text, len(steps), tuple((why, dict(counts)) for why, counts in walk.script.left_out.items()))


def _bounds(walk: Walk, count: int, begin: int) -> None:
    if not count:
        raise NoScenario(phrase("none of these steps is one that the lab has"))
    actors = sum(len(process.actors()) for process in walk.script.processes.values()) + bool(walk.script.outsider)
    if actors > PROCESSES_MAX:
        raise NoScenario(
            phrase_of(
                "%(num)s process takes part; a scenario has at most %(most)s",
                "%(num)s processes and threads take part; a scenario has at most %(most)s",
                actors, most=PROCESSES_MAX,
            )
        )  # fmt: skip
    if count > STEPS_MAX:
        fits = max((at for at, many in walk.ends.items() if many <= STEPS_MAX), default=begin)
        raise NoScenario(
            phrase(
                "it would have %(count)s steps; a scenario has at most %(most)s. Steps %(begin)s to %(fits)s of the "
                "recording fit",
                count=count, most=STEPS_MAX, begin=begin, fits=fits,
            )
        )  # fmt: skip


def _head(recording: Recording, name: str, begin: int, taken: Stretch, walk: Walk) -> list[str]:
    """What it says of itself."""
    index = recording.index
    lines: list[str] = [
        phrase("From the recording %(name)s of: %(command)s", name=name, command=" ".join(index.command)),
        phrase("Steps %(first)s to %(last)s of %(count)s.", first=taken.first, last=taken.last, count=recording.steps),
    ]
    if taken.first < begin:
        lines.append(phrase("It begins before step %(asked)s: there is made what these steps touch.", asked=begin))
    for why, counts in walk.script.left_out.items():
        named = ", ".join(f"{many} {call}" for call, many in counts.most_common(_NAMED))
        more = f", ... ({len(counts) - _NAMED})" if len(counts) > _NAMED else ""
        lines.append(phrase("Left out: %(calls)s: %(reason)s", calls=named + more, reason=why))
    return lines
