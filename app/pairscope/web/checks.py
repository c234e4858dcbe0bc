"""What the stack is really like, as this visitor may see it."""

from __future__ import annotations

import dataclasses

from flask import request

from pairscope.stack import checks
from pairscope.web import reach
from pairscope.web.access import is_operator

PRIVATE = ("mysql-grants", "linux-users")
"""Steps whose findings are for operators."""


def rows() -> tuple[checks.Report, list[checks.Row]]:
    """What was found, and of it what this visitor may see."""
    report = checks.run(reach.settings())
    found = [
        dataclasses.replace(row, command=row.command.replace("http://localhost:PORT/", request.url_root))
        for row in report.rows
    ]
    if is_operator():
        return report, found
    return report, [dataclasses.replace(row, detail=()) for row in found if row.step not in PRIVATE]
