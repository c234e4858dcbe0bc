"""What other processes told as JSON, as a column keeps it: read so that no row takes down a page, a list or an answer
that holds it."""

from __future__ import annotations

from typing import Any

import msgspec

from pairscope.ipc.nesting import excess

NOTE = "what is recorded here cannot be shown: %(why)s"
TOO_DEEP = "it is nested too deeply"
NO_JSON = "it is no JSON: %(fault)s"
VALUES = 65_536
"""An older version recorded what it was told without a bound of this."""


def told(text: str) -> dict[str, Any]:
    """The object that `text` holds; {} for an empty text. Of what cannot be shown only a note is returned, which says
    why."""
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        return _note(TOO_DEEP if isinstance(error, RecursionError) else NO_JSON % {"fault": error})
    if why := excess(found, VALUES):
        return _note(why)
    return found if isinstance(found, dict) else {"result": found}


def _note(why: str) -> dict[str, Any]:
    return {"note": NOTE % {"why": why}}
