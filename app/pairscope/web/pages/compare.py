"""Two runs of the lab side by side."""

from __future__ import annotations

import re
from typing import Any

from flask import render_template, request

from pairscope.store import runs
from pairscope.web import reach
from pairscope.web.access import reader_required
from pairscope.web.lab import running
from pairscope.web.lab.reading import SHAPES, Reading
from pairscope.web.pages.routes import blueprint


@blueprint.get("/lab/compare")
@reader_required
def compare() -> Any:
    """Two runs step by step."""
    first, second = request.args.get("a", ""), request.args.get("b", "")
    if not first or not second:
        return render_template(
            "lab_compare.html",
            both=None,
            first=first,
            second=second,
            recent=runs.newest(reach.own(), 40),
            shape_of=SHAPES,
            section="pages.lab",
        )
    rows = [running.find(first), running.find(second)]
    readings = [Reading(runs.opened(row)) for row in rows]
    count = max(reading.count for reading in readings)
    plain = [_Plain(reading) for reading in readings]
    steps = []
    for number in range(1, count + 1):
        sides = [
            (reading.source(number), reading.outcome(number), reading.changes(number))
            if number <= reading.count
            else ("", "", [])
            for reading in readings
        ]
        gave = [side.gave(number) for side in plain]
        steps.append((number, sides, gave[0] == gave[1] and bool(sides[0][0] and sides[1][0])))
    return render_template(
        "lab_compare.html",
        both=list(zip(rows, readings)),
        steps=steps,
        same=sum(same for _number, _sides, same in steps),
        otherwise=sum(same and sides[0][0] != sides[1][0] for _number, sides, same in steps),
        shape_of=SHAPES,
        section="pages.lab",
    )


class _Plain:
    """A run without what says nothing of what its steps gave: numbers that are other ones in each run, and the names
    that its text chose."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        names = [
            *reading.actors,
            *dict.fromkeys(
                name
                for number in range(1, reading.count + 1)
                for process in reading.facts(number).processes
                for row in process.descriptors
                for name in row.names
            ),
        ]
        self._words = {name: f"#{index}" for index, name in enumerate(dict.fromkeys(names))} | dict.fromkeys(
            reading.volatile(), "#"
        )

    def gave(self, number: int) -> tuple[str, list[str]] | None:
        """What a step gave and changed; None: there is no such step."""
        if number > self._reading.count:
            return None
        return self._bare(self._reading.outcome(number)), [
            self._bare(change) for change in self._reading.changes(number)
        ]

    def _bare(self, text: str) -> str:
        return re.sub(r"\w+", lambda word: self._words.get(word[0], word[0]), text)
