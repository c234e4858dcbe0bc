"""A run as a file: C, Python, a transcript, JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from flask import Response
from flask_babel import gettext as _

from pairscope.lab import exports
from pairscope.lab.language import parse
from pairscope.lab.run import Run as Recorded
from pairscope.store import runs
from pairscope.store.models import Run
from pairscope.web.problems import Problem


class Form(NamedTuple):
    """One form of export."""

    label: str
    suffix: str
    media: str
    make: Callable[[Recorded], str | bytes]


FORMS: dict[str, Form] = {
    "c": Form("C", ".c", "text/x-c; charset=utf-8", lambda run: exports.c(parse(run.text))),
    "python": Form("Python", ".py", "text/x-python; charset=utf-8", lambda run: exports.python(parse(run.text))),
    "transcript": Form("strace", ".txt", "text/plain; charset=utf-8", exports.transcript),
    "json": Form("JSON", ".run.json", "application/json", exports.json),
}


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
