"""The pages of one recording: what was passed in it, and each of its steps. Who mounts them says which recording it is,
and where its pages are."""

from __future__ import annotations

import bisect
import dataclasses
from collections import Counter, OrderedDict
from typing import Any, Protocol

from flask import Flask, Response, render_template, request
from flask_babel import gettext as _

from pairscope.lab.constants import signal_name
from pairscope.trace import lines
from pairscope.trace.choosing import Wrong, chosen
from pairscope.trace.comparing import program
from pairscope.trace.reading import Reading
from pairscope.trace.recording import Index, Process
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.recording import moment, source
from pairscope.web.recording.timeline import STEPS, collapsed, timeline

PAGE = 200
"""Passages, or processes, of a page."""
FEW = 8
"""Processes of a recording that are listed one by one; more are listed by their programs."""
_LAST = 253_402_300_800
"""The end of the year 9999, in seconds since 1970."""
_KEPT = 16
"""Filters whose steps are kept: to step on with one is not to look for all of them again."""


class Shown:
    """A recording that is shown."""

    def __init__(self, reading: Reading, name: str) -> None:
        self.reading, self.name = reading, name
        self.plain = [number for number, row in enumerate(reading.rows, 1) if not row.folded]
        self.lines = source.steps_of(reading) if reading.index.program else {}
        """By line of the program's source, its steps."""
        self.streams = source.streams_of(reading) if reading.index.program else {}
        self._chosen: OrderedDict[str, list[int]] = OrderedDict()

    def steps(self, text: str, every: bool) -> list[int]:
        """The steps that a filter leaves; without one all, or all that are not folded. Raises Wrong."""
        if not text:
            return list(range(1, self.reading.count + 1)) if every else self.plain
        if text not in self._chosen:
            self._chosen[text] = chosen(self.reading, text)
            if len(self._chosen) > _KEPT:
                self._chosen.popitem(last=False)
        self._chosen.move_to_end(text)
        return self._chosen[text]


def add_filters(app: Flask) -> None:
    """Makes known to the templates what they need."""
    app.jinja_env.filters.update(signal_name=signal_name, lines_visible=source.text_of)


class Ways(Protocol):
    """Where the pages of a recording are."""

    def passages(self, **more: Any) -> str:
        """Of what was passed."""

    def step(self, number: int, **more: Any) -> str:
        """Of a step."""

    def transcript(self) -> str:
        """Of its transcript."""

    def source(self) -> str:
        """Of the program's source, as a file."""

    def scenario(self, **more: Any) -> str:
        """Of it as a scenario."""

    def scenario_file(self, **more: Any) -> str:
        """Of the same as a text."""


def passages(showing: Shown, ways: Ways, **more: Any) -> str:
    """What was passed: the first page of a recording. `more`: what else the templates have."""
    index = showing.reading.index
    first = page_from(len(index.passages))
    return render_template(
        "recording/passages.html",
        index=index,
        reading=showing.reading,
        name=showing.name,
        ways=ways,
        **more,
        passages=list(enumerate(index.passages[first : first + PAGE], first + 1)),
        before=max(0, first - PAGE) if first else None,
        after=first + PAGE if first + PAGE < len(index.passages) else None,
        processes=index.processes[:PAGE],
        groups=groups(index) if len(index.processes) > FEW else [],
        started=_moment(index.started),
        ended=translated(index.ended),
        missing=[translated(one) for one in index.missing],
        program=index.program,
        in_language=source.NAMES.get(index.program.language, "") if index.program else "",
        lines=source.lines_of(index.program, showing.lines) if index.program else [],
        elsewhere=source.elsewhere(index.program) if index.program else [],
    )


@dataclasses.dataclass
class Group:
    """The processes of one program."""

    program: str
    processes: list[tuple[Process, int, int]]
    """Each with how many descriptors it has sent and received."""

    @property
    def sent(self) -> int:
        return sum(sent for _process, sent, _received in self.processes)

    @property
    def received(self) -> int:
        return sum(received for _process, _sent, received in self.processes)


def groups(index: Index) -> list[Group]:
    """The processes by their programs, in the order of birth."""
    sent = Counter(passage.sender for passage in index.passages if passage.end != "peeked")
    received = Counter(passage.receiver for passage in index.passages if passage.end == "received")
    found: dict[str, Group] = {}
    for number, process in enumerate(index.processes, 1):
        name = program(process.name)
        found.setdefault(name, Group(name, [])).processes.append((process, sent[number], received[number]))
    return list(found.values())


def _moment(started: float) -> int | None:
    """ns since 1970; None where a file has a time that no clock shows."""
    return int(started * 1_000_000_000) if 0 < started < _LAST else None


def page_from(count: int) -> int:
    """Which one of a list is the first of its page. Raises Problem."""
    text = request.args.get("from", "0")
    if not text.isascii() or not text.isdecimal() or int(text[:9]) >= max(1, count):
        raise Problem(
            "bad-request",
            _("The first one is %(text)r; expected a number below %(count)s.", text=text[:12], count=max(1, count)),
        )
    return int(text[:9])


def transcript(showing: Shown) -> Response:
    """All steps as strace would tell them."""
    text = lines.transcript(showing.reading.recording)
    return Response(text, content_type="text/plain; charset=utf-8")


def source_file(showing: Shown) -> Response:
    """The source of the program that was recorded, as a file. Raises Problem where a command was recorded."""
    program = showing.reading.index.program
    if program is None:
        raise Problem("not-found", _("This is the recording of a command; it holds no source."))
    response = Response(program.source, content_type="text/plain; charset=utf-8")
    name = showing.name.rpartition("/")[2].removesuffix(".rec").removesuffix(source.SUFFIXES[program.language])
    response.headers.set(
        "Content-Disposition", "attachment", filename=(name or "program") + source.SUFFIXES[program.language]
    )
    return response


def step(showing: Shown, ways: Ways, number: int, **more: Any) -> str:
    """One step, with its neighbours."""
    reading = showing.reading
    if number > reading.count:
        raise Problem(
            "not-found", _("There is no step %(step)s; this recording has %(count)s.", step=number, count=reading.count)
        )
    text, every = request.args.get("q", "").strip(), request.args.get("all") == "1"
    each = request.args.get("each") == "1"
    problem = ""
    try:
        steps = showing.steps(text, every)
    except Wrong as error:
        steps, problem = showing.plain, translated(error.args[0])

    kept = {"q": text or None, "all": "1" if every else None}

    def address(to: int) -> str:
        return ways.step(to, **kept | {"each": "1" if each else None})

    place = bisect.bisect_left(steps, number)
    window = _window(steps, number)
    beside = (
        [other for other in window if abs(window.index(other) - window.index(number)) <= moment.BESIDE]
        if number
        else []
    )
    excerpt = moment.excerpt(reading, number, beside, each=each)
    processes = [[process] for process in dict.fromkeys(reading.row(other).process for other in window)]
    lanes = collapsed(reading, window, beside)
    row = reading.row(number) if number else None
    following = place + (place < len(steps) and steps[place] == number)
    return render_template(
        "recording/step.html",
        name=showing.name,
        ways=ways,
        **more,
        reading=reading,
        index=reading.index,
        number=number,
        row=row,
        step=reading.step(number) if number else None,
        process=reading.process(row.process) if row else None,
        text=text,
        every=every,
        problem=problem,
        found=len(steps),
        window=[(other, reading.row(other)) for other in window],
        back=steps[place - 1] if place else 0,
        forward=steps[following] if following < len(steps) else None,
        passage=_behind(reading.passed, number),
        error=_behind(reading.failed, number),
        last=steps[-1] if steps else reading.count,
        address=address,
        picture=excerpt.picture,
        left_out=excerpt.left_out,
        timeline=timeline(reading, number, window, address, processes if each else lanes),
        each=each,
        collapsed=len(lanes) < len(processes) or bool(excerpt.left_out),
        other_way=ways.step(number, **kept | {"each": None if each else "1"}),
        call=lines.call(reading.step(number)) if number else "",
        outcome=lines.outcome(reading.step(number)) if number else "",
        told=moment.told(reading, number) if number else [],
        panes=moment.panes(reading, number, showing.streams) if number else [],
        returns=_returns(reading, number),
        program=reading.index.program,
        line=row.source if row else 0,
        lines=source.lines_of(reading.index.program, showing.lines, number, row.source if row else 0)
        if reading.index.program
        else [],
    )


def _window(steps: list[int], number: int) -> list[int]:
    """The steps around one, which is among them whether it was chosen or not."""
    place = bisect.bisect_left(steps, number)
    low = max(0, min(place - STEPS // 2, len(steps) - STEPS))
    window = steps[low : low + STEPS]
    if number and number not in window:
        bisect.insort(window, number)
    return window


def _behind(places: list[int], number: int) -> int | None:
    """The next of some steps."""
    at = bisect.bisect_right(places, number)
    return places[at] if at < len(places) else None


def _returns(reading: Reading, number: int) -> int | None:
    """Where a call returns that has not; None: it has, or never does."""
    if not number or not reading.row(number).blocked:
        return None
    return next((wait.last for wait in reading.waits if wait.first == number), None)
