"""The objects of a moment: boxes in the middle, with what waits inside, and where each descriptor is tied to them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from flask_babel import gettext as _
from flask_babel import ngettext
from msgspec import structs

from pairscope.lab.run import Descriptor, Object, State, known
from pairscope.web.drawing.shapes import Drawing
from pairscope.web.lab import words
from pairscope.web.lab.drawing.plan import GAP, Plan
from pairscope.web.lab.reading import Fresh, Reading
from pairscope.web.words import clip, noun


class Port(NamedTuple):
    """Where an object is held: one end of a pair, or one open file description."""

    key: tuple[int, int | None]
    """Inode, and description where the object may have several."""
    label: str
    note: str
    queue: Object | None
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


def things_of(run: Reading, number: int, facts: State, fresh: Fresh) -> list[Thing]:
    """The boxes in the middle: the two ends of a pair are one box."""
    present = {item.inode: item for item in facts.objects}
    names = run.names(number)
    offsets = {row.description: row for process in facts.processes for row in process.descriptors}
    things: list[Thing] = []
    done: set[int] = set()
    for inode in run.order:
        item = present.get(inode)
        if item is None or inode in done:
            continue
        peer = item.peer
        done.add(inode)
        if item.kind == "socket" and peer:
            done.add(peer)
            ends = sorted((inode, peer), key=run.order.index)
            ports = [_end(present.get(end), end, names) for end in ends]
            lit = any(end in fresh.objects for end in ends)
            things.append(Thing(_("socket pair"), (item.type or "").removeprefix("SOCK_"), ports, lit))
        else:
            things.append(_thing(item, names, offsets, inode in fresh.objects))
    return things


def _end(item: Object | None, inode: int, names: dict[int, str]) -> Port:
    if item is None:
        return Port((inode, None), names.get(inode, ""), _("nobody's table holds it"), None, absent=True)
    shut = item.shut or []
    note = _afloat(item, names) or (_("%(what)s shut", what=" + ".join(shut)) if shut else f"inode {inode}")
    return Port((inode, None), names.get(inode, ""), note, item)


def _afloat(item: Object, names: dict[int, str]) -> str:
    """Where an object is that nobody's table holds, in few letters; empty: somebody's does."""
    if not item.afloat:
        return ""
    if item.used_by:
        return _("in a call of %(who)s", who=", ".join(item.used_by))
    queues = ", ".join(names.get(queue, str(queue)) for queue in item.flies_in or ())
    return _("in flight in %(queues)s", queues=queues) if queues else _("in nobody's table")


def _thing(item: Object, names: dict[int, str], rows: dict[int, Descriptor], fresh: bool) -> Thing:
    """A box for an object that is no end of a pair."""
    thing = _box(item, names, rows, fresh)
    return thing._replace(note=_afloat(item, names) or thing.note)


def _ahead(item: Object) -> Object | None:
    """What waits at a listening socket for whoever accepts, as a queue; None: nothing."""
    if not item.ahead:
        return None
    carried = [one for piece in item.ahead for one in piece.carried or ()]
    return structs.replace(
        item, contents=item.ahead, in_flight=len(carried), flying=[one and one.number for one in carried]
    )


def _box(item: Object, names: dict[int, str], rows: dict[int, Descriptor], fresh: bool) -> Thing:
    inode, kind = item.inode, item.kind
    name = names.get(inode, "")
    if kind == "socket":
        note = f"{(item.family or '').removeprefix('AF_')} {(item.type or '').removeprefix('SOCK_')}"
        if item.listens:
            state = (
                _("%(count)s of %(most)s wait", count=item.waiting or 0, most=item.backlog)
                if known(item.backlog) is not None
                else _("listens")
            )
        else:
            state = f"inode {inode}"
        return Thing(
            _("socket"), note, [Port((inode, None), name, state, _ahead(item) if item.listens else item)], fresh
        )
    if kind == "pipe":
        ports = []
        for place, description in enumerate(item.descriptions):
            row = rows.get(description)
            access = row.access if row else ""
            label = " ".join(row.names[-1:] if row else []) or name
            last = place == len(item.descriptions) - 1
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
        note = ngettext("%(num)s byte", "%(num)s bytes", item.size or 0)
        # the latter is a memfd's that was made without MFD_ALLOW_SEALING
        if item.seals and item.seals not in (
            "0",
            "F_SEAL_SEAL",
        ):
            note += " · " + item.seals.replace("F_SEAL_", "").lower()
        ports = [
            Port(
                (inode, description),
                _("offset %(offset)s", offset=row.offset if row else None),
                row.access if row else "",
                None,
            )
            for description, row in ((description, rows.get(description)) for description in item.descriptions)
        ]
        if item.contents:
            ports[-1] = ports[-1]._replace(queue=item)
        kept = _("file") if kind == "regular file" else noun(kind)
        return Thing(clip(f"{kept} {name}", 18), note, ports, fresh)
    if kind == "eventfd":
        return Thing(
            "eventfd", _("count %(count)s", count=known(item.count)), [Port((inode, None), name, "", None)], fresh
        )
    if kind == "pidfd":
        return Thing(
            "pidfd", _("of process %(pid)s", pid=known(item.process)), [Port((inode, None), name, "", None)], fresh
        )
    return Thing(kind, "", [Port((inode, None), name, clip(item.link or "", 24), None)], fresh)


def draw_things(drawing: Drawing, things: list[Thing], x: float, plan: Plan, y: float) -> dict[Any, float]:
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


def _queue(drawing: Drawing, item: Object, x: float, y: float, room: float) -> None:
    """What waits inside: messages as wide as the logarithm of their size, descriptors in flight dashed."""
    waiting = words.messages(item)
    right = x + room
    flying = item.in_flight or 0
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
            if item.why and "error" in item.why
            else _("nothing waits")
            if item.kind != "regular file"
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


def _fd_in_flight(item: Object, place: int) -> str:
    """What is known of a descriptor in flight: the number that it was sent by."""
    known = item.flying or []
    return str(known[place]) if place < len(known) and isinstance(known[place], int) else "fd"
