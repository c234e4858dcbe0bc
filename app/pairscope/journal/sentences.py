"""What the reader of the journal says of a stretch that is missing, and its writer of why it cannot go on: sentences
with names for their values. Pure.

They are recorded filled, in English, and translated where they are shown (app/pairscope/recorded.py). What was recorded
once is not reworded: a new sentence is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Template(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names: positions and
    bytes are numbers."""

    def say(self, **values: Any) -> str:
        """Filled, in English."""
        return self.value % values


class Missing(Template):
    """What of the journal is lost."""

    BETWEEN = "the journal goes from position %(first)s to %(count)s: what lies between is lost"
    BEHIND = (
        "epoch %(count)s found the journal's end at position %(most)s: what was appended behind %(first)s may be lost"
    )
    DAMAGED = (
        "the segment that begins at position %(first)s is damaged at byte %(bytes)s: %(why)s (its bytes are kept in "
        "%(files)s)"
    )
    DAMAGED_POSITIONS = (
        "the segment that begins at position %(first)s is damaged at byte %(bytes)s: %(why)s (positions %(count)s to "
        "%(most)s; its bytes are kept in %(files)s)"
    )
    MORE = "%(files)s and others"


class Stuck(Template):
    """Why nothing can be appended, or the journal cannot be opened."""

    SEGMENT = "a new segment cannot be begun: %(fault)s"
    NO_ROOM = "the disk has no room for a new segment"
    FULL = "the disk is full"
    NO_GROWTH = "the journal cannot grow: %(fault)s"
    NO_WRITING = "the journal cannot be written: %(fault)s"
    NO_CUT = "a half-written frame could not be cut off: %(fault)s"
    FDATASYNC = "fdatasync failed, and must not be tried again: %(fault)s"
    FSYNC = "fsync of the directory failed, and must not be tried again: %(fault)s"
    NEWER = "the journal in %(path)s holds what this version cannot read: %(fault)s; nothing of it was changed"
    HELD = "the journal in %(path)s is held by the supervisor with pid %(number)s"
