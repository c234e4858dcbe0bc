"""The lab for programs: the gallery, runs, exports."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for

from pairscope.lab import gallery
from pairscope.lab.language import TEXT_MAX
from pairscope.store import runs
from pairscope.store.models import Run
from pairscope.web import reach
from pairscope.web.access import reader_required, visitor_allowed
from pairscope.web.api.arguments import RunArguments, RunWait
from pairscope.web.api.routes import blueprint
from pairscope.web.api.shapes import RunShape, RunWithSteps, ScenarioShape, items_of
from pairscope.web.lab import running
from pairscope.web.lab.exporting import exported
from pairscope.web.problems import Problem

RECENT = 50


def _scenario(entry: gallery.Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "number": entry.number,
        "title": entry.title,
        "ask": entry.ask,
        "notice": entry.notice,
        "man": entry.man,
        "quirk": entry.quirk,
        "steps": len(gallery.scenario(entry.name).steps),
        "text": gallery.text(entry.name),
    }


def _run(row: Run) -> dict[str, Any]:
    return {
        "id": row.id,
        "scenario": row.scenario,
        "title": row.title,
        "verdict": row.verdict,
        "step_count": row.steps,
        "took_ns": row.took,
        "created": row.created,
        "kept": row.kept,
        "job": row.job,
        "parent": row.parent,
        "page": url_for("pages.run", id=row.id, step=1),
    }


@blueprint.get("/lab/scenarios")
@reader_required
@blueprint.response(200, items_of(ScenarioShape))
def lab_scenarios() -> dict[str, Any]:
    """The gallery"""
    return {"items": [_scenario(entry) for entry in gallery.entries()]}


@blueprint.get("/lab/scenarios/<string:name>")
@reader_required
@blueprint.response(200, ScenarioShape)
def lab_scenario(name: str) -> Any:
    """One scenario of the gallery, with its text"""
    running.scenario_text(name)
    return _scenario(next(entry for entry in gallery.entries() if entry.name == name))


@blueprint.get("/lab/runs")
@reader_required
@blueprint.response(200, items_of(RunShape))
def lab_runs() -> dict[str, Any]:
    """The last runs, newest first"""
    return {"items": [_run(row) for row in runs.newest(reach.own(), RECENT)]}


@blueprint.post("/lab/runs")
@visitor_allowed
@blueprint.arguments(RunWait, location="query")
@blueprint.arguments(RunArguments, location="json")
@blueprint.response(
    201, RunWithSteps, headers={"Location": {"description": "The run's address.", "schema": {"type": "string"}}}
)
def lab_run_now(waiting: dict[str, Any], asked: dict[str, Any]) -> Any:
    """Run a scenario with real processes: one of the gallery by its name, or, for operators, a text"""
    name, text = asked.get("scenario"), asked.get("text")
    if name is not None and text is None:
        row = running.perform(running.scenario_text(name), scenario=name, patience=waiting["wait"])
    elif text is not None and name is None:
        row = running.perform(text, patience=waiting["wait"])
    else:
        raise Problem(
            "bad-request", "Expected either scenario, a name of the gallery, or text, a scenario of your own."
        )
    return _run(row) | {"run": runs.told(row)}, 201, {"Location": url_for("api.lab_run", run=row.id)}


lab_run_now.body_max = 7 * TEXT_MAX


@blueprint.get("/lab/runs/<string:run>")
@reader_required
@blueprint.response(200, RunWithSteps)
def lab_run(run: str) -> Any:
    """One run with its steps and what was held after each"""
    row = running.find(run)
    return _run(row) | {"run": runs.told(row)}


@blueprint.get("/lab/runs/<string:run>/export/<string:form>")
@reader_required
@blueprint.doc(
    summary="A run as a C or Python program, a transcript, or JSON", responses={200: {"description": "The file."}}
)
def lab_export(run: str, form: str) -> Response:
    """`form` is c, python, transcript or json."""
    return exported(running.find(run), form)
