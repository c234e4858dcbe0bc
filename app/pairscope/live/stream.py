"""A stream: what all get who follow the same subject. It is made once, whoever follows."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from pairscope.live.pack import Packer, event
from pairscope.live.parts import Parts
from pairscope.live.source import Source, Trouble
from pairscope.live.subject import Subject
from pairscope.live.tail import KEPT_SECONDS, Tail
from pairscope.store.filter import memory
from pairscope.store.filter.conditions import read
from pairscope.web.shell.listing import MOST_CHANGES, Update
from pairscope.web.tables import TABLES

KEPT_BYTES = 64 * 1024
SHOWN = 400
"""Rows of which it is remembered that pages hold them: eight pages."""
STEADY = 2.0
"""Seconds after which those are told how far the record has come for whom there was no row."""


class Kept(NamedTuple):
    """An event that was sent."""

    at: float
    """s of the monotonic clock."""
    block: bytes


class Standing(NamedTuple):
    """How a stream stands, for whoever comes and for the figures."""

    kept: tuple[bytes, ...]
    """The events of the last seconds, and all parts of the page: what somebody gets who comes now."""
    whole: bool
    """True: that is all that was there; False: the parts are not made yet."""
    cursor: str
    at: str
    """Up to where its events reach."""
    events: int
    rows: int
    trouble: bool


class Stream:
    """Of one subject."""

    def __init__(self, subject: Subject, source: Source, packer: Packer) -> None:
        self.subject = subject
        self._source, self._packer = source, packer
        self._conditions = read(subject.text, subject.table) if subject.table else ()
        self._letters: memory.Letters = {}
        self._number = -1
        """Of the last batch that was told; -1: none was."""
        self._at = self._cursor = ""
        self._moved = float("-inf")
        """When it last said how far it reaches."""
        self._kept: deque[Kept] = deque()
        self._kept_bytes = 0
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._trouble = ""
        self._events = self._rows = 0

    def shows(self, names: Iterable[str]) -> None:
        """Somebody's page holds these rows."""
        if not self.subject.text:
            return
        for name in names:
            self._shown[name] = None
            self._shown.move_to_end(name)
        while len(self._shown) > SHOWN:
            self._shown.popitem(last=False)

    def tell(self, tail: Tail | None, parts: Parts, now: float) -> bytes:
        """What is to be sent to all now; empty: nothing."""
        trouble = (tail.trouble if tail else "") or parts.trouble
        block = b""
        if tail and not trouble and tail.cursor:
            try:
                block = self._of(tail, now)
            except Trouble as error:
                trouble = str(error)
        block += parts.changed
        if trouble and trouble != self._trouble:
            block += self._packer.block(event("refused", trouble))
        elif self._trouble and not trouble and not block:
            block = self._packer.block(event("beat"))
        self._trouble = trouble
        return block

    def standing(self, parts: Parts, now: float) -> Standing:
        """How it stands, behind what was told."""
        while self._kept and self._kept[0].at < now - KEPT_SECONDS:
            self._kept_bytes -= len(self._kept.popleft().block)
        kept = (*(kept.block for kept in self._kept), parts.whole)
        whole = bool(parts.whole) and (bool(self._cursor) or not self.subject.table)
        return Standing(kept, whole, self._cursor, self._at, self._events, self._rows, bool(self._trouble))

    def _of(self, tail: Tail, now: float) -> bytes:
        """The rows behind the last that was told."""
        if self._number < 0:
            self._number, self._at = tail.oldest(now)
        start, self._cursor = self._at, tail.cursor
        batches = tail.behind(self._number)
        if batches is None:
            return self._say(Update(self._source.newest(self.subject), tail.cursor, True, []), start, tail, now)
        rows: dict[str, Any] = {}
        table = TABLES[self.subject.table]
        for batch in batches:
            rows |= {table.name_of(row): row for row in batch.rows}
        if self._conditions and rows and not self._letters:
            self._letters = self._source.letters()
        fitting = {name: row for name, row in rows.items() if memory.fits(self._conditions, row, self._letters)}
        gone = [name for name in rows if name in self._shown and name not in fitting]
        for name in gone:
            del self._shown[name]
        if len(fitting) > MOST_CHANGES:
            return self._say(Update(self._source.newest(self.subject), tail.cursor, True, []), start, tail, now)
        self.shows(fitting)
        self._number = tail.number
        if not fitting and not gone and (tail.at == start or now < self._moved + STEADY):
            return b""
        found = sorted(fitting.values(), key=table.order, reverse=True)
        return self._say(Update(found, tail.cursor, False, gone), start, tail, now)

    def _say(self, update: Update, start: str, tail: Tail, now: float) -> bytes:
        block = self._packer.block(event("update", self._source.rows(self.subject, update), f"{start}/{tail.at}"))
        self._number, self._at, self._moved = tail.number, tail.at, now
        self._events += 1
        self._rows += len(update.rows)
        self._kept.append(Kept(now, block))
        self._kept_bytes += len(block)
        while self._kept_bytes > KEPT_BYTES or self._kept[0].at < now - KEPT_SECONDS:
            self._kept_bytes -= len(self._kept.popleft().block)
            if not self._kept:
                break
        return block
