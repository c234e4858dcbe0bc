"""The database as people look at it from outside: tables with rows, sizes and indexes, and the newest rows of each.
Nothing can be changed here."""

from __future__ import annotations

from typing import Any

from flask import render_template, request, url_for
from flask_babel import gettext as _

from pairscope.store import inventory, withheld
from pairscope.store.cursor import CursorError
from pairscope.web import reach
from pairscope.web.access import is_operator, may_see, reader_required
from pairscope.web.pages.routes import blueprint
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.words import clip, moment, visible

PAGE = 50
FOR_OPERATORS = ("tokens",)
TIMES = {
    "at",
    "sent",
    "received",
    "submitted",
    "started",
    "ended",
    "expires",
    "output_gone",
    "born",
    "ready",
    "created",
}
"""Columns that hold ns since 1970."""


@blueprint.get("/database")
@reader_required
def database() -> Any:
    """The tables, their sizes and indexes."""
    found = inventory.tables(reach.history(), reach.own())
    settings, snapshot = reach.settings(), reach.snapshot()
    return render_template(
        "database.html",
        tables=found,
        total=sum((table.data or 0) + (table.indexes or 0) for table in found),
        sized=any(table.data is not None for table in found),
        engine=reach.history().get_bind().dialect.name,
        server=_server(),
        closed=() if is_operator() else FOR_OPERATORS,
        settings=settings,
        bound=snapshot.recorder.bound if snapshot else None,
        recorder=snapshot.recorder if snapshot else None,
        section="pages.database",
    )


def _server() -> str:
    """Name and version of the database's server."""
    dialect = reach.history().get_bind().dialect
    version = ".".join(str(part) for part in dialect.server_version_info or ())
    name = (
        "MariaDB"
        if getattr(dialect, "is_mariadb", False)
        else {"sqlite": "SQLite", "mysql": "MySQL"}.get(dialect.name, dialect.name)
    )
    return f"{name} {version}"


@blueprint.get("/database/<name>")
@reader_required
def table(name: str) -> Any:
    """The newest rows of one table."""
    found = inventory.find(name)
    if found is None:
        raise Problem("not-found", _("There is no table %(name)r here.", name=name[:40]))
    line, defined = found
    if name in FOR_OPERATORS and not is_operator():
        raise Problem("login-needed", _("The rows of %(name)s are for operators.", name=name))
    session = reach.history() if line == "history" else reach.own()
    hidden = () if may_see() else withheld.COLUMNS.get(name, ())
    try:
        page = inventory.rows(session, defined, request.args.get("before"), PAGE, hidden)
    except CursorError as error:
        raise Problem("wrong-cursor", translated(error.args[0])) from None
    return render_template(
        "database_table.html",
        name=name,
        line=line,
        description=inventory.DESCRIPTIONS.get(name, ""),
        columns=page.columns,
        rows=[[cell(column, value) for column, value in zip(page.columns, row)] for row in page.rows],
        hidden=hidden,
        older=url_for("pages.table", name=name, before=page.older) if page.older else None,
        first=bool(request.args.get("before")),
        section="pages.database",
    )


def cell(column: str, value: Any) -> Any:
    """A value as a table shows it: times as times, bytes in hexadecimal, long text cut."""
    if value is None:
        return "NULL"
    if column in TIMES and isinstance(value, int) and value > 10**18:
        return moment(value)
    if isinstance(value, bytes):
        return (value[:16].hex(" ") + (" …" if len(value) > 16 else "")) or "''"
    return clip(visible(str(value)), 60)
