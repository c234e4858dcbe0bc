"""The stack for programs."""

from __future__ import annotations

from typing import Any

from app.web.access import reader_required
from app.web.api.routes import blueprint
from app.web.api.shapes import ChecksShape
from app.web.pages.stack import rows


@blueprint.get("/checks")
@reader_required
@blueprint.response(200, ChecksShape)
def stack_checks() -> dict[str, Any]:
    """The stack, step by step: expected, observed, verdict"""
    report, seen = rows()
    return {"at": report.at, "items": seen}
