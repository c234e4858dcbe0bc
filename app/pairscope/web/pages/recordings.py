"""Recordings of real programs that operators have handed in: the list, and the pages of each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.store import recordings as stored
from pairscope.store.models import StoredRecording
from pairscope.trace.file import NoRecording, Recording
from pairscope.trace.reading import Reading
from pairscope.trace.recording import Program
from pairscope.web import reach
from pairscope.web.access import is_operator, operator_required, reader_required
from pairscope.web.pages.editor import editor_page
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.recording import as_scenario, comparison, pages, source
from pairscope.web.upload import receive, takes_upload
from pairscope.web.words import size

MOST = 16 << 20
"""Bytes of a recording that is handed in."""
STEPS = 50_000
"""Steps of one: each takes 400 bytes of memory while it is open."""
RECENT = 100
_OPEN = 2
"""Recordings that a process keeps open: to step on is not to read all of it again."""
_opened: OrderedDict[str, pages.Shown] = OrderedDict()
_lock = threading.Lock()


class Ways:
    """Where the pages of a stored recording are."""

    def __init__(self, id: str) -> None:
        self._id = id

    def passages(self, **more: Any) -> str:
        return url_for("pages.recording", id=self._id, **more)

    def step(self, number: int, **more: Any) -> str:
        return url_for("pages.recording_step", id=self._id, number=number, **more)

    def transcript(self) -> str:
        return url_for("pages.recording_transcript", id=self._id)

    def source(self) -> str:
        return url_for("pages.recording_source", id=self._id)

    def scenario(self, **more: Any) -> str:
        return url_for("pages.recording_scenario", id=self._id, **more)

    def scenario_file(self, **more: Any) -> str:
        return url_for("pages.recording_scenario_file", id=self._id, **more)


def read(data: bytes, name: str) -> Reading:
    """What a file holds. Raises Problem."""
    try:
        recording = Recording(data)
        if recording.steps > STEPS:
            raise Problem(
                "wrong-recording",
                _(
                    "%(name)s has %(steps)s steps; expected at most %(most)s. 'pairscope show' opens longer ones.",
                    name=name, steps=recording.steps, most=STEPS,
                ),
            )  # fmt: skip
        return Reading(recording)
    except NoRecording as error:
        raise Problem(
            "wrong-recording", _("%(name)s is no recording: %(why)s", name=name, why=translated(error.args[0]))
        ) from None


def _row(id: str) -> StoredRecording:
    """The row of a recording that this visitor may see. Raises Problem."""
    row = stored.find(reach.own(), id)
    if row is None or not (row.shared or is_operator()):
        # One that is not shared is answered as one that is not there: who does not know learns nothing of it.
        raise Problem("not-found", _("There is no recording %(id)s, or it is not shared.", id=repr(id[:16])))
    return row


def _shown(row: StoredRecording) -> pages.Shown:
    with _lock:
        if row.id in _opened:
            _opened.move_to_end(row.id)
            return _opened[row.id]
    found = pages.Shown(read(row.data, row.name), row.name)
    with _lock:
        _opened[row.id] = found
        while len(_opened) > _OPEN:
            _opened.popitem(last=False)
    return found


def program_of(id: str) -> tuple[str, Program]:
    """The program whose recording it is, and what it is called. Raises Problem."""
    row = _row(id)
    found = _shown(row).reading.index.program
    if found is None:
        raise Problem("not-found", _("This is the recording of a command; it holds no source."))
    return row.name.removesuffix(".rec").removesuffix(source.SUFFIXES[found.language]), found


@blueprint.get("/lab/recordings")
@reader_required
def recordings() -> Any:
    """The recordings that this visitor may see."""
    found = stored.newest(reach.own(), RECENT, shared_only=not is_operator())
    first, second = ([one.id for one in found[:2]] + ["", ""])[:2]
    # The newer one is the second: what changed since.
    return render_template(
        "recordings.html", recordings=found, most=MOST, forms=found, chosen=(second, first), section="pages.lab"
    )


@blueprint.get("/lab/recordings/compare")
@reader_required
def compare_recordings() -> Any:
    """What was passed in two of them."""
    rows = [_row(request.args.get(key, "")) for key in ("a", "b")]
    both = [(_shown(row), Ways(row.id)) for row in rows]
    return comparison.comparison(
        both,
        frame="base.html",
        forms=_with(rows, stored.newest(reach.own(), RECENT, shared_only=not is_operator())),
        chosen=[row.id for row in rows],
        query=f"a={rows[0].id}&b={rows[1].id}",
        section="pages.lab",
    )


def _with(rows: list[StoredRecording], newest: list[StoredRecording]) -> list[StoredRecording]:
    """The newest ones, and those that are chosen."""
    there = {one.id for one in newest}
    return newest + [row for row in {row.id: row for row in rows}.values() if row.id not in there]


@blueprint.post("/lab/recordings")
@takes_upload
@operator_required
def open_recording() -> Any:
    """Stores a recording that was made on the command line; nothing is run."""
    with receive(request) as upload:
        if upload is None:
            raise Problem("bad-request", _("No file was sent; expected a recording that pairscope record has written."))
        if upload.size > MOST:
            words = _(
                "%(name)s has %(size)s; expected at most %(most)s.",
                name=upload.name, size=size(upload.size), most=size(MOST),
            )  # fmt: skip
            raise Problem("too-large", words)
        with open(f"/proc/self/fd/{upload.fd}", "rb") as file:
            data = file.read(MOST + 1)
        reading = read(data, upload.name)
    index = reading.index
    row = stored.store(
        reach.own(), data, name=upload.name, command=" ".join(index.command), steps=reading.count,
        processes=len(index.processes), passages=len(index.passages),
    )  # fmt: skip
    return redirect(url_for("pages.recording", id=row.id), 303)


@blueprint.get("/lab/recordings/<id>")
@reader_required
def recording(id: str) -> Any:
    """What was passed in a recording."""
    row = _row(id)
    return pages.passages(_shown(row), Ways(row.id), frame="base.html", stored=row, section="pages.lab")


@blueprint.get("/lab/recordings/<id>/steps/<int:number>")
@reader_required
def recording_step(id: str, number: int) -> Any:
    """One of its steps."""
    row = _row(id)
    return pages.step(_shown(row), Ways(row.id), number, frame="base.html", stored=row, section="pages.lab")


@blueprint.get("/lab/recordings/<id>/transcript")
@reader_required
def recording_transcript(id: str) -> Any:
    """All its steps as strace would tell them."""
    return pages.transcript(_shown(_row(id)))


@blueprint.get("/lab/recordings/<id>/scenario")
@reader_required
def recording_scenario(id: str) -> Any:
    """It as a scenario, in the lab's editor."""
    return editor_page(as_scenario.text_of(_shown(_row(id))))


@blueprint.get("/lab/recordings/<id>/scenario/file")
@reader_required
def recording_scenario_file(id: str) -> Any:
    """The same as a text."""
    return as_scenario.file(_shown(_row(id)))


@blueprint.get("/lab/recordings/<id>/source")
@reader_required
def recording_source(id: str) -> Any:
    """The source of the program that was recorded."""
    return pages.source_file(_shown(_row(id)))


@blueprint.get("/lab/recordings/<id>/file")
@reader_required
def recording_file(id: str) -> Any:
    """The file, as it was handed in."""
    row = _row(id)
    response = Response(row.data, content_type="application/octet-stream")
    response.headers.set("Content-Disposition", "attachment", filename=f"{row.id}.rec")
    return response


@blueprint.post("/lab/recordings/<id>/share")
@operator_required
def share_recording(id: str) -> Any:
    """Shows it to whoever may read, or no more."""
    row = _row(id)
    stored.share(reach.own(), row.id, request.form.get("shared") == "1")
    return redirect(url_for("pages.recording", id=id), 303)


@blueprint.post("/lab/recordings/<id>/delete")
@operator_required
def remove_recording(id: str) -> Any:
    """Deletes it."""
    row = _row(id)
    stored.remove(reach.own(), row.id)
    with _lock:
        _opened.pop(row.id, None)
    return redirect(url_for("pages.recordings"), 303)
