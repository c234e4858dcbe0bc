"""Some steps of a recording from left to right, a lane for each process that makes one of them. Where these are many,
those of one program that no step near the shown one is of have one lane together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flask_babel import gettext as _
from markupsafe import Markup

from pairscope.trace.comparing import program
from pairscope.trace.reading import Reading
from pairscope.web.drawing.shapes import Drawing, _n
from pairscope.web.lab.drawing.plan import hatch
from pairscope.web.words import clip

Address = Callable[[int], str]
LANE, HEAD, COLUMN = 34, 22, 76
STEPS = 24
"""In one window: more than fits beside a wide screen's other things, less than a phone draws slowly."""
FEW = 6
"""Processes that have a lane each in any case."""


def collapsed(reading: Reading, shown: Sequence[int], near: Sequence[int]) -> list[list[int]]:
    """The processes of each lane, by number. `near`: the steps whose processes have one of their own."""
    processes = list(dict.fromkeys(reading.row(step).process for step in shown))
    own = {reading.row(step).process for step in near}
    if len(processes) <= FEW:
        return [[process] for process in processes]
    lanes: dict[int | str, list[int]] = {}
    for process in processes:
        key = process if process in own else program(reading.process(process).name)
        lanes.setdefault(key, []).append(process)
    return list(lanes.values())


def timeline(
    reading: Reading, number: int, shown: Sequence[int], address: Address, lanes: Sequence[Sequence[int]]
) -> Markup:
    """`shown`: the steps of the window, by number; `address`: of a step's page; `lanes`: the processes of each."""
    names = [
        clip(reading.process(lane[0]).name, 18)
        if len(lane) == 1
        else f"{clip(program(reading.process(lane[0]).name), 14)} ×{len(lane)}"
        for lane in lanes
    ]
    at = {process: place for place, lane in enumerate(lanes) for process in lane}
    left = 18 + 7.6 * max(map(len, names), default=0)
    width, height = left + COLUMN * len(shown) + 4, HEAD + LANE * len(lanes) + 4
    said = _(
        "A window of the steps from left to right; step %(number)s of %(count)s is shown.",
        number=number,
        count=reading.count,
    )
    drawing = Drawing("timeline", width, height, _("Steps"), said)
    hatch(drawing, "timeline")
    for place, step in enumerate(shown):
        if step == number:
            drawing.rect(left + COLUMN * place, 0, COLUMN, height, "now", 4)
    for lane, name in enumerate(names):
        y = HEAD + LANE * lane + LANE / 2
        drawing.text(left - 10, y + 4, name, "mono small lab strong", "end")
        drawing.line(left, y, width - 2, y, "lane lab")
    _waits(drawing, reading, shown, at, left)
    for place, step in enumerate(shown):
        _cell(drawing, reading, step, left + COLUMN * place, at, step == number, address)
    return drawing.svg()


def _waits(drawing: Drawing, reading: Reading, shown: Sequence[int], at: Mapping[int, int], left: float) -> None:
    """Calls that do not return for a while, hatched."""
    if not shown:
        return
    for wait in reading.waits:
        if wait.process not in at or wait.first > shown[-1] or (wait.last or shown[-1] + 1) <= shown[0]:
            continue
        begins = sum(step <= wait.first for step in shown)
        ends = sum(step < wait.last for step in shown) if wait.last else len(shown)
        if ends > begins:
            y = HEAD + LANE * at[wait.process] + LANE / 2
            drawing.element(
                "rect", x=_n(left + COLUMN * begins), y=_n(y - 9), width=_n(COLUMN * (ends - begins) + 3.0), height=18,
                fill="url(#hatch-timeline)", class_="hatched span",
            )  # fmt: skip


def _cell(
    drawing: Drawing, reading: Reading, step: int, x: float, at: Mapping[int, int], here: bool, address: Address
) -> None:
    row = reading.row(step)
    y = HEAD + LANE * at[row.process] + LANE / 2
    drawing.link(
        address(step),
        x,
        0,
        COLUMN,
        HEAD + LANE * (max(at.values()) + 1),
        class_="cell" + (" here" if here else ""),
        data_step=step,
    )
    drawing.element("title", clip(f"{step}. {reading.process(row.process).name}: {row.line}", 160))
    drawing.text(x + COLUMN / 2, 15, step, "mono tiny" + (" strong" if here else " soft"), "middle")
    kind = "packet lab" + (" failed" if row.error else "") + (" returned" if row.of else "")
    drawing.rect(x + 3, y - 12, COLUMN - 6, 24, kind, 3)
    word = f"({row.call})" if row.of else row.call + (f" ×{row.equal + 1}" if row.equal else "")
    drawing.text(x + COLUMN / 2, y + 4, clip(word, int((COLUMN - 10) / 6.7)), "mono tiny", "middle")
    if row.sent or row.received:
        drawing.pill(
            x + COLUMN - 10, y - 12, row.sent or row.received, "lab", dashed=bool(row.sent), title=_("descriptors")
        )
    elif row.error:
        drawing.mark(x + COLUMN - 8, y - 10, "failed")
    drawing.shut("a")
