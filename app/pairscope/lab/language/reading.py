"""A scenario out of its text."""

from __future__ import annotations

import dataclasses
import re

from pairscope.lab.language.bounds import STEPS_MAX, TEXT_MAX
from pairscope.lab.language.line import Line
from pairscope.lab.language.names import Names
from pairscope.lab.language.steps import take_step
from pairscope.lab.language.tokens import tokens
from pairscope.lab.model import Comment, Position, Scenario, ScenarioError, Step
from pairscope.sentence import phrase

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
ABOUT = {"title": False, "notice": True, "man": False, "ask": False, "quirk": False}
"""Words that may follow ``@``; True: on more than one line."""


def parse(text: str) -> Scenario:
    """Reads a scenario. Raises ScenarioError."""
    if len(text) > TEXT_MAX:
        raise ScenarioError(
            Position(1, 1), phrase("%(count)s characters", count=len(text)), phrase("at most %(most)s", most=TEXT_MAX)
        )
    about: list[tuple[str, str]] = []
    steps: list[Step] = []
    comments: list[tuple[str, int, int]] = []
    names = Names()
    # Not splitlines(): it would also break at form feeds and other characters that are then found misplaced.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if control := _CONTROL.search(line):
            place = Position(number, control.start() + 1)
            raise ScenarioError(
                place,
                phrase("the character %(character)r", character=control.group()),
                phrase("printable text, or an escape such as \\n or \\x07"),
            )
        stripped = line.strip(" \t")
        if stripped.startswith("@"):
            about.append(_about(stripped, Position(number, line.index("@") + 1), about))
            continue
        found = list(tokens(line, number))
        comment = _comment(line, found[-1].place)
        if len(found) == 1:
            comments += [(comment, len(about), len(steps))] if comment else []
            continue
        reader = Line(found)
        step = dataclasses.replace(take_step(reader), comment=comment)
        if len(steps) == STEPS_MAX:
            raise ScenarioError(
                step.place,
                phrase("step %(number)s", number=STEPS_MAX + 1),
                phrase("at most %(most)s steps", most=STEPS_MAX),
            )
        names.check(step, reader)
        steps.append(step)
    if not steps:
        raise ScenarioError(
            Position(1, 1), phrase("no step"), phrase("at least one, such as: parent: pipe2 0 -> out in")
        )
    return Scenario(
        tuple(about), tuple(steps),
        tuple(
            Comment(comment, step) if step or said == len(about) else Comment(comment, said, True)
            for comment, said, step in comments
        ),
    )  # fmt: skip


def _comment(line: str, place: Position) -> str:
    """The comment that begins at `place`; empty: none does."""
    comment = line[place.column - 1 :].rstrip(" \t")
    for offset, character in enumerate(comment):
        if not character.isprintable() and character != "\t":
            raise ScenarioError(
                Position(place.line, place.column + offset),
                phrase("the character %(character)r", character=character),
                phrase("printable text"),
            )
    return comment


def _about(line: str, place: Position, before: list[tuple[str, str]]) -> tuple[str, str]:
    word, _, said = line[1:].partition(" ")
    if word not in ABOUT:
        raise ScenarioError(
            place, f"@{word}", phrase("one of %(known)s", known=", ".join(f"@{known}" for known in ABOUT))
        )
    for offset, character in enumerate(line):
        if not character.isprintable():
            raise ScenarioError(
                Position(place.line, place.column + offset),
                phrase("the character %(character)r", character=character),
                phrase("printable text"),
            )
    if not said.strip():
        raise ScenarioError(place, phrase("@%(word)s without a text", word=word), phrase("a sentence after it"))
    if not ABOUT[word] and any(word == other for other, _ in before):
        raise ScenarioError(place, phrase("a second @%(word)s", word=word), phrase("at most one"))
    return word, said.strip()
