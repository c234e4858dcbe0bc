"""A step of setting a box up, and what a check finds of it."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable

from pairscope.sentence import phrase

VARIABLES = {"port": "8080", "source": ".", "site": "http://localhost:8080"}
"""What commands may name in braces, and what the guide shows for it; in ``deploy/steps.sh`` it is the shell variable of
that name."""

NOT_RUN = "not run here"
"""What every note on another system says of itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step. Its id is ``CHAPTER-WORD``."""

    id: str
    title: str
    purpose: str
    commands: str
    """Shell, run as root; each line works in a shell of its own."""
    done: str
    """Shell condition: there is nothing to do. Looked at before and after the commands."""
    see: str
    """What one should see."""
    wrong: tuple[tuple[str, str], ...] = ()
    """What commonly goes wrong: what one sees, and what to do."""
    unless: str = ""
    """Where the step is left out, in words: on a machine that serves others, too."""
    leave: str = ""
    """Shell that says why the step is left out here; it prints nothing where it is not. Looked at when the step is not
    done."""
    elsewhere: tuple[tuple[str, str], ...] = ()
    """How another system differs, by its name. Not run here."""

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[a-z]+-[a-z]+", self.id), self.id

    @property
    def chapter(self) -> str:
        return self.id.partition("-")[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chapter:
    """Steps that belong together, in their order."""

    id: str
    title: str
    guide: str
    """The page it stands in, below ``deploy/``."""
    intro: str
    steps: tuple[Step, ...]


class Verdict(enum.StrEnum):
    """What a finding means."""

    GOOD = "good"
    RECOMMENDED = "recommended"
    """It works, but not as the guide says."""
    CRITICAL = "critical"
    """The dashboard, the record or the protection is not there."""
    UNKNOWN = "unknown"
    """Not to be seen by this user, or not in time."""
    UNUSED = "unused"
    """What this run does without."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found of one thing."""

    what: str
    expected: str
    observed: str
    verdict: Verdict = Verdict.GOOD
    drift: str = ""
    """Where expected and observed differ: one sentence that says so, and where it helps what to do."""
    detail: tuple[str, ...] = ()
    """More of what was observed, a line each: for operators."""
    looked_at: bool = True
    """False: there is nothing here that a person could look at himself."""


def good(what: str, expected: str, observed: str, detail: Iterable[str] = ()) -> Finding:
    return Finding(what, expected, observed, detail=tuple(detail))


def bad(what: str, expected: str, observed: str, drift: str, verdict: Verdict = Verdict.CRITICAL) -> Finding:
    return Finding(what, expected, observed, verdict, drift)


def unknown(what: str, expected: str, why: str) -> Finding:
    """`why` is a sentence."""
    return Finding(what, expected, phrase("not known"), Verdict.UNKNOWN, why)


def unused(what: str, why: str) -> Finding:
    """Of what this run does without. `why` is a sentence."""
    return Finding(what, phrase("nothing"), phrase("not used here"), Verdict.UNUSED, why, looked_at=False)
