"""One page of a table, and what has changed since: the same query and the same rows for the page and for its live
update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Response, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from pairscope.sentence import phrase
from pairscope.store import queries
from pairscope.store.cursor import CursorError
from pairscope.store.filter import FIELDS, Filter, FilterError, parse
from pairscope.web import reach
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.shell import moment, strip
from pairscope.web.tables import PAGE, TABLES, Table

MOST_CHANGES = 200
"""Changed rows that one update carries; a viewer that is further behind gets the newest page anew."""


class Wrong(NamedTuple):
    """A query that cannot be understood: why, and where."""

    message: str
    column: int


class Listing(NamedTuple):
    """A page of a table."""

    rows: Sequence[Any]
    older: str | None
    newer: str | None
    cursor: str | None
    """From where its live updates go on; None: this page has none, because newer rows are not on it."""
    reached: int | None
    """Since when everything was looked at, where a search stopped before the page was full; ns since 1970."""


class Update(NamedTuple):
    """What has changed since a cursor."""

    rows: Sequence[Any]
    """Newest first."""
    cursor: str
    anew: bool
    """True: too much has changed; `rows` is the newest page, which replaces what was there."""
    gone: list[str]
    """Ids of rows in the page that the filter no longer takes."""


def read(
    session: Session, table: Table, chosen: Filter, before: str | None, after: str | None, limit: int = PAGE
) -> Listing:
    """One page. Raises CursorError."""
    cursor = None if before or after else queries.live_cursor(session)
    page = queries.page(session, table.name, chosen, before=before, after=after, limit=limit)
    return Listing(page.rows, page.older, page.newer if before or after else None, cursor, page.reached)


def since(
    session: Session, table: Table, chosen: Filter, cursor: str, moving: Sequence[str], limit: int = PAGE
) -> Update | None:
    """What has changed since `cursor`; None: nothing. `moving`: ids of rows in the page that may leave the filter.

    Raises CursorError.
    """
    places = moment.now().places
    committed = {place.node: place.position for place in places} if places is not None else None
    changes = window = None
    if committed is not None and not chosen.conditions:
        window = moment.windows().of(table.name, session)
        changes = window.since(session, committed, cursor, MOST_CHANGES)
    if changes is None:
        changes = queries.changes(session, table.name, chosen, cursor, MOST_CHANGES, committed)
    if changes.more:
        now = queries.live_cursor(session)
        page = window.newest(session, limit) if window else queries.page(session, table.name, chosen, limit=limit).rows
        return Update(page, now, True, [])
    rows = sorted(changes.rows, key=table.order, reverse=True)
    gone = _gone(session, table, chosen, moving)
    if not rows and not gone and changes.cursor == cursor:
        return None
    return Update(rows, changes.cursor, False, gone)


def _gone(session: Session, table: Table, chosen: Filter, moving: Sequence[str]) -> list[str]:
    """Those of `moving` that the filter does not take any more. Raises CursorError for what names no row."""
    if not moving or not chosen.conditions:
        return []
    try:
        keys = {table.key(name): name for name in moving[: 2 * PAGE]}
    except ValueError:
        raise CursorError(phrase("the rows to look after are not named as they were on the page")) from None
    still = queries.still(session, table.name, chosen, list(keys))
    return [name for key, name in keys.items() if key not in still]


def answer(
    name: str, template: str, seen: str = "", *, empty: str, nothing: str, **context: Any
) -> Response | tuple[str, int]:
    """The table page `name` as the request asks for it. `seen`: signatures of live parts beside the table and the
    strip.

    `empty`: what stands there when no row fits what was asked for; `nothing`: when everything was asked for, and there
    is none.
    """
    context["empty"] = empty
    table = TABLES[name]
    text = request.args.get("q", "").strip()
    before, after = request.args.get("before"), request.args.get("after")
    problem: Wrong | None = None
    listing = Listing([], None, None, None, None)
    try:
        listing = read(reach.history(), table, parse(text, name), before, after)
    except FilterError as error:
        problem = Wrong(translated(error.args[0]), error.column)
    except CursorError as error:
        raise Problem("wrong-cursor", translated(error.args[0])) from None
    if not text and not before and not after:
        context["empty"] = nothing
    if problem:
        context["empty"] = _("Correct the filter above: nothing was looked for.")
    elif listing.older and not listing.rows:
        context["empty"] = _("Nothing fits so far.")
    body = render_template(
        template,
        table=table,
        text=text,
        problem=problem,
        rows=listing.rows,
        older=listing.older,
        newer=listing.newer,
        reached=listing.reached,
        limit=PAGE,
        fields=FIELDS[name],
        found_at_once=", ".join(field.name for field in FIELDS[name] if field.index or field.in_order),
        live_url=url_for("live.table", name=name, q=text or None) if listing.cursor is not None else "",
        live_cursor=listing.cursor,
        live_shown=[table.name_of(row) for row in listing.rows] if text else (),
        live_seen=f"strip:{strip.signature()}{seen}",
        **context,
    )
    return body, 400 if problem else 200
