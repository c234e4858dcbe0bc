"""What the pictures of a run have in common: how wide things are, and the pattern of what is blocked."""

from __future__ import annotations

from typing import NamedTuple

from pairscope.web.drawing.shapes import Drawing

GAP = 18
"""Between two boxes of one column."""


class Plan(NamedTuple):
    """Widths of one layout."""

    layout: str
    width: float
    process: float
    object: float
    both: bool
    """True: processes stand on both sides."""


WIDE = Plan("wide", 720, 190, 222, True)
NARROW = Plan("narrow", 343, 128, 178, False)


def hatch(drawing: Drawing, layout: str) -> None:
    """The pattern of what is blocked, for the rest of this drawing."""
    drawing.open("defs")
    drawing.open(
        "pattern",
        id=f"hatch-{layout}",
        width="7",
        height="7",
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    drawing.line(0, 0, 0, 7, "hatching")
    drawing.shut("pattern")
    drawing.shut("defs")
