"""What a reader of the journal says of a stretch that is missing: sentences with names for their values. Pure.

They are recorded filled, in English, and translated where they are shown (app/pairscope/recorded.py). What was recorded
once is not reworded: a new sentence is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Missing(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names: positions and
    bytes are numbers."""

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

    def say(self, **values: Any) -> str:
        """Filled, in English."""
        return self.value % values
