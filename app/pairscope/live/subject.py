"""What somebody follows: which page of the application, and with what right."""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """Who follows the same subject gets the same bytes."""

    view: str
    """The view below /live that tells what is new: a table's name, ``overview`` or ``strip``."""
    language: str
    text: str = ""
    """The filter; empty: all rows."""
    operator: bool = False
    """True: as an operator sees it; False: as a stranger does."""

    @property
    def table(self) -> str:
        """The table whose rows it shows; empty: none."""
        return {"overview": "messages", "strip": ""}.get(self.view, self.view)

    @property
    def surroundings(self) -> str:
        """The view that tells what stands around the rows: mostly the health strip alone, which is one for all."""
        return self.view if self.view in ("overview", "workers") else "strip"

    @property
    def shared(self) -> bool:
        """True: it has a door of its own, that everybody may come through."""
        return not self.text and not self.operator

    @property
    def name(self) -> str:
        """Of a shared one: of its door, and in the figures."""
        return f"{self.view}.{self.language}"


OWN = "own"
"""All others together, in the figures."""
