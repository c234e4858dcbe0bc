"""One transfer: two processes, the socket pair between them, and the open file description that both numbers name."""

from __future__ import annotations

from flask import url_for
from flask_babel import gettext as _
from markupsafe import Markup

from pairscope.store.models import Transfer
from pairscope.web.drawing.shapes import Card, Drawing, glyph_of
from pairscope.web.timeline import Party, receiver, sender
from pairscope.web.words import clip, duration, noun, size


def draw(transfer: Transfer) -> Markup:
    """The drawing for wide screens and paper, and for a phone."""
    return _draw(transfer, 900, "wide") + _draw(transfer, 343, "narrow")


def _draw(transfer: Transfer, width: int, layout: str) -> Markup:
    narrow = layout == "narrow"
    source, target = sender(transfer), receiver(transfer)
    box, top, tall = (132, 1, 126) if narrow else (250, 1, 126)
    drawing = Drawing(
        "transfer",
        width,
        top + tall + 38 + 84 + 53,
        _("One descriptor crossing"),
        _sentence(transfer, source, target),
        layout=layout,
    )
    slot_y = top + 88
    left, right = box, width - box
    _party(drawing, 0, top, box, tall, source, _number(transfer), "right", slot_y)
    _party(drawing, right, top, box, tall, target, transfer.receiver_fd, "left", slot_y)

    # the message through the pair
    middle, lane = width / 2, top + 38
    flying = transfer.state == "sent"
    lost = transfer.state in ("failed", "unknown")
    style = f"hop {source.role}{' dashed' if flying or lost else ''}"
    if lost:
        drawing.line(left, lane, right - 14, lane, style)
        drawing.mark(right - 8, lane, "failed" if transfer.state == "failed" else "unknown")
    else:
        drawing.arrow(left, lane, right, lane, style)
    drawing.pair(middle, lane)
    if not narrow:
        drawing.link(url_for("pages.message", id=transfer.message), middle - 112, lane - 13, 70, 26)
        drawing.rect(middle - 112, lane - 13, 70, 26, f"packet {source.role}", 2)
        drawing.text(middle - 77, lane + 4, transfer.kind, "mono small strong", "middle")
        drawing.shut("a")
        drawing.pill(
            middle + 62 if not flying else middle + 9, lane, _number(transfer), source.role, dashed=flying or lost
        )
        took = duration(transfer.received - transfer.sent) if transfer.received else _(transfer.state)
        drawing.text(middle, lane + 32, f"SCM_RIGHTS \u00b7 {took}", "mono tiny soft", "middle")
    else:
        drawing.text(middle, lane - 17, transfer.kind, "mono tiny strong", "middle")
        drawing.text(
            middle,
            lane + 24,
            duration(transfer.received - transfer.sent) if transfer.received else _(transfer.state),
            "mono tiny soft",
            "middle",
        )

    # what both numbers name
    y = top + tall + 38
    wide = 400 if not narrow else 341
    offset = (
        _("no offset")
        if transfer.offset is None or transfer.offset < 0
        else _("offset %(offset)s", offset=transfer.offset)
    )
    lines = [f"{transfer.access} \u00b7 {offset}"]
    if transfer.proof == "different" and not narrow:
        boxes = [(middle - wide - 12, wide), (middle + 12, wide)]
    elif transfer.proof == "different":
        boxes = [(1, 165), (177, 165)]
    else:
        boxes = [(middle - wide / 2, wide)]
    for x, breadth in boxes:
        drawing.object(x, y, breadth, 52, _("open file description"), lines)
    file_y = y + 84
    breadth = 430 if not narrow else 341
    for x, across in boxes:
        drawing.arrow(x + across / 2, y + 52, x + across / 2, file_y, "edge")
    file_lines = [f"dev {transfer.device} \u00b7 inode {transfer.inode} \u00b7 {size(transfer.size)}"]
    drawing.object(
        middle - breadth / 2,
        file_y,
        breadth,
        52,
        f"{noun(transfer.object)}  {clip(transfer.link, 26 if narrow else 44)}",
        file_lines,
    )
    drawing.glyph(middle + breadth / 2 - 16, file_y + 15, glyph_of(transfer.device, transfer.inode))

    # from each slot down to its description
    from_x, to_x = left + 15 if not narrow else left - 15, right - 15 if not narrow else right + 15
    for start, (x, across), role, sure in (
        (from_x, boxes[0], source.role, True),
        (to_x, boxes[-1], target.role, transfer.proof in ("same", "different")),
    ):
        goal = x + across * (0.07 if start == from_x else 0.93)
        low = slot_y + 22
        drawing.path(
            f"M{start:.0f} {low:.0f} C{start:.0f} {low + 40:.0f} {goal:.0f} {y - 50:.0f} {goal:.0f} {y:.0f}",
            f"names {role}{'' if sure else ' dashed'}",
        )
    word, state = {
        "same": (_("proved: one open file description"), "good"),
        "different": (_("two open file descriptions"), "failed"),
        "unproved": (_("not proved"), "unknown"),
        "": (_("proof not made yet"), "unknown"),
    }[transfer.proof]
    length = 6.6 * len(word)
    drawing.mark(middle - length / 2 - 9, y - 13, state)
    drawing.text(middle - length / 2 + 2, y - 9, word, "small strong")
    return drawing.svg()


def _party(
    drawing: Drawing,
    x: float,
    y: float,
    width: float,
    height: float,
    party: Party,
    fd: int | str | None,
    edge: str,
    slot_y: float,
) -> None:
    drawing.process(x, y, width, height, Card(party.role, party.name, [f"pid {party.pid}"]))
    inside = width < 200
    column = (
        x + width
        if edge == "right" and not inside
        else x + width - 30
        if edge == "right"
        else x - 30
        if not inside
        else x
    )
    for index, label in enumerate(("\u22ee", "?" if fd is None else fd, "\u22ee")):
        drawing.slot(column, slot_y - 22 + 22 * index, label, party.role, here=index == 1)


def _number(transfer: Transfer) -> int | str:
    """The sender's; a sender that is no client of ours does not tell it."""
    return "?" if transfer.sender_fd < 0 else transfer.sender_fd


def _sentence(transfer: Transfer, source: Party, target: Party) -> str:
    if transfer.receiver_fd is None:
        return _(
            "Descriptor %(from_fd)s of %(sender)s, process %(from_pid)s, was sent to %(receiver)s, process %(to_pid)s; "
            "it names a %(object)s, inode %(inode)s. No number in the receiver is recorded.",
            from_fd=_number(transfer),
            sender=source.name,
            from_pid=source.pid,
            receiver=target.name,
            to_pid=target.pid,
            object=noun(transfer.object),
            inode=transfer.inode,
        )
    return _(
        "Descriptor %(from_fd)s of %(sender)s, process %(from_pid)s, arrived as %(to_fd)s in %(receiver)s, "
        "process %(to_pid)s; both name a %(object)s, inode %(inode)s.",
        from_fd=_number(transfer),
        sender=source.name,
        from_pid=source.pid,
        to_fd=transfer.receiver_fd,
        receiver=target.name,
        to_pid=target.pid,
        object=noun(transfer.object),
        inode=transfer.inode,
    )
