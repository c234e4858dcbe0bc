"""The shapes of what the API takes, each declared once: they check, convert and document."""

from __future__ import annotations

from flask_smorest.fields import Upload
from marshmallow import INCLUDE, Schema, fields, validate

from pairscope.web.api.fields import Whole, about
from pairscope.web.tables import TABLES

SIGNALS = ("TERM", "KILL", "STOP", "CONT")
WAIT_MOST = 60
"""Seconds: a waiting request holds a thread of the server."""
LIST_MOST = 500
_CURSOR = validate.Length(1, 20_000, error="This is not a cursor: take one from an answer, whole and unchanged.")
"""A cursor names up to 1,024 nodes."""


class ListArguments(Schema):
    """One page of a list, newest first."""

    before = fields.String(
        validate=_CURSOR, **about("A cursor, the `next` of the page before: the rows that follow it.")
    )
    after = fields.String(
        validate=_CURSOR,
        **about("A cursor, the `live` or `next` of an earlier answer: the rows that came or changed since."),
    )
    limit = fields.Integer(
        load_default=50,
        validate=validate.Range(1, LIST_MOST, error=f"Expected a whole number from 1 to {LIST_MOST}."),
        error_messages={"invalid": f"Expected a whole number from 1 to {LIST_MOST}."},
        **about("Rows at most."),
    )
    q = fields.String(load_default="")


def list_arguments(table: str) -> type[ListArguments]:
    """Those of one table's list: its example of a query is the one that its page shows."""
    q = fields.String(
        load_default="", **about("A query, as in the box above the table on the page.", example=TABLES[table].example)
    )
    return type(f"{table.title()}Arguments", (ListArguments,), {"q": q, "__doc__": ListArguments.__doc__})


class JobArguments(Schema):
    """What to do, and on what. Every other field is a parameter of the job."""

    class Meta:
        unknown = INCLUDE

    kind = fields.String(
        required=True,
        validate=validate.Length(1, 64, error="Expected the name of a job, of 1 to 64 characters."),
        error_messages={"required": "Missing; expected the name of a job, such as digest."},
        **about("Name of the job: one of the pool's catalogue.", example="echo"),
    )
    file = Upload(**about("The input. Its open descriptor travels to the worker."))
    data = fields.String(**about("Input without a file, for jobs that need none.", example="hello"))


class WaitArguments(Schema):
    wait = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, WAIT_MOST, error=f"Expected seconds from 0 to {WAIT_MOST}."),
        error_messages=dict.fromkeys(("invalid", "special"), f"Expected seconds from 0 to {WAIT_MOST}."),
        **about("Seconds to wait for the job's end before answering."),
    )


class SignalArguments(Schema):
    signal = fields.String(
        required=True,
        validate=validate.OneOf(SIGNALS, error=f"Expected one of {', '.join(SIGNALS)}."),
        error_messages=dict.fromkeys(("required", "invalid"), f"Expected one of {', '.join(SIGNALS)}."),
        **about("The signal without SIG: signal(7).", example="KILL"),
    )


class ScaleArguments(Schema):
    workers = Whole(
        required=True,
        validate=validate.Range(-(2**31), 2**31, error="Expected a whole number that a pool can have."),
        error_messages=dict.fromkeys(("required", "invalid"), "Expected a whole number."),
        **about("How many workers there shall be.", example=4),
    )


class RunWait(Schema):
    wait = fields.Float(
        load_default=20.0,
        validate=validate.Range(0.1, 20, error="Expected seconds from 0.1 to 20."),
        error_messages={"invalid": "Expected seconds from 0.1 to 20."},
        **about("Seconds that the run may take with its time in the queue; then it is cancelled and 503 says so."),
    )


class RunArguments(Schema):
    """Either a scenario of the gallery or a text."""

    scenario = fields.String(
        validate=validate.Length(1, 40), **about("Name in the gallery.", example="parent-and-child")
    )
    text = fields.String(
        **about("A scenario of your own: docs/lab.md has the grammar.", example='p: pipe -> r w\np: write w "x" => 1\n')
    )
