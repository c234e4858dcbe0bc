"""What a run observed, one line for each step: what the exported programs print when they are run. What each call gave
stands in its file; docs/lab.md lists the forms."""

from __future__ import annotations

from collections.abc import Mapping

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.results import Returned
from pairscope.lab.constants import signal_name
from pairscope.lab.run import Result, Run, Step

VERDICTS = {"held": "as expected", "failed": "not as expected"}
"""How a run came out, in words; the other verdicts are words already."""


def result_lines(run: Run) -> list[str]:
    """One line for each step that was taken: ``6 child read = 17 "SOCKET PAIR TEST."``."""
    names = run.processes()
    found = []
    for number, step in enumerate(run.steps, 1):
        found.append(f"{number} {step.actor} {step.call}{_came(step, step.result, step.returned, names)}")
        if step.result is None:
            break
    return found


def outcome_lines(run: Run) -> list[str]:
    """The same, and what each step released: ``6 m write = 5``, ``6 m write: p read returned 5 "hello"``; the verdict
    last. Equal where two runs came to the same."""
    names = run.processes()
    found = []
    for number, (line, step) in enumerate(zip(result_lines(run), run.steps), 1):
        found.append(line)
        for actor, result in sorted(step.completed.items()):
            if result.of + 1 != number and not (step.returned and actor == step.actor):
                began = run.steps[result.of]
                came = _came(began, result, True, names)
                found.append(f"{number} {step.actor} {step.call}: {actor} {began.call}{came}")
    verdict = VERDICTS.get(run.verdict, run.verdict)
    return [*found, f"{verdict}: {run.reason}" if run.reason else verdict]


def _came(step: Step, result: Result | None, returned: bool, names: Mapping[int, str]) -> str:
    if result is None:
        return ": not possible"
    if result.fault:
        return ": not made"
    if result.blocked:
        return " blocks"
    call = CALLS[step.call]
    if result.ended or not call.returns:
        return f": killed by {signal_name(result.killed)}" if result.killed else ": ended"
    gave = f"-1 {result.errno}" if result.errno else call.line(Returned(step, result, names))
    return f" {'returned' if returned else '='} {gave}"
