"""Two small charts over the same minutes: messages per second as bars, latency p50 and p99 as lines on a logarithmic
axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flask_babel import gettext as _
from markupsafe import Markup

from pairscope.web.drawing.shapes import Drawing
from pairscope.web.words import clock, duration, number


class Point(NamedTuple):
    """One span of time."""

    at: int
    """Its beginning, ns since 1970."""
    rate: float
    """Messages per second."""
    p50: int | None
    """ns; None where nothing was received."""
    p99: int | None


HEIGHT, LEFT, BOTTOM, TOP = 200, 52, 22, 26


def draw(points: Sequence[Point]) -> Markup:
    """Both charts, for wide screens and paper, and for a phone."""
    return Markup("").join(
        Markup('<div class="charts {}">{}{}</div>').format(
            layout, _rate(points, width, layout), _latency(points, width, layout)
        )
        for width, layout in ((540, "wide"), (343, "narrow"))
    )


def _frame(drawing: Drawing, points: Sequence[Point], ticks: Sequence[tuple[float, str]]) -> None:
    right = drawing.width - 4
    for y, label in ticks:
        drawing.line(LEFT, y, right, y, "grid")
        drawing.text(LEFT - 6, y + 4, label, "mono tiny soft", "end")
    if points:
        drawing.text(LEFT, HEIGHT - 6, clock(points[0].at)[:5], "mono tiny soft")
        drawing.text(right, HEIGHT - 6, _("now"), "tiny soft", "end")


def _place(points: Sequence[Point], width: float) -> tuple[float, list[float]]:
    step = (width - LEFT - 4) / max(len(points), 1)
    return step, [LEFT + step * index for index in range(len(points))]


def _rate(points: Sequence[Point], width: int, layout: str) -> Markup:
    drawing = Drawing(
        "rate",
        width,
        HEIGHT,
        _("Messages per second"),
        _("At most %(most)s per second in these minutes.", most=number(max((p.rate for p in points), default=0.0))),
        layout,
    )
    most = _ceiling(max((point.rate for point in points), default=0.0))
    room = HEIGHT - BOTTOM - TOP
    drawing.text(0, 12, _("messages per second"), "tiny soft")
    _frame(drawing, points, [(TOP + room * (1 - share), f"{most * share:g}") for share in (0, 0.5, 1)])
    step, places = _place(points, width)
    for x, point in zip(places, points):
        tall = room * point.rate / most
        if point.rate > 0:
            drawing.open("g")
            drawing.element("title", f"{clock(point.at)[:8]} \u00b7 {number(point.rate)}/s")
            drawing.rect(x + step * 0.12, TOP + room - max(tall, 1.5), step * 0.76, max(tall, 1.5), "bar")
            drawing.shut("g")
    return drawing.svg()


def _latency(points: Sequence[Point], width: int, layout: str) -> Markup:
    values = [value for point in points for value in (point.p50, point.p99) if value]
    title = _("Latency of a message, p50 and p99")
    drawing = Drawing(
        "latency",
        width,
        HEIGHT,
        title,
        _("From %(low)s to %(high)s.", low=duration(min(values)), high=duration(max(values)))
        if values
        else _("Nothing was received in these minutes."),
        layout,
    )
    low = math.floor(math.log10(min(values))) if values else 4
    high = max(math.ceil(math.log10(max(values))), low + 1) if values else 6
    room = HEIGHT - BOTTOM - TOP
    height_of = lambda value: TOP + room * (1 - (math.log10(value) - low) / (high - low))  # noqa: E731
    every = max(1, (high - low) // 3)
    _frame(drawing, points, [(height_of(10**power), duration(10**power)) for power in range(low, high + 1, every)])
    drawing.text(0, 12, _("latency"), "tiny soft")
    for index, name in enumerate(("p50", "p99")):
        x: float = width - 112 + 60 * index
        drawing.line(x, 8, x + 22, 8, f"trace {name}")
        drawing.text(x + 27, 12, name, f"mono tiny {name}")
    step, places = _place(points, width)
    for name in ("p99", "p50"):
        path: list[str] = []
        known = [getattr(point, name) for point in points]
        for index, (x, value) in enumerate(zip(places, known)):
            if not value:
                continue
            before, after = index and known[index - 1], index + 1 < len(known) and known[index + 1]
            if before or after:
                path.append(f"{'L' if before else 'M'}{x + step / 2:.1f} {height_of(value):.1f}")
            else:
                # a line from nowhere to nowhere is not seen
                drawing.dot(x + step / 2, height_of(value), 2.5, f"alone {name}")
        drawing.path("".join(path) or "M0 0", f"trace {name}")
    return drawing.svg()


def _ceiling(value: float) -> float:
    """The next 1, 2, 4, 6 or 8 times a power of ten: its half is a round number, too."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if value <= step * power * 1.0001)
