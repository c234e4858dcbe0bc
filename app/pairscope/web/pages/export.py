"""Export of exactly what is filtered, as CSV or JSON Lines, streamed.

The rows are read and written a slice at a time (:mod:`pairscope.store.lines`): the first bytes are there at once, and
no more than a slice is in memory. Nobody sees by an answer that is streamed whether it came whole: one that a server's
restart cuts off looks complete to curl. So the last line says it, with the number of rows: ``complete``, ``next`` with
the address of the rest beyond MOST rows, or ``broken`` with the reason. Where it is missing, the answer was cut off.
"""

from __future__ import annotations

import csv
import io
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, copy_current_request_context, current_app, request, url_for

from pairscope.store import lines
from pairscope.store.cursor import CursorError
from pairscope.store.filter import FilterError, parse
from pairscope.web import problems, reach
from pairscope.web.access import holds, reader_required
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated
from pairscope.web.tables import TABLES, Table
from pairscope.web.words import visible

MOST = 100_000
"""Rows of one export."""
WITHHELD = "withheld: log in to see"
"""What stands in the place of a value that is shown to operators only."""
MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
END = "#end"
"""What the last line of a CSV begins with: no row of ours does."""

blueprint = Blueprint("export", __name__)

Write = Callable[[Sequence[Sequence[Any]]], bytes]
"""Rows as they stand in the answer."""


@blueprint.get("/<any(messages, transfers, jobs, workers):name>/export.<any(csv, jsonl):form>")
@holds("export")
@reader_required
def download(name: str, form: str) -> Any:
    """The newest MOST rows that the filter ``q`` takes, older than ``before`` if that is given."""
    table = TABLES[name]
    text = request.args.get("q", "").strip()
    try:
        slices = lines.slices(
            reach.further_history(), name, _columns(table), parse(text, name), request.args.get("before") or None, MOST
        )
        first = next(slices)  # whatever is wrong with the request is said before anything is sent
    except FilterError as error:
        raise Problem("wrong-query", translated(error.args[0])) from None
    except CursorError as error:
        raise Problem("wrong-cursor", translated(error.args[0])) from None
    response = Response(_pieces(table, form, text, first, slices), content_type=MEDIA[form])
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    response.headers.set("Content-Disposition", "attachment", filename=f"pairscope-{name}-{stamp}.{form}")
    response.headers["Cache-Control"] = "no-store"
    return response


def _columns(table: Table) -> set[str]:
    """The columns that its fields show."""
    return {name.removesuffix("_ns") for name, _value in table.fields}


def _pieces(table: Table, form: str, text: str, first: lines.Slice, rest: Iterator[lines.Slice]) -> Iterator[bytes]:
    """The answer, bit by bit. What is written in it needs this request, which has ended by then: a copy stands in for
    it, and not stream_with_context, which fails where two answers are read in turn."""
    names = [name for name, _value in table.fields]
    write = _csv if form == "csv" else _jsonl(names)
    written = copy_current_request_context(lambda piece: _written(write, _values(piece, table)))
    last = copy_current_request_context(lambda count, older, error: _last(table, form, text, count, older, error))

    turns = reach.turns()

    def pieces() -> Iterator[bytes]:
        count, older = 0, first.older
        broken: Exception | None = None
        if form == "csv":
            yield write([names])
        try:
            piece: lines.Slice | None = first
            while piece is not None:
                with turns.taken():
                    data = written(piece)
                # JSON takes blanks before a value: a search that finds nothing for long shows that it goes on.
                if data := data or (b"" if form == "csv" else b" "):
                    yield data
                count, older = count + len(piece.rows), piece.older
                with turns.taken():
                    piece = next(rest, None)
        except Exception as error:
            broken = error
        yield last(count, older, broken)

    return pieces()


def _last(table: Table, form: str, text: str, count: int, older: str | None, error: Exception | None) -> bytes:
    """The last line: how many rows were written, and why there are no more."""
    said = {"end": "complete", "rows": count}
    if error is not None:
        problem = problems.of(error)
        if problem is None:
            current_app.logger.error("an export of %s broke", table.name, exc_info=error)
        said |= {"end": "broken", "reason": str(problem.description) if problem else type(error).__name__}
    elif older is not None:
        address = url_for("export.download", name=table.name, form=form, q=text or None, before=older)
        said |= {"end": "next", "next": address}
    if form == "jsonl":
        return _json([said])
    end, rows, *what = said.values()
    return _csv([[END, rows, end, *what]])


def _values(piece: lines.Slice, table: Table) -> list[Sequence[Any]]:
    """What stands in each field of each row, or that it cannot be shown."""
    try:
        # Field by field, which takes half as long as row by row: most are fetched without a line of Python.
        found: list[Sequence[Any]] = list(zip(*(map(value, piece.rows) for _name, value in table.fields)))
    except (ValueError, TypeError, OverflowError):
        return [_flawed(row, piece.flaws.get(place, _NONE), table) for place, row in enumerate(piece.rows)]
    at = {name: place for place, (name, _value) in enumerate(table.fields)}
    for place, flaw in piece.flaws.items():
        if flaw.unreadable:
            found[place] = _flawed(piece.rows[place], flaw, table)
            continue
        shown = list(found[place])
        for name in flaw.withheld:
            shown[at[name]] = WITHHELD
        found[place] = shown
    return found


_NONE = lines.Flaw({}, frozenset())


def _flawed(row: Any, flaw: lines.Flaw, table: Table) -> list[Any]:
    found = []
    for name, value in table.fields:
        why = flaw.unreadable.get(name.removesuffix("_ns"), "")
        try:
            found.append(WITHHELD if name in flaw.withheld else f"cannot be shown: {why}" if why else value(row))
        except (ValueError, TypeError, OverflowError) as error:
            found.append(f"cannot be shown: {type(error).__name__}")
    return found


def _written(write: Write, rows: Sequence[Sequence[Any]]) -> bytes:
    """The rows as bytes; a row that cannot be written says so in its place, field by field."""
    try:
        return write(rows)
    except (ValueError, TypeError, csv.Error):
        if len(rows) > 1:
            return b"".join(_written(write, [row]) for row in rows)
    nothing = [None] * len(rows[0])
    return write([[_writable(write, value, nothing[1:]) for value in rows[0]]])


def _writable(write: Write, value: Any, beside: list[None]) -> Any:
    try:
        write([[value, *beside]])
    except (ValueError, TypeError, csv.Error) as error:
        return f"cannot be shown: {type(error).__name__}"
    return value


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    found = []
    for row in rows:
        # Nearly all rows are harmless as they are: to see that of the whole line takes half as long as of each cell.
        line = ",".join(map(str, row if None not in row else ["" if value is None else value for value in row]))
        if line.count(",") == len(row) - 1 and _plain(line):
            found.append(line + "\r\n")
        else:
            careful = io.StringIO(newline="")
            csv.writer(careful).writerow([_cell(value) if isinstance(value, str) else value for value in row])
            found.append(careful.getvalue())
    return "".join(found).encode()


def _plain(line: str) -> bool:
    """Whether nothing in a line has to be quoted, written out or kept from being a formula."""
    return (
        line.isascii()
        and line.isprintable()
        and '"' not in line
        and line[:1].isalnum()
        and not (",=" in line or ",+" in line or ",-" in line or ",@" in line or ", " in line)
    )


_json = msgspec.json.Encoder().encode_lines


def _jsonl(names: Sequence[str]) -> Write:
    line = msgspec.defstruct("Line", [(name, Any) for name in names], gc=False)
    return lambda rows: _json([line(*row) for row in rows])


FORMULA = frozenset("=+-@")
"""How a formula begins, after NFKC: a spreadsheet takes the full-width forms (U+FF1D and others) for the same."""


def _cell(value: str) -> str:
    """What a spreadsheet gets of a value: names come from strangers.

    A text that it would take for a formula gets an apostrophe before it, also after blanks, which it skips. Controls
    and marks of writing direction are written out, as on pages: a name with U+202E would show its ending in the middle.
    """
    begins = unicodedata.normalize("NFKC", value.lstrip()[:1])
    shown = visible(value)
    return "'" + shown if begins in FORMULA or value[:1] in ("\t", "\r", "\n") else shown


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)
