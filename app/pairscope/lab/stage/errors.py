"""Why a run or a step cannot go on. The manager alone catches these; str() of each is a sentence for people."""

from __future__ import annotations

from pairscope.lab.model import Step
from pairscope.lab.reasons import Reason


class RunRefused(Exception):
    """The run asks for more than the stage gives, or for what would reach others. It ends there."""


class TimedOut(Exception):
    """The run took too long. It ends there."""


class Unmade(Exception):
    """A name stands for nothing, because the call that should have bound it gave nothing. The step has failed."""


def refused(step: Step, why: str) -> RunRefused:
    """The refusal of this step, with its line."""
    return RunRefused(Reason.LINE.say(line=step.place.line, why=why))
