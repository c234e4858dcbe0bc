"""One job as a sequence diagram: a lane for each process, an arrow for each message, its descriptors riding on it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from pairscope.store.models import Transfer
from pairscope.web.drawing.shapes import Card, Drawing, glyph_of
from pairscope.web.timeline import Hop, Party, Way
from pairscope.web.words import clip, duration, noun, size, state_of

APART = 27
"""Between the middles of two descriptors that ride side by side."""
HEAD, STEP, SLOPE = 62, 66, 16
"""Height of a lane's box, of one message, and the fall of an arrow from sent to received."""


def draw(way: Way, kind: str, name: str) -> Markup:
    """The drawing for wide screens and paper, and for a phone."""
    return _draw(way, kind, name, 800, 76, "wide") + _draw(way, kind, name, 343, 0, "narrow")


def _draw(way: Way, kind: str, name: str, width: int, gutter: int, layout: str) -> Markup:
    narrow = layout == "narrow"
    count = max(len(way.parties), 1)
    lane = (width - gutter) / count
    box = min(lane - (6 if narrow else 40), 210)
    middle = {party: gutter + lane * index + lane / 2 for index, party in enumerate(way.parties)}
    height = HEAD + 22 + STEP * len(way.hops) + 14
    drawing = Drawing("way", width, height, _("The way of this job"), _sentence(way, kind, name), layout=layout)
    for party, x in middle.items():
        drawing.line(x, HEAD, x, height - 6, f"lane {party.role}")
        drawing.process(x - box / 2, 1, box, HEAD - 8, Card(party.role, party.name, [f"pid {party.pid}"]))
    held: dict[tuple[Party, int, int], float] = {}
    busy: dict[Party, float] = {}
    after = way.after
    for index, hop in enumerate(way.hops):
        y = HEAD + 30 + STEP * index
        _activity(drawing, hop, middle, busy, y, narrow)
        _holding(drawing, hop, middle, held, y)
        if not narrow:
            drawing.text(gutter - 4, y + 4, after[index], "mono small soft", "end")
        x1, x2 = middle[hop.sender], middle[hop.receiver]
        _message(drawing, hop, x1, x2, y, narrow, [x for x in middle.values() if min(x1, x2) < x < max(x1, x2)])
    return drawing.svg()


def _files(drawing: Drawing, transfers: Sequence[Transfer], centre: float, y: float) -> None:
    """The marks of the files that crossed, each with its inode: marks are few and come again."""
    inodes = [str(transfer.inode) for transfer in transfers]
    x = centre - (sum(14 + 6 * len(inode) for inode in inodes) + 8 * (len(inodes) - 1)) / 2
    for transfer, inode in zip(transfers, inodes):
        drawing.glyph(x + 5, y, glyph_of(transfer.device, transfer.inode))
        drawing.text(x + 13, y + 4, inode, "mono tiny soft")
        x += 22 + 6 * len(inode)


def _sentence(way: Way, kind: str, name: str) -> str:
    hops = "; ".join(
        f"{hop.message.kind}: {hop.sender.name} \u2192 {hop.receiver.name}, {duration(hop.message.latency)}"
        for hop in way.hops
    )
    return _("%(kind)s of %(name)s, its messages in order. %(hops)s.", kind=kind, name=name or _("no file"), hops=hops)


def _activity(
    drawing: Drawing, hop: Hop, middle: dict[Party, float], busy: dict[Party, float], y: float, narrow: bool
) -> None:
    """A bar on the lane for as long as the process kept the job, with the time beside it."""
    begin = busy.pop(hop.sender, None)
    if begin is not None and hop.kept is not None:
        x = middle[hop.sender]
        drawing.rect(x - 4, begin, 8, y - begin, f"activity {hop.sender.role}", 3)
        last = x == max(middle.values())
        side = -1 if (narrow and last) or (x != min(middle.values()) and not last) else 1
        side = 1 if not narrow and last else side
        drawing.text(
            x + 10 * side,
            (begin + y) / 2 + 4,
            duration(hop.kept),
            f"mono tiny {hop.sender.role}",
            "start" if side > 0 else "end",
        )
    if hop.message.received:
        busy[hop.receiver] = y + SLOPE


def _holding(
    drawing: Drawing, hop: Hop, middle: dict[Party, float], held: dict[tuple[Party, int, int], float], y: float
) -> None:
    """A double line on the lane from where a descriptor arrived to where it was sent on."""
    for transfer in hop.transfers:
        begin = held.get((hop.sender, transfer.device, transfer.inode))
        if begin is not None:
            drawing.line(middle[hop.sender], begin, middle[hop.sender], y, "holding")
        held[(hop.receiver, transfer.device, transfer.inode)] = y + SLOPE


def _beside(hop: Hop, x1: float, x2: float, passed: Sequence[float], taken: float) -> float:
    """The middle of a packet that crosses lanes of others: next to its client or worker, for at the supervisor's lane
    all meet.

    `taken`: how far from a lane its descriptors reach.
    """
    outer = x2 if hop.sender.role == "supervisor" else x1
    next_lane = min(passed, key=lambda lane: abs(lane - outer))
    return (outer + next_lane) / 2 + (taken / 2 if next_lane > outer else -taken / 2)


def _message(drawing: Drawing, hop: Hop, x1: float, x2: float, y: float, narrow: bool, passed: Sequence[float]) -> None:
    """One arrow with its packet and what rides on it. `passed`: lanes of others that it crosses; its packet lies on
    none of them."""
    message = hop.message
    direction = 1 if x2 > x1 else -1
    begin, end = x1 + 6 * direction, x2 - 6 * direction
    lost = message.state in ("failed", "unknown")
    style = f"hop {hop.sender.role}" + (" dashed" if message.state != "received" else "")
    if lost:
        stop = begin + (end - begin) * 0.8
        drawing.line(begin, y, stop, y + SLOPE * 0.8, style)
        drawing.mark(stop + 8 * direction, y + SLOPE * 0.8 + 1, "failed" if message.state == "failed" else "unknown")
    else:
        drawing.arrow(begin, y, end, y + SLOPE, style)
    shown = hop.transfers[: 1 if narrow else 3]
    breadth = (
        0
        if narrow
        else min(44 + 6.6 * max(0, message.size.bit_length() - 4), abs(end - begin) - 2 * (APART * len(shown) + 12))
    )
    if passed:
        breadth = min(breadth, abs(x2 - x1) / (len(passed) + 1) - APART * len(shown) - 24)  # between two lanes
    breadth = max(breadth, 7 * len(message.kind) + 6 if narrow and passed else 8 * len(message.kind) + 12)
    centre = (
        _beside(hop, x1, x2, passed, APART * len(shown) + 14 if shown and not narrow else 0)
        if passed
        else (x1 + x2) / 2
    )
    at = y + SLOPE * (centre - x1) / (x2 - x1)
    state = state_of(message.state)[1]
    latency = duration(message.latency) if message.latency is not None else state
    drawing.text(
        centre, at + 24, latency if narrow else f"{latency} \u00b7 {size(message.size)}", "mono tiny soft", "middle"
    )
    for index, transfer in enumerate(shown):
        offset, back = 22 + APART * index, 22 + APART * (len(shown) - 1 - index)
        what, access = noun(transfer.object), noun(transfer.access)
        title = f"{what} \u00b7 inode {transfer.inode} \u00b7 {access} \u00b7 {size(transfer.size)}"
        tail = begin + (offset - 8 if not narrow else 8) * direction
        lead = end - (back if not narrow else 16) * direction
        drawing.pill(
            tail,
            y + (offset / abs(end - begin)) * SLOPE - (0 if not narrow else 14),
            transfer.sender_fd,
            hop.sender.role,
            title=title,
        )
        dashed = transfer.receiver_fd is None
        drawing.pill(
            lead,
            y + SLOPE - (back / abs(end - begin)) * SLOPE - (0 if not narrow else 18),
            "?" if dashed else transfer.receiver_fd,
            hop.receiver.role,
            dashed=dashed,
            title=title,
        )
    if not narrow:
        _files(drawing, shown, centre, at - 18)
    if len(hop.transfers) > len(shown) and not narrow:
        more = len(hop.transfers) - len(shown)
        drawing.text(
            centre, at - 28, clip(ngettext("and %(num)s more", "and %(num)s more", more), 20), "tiny soft", "middle"
        )
    drawing.link(url_for("pages.message", id=message.id), centre - breadth / 2, at - 10, breadth, 20)
    drawing.open("g", class_="message")
    drawing.element("title", f"{message.kind} \u00b7 {size(message.size)} \u00b7 {state}")
    drawing.rect(centre - breadth / 2, at - 10, breadth, 20, f"packet {hop.sender.role}", 2)
    drawing.text(centre, at + 4, message.kind, "mono small strong", "middle")
    drawing.shut("g")
    drawing.shut("a")
