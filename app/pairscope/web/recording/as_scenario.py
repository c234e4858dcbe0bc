"""A recording as a scenario of the lab, for its pages."""

from __future__ import annotations

from flask import Response, request
from flask_babel import gettext as _

from pairscope.trace.scenario import NoScenario, scenario
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.recording.pages import Shown


def text_of(showing: Shown) -> str:
    """The scenario of the steps that the address asks for. Raises Problem."""
    first, last = _asked("from"), _asked("to")
    try:
        return scenario(showing.reading.recording, showing.name, first, last, translated).text
    except NoScenario as error:
        why = translated(error.args[0])
        raise Problem("bad-request", _("These steps give no scenario: %(why)s.", why=why)) from None


def _asked(name: str) -> int:
    """A step by its number; 0: it is not said."""
    text = request.args.get(name, "").strip()
    if text and not (text.isascii() and text.isdecimal()):
        raise Problem("bad-request", _("%(text)r is no step; expected a number.", text=text[:12]))
    return int(text[:9] or 0)


def file(showing: Shown) -> Response:
    """The same as a text, to be read or taken away."""
    response = Response(text_of(showing), content_type="text/plain; charset=utf-8")
    if request.args.get("download"):
        response.headers["Content-Disposition"] = 'attachment; filename="recorded.scenario"'
    return response
