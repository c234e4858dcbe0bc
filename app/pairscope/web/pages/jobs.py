"""Jobs: submit one, the table, one as a timeline, its output."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.client.away import PoolAway
from pairscope.ipc.payloads import JobSpec
from pairscope.ipc.vocabulary import LAB
from pairscope.store import queries, runs
from pairscope.store.models import Job
from pairscope.web import access, download, payload, reach, timeline, unknown
from pairscope.web.access import holds, operator_required, outputs_required, reader_required
from pairscope.web.drawing import job as drawing
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import face, listing, strip
from pairscope.web.shell.guard import drawn
from pairscope.web.upload import receive, takes_upload
from pairscope.web.words import duration

PATIENCE = 2.0
"""Seconds for which the answer to a submission waits for the job's end; then the page of the job follows it."""
INLINE = ("image/png",)
"""Media types of outputs that a page shows: made by our own workers, and harmless as images."""
AT_ONCE, MOST_BYTES = 16, 4096
"""Rows of a dump that are seen at once, 256 bytes as *Message* has them; and bytes of a page that nobody reads to its
end."""

SHORT = 200
"""Characters of a text that stand beside the other facts."""


class Bytes(NamedTuple):
    """What a job answered with that is no text, for a dump."""

    rows: list[tuple[str, list[str], str]]
    shown: int
    total: int
    at_once: int = AT_ONCE


def catalogue() -> list[JobSpec]:
    """What the workers alive can do; scenarios have a page of their own."""
    snapshot = reach.snapshot()
    return [spec for spec in snapshot.catalogue if spec.name != LAB] if snapshot else []


def chosen_kind() -> str:
    """The kind that the form proposes."""
    asked = request.args.get("kind", "")
    names = [spec.name for spec in catalogue()]
    return asked if asked in names else "digest" if "digest" in names else names[0] if names else ""


@blueprint.get("/jobs")
@reader_required
def jobs() -> Any:
    """The table of jobs, and the form for a new one."""
    return listing.answer(
        "jobs",
        "jobs.html",
        pool=reach.snapshot(),
        catalogue=catalogue(),
        chosen_kind=chosen_kind(),
        open_form=not request.args.get("q") and not request.args.get("before"),
        empty=_("No job fits. Ask for less, or submit one with the form above."),
        nothing=_("There is no job yet. Choose a file above and send it; its row appears here by itself.")
        if access.is_operator()
        else _("There is no job yet. Log in and send a file with the form above; its row appears here by itself."),
    )


@blueprint.post("/jobs")
@operator_required
@takes_upload
def submit() -> Any:
    """Receives a file, passes its descriptor to the pool, and goes on to the job's page."""
    with receive(request) as upload:
        kind = request.form.get("kind", "")
        prefix = kind + "."
        parameters = {
            name[len(prefix) :]: value.strip()
            for name, value in request.form.items()
            if kind and name.startswith(prefix) and value.strip()
        }
        known = catalogue()
        spec = next((spec for spec in known if spec.name == kind), None)
        if spec is None and known:
            kinds = ", ".join(spec.name for spec in known)
            raise Problem(
                "unknown-kind",
                _("There is no job %(kind)s; choose one of %(kinds)s.", kind=repr(kind[:60]), kinds=kinds),
            )
        if upload is None and spec is not None and spec.needs_input:
            raise Problem(
                "needs-input",
                _("No file was sent, and %(kind)s works on one. Choose a file and send it again.", kind=kind),
            )
        accepted = reach.client().submit(
            kind,
            upload.fd if upload else None,
            name=upload.name if upload else "",
            size=upload.size if upload else 0,
            parameters=parameters,
            want="both",
        )
    try:
        reach.client().answer(accepted.job, PATIENCE)
    except PoolAway:
        pass  # the job is in the journal: its page tells what became of it
    return redirect(url_for("pages.job", id=accepted.job), 303)


@blueprint.get("/jobs/<int:id>")
@reader_required
def job(id: int) -> Any:
    """One job: its way, its messages and descriptors, its result."""
    seen = f"strip:{strip.signature()},job:{signature(id)}"
    return render_template(
        "job.html", **story(id), live_url=url_for("live.job", id=id), live_seen=seen, section="pages.jobs"
    )


def signature(id: int) -> str:
    """Another text when the page of the job would be another one."""
    history = reach.history()
    found: Job | None = queries.job(history, id)
    if found is None:
        return f"recording-{_lookup(id).state}"
    changes = [
        found.change,
        *(row.change for row in queries.messages_of_job(history, id)),
        *(row.change for row in queries.transfers_of_job(history, id)),
    ]
    return f"{len(changes)}-{max(changes)}"


def story(id: int) -> dict[str, Any]:
    """Everything that the page of a job shows. Raises Problem (404) for a job that nobody knows."""
    history = reach.history()
    found: Job | None = queries.job(history, id)
    if found is None:
        return {"job": None, "id": id, "known": _lookup(id)}
    own, later = timeline.part(queries.messages_of_job(history, id), found.ended)
    transfers = queries.transfers_of_job(history, id)
    way = timeline.trace(own, transfers)
    result = face.result_of(found)
    dumped = _bytes(result)
    text = result.pop("text") if len(str(result.get("text", ""))) > SHORT else ""
    return {
        "job": found,
        "id": id,
        "way": way,
        "later": timeline.trace(later, transfers),
        "files": list(timeline.descriptors(way).values()),
        "drawing": drawn(drawing.draw, way, found.kind, _("a file") if "name" in found.withheld else found.name),
        "result": face.facts_of(result),
        "bytes": dumped,
        "text": text,
        "sentence": _sentence(found, way),
        "gone": unknown.gone(found),
        "doubtful": unknown.doubtful(found),
        "run": runs.of_job(reach.own(), id) if found.kind == LAB else None,
    }


def _bytes(result: dict[str, Any]) -> Bytes | None:
    """The bytes that echo tells in hexadecimal, taken out of `result`; None: it tells none."""
    try:
        whole = bytes.fromhex(result["hex"])
    except (KeyError, TypeError, ValueError):
        return None
    del result["hex"]
    return Bytes(payload.dump(whole[:MOST_BYTES]), min(len(whole), MOST_BYTES), len(whole))


def _lookup(id: int) -> Any:
    """What the supervisor knows of a job that has no row; None if it cannot be asked. Raises Problem (404) if it knows
    none."""
    try:
        known = reach.client().lookup(id)
    except PoolAway:
        raise Problem(
            "pool-away",
            _("Job %(id)s is not in history, and the pool cannot be asked whether it is on the way there.", id=id),
        ) from None
    if not known.known:
        raise unknown.job(id)
    return known


def _sentence(job: Job, way: timeline.Way) -> str:
    """The job in one sentence."""
    messages = ngettext("%(num)s message", "%(num)s messages", len(way.hops))
    crossings = ngettext("%(num)s transfer", "%(num)s transfers", sum(len(hop.transfers) for hop in way.hops))
    if job.ended:
        return _(
            "%(messages)s and %(crossings)s in %(time)s, from the first byte that was sent to the end of the job.",
            messages=messages,
            crossings=crossings,
            time=duration(job.ended - (way.hops[0].message.sent if way.hops else job.submitted)),
        )
    return _("%(messages)s and %(crossings)s until now.", messages=messages, crossings=crossings)


@blueprint.post("/jobs/<int:id>/cancel")
@operator_required
def cancel(id: int) -> Any:
    """Ends a job now."""
    flash(translated(reach.client().cancel(id)), "good")
    return redirect(url_for("pages.job", id=id), 303)


@blueprint.get("/jobs/<int:id>/output")
@holds("output")
@outputs_required
def output(id: int) -> Any:
    """The output, as an attachment; with `inline` as a picture, if it is one."""
    return download.output(id, INLINE if request.args.get("inline") else ())
