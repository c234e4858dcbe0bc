"""The stack for programs."""

from __future__ import annotations

from typing import Any

from pairscope.web.access import reader_required
from pairscope.web.api.routes import blueprint
from pairscope.web.api.shapes import ChecksShape
from pairscope.web.checks import rows


@blueprint.get("/checks")
@reader_required
@blueprint.response(200, ChecksShape)
def stack_checks() -> dict[str, Any]:
    """The stack, step by step: expected, observed, verdict"""
    report, seen = rows()
    return {"at": report.at, "items": seen}
