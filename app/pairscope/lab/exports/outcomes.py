"""Several runs of one scenario, by what came of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from pairscope.lab.exports.lines import outcome_lines
from pairscope.lab.run import Run


@dataclasses.dataclass(slots=True)
class Outcome:
    """What one or more runs came to."""

    run: Run
    """The first of them."""
    lines: list[str]
    """All of it, as :func:`pairscope.lab.exports.lines.outcome_lines` has it."""
    count: int = 0
    apart: list[str] = dataclasses.field(default_factory=list)
    """The lines that not all outcomes have."""


def tally(runs: Iterable[Run]) -> list[Outcome]:
    """The outcomes, the most frequent first; each with its count and what tells it from the others."""
    found: dict[tuple[str, ...], Outcome] = {}
    for run in runs:
        lines = outcome_lines(run)
        found.setdefault(tuple(lines), Outcome(run, lines)).count += 1
    outcomes = sorted(found.values(), key=lambda outcome: -outcome.count)
    shared = set.intersection(*(set(outcome.lines) for outcome in outcomes)) if outcomes else set()
    for outcome in outcomes:
        outcome.apart = [line for line in outcome.lines if line not in shared]
    return outcomes
