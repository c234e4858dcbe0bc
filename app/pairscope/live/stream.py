"""A stream that all viewers of one page share: where it stands, and what it keeps for those who come back."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from pairscope.live.pack import GZIP_HEADER, Packer, event
from pairscope.live.source import Source, Told

KEPT_SECONDS = 10.0
"""A page that was loaded, or lost its connection, within that time goes on without asking."""
KEPT_BYTES = 64 * 1024
PARTS_EVERY = 1.0
"""Seconds between two looks at what stands around the rows: the strip, drawings, charts."""
IDLE = 60.0
"""Seconds without a viewer after which a stream forgets where it stood: nobody goes on from there."""


class Kept(NamedTuple):
    """An event that was sent."""

    at: float
    """s of the monotonic clock."""
    block: bytes


class Stream:
    """One page in one language. It renders once, whoever follows."""

    def __init__(self, page: str, language: str, source: Source, packer: Packer) -> None:
        self.name = f"{page}.{language}"
        self._view, self._language, self._source, self._packer = page, language, source, packer
        self._rows = page != "strip"
        self.cursor = self.at = ""
        """Up to where all events together reach."""
        self._seen = ""
        self._kept: deque[Kept] = deque()
        self._kept_bytes = 0
        self._parts = b""
        self._looked = float("-inf")
        """When the parts were last looked at."""
        self.trouble = ""
        """What the application last said instead of an answer; empty: it answers."""
        self.left = float("-inf")
        """When the last viewer went, or the stream was begun."""
        self.events = self.rows = 0

    @property
    def begun(self) -> bool:
        """Whether it knows where it stands."""
        return bool(self.cursor)

    def begin(self, cursor: str = "", at: str = "") -> None:
        """From now on, or from where the one before ended. Raises what the database's driver raises."""
        self.cursor, self.at = (cursor, at) if cursor else self._source.now()

    def forget(self) -> None:
        """Nobody follows, and nobody will go on from here."""
        self.cursor = self.at = self._seen = self.trouble = ""
        self._kept.clear()
        self._kept_bytes = 0
        self._parts = b""
        self._looked = float("-inf")

    def due(self, now: float) -> bool:
        """Whether what stands around the rows is to be looked at."""
        return now >= self._looked + PARTS_EVERY

    def look(self, now: float, committed: bool) -> bytes:
        """What is to be sent to all now; empty: nothing. `committed`: the record has grown since the last look."""
        if self.due(now):
            self._looked = now
            told = self._ask(seen=self._seen)
        elif committed and self._rows:
            told = self._ask(only="rows")
        else:
            return b""
        return self._take(told, now)

    def welcome(self, now: float, fed: str) -> bytes:
        """What a viewer gets first: the events that are kept, the parts of the page as they are, and the word up to
        where all of it reaches, with what feeds this one. Empty: the application cannot tell now."""
        if not self._parts:
            told = self._ask(seen="", only="parts")
            if told.status != 200:
                return b""
            self._seen = self._seen or told.seen
            self._parts = self._packer.block(event("update", told.body))
        while self._kept and self._kept[0].at < now - KEPT_SECONDS:
            self._kept_bytes -= len(self._kept.popleft().block)
        joined = self._packer.block(event("joined", fed, f"{self.at}/{self.at}"))
        return b"".join((GZIP_HEADER, *(kept.block for kept in self._kept), self._parts, joined))

    def beat(self) -> bytes:
        """The word that nothing has happened, and that somebody is there."""
        return self._packer.block(event("beat", "refused" if self.trouble else ""))

    def _ask(self, **arguments: str) -> Told:
        if self._rows:
            arguments["cursor"] = self.cursor
        return self._source.ask(self._view, self._language, **arguments)

    def _take(self, told: Told, now: float) -> bytes:
        if told.status == 204:
            if self.trouble:
                self.trouble = ""
                return self.beat()
            return b""
        if told.status != 200:
            return self._trouble(told)
        self.trouble = ""
        identity = self._identity(told)
        self._move(told)
        if told.seen:
            self._seen = told.seen
            self._parts = b""  # they are others now
        block = self._packer.block(event("update", told.body, identity))
        self.events += 1
        self.rows += told.body.count("<tr ")
        self._keep(Kept(now, block))
        return block

    def _trouble(self, told: Told) -> bytes:
        """Says once, and again when it is another one, that the application cannot tell."""
        self._parts = b""
        if told.body == self.trouble:
            return b""
        self.trouble = told.body
        self._seen = re.sub(r"strip:\d+", "strip:", self._seen)  # the strip that came with it is another one
        return self._packer.block(event("refused", told.body))

    def _identity(self, told: Told) -> str:
        """From where to where the rows of an event reach."""
        return f"{self.at}/{told.at or self.at}" if self._rows else ""

    def _move(self, told: Told) -> None:
        if told.cursor:
            self.cursor, self.at = told.cursor, told.at

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._kept_bytes += len(kept.block)
        while self._kept_bytes > KEPT_BYTES or self._kept[0].at < kept.at - KEPT_SECONDS:
            self._kept_bytes -= len(self._kept.popleft().block)
