"""What an error means for a recorder: whom to wait for, and what to tell."""

from __future__ import annotations

import enum

from pairscope.recorder.upsert import Unfit
from pairscope.store import errors
from pairscope.store.errors import Kind


class Trouble(enum.Enum):
    """What to do about an error."""

    AWAY = "wait for the database and try the whole batch again"
    BUSY = "somebody else was first: try the whole batch again"
    SCHEMA = "wait for a migration or a grant and try the whole batch again"
    RECORD = "a record may be to blame: find it, and put it aside once it is proved"
    OURS = "the program is wrong: stop, nothing is lost that stays in the journal"


_TROUBLES = {
    Kind.VALUE: Trouble.RECORD,
    Kind.BUSY: Trouble.BUSY,
    Kind.TABLES: Trouble.SCHEMA,
    Kind.RIGHTS: Trouble.SCHEMA,
}
"""Every other kind is AWAY."""


def judge(error: Exception) -> tuple[Trouble, str]:
    """Says what to do about an error, and what is wrong in words."""
    if isinstance(error, (OverflowError, UnicodeEncodeError, Unfit)):
        return Trouble.RECORD, str(error)
    fault = errors.of(error)
    if fault is None:
        return Trouble.OURS, f"{type(error).__name__}: {error}"
    return _TROUBLES.get(fault.kind, Trouble.AWAY), errors.SAID[fault.kind] % {"words": fault.words}
