"""Jobs: listed, submitted, looked at, cancelled, their output fetched."""

from __future__ import annotations

import os
import threading
from typing import Any

from flask import request, url_for

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.ipc.identity import node_of, time_of
from pairscope.ipc.payloads import Answer, JobSpec
from pairscope.ipc.vocabulary import LAB
from pairscope.store import queries
from pairscope.web import download, problems, reach, unknown
from pairscope.web.access import holds, may_see, operator_required, outputs_required, reader_required
from pairscope.web.api.arguments import JobArguments, WaitArguments, list_arguments
from pairscope.web.api.history import listed
from pairscope.web.api.routes import blueprint, number
from pairscope.web.api.shapes import DoneShape, JobShape, list_of, output_address
from pairscope.web.problems import Problem
from pairscope.web.upload import receive, takes_upload

OPERATOR: list[dict[str, list[str]]] = [{"operator": []}]
LONG_WAITS = 3
"""Requests of one process that may wait longer than a second: each holds a thread, and pages need some, too."""

_long_waits = threading.BoundedSemaphore(LONG_WAITS)


@blueprint.get("/jobs")
@reader_required
@blueprint.arguments(list_arguments("jobs"), location="query")
@blueprint.response(200, list_of(JobShape))
def jobs(arguments: dict[str, Any]) -> dict[str, Any]:
    """Jobs"""
    return listed("jobs", arguments)


@blueprint.get("/jobs/<string:job>")
@reader_required
@blueprint.response(200, JobShape)
def job(job: str) -> Any:
    """One job; from its acceptance on it is never unknown"""
    return _job(number(job, "unknown-job", "job"))


@blueprint.post("/jobs")
@takes_upload
@operator_required
@blueprint.doc(security=OPERATOR)
@blueprint.arguments(WaitArguments, location="query")
@blueprint.arguments(JobArguments, location="multipart")
@blueprint.response(
    201, JobShape, headers={"Location": {"description": "The job's address.", "schema": {"type": "string"}}}
)
def submit(waiting: dict[str, Any], form: dict[str, Any]) -> Any:
    """Submit a job: its input's open descriptor travels to a worker"""
    form = dict(form)
    kind, data, wait = form.pop("kind"), form.pop("data", None), waiting["wait"]
    form.pop("file", None)
    form.pop("csrf_token", None)
    _expect(kind, form)
    with receive(request) as upload:
        if upload is not None and data is not None:
            raise Problem("bad-request", "Both file and data were given; expected one of them.")
        accepted = reach.client().submit(
            kind,
            upload.fd if upload else None,
            name=upload.name if upload else "",
            size=upload.size if upload else 0,
            parameters=form,
            data=(data or "").encode(),
            want="both" if wait else "accepted",
        )
    identity = accepted.job
    client = _asking()
    ended = _wait(identity, wait)
    if ended is not None:
        body = _recording(identity, kind)
        body |= {
            "state": ended.state,
            "pool_state": None,
            "result": ended.result,
            "reason": ended.reason,
            "worker": ended.worker or None,
        }
        if ended.output:
            body["output"] = _output(identity, ended.output, kind, upload.name if upload else "")
    else:
        body = _recording(identity, kind) | {"pool_state": "queued"}
    body["client"] = client
    if upload is not None:
        body |= {"name": upload.name, "size": upload.size}
    return body, 201, {"Location": url_for("api.job", job=str(identity))}


@blueprint.post("/jobs/<string:job>/cancel")
@operator_required
@blueprint.doc(security=OPERATOR)
@blueprint.response(200, DoneShape)
def cancel(job: str) -> dict[str, str]:
    """End a job now"""
    identity = number(job, "unknown-job", "job")
    try:
        return {"done": reach.client().cancel(identity)}
    except PoolRefused as refused:
        if refused.code != "unknown-job":
            raise
        if (row := queries.job(reach.history(), identity)) is None:
            raise unknown.without_row(identity) from None
        return {"done": f"The job had ended before: {row.state}."}


@blueprint.get("/jobs/<string:job>/output")
@holds("output")
@outputs_required
@blueprint.doc(summary="Download what a job made", security=[{}, *OPERATOR])
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/octet-stream")
def output(job: str) -> Any:
    """The supervisor hands over a descriptor of the output; its bytes are streamed from there. Takes a Range."""
    return download.output(number(job, "unknown-job", "job"))


def _wait(identity: int, seconds: float) -> Answer | None:
    """The job's end within `seconds`, or None; after the first second only for LONG_WAITS requests at a time."""
    try:
        ended = reach.client().answer(identity, min(seconds, 1.0)) if seconds else None
        if ended is None and seconds > 1.0 and _long_waits.acquire(blocking=False):
            try:
                ended = reach.client().answer(identity, seconds - 1.0)
            finally:
                _long_waits.release()
        return ended
    except PoolAway:
        return None  # it is accepted, and so recorded, whatever becomes of the pool


def _job(identity: int) -> Any:
    """The row of a job, or what the pool knows of it while its row does not stand yet. Raises Problem if neither
    does."""
    away: Exception | None = None
    try:
        if (row := queries.job(reach.history(), identity)) is not None:
            return row
    except problems.DATABASE_AWAY as error:
        away = error
    try:
        known = reach.client().lookup(identity)
    except PoolAway:
        if away is not None:
            raise away from None
        words = f"Job {identity} is not in history, and the pool cannot be asked whether it is on the way there."
        raise Problem("undecided", words, headers={"Retry-After": "2"}) from None
    if known.known:
        body = _recording(identity, known.kind)
        told = {"result": known.result or None, "reason": known.reason}
        hidden = [] if known.kind == LAB or may_see() else sorted(name for name, value in told.items() if value)
        body |= {"pool_state": known.state or None, **told}
        if hidden:
            body = {name: value for name, value in body.items() if name not in hidden} | {"withheld": hidden}
        if known.output:
            body["output"] = _output(identity, known.output, known.kind)
        return body
    if away is not None:
        raise away
    reach.history().rollback()  # see what was committed since: the pool forgets a job when its row stands
    if (row := queries.job(reach.history(), identity)) is not None:
        return row
    raise unknown.job(identity)


def _asking() -> dict[str, Any] | None:
    """This process, as the supervisor knows the pair on which it has just accepted a job."""
    try:
        return {"role": "web", "serial": reach.client().serial, "pid": os.getpid()}
    except PoolAway:
        return None


def _recording(identity: int, kind: str) -> dict[str, Any]:
    """A job whose row does not stand yet: what its id tells, and nothing of what only the row knows."""
    nothing = dict.fromkeys(
        ("epoch", "change", "size", "client", "pool_state", "worker", "started", "ended", "result", "output")
    )
    told = {"node": node_of(identity), "submitted": time_of(identity)}
    return {**nothing, **told, "id": identity, "kind": kind, "name": "", "state": "recording", "reason": ""}


def _output(identity: int, size: int, kind: str, upload: str | None = None) -> dict[str, Any]:
    """An output whose row does not stand yet, its name by the pool's catalogue; `upload`: the file's name, None where
    it is not known."""
    said = reach.snapshot()
    spec = next((spec for spec in said.catalogue if spec.name == kind), None) if said else None
    return {
        "size": size,
        "media": spec.media if spec else "",
        "name": (upload or kind) + spec.suffix if spec and upload is not None else "",
        "expires": None,
        "gone": None,
        "gone_reason": "",
        "address": output_address(identity),
    }


def _expect(kind: str, parameters: dict[str, Any]) -> None:
    """Refuses by the pool's own catalogue what no worker could do. Without a catalogue the supervisor decides."""
    said = reach.snapshot()
    catalogue: dict[str, JobSpec] = {spec.name: spec for spec in said.catalogue if spec.name != LAB} if said else {}
    if kind == LAB:
        raise Problem("unknown-kind", "A scenario is run by POST /api/v1/lab/runs, which keeps its run.")
    if not catalogue:
        return
    if kind not in catalogue:
        raise Problem("unknown-kind", f"There is no job {kind!r}; expected one of {', '.join(sorted(catalogue))}.")
    takes = catalogue[kind].parameters
    for name, value in parameters.items():
        if name not in takes or not isinstance(value, str):
            known = f"it takes {', '.join(takes)}" if takes else "it takes none"
            raise Problem("bad-request", f"The job {kind} has no parameter {name[:60]!r}; {known}.")
    if catalogue[kind].needs_input and "file" not in request.files:
        raise Problem("needs-input", f"The job {kind} works on a file, and none came; expected one in the field file.")
