"""The lab: the gallery, a scenario, a run step by step, its exports."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.lab import TIMES_MAX, gallery
from pairscope.lab.language import TEXT_MAX
from pairscope.lab.run import Step
from pairscope.store import runs
from pairscope.store.models import Run
from pairscope.web import reach
from pairscope.web.access import CONTENT_SECURITY_POLICY, reader_required, visitor_allowed
from pairscope.web.lab import bytes as panes
from pairscope.web.lab import running
from pairscope.web.lab.drawing.moment import draw
from pairscope.web.lab.drawing.timeline import timeline
from pairscope.web.lab.exporting import FORMS, exported
from pairscope.web.lab.reading import SHAPES, Reading, lines_of
from pairscope.web.lab.words import afloat, flags, gist, process_state, standing, waiting
from pairscope.web.pages.editor import editor_page, formatted
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem

RECENT = 12


@blueprint.get("/lab")
@reader_required
def lab() -> Any:
    """The gallery, and the last runs."""
    return render_template(
        "lab.html",
        scenarios=[entry for entry in gallery.entries() if not entry.card],
        cards=[entry for entry in gallery.entries() if entry.card],
        recent=runs.newest(reach.own(), RECENT),
        stations=_stations(),
        shape_of=SHAPES,
        section="pages.lab",
    )


def _stations() -> list[Any]:
    snapshot = reach.snapshot()
    return snapshot.stations if snapshot else []


@blueprint.get("/lab/scenarios/<name>")
@reader_required
def scenario(name: str) -> Any:
    """One scenario of the gallery, to be read and run."""
    text = running.scenario_text(name)
    entries = gallery.entries()
    at = next(index for index, entry in enumerate(entries) if entry.name == name)
    return render_template(
        "lab_scenario.html",
        entry=entries[at],
        before=entries[at - 1] if at else None,
        after=entries[at + 1] if at + 1 < len(entries) else None,
        lines=lines_of(text),
        answers=bool(request.args.get("answers")),
        steps=len(gallery.scenario(name).steps),
        recent=runs.newest(reach.own(), 5, name),
        shape_of=SHAPES,
        stations=_stations(),
        section="pages.lab",
    )


@blueprint.post("/lab/runs")
@visitor_allowed
def run_scenario() -> Any:
    """Runs a scenario of the gallery by its name, or the visitor's own text; then its first step."""
    name, parent = request.form.get("scenario", ""), request.form.get("parent", "")
    parent = parent if runs.could_be(parent) else ""
    if name:
        row = running.perform(running.scenario_text(name), scenario=name)
    else:
        text = request.form.get("text", "").replace("\r\n", "\n")
        if request.form.get("do") == "format":
            return editor_page(formatted(text), parent=parent)
        try:
            running.check(text)
        except Problem as problem:
            return editor_page(text, problem, parent=parent)
        row = running.perform(text, parent=parent)
    if request.form.get("predict"):
        return redirect(url_for("pages.run", id=row.id, step=1, predict=1), 303)
    return redirect(url_for("pages.run", id=row.id, step=Reading(runs.opened(row)).first), 303)


run_scenario.body_max = 7 * TEXT_MAX  # type: ignore[attr-defined]  # percent-encoded UTF-8


@blueprint.post("/lab/often")
@visitor_allowed
def run_often() -> Any:
    """Runs a scenario of the gallery, or that of a run, many times; each outcome with its count."""
    name, parent = request.form.get("scenario", ""), request.form.get("run", "")[:16]
    if not name and not parent:
        raise Problem("bad-request", _("Expected the name of a scenario, or the id of a run."))
    text = running.scenario_text(name) if name else runs.opened(running.find(parent)).text
    found, made = running.perform_often(text, scenario=name)
    reading = Reading(runs.opened(found[0][1]))
    return render_template(
        "lab_often.html",
        found=found,
        made=made,
        most=TIMES_MAX,
        reading=reading,
        name=name,
        run=parent,
        shape_of=SHAPES,
        section="pages.lab",
    )


@blueprint.get("/lab/runs/<id>")
@reader_required
def run(id: str) -> Any:
    """One run at one of its steps."""
    row = running.find(id)
    return render_template("lab_run.html", **moment(row), section="pages.lab", embedded=False)


@blueprint.get("/lab/embed/<id>")
@reader_required
def embedded(id: str) -> Any:
    """The same without the frame of the site, for a page of somebody else's to show."""
    response = Response(render_template("lab_embed.html", **moment(running.find(id)), embedded=True))
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "frame-ancestors 'none'", "frame-ancestors *"
    )
    response.headers["X-Frame-Options"] = ""
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def moment(row: Run) -> dict[str, Any]:
    """Everything that the page of a run shows at a step."""
    reading = Reading(runs.opened(row))
    number = _step(reading)
    guess = request.args.get("predict", "")
    guess = guess if guess in ("1", "2") else ""
    hidden = guess == "1" and number > 0
    shown = number - 1 if hidden else number
    ahead = number + (not hidden) if guess else 0
    """The first step that is still to be predicted."""
    step = reading.step(number) if number else None
    endpoint = f"pages.{'embedded' if request.endpoint == 'pages.embedded' else 'run'}"

    def address(to: int, predict: str | None = None) -> str:
        follows = ("1" if guess and to > number else "2" if guess else "") if predict is None else predict
        return url_for(endpoint, id=row.id, step=to, predict=follows or None)

    return {
        "row": row,
        "reading": reading,
        "number": number,
        "step": step,
        "hidden": hidden,
        "guess": guess,
        "address": address,
        "embedding": f'<iframe src="{url_for("pages.embedded", id=row.id, step=number, _external=True)}" width="800" '
        'height="700"></iframe>',
        "picture": draw(reading, shown),
        "timeline": timeline(reading, number, address, ahead),
        "untold": 0 < ahead <= reading.count,
        "facts": reading.facts(shown),
        "names": reading.names(shown),
        "panes": [] if hidden or not step else _panes(step, number, reading.processes),
        "msghdr": panes.header(step.result.message) if step and step.result and not hidden else [],
        "inode_of": lambda inode: reading.inode(shown, inode),
        "afloat": afloat,
        "process_state_of": process_state,
        "gist_of": gist,
        "flags_of": flags,
        "standing": standing,
        "waiting_in": waiting,
        "shape_of": SHAPES,
        "forms": FORMS,
        "often": TIMES_MAX if row.scenario or running.may_write() else 0,
        "scenario": next((entry for entry in gallery.entries() if entry.name == row.scenario), None),
    }


def _panes(step: Step, number: int, names: dict[int, str]) -> list[tuple[str, Any]]:
    """Who the bytes are of, and the pane; calls that this step released come after its own."""
    found = [("", pane) for pane in panes.panes(step, names=names)]
    for actor, result in step.completed.items():
        if result.of + 1 != number:
            found += [(actor, pane) for pane in panes.panes(step, result, names)]
    return found


def _step(reading: Reading) -> int:
    text = request.args.get("step", "")
    if not text:
        return reading.first
    if not text.isascii() or not text.isdecimal() or int(text[:9]) > reading.count:
        raise Problem(
            "bad-request",
            _("The step is %(step)r; expected a number from 0 to %(count)s.", step=text[:12], count=reading.count),
        )
    return int(text)


@blueprint.post("/lab/runs/<id>/share")
@visitor_allowed
def share(id: str) -> Any:
    """Keeps a run for good."""
    running.find(id)
    runs.share(reach.own(), id)
    flash(_("This run is kept for good. Its address is the link to share."), "good")
    return redirect(url_for("pages.run", id=id, step=request.form.get("step", "1")), 303)


@blueprint.get("/lab/runs/<id>/export/<form>")
@reader_required
def export_run(id: str, form: str) -> Any:
    """A run as a file, in one of the forms that it can be exported in."""
    return exported(running.find(id), form)
