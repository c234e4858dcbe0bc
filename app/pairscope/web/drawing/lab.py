"""A moment of a run: processes with their descriptor slots, the objects between them with what waits inside; and the
run's timeline."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from pairscope.web.drawing.shapes import Drawing, _n
from pairscope.web.lab import words
from pairscope.web.lab.reading import Fresh, Reading
from pairscope.web.words import clip

ROW = 25
GAP = 18
TOP = 4


class Port(NamedTuple):
    """Where an object is held: one end of a pair, or one open file description."""

    key: tuple[int, int | None]
    """Inode, and description where the object may have several."""
    label: str
    note: str
    queue: dict[str, Any] | None
    """The object whose queue is drawn below it."""
    absent: bool = False


class Thing(NamedTuple):
    """A box in the middle."""

    title: str
    note: str
    ports: list[Port]
    fresh: bool

    @property
    def height(self) -> float:
        return 28 + sum(24 + (26 if port.queue is not None else 0) for port in self.ports) + 6


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


def draw(run: Reading, number: int) -> Markup:
    """The moment after a step, for wide screens and for a phone."""
    return Markup("").join(_draw(run, number, plan) for plan in (WIDE, NARROW))


def _draw(run: Reading, number: int, plan: Plan) -> Markup:
    facts, fresh = run.facts(number), run.fresh(number)
    processes = facts["processes"]
    sides = [(process, 0 if not plan.both or index % 2 == 0 else 1) for index, process in enumerate(processes)]
    things = _things(run, number, facts, fresh)
    heights = [0.0, 0.0]
    places: list[tuple[dict[str, Any], int, float]] = []
    for process, side in sides:
        places.append((process, side, heights[side] + TOP))
        heights[side] += _tall(process, fresh) + GAP
    middle = sum(thing.height + GAP for thing in things)
    height = max(*heights, middle, 90) - GAP + 2 * TOP
    drawing = Drawing(
        "moment",
        plan.width,
        height,
        _("After step %(number)s", number=number),
        _described(run, number, facts),
        plan.layout,
    )
    _hatch(drawing, plan.layout)
    left = (plan.width - plan.object) / 2 if plan.both else plan.width - plan.object
    ports = _draw_things(
        drawing, things, left, plan, (height - middle + GAP) / 2 if plan.both and middle < height else TOP
    )
    for process, side, y in places:
        _draw_process(drawing, process, side, y, plan, fresh, ports, left)
    if not processes:
        drawing.text(plan.width / 2, 40, _("Nothing has happened yet."), "soft", "middle")
    return drawing.svg()


def _hatch(drawing: Drawing, layout: str) -> None:
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


# ---- processes


def _rows(process: dict[str, Any], fresh: Fresh) -> list[tuple[int, dict[str, Any] | None]]:
    """The slots of a process: those it holds, and those that it has just lost."""
    rows: dict[int, dict[str, Any] | None] = {row["number"]: row for row in process["descriptors"]}
    if process["state"] not in ("zombie", "ended"):
        for name, number in fresh.gone:
            if name == process["name"]:
                rows.setdefault(number, None)
    return sorted(rows.items())


def _threads(process: dict[str, Any]) -> list[dict[str, Any]]:
    threads = process.get("threads") or []
    return threads if len(threads) > 1 else []


def _tall(process: dict[str, Any], fresh: Fresh) -> float:
    return 50 + 17 * len(_threads(process)) + ROW * max(1, min(12, len(_rows(process, fresh)))) + 8


def _draw_process(
    drawing: Drawing,
    process: dict[str, Any],
    side: int,
    y: float,
    plan: Plan,
    fresh: Fresh,
    ports: dict[Any, float],
    left: float,
) -> None:
    width, tall = plan.process, _tall(process, fresh)
    x = 0.75 if side == 0 else plan.width - width - 0.75
    over = process["state"] in ("zombie", "ended")
    shape, word = words.process_state(process)
    drawing.open(
        "g", class_=f"party lab{' over' if over else ''}{' fresh' if process['name'] in fresh.processes else ''}"
    )
    drawing.rect(x, y, width, tall, "process lab" + (" absent" if over else ""), 7)
    if process["state"] == "blocked":
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
    drawing.text(x + 11, y + 20, clip(process["name"], 16 if plan.both else 11), "name lab")
    drawing.text(x + width - 10, y + 20, process["pid"], "mono tiny soft", "end")
    drawing.mark(x + 16, y + 34, shape)
    drawing.text(x + 27, y + 38, clip(word, 26 if plan.both else 15), f"small state-{shape}")
    line = y + 50
    for thread in _threads(process):
        said = _("blocked in %(call)s", call=thread["blocked"]["call"]) if thread["state"] == "blocked" else _("runs")
        drawing.text(x + 11, line + 8, clip(f"{thread['name']}: {said}", 27 if plan.both else 16), "mono tiny soft")
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
            goal = ports.get((row["inode"], row["description"]), ports.get((row["inode"], None)))
            if goal is not None:
                _tie(
                    drawing,
                    edge,
                    middle,
                    left if side == 0 else left + plan.object,
                    goal,
                    side,
                    (process["name"], number) in fresh.slots,
                )
    if not rows and not over:
        drawing.text(x + 11, line + 14, _("no descriptor"), "tiny soft")
    drawing.shut("g")


def _slot(
    drawing: Drawing,
    number: int,
    row: dict[str, Any] | None,
    side: int,
    edge: float,
    top: float,
    process: dict[str, Any],
    plan: Plan,
    fresh: Fresh,
) -> None:
    """A cell on the inner edge, its name beside it; crossed out where it has just been closed."""
    x = edge - 30 if side == 0 else edge
    kind = "gone" if row is None else "fresh" if (process["name"], number) in fresh.slots else ""
    title = (
        _("descriptor %(number)s, closed by this step", number=number)
        if row is None
        else f"{number}: {row['object']}{', inode ' + str(row['inode']) if row['inode'] > 0 else ''}, "
        f"{row['access']}{', FD_CLOEXEC' if row['cloexec'] else ''}"
    )
    drawing.open("g", class_=f"cell {kind}".strip())
    drawing.element("title", title)
    drawing.rect(
        x, top, 30, 22, f"slot lab{' here' if kind == 'fresh' else ''}{' cloexec' if row and row['cloexec'] else ''}", 2
    )
    drawing.text(x + 15, top + 15, number, "mono small" + (" strong" if kind == "fresh" else ""), "middle")
    if row is None:
        drawing.line(x + 4, top + 18, x + 26, top + 4, "cross")
    else:
        names = clip(" ".join(row["names"][-1:]), 16 if plan.both else 8)
        drawing.glyph(x - 11 if side == 0 else x + 41, top + 11, row["description"])
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


# ---- objects


def _things(run: Reading, number: int, facts: dict[str, Any], fresh: Fresh) -> list[Thing]:
    """The boxes in the middle: the two ends of a pair are one box."""
    present = {item["inode"]: item for item in facts["objects"]}
    names = run.names(number)
    offsets = {row["description"]: row for process in facts["processes"] for row in process["descriptors"]}
    things: list[Thing] = []
    done: set[int] = set()
    for inode in run.order:
        item = present.get(inode)
        if item is None or inode in done:
            continue
        peer = item.get("peer")
        done.add(inode)
        if item["kind"] == "socket" and peer:
            done.add(peer)
            ends = sorted((inode, peer), key=run.order.index)
            ports = [_end(present.get(end), end, names) for end in ends]
            lit = any(end in fresh.objects for end in ends)
            things.append(Thing(_("socket pair"), item.get("type", "").removeprefix("SOCK_"), ports, lit))
        else:
            things.append(_thing(item, names, offsets, inode in fresh.objects))
    return things


def _end(item: dict[str, Any] | None, inode: int, names: dict[int, str]) -> Port:
    if item is None:
        return Port((inode, None), names.get(inode, ""), _("nobody's table holds it"), None, absent=True)
    shut = item.get("shut") or []
    note = _afloat(item, names) or (_("%(what)s shut", what=" + ".join(shut)) if shut else f"inode {inode}")
    return Port((inode, None), names.get(inode, ""), note, item)


def _afloat(item: dict[str, Any], names: dict[int, str]) -> str:
    """Where an object is that nobody's table holds, in few letters; empty: somebody's does."""
    if item.get("held", True):
        return ""
    if item.get("used_by"):
        return _("in a call of %(who)s", who=", ".join(item["used_by"]))
    queues = ", ".join(names.get(queue, str(queue)) for queue in item.get("flies_in") or ())
    return _("in flight in %(queues)s", queues=queues) if queues else _("in nobody's table")


def _thing(item: dict[str, Any], names: dict[int, str], rows: dict[int, dict[str, Any]], fresh: bool) -> Thing:
    """A box for an object that is no end of a pair."""
    thing = _box(item, names, rows, fresh)
    return thing._replace(note=_afloat(item, names) or thing.note)


def _ahead(item: dict[str, Any]) -> dict[str, Any] | None:
    """What waits at a listening socket for whoever accepts, as a queue; None: nothing."""
    pieces = item.get("ahead")
    carried = [one for piece in pieces or () for one in piece.get("carried") or ()]
    return (
        item | {"contents": pieces, "in_flight": len(carried), "flying": [one["number"] for one in carried]}
        if pieces
        else None
    )


def _box(item: dict[str, Any], names: dict[int, str], rows: dict[int, dict[str, Any]], fresh: bool) -> Thing:
    inode, kind = item["inode"], item["kind"]
    name = names.get(inode, "")
    if kind == "socket":
        note = f"{item.get('family', '').removeprefix('AF_')} {item.get('type', '').removeprefix('SOCK_')}"
        if item.get("listens"):
            state = (
                _("%(count)s of %(most)s wait", count=item.get("waiting") or 0, most=item["backlog"])
                if item.get("backlog") is not None
                else _("listens")
            )
        else:
            state = f"inode {inode}"
        return Thing(
            _("socket"), note, [Port((inode, None), name, state, _ahead(item) if item.get("listens") else item)], fresh
        )
    if kind == "pipe":
        ports = []
        for place, description in enumerate(item["descriptions"]):
            row = rows.get(description, {})
            access = row.get("access", "")
            label = " ".join(row.get("names", [])[-1:]) or name
            last = place == len(item["descriptions"]) - 1
            ports.append(
                Port(
                    (inode, description),
                    label,
                    _("%(access)s end", access=access) if access else _("in flight"),
                    item if last else None,
                )
            )
        return Thing(_("pipe"), f"inode {inode}", ports, fresh)
    if kind in ("regular file", "memfd"):
        note = ngettext("%(num)s byte", "%(num)s bytes", item.get("size") or 0)
        # the latter is a memfd's that was made without MFD_ALLOW_SEALING
        if item.get("seals") and item["seals"] not in (
            "0",
            "F_SEAL_SEAL",
        ):
            note += " · " + item["seals"].replace("F_SEAL_", "").lower()
        ports = [
            Port(
                (inode, description),
                _("offset %(offset)s", offset=rows.get(description, {}).get("offset")),
                rows.get(description, {}).get("access", ""),
                None,
            )
            for description in item["descriptions"]
        ]
        if item.get("contents"):
            ports[-1] = ports[-1]._replace(queue=item)
        return Thing(clip(f"{_('file') if kind == 'regular file' else kind} {name}", 18), note, ports, fresh)
    if kind == "eventfd":
        return Thing(
            "eventfd", _("count %(count)s", count=item.get("count")), [Port((inode, None), name, "", None)], fresh
        )
    if kind == "pidfd":
        return Thing(
            "pidfd", _("of process %(pid)s", pid=item.get("process")), [Port((inode, None), name, "", None)], fresh
        )
    return Thing(kind, "", [Port((inode, None), name, clip(item.get("link") or "", 24), None)], fresh)


def _draw_things(drawing: Drawing, things: list[Thing], x: float, plan: Plan, y: float) -> dict[Any, float]:
    """Draws the middle; where each port is tied to."""
    found: dict[Any, float] = {}
    width = plan.object
    for thing in things:
        drawing.open("g", class_=f"thing{' fresh' if thing.fresh else ''}")
        drawing.rect(x, y, width, thing.height, "object", 3)
        drawing.text(x + 10, y + 19, thing.title, "small strong")
        drawing.text(x + width - 9, y + 19, clip(thing.note, 20 if plan.both else 12), "mono tiny soft", "end")
        at = y + 28
        for port in thing.ports:
            drawing.line(x, at, x + width, at, "rule")
            drawing.text(
                x + 10,
                at + 16,
                clip(port.label, 16 if plan.both else 10),
                "mono small" + (" soft" if port.absent else " strong"),
            )
            drawing.text(x + width - 9, at + 16, clip(port.note, 22 if plan.both else 13), "mono tiny soft", "end")
            if not port.absent:
                found[port.key] = at + 12
            at += 24
            if port.queue is not None:
                _queue(drawing, port.queue, x + 10, at, width - 20)
                at += 26
        drawing.shut("g")
        y += thing.height + GAP
    return found


def _queue(drawing: Drawing, item: dict[str, Any], x: float, y: float, room: float) -> None:
    """What waits inside: messages as wide as the logarithm of their size, descriptors in flight dashed."""
    waiting = words.messages(item)
    right = x + room
    flying = item.get("in_flight") or 0
    for place in range(min(flying, 3)):
        right -= 28
        drawing.pill(
            right + 13, y + 11, _fd_in_flight(item, place), "lab", dashed=True, title=_("a descriptor in flight")
        )
    if flying > 3:
        right -= 26
        drawing.text(right + 22, y + 15, f"+{flying - 3}", "mono tiny soft", "end")
    if not waiting and words.waiting(item):
        waiting = [(words.waiting(item), _("%(count)s bytes", count=words.waiting(item)))]
    if not waiting:
        said = (
            _("its error waits")
            if item.get("why") and "error" in item["why"]
            else _("nothing waits")
            if item["kind"] != "regular file"
            else ""
        )
        if not flying:
            drawing.text(x, y + 15, said, "tiny soft")
        return
    shown = [max(26.0, min(8 + 6.9 * len(text), max(22 + 13 * math.log2(1 + count), 130))) for count, text in waiting]
    for index, ((count, text), width) in enumerate(zip(waiting, shown)):
        more = len(waiting) - index
        left = right - x
        if left < 24 or (more > 1 and left < width + 26 and index):
            drawing.text(x, y + 15, f"+{more}", "mono tiny soft")
            break
        width = min(width, left - (26 if more > 1 else 0))
        drawing.open("g", class_="waits")
        drawing.element("title", ngettext("%(num)s byte", "%(num)s bytes", count) + f": {text}")
        drawing.rect(x, y + 1, width, 20, "packet lab", 2)
        drawing.text(x + width / 2, y + 15, clip(text, max(2, int((width - 6) / 6.7))), "mono tiny", "middle")
        drawing.shut("g")
        x += width + 4


def _fd_in_flight(item: dict[str, Any], place: int) -> str:
    """What is known of a descriptor in flight: the number that it was sent by."""
    known = item.get("flying") or []
    return str(known[place]) if place < len(known) and isinstance(known[place], int) else "fd"


def _described(run: Reading, number: int, facts: dict[str, Any]) -> str:
    """The picture in words, for those who cannot see it."""
    names = run.names(number)
    parts = []
    for process in facts["processes"]:
        # earlier names are its parent's
        held = ", ".join(f"{row['number']} {' '.join(row['names'][-1:])}".strip() for row in process["descriptors"])
        parts.append(f"{process['name']}: {words.process_state(process)[1]}; {held or _('no descriptor')}.")
    for item in facts["objects"]:
        if gist := words.gist(item):
            parts.append(_("At %(name)s waits %(what)s.", name=names.get(item["inode"], item["inode"]), what=gist))
    return " ".join(parts)


# ---- the timeline

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
    _hatch(drawing, "timeline")
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
    step: dict[str, Any],
    x: float,
    column: float,
    actors: list[str],
    number: int,
    address: Any,
    hidden: bool,
) -> None:
    """One step: its column from the number down to the last lane is one surface."""
    y = HEAD + LANE * actors.index(step["actor"]) + LANE / 2
    drawing.link(
        address(index),
        x,
        0,
        column,
        HEAD + LANE * len(actors),
        class_="cell" + (" here" if index == number else ""),
        data_step=index,
    )
    veiled = hidden and step["returned"] and index > number
    drawing.element("title", f"{index}. {step['actor']}: \u2026" if veiled else f"{index}. {run.source(index)}")
    drawing.text(x + column / 2, 15, index, "mono tiny" + (" strong" if index == number else " soft"), "middle")
    kind = (
        "packet lab"
        + (" failed" if step["verdict"] == "failed" and not hidden else "")
        + (" returned" if step["returned"] and not veiled else "")
    )
    drawing.rect(x + 3, y - 12, column - 6, 24, kind, 3)
    word = "\u2026" if veiled else f"({step['call']})" if step["returned"] else step["call"]
    drawing.text(x + column / 2, y + 4, clip(word, max(3, int((column - 10) / 6.7))), "mono tiny", "middle")
    if step["verdict"] == "failed" and not hidden:
        drawing.mark(x + column - 8, y - 10, "failed")
    drawing.shut("a")
