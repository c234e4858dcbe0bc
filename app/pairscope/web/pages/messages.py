"""Messages: the table, and one of them."""

from __future__ import annotations

import socket
from typing import Any

from flask import render_template
from flask_babel import gettext as _

from pairscope.ipc.vocabulary import BY_NAME, KINDS
from pairscope.store import queries
from pairscope.store.models import PREVIEW, Message
from pairscope.web import payload, reach
from pairscope.web.access import reader_required
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.shell import listing

FLAGS = {
    value: name
    for name, value in vars(socket).items()
    if name in ("MSG_CTRUNC", "MSG_TRUNC", "MSG_EOR", "MSG_ERRQUEUE", "MSG_CMSG_CLOEXEC", "MSG_OOB")
}


@blueprint.get("/messages")
@reader_required
def messages() -> Any:
    """The table of messages."""
    return listing.answer(
        "messages",
        "messages.html",
        pool=reach.snapshot(),
        kinds=KINDS,
        empty=_("No message fits. Ask for less, or submit a job on the overview."),
        nothing=_("Nothing has crossed yet. Submit a job on the overview: its messages appear here by themselves."),
    )


@blueprint.get("/messages/<int:id>")
@reader_required
def message(id: int) -> Any:
    """One message: its ends, its bytes, its descriptors."""
    found: Message | None = queries.message(reach.history(), id)
    if found is None:
        raise Problem(
            "unknown-message",
            _("There is no message %(id)s in history: it was never recorded, or it has been pruned.", id=id),
        )
    kind = BY_NAME.get(found.kind)
    return render_template(
        "message.html",
        message=found,
        inbound=found.receiver_role == "supervisor",
        meaning=_(kind.meaning) if kind else "",
        code=kind.code if kind else "?",
        flags=flag_names(found.flags, FLAGS),
        transfers=queries.transfers_of_message(reach.history(), id),
        root=payload.tree(found.preview),
        dump=payload.dump(found.preview),
        preview_most=PREVIEW,
        section="pages.messages",
    )


def flag_names(flags: int, known: dict[int, str]) -> str:
    """The names of the bits that are set; bits without a name in hexadecimal."""
    names = [name for bit, name in sorted(known.items()) if bit and flags & bit == bit]
    rest = flags & ~sum(bit for bit in known if bit and flags & bit == bit)
    return " | ".join(names + ([f"{rest:#x}"] if rest else []))
