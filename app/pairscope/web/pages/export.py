"""Export of exactly what is filtered, as CSV or JSON Lines.

The whole answer is written into an unlinked file first and sent with its length: an answer that was cut off is shorter
than it said (a stream that a server's restart ends would look complete), and a database that goes away in the middle is
an error instead of half a file. The bound is MOST rows, the newest; the address of the rest is in the Link header.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from typing import Any, BinaryIO

from flask import Blueprint, Flask, Response, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wsgi import FileWrapper

from pairscope.store import queries
from pairscope.store.cursor import CursorError
from pairscope.store.filter import Filter, FilterError, parse
from pairscope.web import reach
from pairscope.web.access import holds, reader_required
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.tables import TABLES, Table
from pairscope.web.words import visible

MOST = 100_000
"""Rows of one export."""
SLICE = 1000
"""Rows that are in memory at once."""
BLOCK = 256 * 1024
"""Bytes that are sent at once."""
WITHHELD = "withheld: log in to see"
"""What stands in the place of a value that is shown to operators only."""
MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}

blueprint = Blueprint("export", __name__)


@blueprint.get("/<any(messages, transfers, jobs, workers):name>/export.<any(csv, jsonl):form>")
@holds("export")
@reader_required
def download(name: str, form: str) -> Any:
    """The newest MOST rows that the filter ``q`` takes, older than ``before`` if that is given."""
    table = TABLES[name]
    text = request.args.get("q", "").strip()
    settings = reach.settings()
    os.makedirs(settings.spool, mode=0o700, exist_ok=True)
    file = tempfile.TemporaryFile(dir=settings.spool)
    try:
        chosen = parse(text, name)
        rest = _write(file, table, form, _slices(reach.history(), table, chosen, request.args.get("before")))
        length = file.tell()
        file.seek(0)
    except FilterError as error:
        file.close()
        raise Problem("wrong-query", translated(error.args[0])) from None
    except CursorError as error:
        file.close()
        raise Problem("wrong-cursor", translated(error.args[0])) from None
    except BaseException:
        file.close()
        raise
    response = Response(FileWrapper(file, BLOCK), content_type=MEDIA[form], direct_passthrough=True)
    response.content_length = length
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    response.headers.set("Content-Disposition", "attachment", filename=f"pairscope-{name}-{stamp}.{form}")
    response.headers["Cache-Control"] = "no-store"
    if rest:
        response.headers["Link"] = (
            f'<{url_for("export.download", name=name, form=form, q=text or None, before=rest)}>; rel="next"'
        )
    return response


def _slices(session: Session, table: Table, chosen: Filter, before: str | None) -> Iterator[queries.Page]:
    left = MOST
    while left > 0:
        page = queries.page(session, table.name, chosen, before=before, limit=min(SLICE, left))
        yield page
        left -= len(page.rows)
        before = page.older
        if before is None:
            return
        session.expunge_all()


def _write(file: BinaryIO, table: Table, form: str, slices: Iterator[queries.Page]) -> str | None:
    """Writes all rows; returns the cursor of what is older than the bound."""
    older = None
    names = [name for name, _value in table.fields]
    with io.TextIOWrapper(_Borrowed(file), encoding="utf-8", newline="", write_through=False) as out:  # type: ignore[type-var]  # it is asked for no name
        if form == "csv":
            lines = csv.writer(out)
            lines.writerow(names)
            for page in slices:
                lines.writerows([_cell(value) for value in _values(row, table)] for row in page.rows)
                older = page.older
        else:
            for page in slices:
                for row in page.rows:
                    out.write(
                        json.dumps(
                            dict(zip(names, _values(row, table))),
                            ensure_ascii=False,
                            separators=(",", ":"),
                        )
                        + "\n"
                    )
                older = page.older
    return older


def _values(row: Any, table: Table) -> list[Any]:
    """What stands in each field, or that it cannot be shown."""
    found = []
    for name, value in table.fields:
        if name in row.withheld:
            found.append(WITHHELD)
            continue
        why = row.unreadable.get(name.removesuffix("_ns"), "")
        try:
            found.append(value(row) if not why else f"cannot be shown: {why}")
        except (ValueError, TypeError, OverflowError) as error:
            found.append(f"cannot be shown: {type(error).__name__}")
    return found


class _Borrowed(io.BufferedIOBase):
    """Lets a text layer end without closing the file under it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


FORMULA = frozenset("=+-@")
"""How a formula begins, after NFKC: a spreadsheet takes the full-width forms (U+FF1D and others) for the same."""


def _cell(value: Any) -> Any:
    """What a spreadsheet gets of a value: names come from strangers.

    A text that it would take for a formula gets an apostrophe before it, also after blanks, which it skips. Controls
    and marks of writing direction are written out, as on pages: a name with U+202E would show its ending in the middle.
    """
    if not isinstance(value, str):
        return value
    begins = unicodedata.normalize("NFKC", value.lstrip()[:1])
    shown = visible(value)
    return "'" + shown if begins in FORMULA or value[:1] in ("\t", "\r", "\n") else shown


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)
