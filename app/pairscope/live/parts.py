"""What stands around the rows of a page: the strip, drawings, charts. Looked at once for all who follow."""

from __future__ import annotations

from pairscope.live.pack import Packer, event
from pairscope.live.source import Source

EVERY = 1.0
"""Seconds between two looks."""


class Parts:
    """Of one view, in one language, with one right."""

    def __init__(self, view: str, language: str, operator: bool, source: Source, packer: Packer) -> None:
        self._view, self._language, self._operator = view, language, operator
        self._source, self._packer = source, packer
        self._seen = ""
        self._looked = float("-inf")
        self.trouble = ""
        """The page that says why they cannot be told; empty: they can."""
        self.changed = b""
        """What was another one at the last look."""
        self.whole = b""
        """All of them, for whoever comes; empty: they are others now."""

    def look(self, now: float, comes: bool) -> None:
        """Looks, if it is time. `comes`: somebody needs all of them."""
        self.changed = b""
        if now >= self._looked + EVERY:
            self._looked = now
            told = self._source.parts(self._view, self._language, self._operator, self._seen)
            if told.status == 200:
                self.changed = self._packer.block(event("update", told.body))
                self.whole, self._seen = b"" if self._seen else self.changed, told.seen
            self.trouble = "" if told.status in (200, 204) else told.body
            if self.trouble:
                self._seen, self.whole = "", b""  # the strip that comes with it is another one
        if comes and not self.whole and not self.trouble:
            told = self._source.parts(self._view, self._language, self._operator, "")
            if told.status == 200:
                self.whole = self._packer.block(event("update", told.body))
                self._seen = self._seen or told.seen
