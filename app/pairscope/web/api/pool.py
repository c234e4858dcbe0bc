"""The pool: its workers are signalled, their number is changed."""

from __future__ import annotations

from typing import Any

from pairscope.web import reach
from pairscope.web.access import operator_required
from pairscope.web.api.arguments import ScaleArguments, SignalArguments
from pairscope.web.api.jobs import OPERATOR
from pairscope.web.api.routes import blueprint
from pairscope.web.api.shapes import DoneShape
from pairscope.web.problems import Problem


@blueprint.post("/workers/<string:serial>/signal")
@operator_required
@blueprint.doc(security=OPERATOR)
@blueprint.arguments(SignalArguments)
@blueprint.response(200, DoneShape)
def signal(arguments: dict[str, Any], serial: str) -> dict[str, str]:
    """Send a signal to a worker"""
    if not serial.isascii() or not serial.isdecimal() or len(serial) > 9:
        raise Problem("unknown-worker", f"{serial[:60]!r} is no serial of a worker; expected a whole number such as 1.")
    return {"done": reach.client().signal(int(serial), arguments["signal"])}


@blueprint.post("/pool/scale")
@operator_required
@blueprint.doc(security=OPERATOR)
@blueprint.arguments(ScaleArguments)
@blueprint.response(200, DoneShape)
def scale(arguments: dict[str, Any]) -> dict[str, str]:
    """Change the number of workers"""
    return {"done": reach.client().scale(arguments["workers"])}
