"""The lab: the gallery, a scenario, a run step by step, its exports; the editor; two runs side by side."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.lab import TIMES_MAX, exports, gallery
from pairscope.lab.calls import CALLS, usage
from pairscope.lab.language import TEXT_MAX, format, parse
from pairscope.lab.model import ScenarioError
from pairscope.store import runs
from pairscope.store.models import Run
from pairscope.web import reach
from pairscope.web.access import CONTENT_SECURITY_POLICY, operator_required, reader_required, visitor_allowed
from pairscope.web.drawing import lab as drawing
from pairscope.web.lab import bytes as panes
from pairscope.web.lab import running
from pairscope.web.lab.exporting import FORMS
from pairscope.web.lab.reading import SHAPES, Reading
from pairscope.web.lab.words import afloat, flags, gist, process_state, standing, waiting
from pairscope.web.pages import blueprint
from pairscope.web.problems import Problem
from pairscope.web.upload import receive, takes_upload

RECENT = 12
BEGINNING = """@title My scenario

parent: socketpair AF_UNIX SOCK_STREAM 0 -> sv0 sv1
parent: fork -> child
parent: write sv0 "hello" => 5
child: read sv1 16 => "hello"
"""


@blueprint.get("/lab")
@reader_required
def lab() -> Any:
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
    text = running.scenario_text(name)
    entries = gallery.entries()
    at = next(index for index, entry in enumerate(entries) if entry.name == name)
    reading = Reading({"text": text, "about": [], "steps": []})
    return render_template(
        "lab_scenario.html",
        entry=entries[at],
        before=entries[at - 1] if at else None,
        after=entries[at + 1] if at + 1 < len(entries) else None,
        lines=reading.lines,
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
            return _editor(_formatted(text), parent=parent)
        try:
            running.check(text)
        except Problem as problem:
            return _editor(text, problem, parent=parent)
        row = running.perform(text, parent=parent)
    if request.form.get("predict"):
        return redirect(url_for("pages.run", id=row.id, step=1, predict=1), 303)
    return redirect(url_for("pages.run", id=row.id, step=Reading(runs.opened(row)).first), 303)


run_scenario.body_max = 7 * TEXT_MAX  # type: ignore[attr-defined]  percent-encoded UTF-8


@blueprint.post("/lab/often")
@visitor_allowed
def run_often() -> Any:
    """Runs a scenario of the gallery, or that of a run, many times; each outcome with its count."""
    name, parent = request.form.get("scenario", ""), request.form.get("run", "")[:16]
    if not name and not parent:
        raise Problem("bad-request", _("Expected the name of a scenario, or the id of a run."))
    text = running.scenario_text(name) if name else runs.opened(running.find(parent))["text"]
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
        return url_for(endpoint, id=row.id, step=to, **({"predict": follows} if follows else {}))

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
        "picture": drawing.draw(reading, shown),
        "timeline": drawing.timeline(reading, number, address, ahead),
        "untold": 0 < ahead <= reading.count,
        "facts": reading.facts(shown),
        "names": reading.names(shown),
        "panes": [] if hidden or not step else _panes(step, number, reading.processes),
        "msghdr": panes.header((step or {}).get("result", {}) and step["result"].get("message"))
        if step and not hidden
        else [],
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


def _panes(step: dict[str, Any], number: int, names: dict[int, str]) -> list[tuple[str, Any]]:
    """Who the bytes are of, and the pane; calls that this step released come after its own."""
    found = [("", pane) for pane in panes.panes(step, names=names)]
    for actor, result in step["completed"].items():
        if result["of"] + 1 != number:
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
    return exported(running.find(id), form)


def exported(row: Run, name: str) -> Response:
    """A run as a file. Raises Problem (404) for a form that there is not."""
    form = FORMS.get(name)
    if form is None:
        raise Problem(
            "not-found",
            _("There is no export %(name)r; expected one of %(known)s.", name=name[:20], known=", ".join(FORMS)),
        )
    response = Response(form.make(runs.opened(row)), content_type=form.media)
    title = re.sub(r"[^a-z0-9]+", "-", (row.scenario or row.title or "scenario").lower()).strip("-")[:40] or "scenario"
    response.headers.set("Content-Disposition", "attachment", filename=title + form.suffix)
    return response


# ---- one's own text


@blueprint.get("/lab/edit")
@reader_required
def edit() -> Any:
    """The editor, with a scenario of the gallery, the text of a run, or a beginning."""
    parent = ""
    if name := request.args.get("scenario"):
        text = running.scenario_text(name)
    elif id := request.args.get("run"):
        text, parent = runs.opened(running.find(id))["text"], id
    else:
        text = format(parse(BEGINNING))
    return _editor(text, parent=parent)


def _editor(text: str, problem: Problem | None = None, parent: str = "") -> Any:
    if problem is None:
        try:
            running.check(text)
        except Problem as found:
            problem = found
    page = render_template(
        "lab_edit.html",
        text=text,
        problem=problem,
        where=problem.members if problem else {},
        bad_line=_line(text, problem),
        values=_values(),
        parent=parent,
        most=TEXT_MAX,
        calls=[(usage(call), _(call.summary), call.manual) for call in CALLS.values()],
        may_write=running.may_write(),
        section="pages.lab",
    )
    return page, 400 if problem and request.method == "POST" else 200


def _values() -> list[tuple[str, str]]:
    """What can stand in a line, by example."""
    return [
        ("128  0x10  0644  -1  1K", _("numbers")),
        ('"a\\0b"  "x" * 70000  x"00ff"', _("texts, repeated texts, bytes")),
        ("MSG_PEEK|MSG_DONTWAIT", _("constants")),
        ('iov=["it is", " a test"] fds=[a, b]', _("lists, as named arguments of sendmsg and recvmsg")),
        ("-> sv0 sv1", _("names for the descriptors or the process that the call made")),
        ('=> 17  => "text"  => 6 "text"  => EAGAIN  => blocks  => ok', _("what is expected")),
        ("=> ok flags=MSG_CTRUNC fds=2 status=0 killed=SIGPIPE revents=POLLHUP value=1", _("and more of it")),
        ('child: (read returns) => ""', _("what a call that had blocked gave")),
    ]


def _line(text: str, problem: Problem | None) -> str:
    """The line that a problem is about."""
    if problem is None or "line" not in problem.members:
        return ""
    lines = text.splitlines()
    at = problem.members["line"] - 1
    return lines[at][:200] if 0 <= at < len(lines) else ""


def _formatted(text: str) -> str:
    """The text in canonical form, or as it is where it is no scenario."""
    try:
        return format(parse(text))
    except ScenarioError:
        return text


@blueprint.post("/lab/open")
@takes_upload
@operator_required
def open_run() -> Any:
    """Stores a run that was exported elsewhere as JSON; nothing is run."""
    with receive(request) as upload:
        if upload is None:
            raise Problem("bad-request", _("No file was sent; expected a run that was exported as JSON."))
        with open(f"/proc/self/fd/{upload.fd}", "rb") as file:
            try:
                found = exports.load(file.read(exports.LOAD_MAX + 1))
            except exports.NoRun as error:
                raise Problem("wrong-run", _("%(name)s is no run: %(why)s", name=upload.name, why=str(error))) from None
    row = runs.store(reach.own(), found, keep=reach.settings().lab_runs)
    return redirect(url_for("pages.run", id=row.id, step=1), 303)


# ---- two runs


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
                for process in reading.facts(number)["processes"]
                for row in process["descriptors"]
                for name in row["names"]
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
