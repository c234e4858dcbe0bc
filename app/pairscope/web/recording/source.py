"""The source of a program whose recording is shown: each line, what a compiler said of it, and where its steps are.

A recording may be anybody's file: there may be lines of any length, and more of them than a page should have.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from pairscope.trace.reading import Reading
from pairscope.trace.recording import Program, Remark
from pairscope.web.words import visible

MOST = 400
"""Lines of a page."""
SUFFIXES = {"c": ".c", "python": ".py"}
NAMES = {"c": "C", "python": "Python"}


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A line of the source, as it is shown."""

    number: int
    text: str
    remarks: Sequence[Remark]
    step: int | None
    """Where its next step is: behind the one that is shown, or else its first; None: it has no step."""
    steps: int
    """How many it has."""


def steps_of(reading: Reading) -> dict[int, list[int]]:
    """By line, its steps. Those that are folded count where a line has no others."""
    plain: dict[int, list[int]] = {}
    folded: dict[int, list[int]] = {}
    for number, row in enumerate(reading.rows, 1):
        if row.source:
            (folded if row.folded else plain).setdefault(row.source, []).append(number)
    return folded | plain


def lines_of(
    program: Program, steps: Mapping[int, Sequence[int]] | None = None, number: int = 0, here: int = 0
) -> list[Line]:
    """The lines around `here`, at most MOST. `number`: the step that is shown."""
    count = program.source.removesuffix("\n").count("\n") + 1
    first = max(1, min(here - MOST // 2, count - MOST + 1))
    return some_lines(program, range(first, count + 1), steps, number)


def some_lines(
    program: Program, wanted: Iterable[int], steps: Mapping[int, Sequence[int]] | None = None, number: int = 0
) -> list[Line]:
    """These lines, at most MOST."""
    texts = program.source.split("\n")
    steps = steps or {}
    remarks: dict[int, list[Remark]] = {}
    for remark in program.remarks:
        remarks.setdefault(remark.line, []).append(remark)
    return [
        Line(
            at, texts[at - 1].expandtabs(8), remarks.get(at, ()), _next(steps.get(at, ()), number),
            len(steps.get(at, ())),
        )
        for at in itertools.islice(wanted, MOST)
    ]  # fmt: skip


def elsewhere(program: Program) -> list[Remark]:
    """What a compiler said of no line of the source: of its whole, or of a header."""
    return [remark for remark in program.remarks if not 0 < remark.line <= program.source.count("\n") + 1]


def streams_of(reading: Reading) -> dict[str, int]:
    """What leads to standard output (1) and to standard error (2), by what the program began with."""
    if not reading.count:
        return {}
    rows = reading.rows_of(1, reading.state(1), 1)
    return {rows[number]: number for number in (2, 1) if number in rows}


def text_of(text: str) -> str:
    """Text of several lines in which whatever else would change the look of its surroundings is written out."""
    return "\n".join(visible(line.expandtabs(8)) for line in text.split("\n"))


def _next(steps: Sequence[int], number: int) -> int | None:
    if not steps:
        return None
    return steps[bisect.bisect_right(steps, number) % len(steps)]
