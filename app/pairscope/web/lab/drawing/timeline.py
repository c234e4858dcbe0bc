"""All steps of a run from left to right, a lane for each actor."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from markupsafe import Markup

from pairscope.lab.run import Step
from pairscope.web.drawing.shapes import Drawing, _n
from pairscope.web.lab.drawing.plan import hatch
from pairscope.web.lab.reading import Reading
from pairscope.web.words import clip

LANE = 34
HEAD = 22


def timeline(run: Reading, number: int, address: Any, ahead: int = 0) -> Markup:
    """All steps of all actors from left to right, blocked spans hatched; each step leads to its moment.

    `address`: of a step's page; `ahead`: the first step of which is still to be predicted what it does, with all that
    come after it; 0: there is none.
    """
    actors = run.actors
    left = 18 + 7.6 * max([len(actor) for actor in actors] or [0])
    column = max(58.0, min(92.0, (1060 - left) / max(run.count, 1)))
    width, height = left + column * run.count + 4, HEAD + LANE * len(actors) + 4
    said = _("The run from left to right; step %(number)s of %(count)s is shown.", number=number, count=run.count)
    drawing = Drawing("timeline", width, height, _("All steps"), said)
    hatch(drawing, "timeline")
    if 0 < number <= run.count:
        drawing.rect(left + column * (number - 1), 0, column, height, "now", 4)
    for lane, actor in enumerate(actors):
        y = HEAD + LANE * lane + LANE / 2
        drawing.text(left - 10, y + 4, actor, "mono small lab strong", "end")
        drawing.line(left, y, width - 2, y, "lane lab")
    for blocked in run.blocks:
        if ahead and blocked.first >= ahead:
            continue
        until = None if ahead and blocked.last and blocked.last >= ahead else blocked.last
        y = HEAD + LANE * actors.index(blocked.actor) + LANE / 2
        start = left + column * blocked.first - 8
        end = left + column * (until - 0.5 if until else ahead - 1 if ahead else run.count) + (0 if until else 2)
        drawing.element(
            "rect",
            x=_n(start),
            y=_n(y - 9),
            width=_n(max(4, end - start)),
            height=18,
            fill="url(#hatch-timeline)",
            class_="hatched span",
        )
        if until:
            drawing.element("circle", cx=_n(end), cy=_n(y), r=4, class_="mark good")
    for index, step in enumerate(run.steps, 1):
        _cell(
            drawing,
            run,
            index,
            step,
            left + column * (index - 1),
            column,
            actors,
            number,
            address,
            bool(ahead) and index >= ahead,
        )
    return drawing.svg()


def _cell(
    drawing: Drawing,
    run: Reading,
    index: int,
    step: Step,
    x: float,
    column: float,
    actors: list[str],
    number: int,
    address: Any,
    hidden: bool,
) -> None:
    """One step: its column from the number down to the last lane is one surface."""
    y = HEAD + LANE * actors.index(step.actor) + LANE / 2
    drawing.link(
        address(index),
        x,
        0,
        column,
        HEAD + LANE * len(actors),
        class_="cell" + (" here" if index == number else ""),
        data_step=index,
    )
    veiled = hidden and step.returned and index > number
    drawing.element("title", f"{index}. {step.actor}: \u2026" if veiled else f"{index}. {run.source(index)}")
    drawing.text(x + column / 2, 15, index, "mono tiny" + (" strong" if index == number else " soft"), "middle")
    kind = (
        "packet lab"
        + (" failed" if step.verdict == "failed" and not hidden else "")
        + (" returned" if step.returned and not veiled else "")
    )
    drawing.rect(x + 3, y - 12, column - 6, 24, kind, 3)
    word = "\u2026" if veiled else f"({step.call})" if step.returned else step.call
    drawing.text(x + column / 2, y + 4, clip(word, max(3, int((column - 10) / 6.7))), "mono tiny", "middle")
    if step.verdict == "failed" and not hidden:
        drawing.mark(x + column - 8, y - 10, "failed")
    drawing.shut("a")
