"""Transfers: the table, and one of them with the proof."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import render_template
from flask_babel import gettext as _

from pairscope.store import queries
from pairscope.store.models import Transfer
from pairscope.web import reach
from pairscope.web.access import reader_required
from pairscope.web.drawing import transfer as drawing
from pairscope.web.pages.messages import flag_names
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import listing
from pairscope.web.shell.guard import drawn
from pairscope.web.words import NOTHING

STATUS = {
    getattr(os, name): name
    for name in (
        "O_APPEND",
        "O_NONBLOCK",
        "O_DSYNC",
        "O_SYNC",
        "O_DIRECT",
        "O_NOATIME",
        "O_PATH",
        "O_TMPFILE",
        "O_DIRECTORY",
        "O_NOFOLLOW",
    )
    if hasattr(os, name)
}
LARGEFILE = 0o100000
"""O_LARGEFILE as the kernel reports it on 64 bits; Python's os.O_LARGEFILE is 0 there."""
SOL_SOCKET, SCM_RIGHTS = 1, 1
WORD = struct.calcsize("@N")
"""sizeof(size_t): a control message is aligned to it, CMSG_ALIGN in cmsg(3)."""


class Field(NamedTuple):
    """One field of the control message, on both sides."""

    name: str
    sent: str
    received: str
    value: str
    here: bool
    """True: the descriptor that the page is about."""


@blueprint.get("/transfers")
@reader_required
def transfers() -> Any:
    """The table of transfers."""
    return listing.answer(
        "transfers",
        "transfers.html",
        empty=_("No transfer fits. A job with a file makes at least two: web to supervisor, supervisor to worker."),
        nothing=_(
            "No descriptor has crossed yet. A job with a file makes at least two transfers: web to supervisor, "
            "supervisor to worker."
        ),
    )


@blueprint.get("/transfers/<int:message>-<int:position>")
@reader_required
def transfer(message: int, position: int) -> Any:
    """One descriptor that crossed: its object, its numbers, the proof."""
    found: Transfer | None = queries.transfer(reach.history(), message, position)
    if found is None:
        raise Problem(
            "unknown-transfer",
            _(
                "There is no transfer %(message)s-%(position)s in history: it was never recorded, or it has "
                "been pruned.",
                message=message,
                position=position,
            ),
        )
    return render_template(
        "transfer.html",
        transfer=found,
        inbound=found.receiver_role == "supervisor",
        drawing=drawn(drawing.draw, found),
        flags=status_words(found.flags),
        proof_words=proof_words(found),
        cmsg=control_message(queries.transfers_of_message(reach.history(), message), position),
        section="pages.transfers",
    )


def status_words(flags: int) -> str:
    """F_GETFL in words: access mode first."""
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR")[flags & os.O_ACCMODE] if flags & os.O_ACCMODE < 3 else "?"
    rest = flag_names(flags & ~os.O_ACCMODE, {**STATUS, LARGEFILE: "O_LARGEFILE"})
    return access + (" | " + rest if rest else "")


def proof_words(transfer: Transfer) -> str:
    """What the verdict means, in one sentence."""
    if transfer.proof == "same":
        return _(
            "While both processes held it, the kernel compared number %(from_fd)s of process %(from_pid)s with number "
            "%(to_fd)s of process %(to_pid)s: equal, one open file description.",
            from_fd=transfer.sender_fd,
            from_pid=transfer.sender_pid,
            to_fd=transfer.receiver_fd,
            to_pid=transfer.receiver_pid,
        )
    if transfer.proof:
        return translated(transfer.proof_reason) or _("No reason was given.")
    return _("It is made when the receiver has reported its number, with its next message.")


def control_message(transfers: Sequence[Transfer], position: int) -> list[Field]:
    """The SCM_RIGHTS control message as each side had it: struct cmsghdr, the numbers, and the padding. cmsg(3).

    The receiver's is known by the numbers that it reported; a dash stands where there is none.
    """
    length = struct.calcsize("@Nii") + 4 * len(transfers)  # CMSG_LEN
    arrived = sum(transfer.receiver_fd is not None for transfer in transfers)
    received_length = struct.calcsize("@Nii") + 4 * arrived

    def header(form: str, sent: int, received: int) -> tuple[str, str]:
        return _hex(form, sent), _hex(form, received) if arrived else NOTHING

    fields = [
        Field("cmsg_len", *header("@N", length, received_length), str(length), False),
        Field("cmsg_level", *header("@i", SOL_SOCKET, SOL_SOCKET), "SOL_SOCKET", False),
        Field("cmsg_type", *header("@i", SCM_RIGHTS, SCM_RIGHTS), "SCM_RIGHTS", False),
    ]
    for transfer in transfers:
        there = transfer.receiver_fd
        known = transfer.sender_fd >= 0
        value = f"{transfer.sender_fd if known else '?'} → {'?' if there is None else there}"
        received = NOTHING if there is None else _hex("@i", there)
        fields.append(
            Field(
                f"int[{transfer.position}]",
                _hex("@i", transfer.sender_fd) if known else NOTHING,
                received,
                value,
                transfer.position == position,
            )
        )
    padding = -length % WORD
    if padding:
        fields.append(
            Field(
                "padding",
                "·· " * padding,
                "·· " * (-received_length % WORD) if arrived else NOTHING,
                _("to %(size)s bytes, CMSG_SPACE", size=length + padding),
                False,
            )
        )
    return fields


def _hex(form: str, value: int) -> str:
    return struct.pack(form, value).hex(" ")
