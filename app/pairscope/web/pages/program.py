"""A program of one's own: the editor with the collection, and a run, which is stored as a recording."""

from __future__ import annotations

import shlex
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _

from pairscope.lab import exports
from pairscope.lab.language import parse
from pairscope.program import collection
from pairscope.program.collection import ENTRIES
from pairscope.program.request import Unran
from pairscope.store import recordings as stored
from pairscope.trace.recording import SOURCE_MOST, Program, Remark
from pairscope.web import reach
from pairscope.web.access import is_operator, operator_required, reader_required
from pairscope.web.lab import programs, running
from pairscope.web.lab.programs import Form
from pairscope.web.pages import recordings
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.recording import source

FIRST = "parent-and-child"
"""The program of the collection that the editor begins with."""
BESIDE = 2
"""Lines that are shown before and behind one of which the compiler says something."""


@blueprint.get("/lab/program")
@reader_required
def program() -> Any:
    """The editor, with a program of the collection, of a recording, or a scenario as C."""
    return _editor(_chosen())


def _chosen() -> Form:
    if id := request.args.get("recording"):
        name, found = recordings.program_of(id)
        return Form(found.language, found.source, shlex.join(found.arguments), found.input, name)
    if scenario := request.args.get("scenario"):
        return Form("c", exports.c(parse(running.scenario_text(scenario))), name=scenario)
    wanted = request.args.get("language") or ("python" if programs.offer().no_c else "c")
    language: collection.Language = "python" if wanted == "python" else "c"
    name = request.args.get("example") or FIRST
    entry = collection.find(name)
    if entry is None:
        raise Problem(
            "not-found",
            _(
                "The collection has no program %(name)s; there are: %(names)s.",
                name=repr(name[:40]), names=", ".join(one.name for one in ENTRIES),
            ),
        )  # fmt: skip
    return Form(language, entry.source(language), name=entry.name)


def _editor(form: Form, problem: str = "", remarks: list[Remark] | None = None) -> Any:
    said = Program("c", form.source[:SOURCE_MOST], remarks=remarks or [])
    page = render_template(
        "program.html",
        form=form,
        problem=problem,
        excerpt=_excerpt(said),
        elsewhere=source.elsewhere(said),
        offer=programs.offer(),
        may=is_operator(),
        entries=ENTRIES,
        entry=collection.find(form.name),
        names=source.NAMES,
        most=SOURCE_MOST,
        section="pages.lab",
    )
    return page, 400 if problem else 200


def _excerpt(said: Program) -> list[list[source.Line]]:
    """The lines of which the compiler says something, with those beside them; what lies together is one part."""
    texts = said.source.split("\n")
    wanted = {
        line
        for remark in said.remarks
        if 0 < remark.line <= len(texts)
        for line in range(max(1, remark.line - BESIDE), min(len(texts), remark.line + BESIDE) + 1)
    }
    parts: list[list[source.Line]] = []
    for line in source.some_lines(said, sorted(wanted)):
        if parts and parts[-1][-1].number == line.number - 1:
            parts[-1].append(line)
        else:
            parts.append([line])
    return parts


@blueprint.post("/lab/program")
@operator_required
def run_program() -> Any:
    """Runs it, and stores the recording; then the first of its steps that has a line."""
    given = {name: request.form.get(name, "").replace("\r\n", "\n") for name in Form._fields}
    form = _named(Form(**given | {"name": given["name"][:40]}))
    try:
        found = programs.perform(form)
    except Problem as problem:
        if problem.kind not in ("wrong-program", "no-programs", "run-failed", "lab-busy"):
            raise
        return _editor(form, str(problem.description))
    if isinstance(found, Unran):
        return _editor(form, _sentence(translated(found.error)), found.remarks)
    name = (form.name or "program") + source.SUFFIXES[form.language]
    reading = recordings.read(found, name)
    index = reading.index
    row = stored.store(
        reach.own(), found, name=name, command=name + "".join(f" {word}" for word in programs.words(form)),
        steps=reading.count, processes=len(index.processes), passages=len(index.passages),
    )  # fmt: skip
    first = next((number for number, one in enumerate(reading.rows, 1) if one.source and not one.folded), 1)
    return redirect(url_for("pages.recording_step", id=row.id, number=min(first, reading.count)), 303)


run_program.body_max = 30 * SOURCE_MOST  # type: ignore[attr-defined]  # source and input, percent-encoded UTF-8


def _named(form: Form) -> Form:
    """Without a name, where another program was put in the place of one of the collection: where the two have less than
    half of the lines of the longer one in common."""
    entry = collection.find(form.name)
    if entry is None:
        return form
    own = _lines(form.source)
    for language in collection.SUFFIXES:
        theirs = _lines(entry.source(language))
        if 2 * len(own & theirs) >= max(len(own), len(theirs)):
            return form
    return form._replace(name="")


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n")} - {""}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
