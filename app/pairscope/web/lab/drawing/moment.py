"""A moment of a run: processes with their descriptor slots, and the objects between them."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from pairscope.lab.run import Descriptor, Process, State, Task
from pairscope.web.drawing.shapes import Drawing, _n
from pairscope.web.lab import words
from pairscope.web.lab.drawing.plan import GAP, NARROW, WIDE, Plan, hatch
from pairscope.web.lab.drawing.things import Thing, draw_things, things_of
from pairscope.web.lab.reading import Fresh, Reading
from pairscope.web.words import clip, noun

ROW = 25
TOP = 4


def draw(run: Reading, number: int) -> Markup:
    """The moment after a step, for wide screens and for a phone."""
    return Markup("").join(_draw(run, number, plan) for plan in (WIDE, NARROW))


def _draw(run: Reading, number: int, plan: Plan) -> Markup:
    facts, fresh = run.facts(number), run.fresh(number)
    title, said = _("After step %(number)s", number=number), _described(run, number, facts)
    return paint(facts.processes, things_of(run, number, facts, fresh), fresh, plan, title, said)


def paint(
    processes: list[Process], things: list[Thing], fresh: Fresh, plan: Plan, title: str, described: str
) -> Markup:
    """Processes with their slots, what lies between them, and the ties from one to the other."""
    sides = [(process, 0 if not plan.both or index % 2 == 0 else 1) for index, process in enumerate(processes)]
    heights = [0.0, 0.0]
    places: list[tuple[Process, int, float]] = []
    for process, side in sides:
        places.append((process, side, heights[side] + TOP))
        heights[side] += _tall(process, fresh) + GAP
    middle = sum(thing.height + GAP for thing in things)
    height = max(*heights, middle, 90) - GAP + 2 * TOP
    drawing = Drawing("moment", plan.width, height, title, described, plan.layout)
    hatch(drawing, plan.layout)
    left = (plan.width - plan.object) / 2 if plan.both else plan.width - plan.object
    ports = draw_things(
        drawing, things, left, plan, (height - middle + GAP) / 2 if plan.both and middle < height else TOP
    )
    for process, side, y in places:
        _draw_process(drawing, process, side, y, plan, fresh, ports, left)
    if not processes:
        drawing.text(plan.width / 2, 40, _("Nothing has happened yet."), "soft", "middle")
    return drawing.svg()


def _described(run: Reading, number: int, facts: State) -> str:
    """The picture in words, for those who cannot see it."""
    names = run.names(number)
    parts = []
    for process in facts.processes:
        # earlier names are its parent's
        held = ", ".join(f"{row.number} {' '.join(row.names[-1:])}".strip() for row in process.descriptors)
        parts.append(f"{process.name}: {words.process_state(process)[1]}; {held or _('no descriptor')}.")
    for item in facts.objects:
        if gist := words.gist(item):
            parts.append(_("At %(name)s waits %(what)s.", name=names.get(item.inode, item.inode), what=gist))
    return " ".join(parts)


# ---- processes


def _rows(process: Process, fresh: Fresh) -> list[tuple[int, Descriptor | None]]:
    """The slots of a process: those it holds, and those that it has just lost."""
    rows: dict[int, Descriptor | None] = {row.number: row for row in process.descriptors}
    if process.state not in ("zombie", "ended"):
        for name, number in fresh.gone:
            if name == process.name:
                rows.setdefault(number, None)
    return sorted(rows.items())


def _threads(process: Process) -> list[Task]:
    threads = process.threads or []
    return threads if len(threads) > 1 else []


def _tall(process: Process, fresh: Fresh) -> float:
    return 50 + 17 * len(_threads(process)) + ROW * max(1, min(12, len(_rows(process, fresh)))) + 8


def _draw_process(
    drawing: Drawing,
    process: Process,
    side: int,
    y: float,
    plan: Plan,
    fresh: Fresh,
    ports: dict[Any, float],
    left: float,
) -> None:
    width, tall = plan.process, _tall(process, fresh)
    x = 0.75 if side == 0 else plan.width - width - 0.75
    over = process.state in ("zombie", "ended")
    shape, word = words.process_state(process)
    drawing.open("g", class_=f"party lab{' over' if over else ''}{' fresh' if process.name in fresh.processes else ''}")
    drawing.rect(x, y, width, tall, "process lab" + (" absent" if over else ""), 7)
    if process.state == "blocked":
        drawing.element(
            "rect",
            x=_n(x),
            y=_n(y),
            width=_n(width),
            height=_n(tall),
            rx=7,
            fill=f"url(#hatch-{plan.layout})",
            class_="hatched",
        )
    drawing.text(x + 11, y + 20, clip(process.name, 16 if plan.both else 11), "name lab")
    drawing.text(x + width - 10, y + 20, process.pid, "mono tiny soft", "end")
    drawing.mark(x + 16, y + 34, shape)
    drawing.text(x + 27, y + 38, clip(word, 26 if plan.both else 15), f"small state-{shape}")
    line = y + 50
    for thread in _threads(process):
        said = _("blocked in %(call)s", call=thread.blocked.call) if thread.blocked else _("runs")
        drawing.text(x + 11, line + 8, clip(f"{thread.name}: {said}", 27 if plan.both else 16), "mono tiny soft")
        line += 17
    rows = _rows(process, fresh)
    edge = x + width if side == 0 else x
    for index, (number, row) in enumerate(rows[:12]):
        top = line + ROW * index
        middle = top + 11
        if index == 11 and len(rows) > 12:
            drawing.text(
                x + 11, middle + 4, ngettext("and %(num)s more", "and %(num)s more", len(rows) - 11), "tiny soft"
            )
            break
        _slot(drawing, number, row, side, edge, top, process, plan, fresh)
        if row is not None:
            goal = ports.get((row.inode, row.description), ports.get((row.inode, None)))
            if goal is not None:
                _tie(
                    drawing,
                    edge,
                    middle,
                    left if side == 0 else left + plan.object,
                    goal,
                    side,
                    (process.name, number) in fresh.slots,
                )
    if not rows and not over:
        drawing.text(x + 11, line + 14, _("no descriptor"), "tiny soft")
    drawing.shut("g")


def _slot(
    drawing: Drawing,
    number: int,
    row: Descriptor | None,
    side: int,
    edge: float,
    top: float,
    process: Process,
    plan: Plan,
    fresh: Fresh,
) -> None:
    """A cell on the inner edge, its name beside it; crossed out where it has just been closed."""
    x = edge - 30 if side == 0 else edge
    kind = "gone" if row is None else "fresh" if (process.name, number) in fresh.slots else ""
    title = (
        _("descriptor %(number)s, closed by this step", number=number)
        if row is None
        else f"{number}: {noun(row.object)}{', inode ' + str(row.inode) if row.inode > 0 else ''}, "
        f"{noun(row.access)}{', FD_CLOEXEC' if row.cloexec else ''}"
    )
    drawing.open("g", class_=f"cell {kind}".strip())
    drawing.element("title", title)
    drawing.rect(
        x, top, 30, 22, f"slot lab{' here' if kind == 'fresh' else ''}{' cloexec' if row and row.cloexec else ''}", 2
    )
    drawing.text(x + 15, top + 15, number, "mono small" + (" strong" if kind == "fresh" else ""), "middle")
    if row is None:
        drawing.line(x + 4, top + 18, x + 26, top + 4, "cross")
    else:
        names = clip(" ".join(row.names[-1:]), 16 if plan.both else 8)
        drawing.glyph(x - 11 if side == 0 else x + 41, top + 11, row.description)
        drawing.text(
            x - 21 if side == 0 else x + 51, top + 15, names, "mono small soft", "end" if side == 0 else "start"
        )
    drawing.shut("g")


def _tie(drawing: Drawing, x1: float, y1: float, x2: float, y2: float, side: int, fresh: bool) -> None:
    reach = max(14.0, abs(x2 - x1) * 0.5)
    first, second = (x1 + reach, x2 - reach) if side == 0 else (x1 - reach, x2 + reach)
    drawing.path(
        f"M{_n(x1)} {_n(y1)} C{_n(first)} {_n(y1)} {_n(second)} {_n(y2)} {_n(x2)} {_n(y2)}",
        f"tie lab{' fresh' if fresh else ''}",
    )
    drawing.element("circle", cx=_n(x2), cy=_n(y2), r=3, class_=f"tie-end lab{' fresh' if fresh else ''}")
