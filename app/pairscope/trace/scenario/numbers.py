"""Which numbers the lab gives, and how it comes to give those that the recording has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pairscope.lab.model import Constants, Name, Text
from pairscope.sentence import phrase
from pairscope.trace.scenario.line import Line, number, printable
from pairscope.trace.scenario.script import Script
from pairscope.trace.scenario.turn import HIDDEN, SET, Turn
from pairscope.trace.scenario.world import STANDARD, Actor, Description

_GAPS = 12
"""Lines that are spent on giving numbers that the recording has."""


class Numbers:
    """Of one script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._gaps = 0
        self._files: dict[str, str] = {}

    def close(self, actor: Actor, one: int, line: Line | None, why: str) -> None:
        """A line that closes one, before another or behind all."""
        held = actor.process.table.drop(one)
        closed = Line(actor.name, "close", [Name(held.name)], first=number(0), comment=why)
        if line is None:
            self._script.add(closed)
        else:
            self._script.before(line, closed)

    def align(self, actor: Actor, numbers: Sequence[int], line: Line) -> None:
        """Lets the lab give the numbers that the recording has, by closing and opening what nobody saw."""
        table, wanted = actor.process.table, set(numbers)
        if line.returned or not numbers:
            return
        for one in sorted(wanted & table.held.keys()):
            self.close(actor, one, line, SET)
        over = [one for one in wanted if one in table.taken]
        gaps = [one for one in range(max(wanted)) if one not in table.taken and one not in wanted]
        if any(table.taken[one] and not table.taken[one].startswith("gap") for one in over) or (not gaps and not over):
            return
        if self._gaps + len(gaps) + len(over) > _GAPS or max(wanted) >= HIDDEN[0] - 8 or (gaps and 0 in over):
            return
        self._gaps += len(gaps) + len(over)
        if gaps and 0 not in table.taken:
            return
        for one in over:
            name = table.taken.pop(one)
            closed = Line(actor.name, "close", [Name(name) if name else number(one)], first=number(0), comment=SET)
            self._script.before(line, closed)
        for one in gaps:
            table.taken[one] = f"gap{one}"
            filled = Line(actor.name, "dup2", [number(0), number(one)], binds=(f"gap{one}",), first=number(one))
            filled.comment = phrase("a number that something else had")
            self._script.before(line, filled)

    def stand_in(self, turn: Turn) -> None:
        """What is passed and was not made here: a file stands in its place."""
        control = turn.given.get("control")
        for part in control if isinstance(control, list) else ():
            fds = part.get("fds") if isinstance(part, dict) else None
            for one in fds if isinstance(fds, list) else ():
                table = turn.table
                standard = one in STANDARD and table.taken.get(one) == ""
                if isinstance(one, int) and one >= 0 and one not in table.held and not standard:
                    self._opened(turn, one)

    def _opened(self, turn: Turn, one: int) -> None:
        link = next((p.object for p in self._script.index.passages if (p.sent_at, p.sent_as) == (turn.at, one)), "")
        if not link and "errno" in turn.gave:
            return
        if link not in self._files:
            plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", link.rpartition("/")[2])[:40].strip("._") or "file"
            taken = self._files.values()
            self._files[link] = plain if plain not in taken else f"{plain}{len(taken) + 1}"
        who = turn.actor
        opened = Line(
            who.name, "open", [Text(self._files[link].encode()), Constants(("O_RDWR", "O_CREAT"))], at=turn.at
        )
        opened.comment = phrase("not made here; it stands for %(what)s", what=printable(link, 80))
        self._script.add(opened)
        self.align(who, [one], opened)
        held = turn.table.give(one, "file", Description("file"))
        opened.binds, opened.first = (held.name,), number(one) if held.number == one else "ok"
        if content := bytes(self._script.facts.contents.pop(link, b"")):
            self._script.add(
                Line(
                    who.name,
                    "pwrite",
                    [Name(held.name), Text(content), number(0)],
                    first=number(len(content)),
                    comment=phrase("what is read of it"),
                )
            )
