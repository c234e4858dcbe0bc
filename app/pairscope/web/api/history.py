"""What is recorded: messages, transfers and workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pairscope.store import cursor as cursors
from pairscope.store import queries
from pairscope.store.cursor import CursorError
from pairscope.store.filter import FilterError, parse
from pairscope.web import reach
from pairscope.web.access import reader_required
from pairscope.web.api.arguments import list_arguments
from pairscope.web.api.routes import blueprint, number
from pairscope.web.api.shapes import MessageShape, MessageWithTransfers, TransferShape, WorkerShape, list_of
from pairscope.web.problems import Problem


def listed(table: str, arguments: dict[str, Any], show: Callable[[Any], Any] = lambda row: row) -> dict[str, Any]:
    """One page of a table, or what changed behind a cursor. Raises Problem for a query or a cursor that cannot be
    understood."""
    before, after = arguments.get("before"), arguments.get("after")
    if before is not None and after is not None:
        raise Problem("bad-request", "Both before and after were given; expected one of them.")
    history = reach.history()
    try:
        wanted = parse(arguments["q"], table)
        following: str | None
        live = queries.live_cursor(history)  # first: a row that changes from here on is told again
        if after is not None and cursors.follows_changes(after):
            found = queries.changes(history, table, wanted, after, arguments["limit"])
            rows, following, live = found.rows, found.cursor, found.cursor
        else:
            page = queries.page(history, table, wanted, before=before, after=after, limit=arguments["limit"])
            rows, following = page.rows, page.older if after is None else page.newer
    except FilterError as error:
        raise Problem(
            "wrong-query", f"{error} (at character {error.column + 1} of q)", column=error.column + 1
        ) from None
    except CursorError as error:
        raise Problem("wrong-cursor", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return {"items": [show(row) for row in rows], "next": following, "live": live}


@blueprint.get("/messages")
@reader_required
@blueprint.arguments(list_arguments("messages"), location="query")
@blueprint.response(200, list_of(MessageShape))
def messages(arguments: dict[str, Any]) -> dict[str, Any]:
    """Messages that crossed a pair"""
    return listed("messages", arguments)


@blueprint.get("/messages/<string:message>")
@reader_required
@blueprint.response(200, MessageWithTransfers)
def message(message: str) -> Any:
    """One message, with its transfers"""
    identity = number(message, "unknown-message", "message")
    row = queries.message(reach.history(), identity)
    if row is None:
        raise Problem("unknown-message", f"There is no message {identity}, or history does not keep it any more.")
    return {"row": row, "transfers": queries.transfers_of_message(reach.history(), identity)}


@blueprint.get("/transfers")
@reader_required
@blueprint.arguments(list_arguments("transfers"), location="query")
@blueprint.response(200, list_of(TransferShape))
def transfers(arguments: dict[str, Any]) -> dict[str, Any]:
    """Descriptors that crossed by SCM_RIGHTS"""
    return listed("transfers", arguments)


@blueprint.get("/transfers/<string:transfer>")
@reader_required
@blueprint.response(200, TransferShape)
def transfer(transfer: str) -> Any:
    """One transfer, by its message and its position, such as 123456789-0"""
    first, _, position = transfer.partition("-")
    identity = number(first, "unknown-transfer", "message")
    if not position.isascii() or not position.isdecimal() or len(position) > 3:
        raise Problem(
            "unknown-transfer",
            f"{transfer[:60]!r} is no id of a transfer; expected message-position, such as {identity}-0.",
        )
    row = queries.transfer(reach.history(), identity, int(position))
    if row is None:
        raise Problem(
            "unknown-transfer",
            f"There is no transfer {identity}-{int(position)}, or history does not keep it any more.",
        )
    return row


@blueprint.get("/workers")
@reader_required
@blueprint.arguments(list_arguments("workers"), location="query")
@blueprint.response(200, list_of(WorkerShape))
def workers(arguments: dict[str, Any]) -> dict[str, Any]:
    """Workers, living and dead"""
    said = reach.snapshot()
    now = {(said.node, said.epoch, worker.serial): worker for worker in said.workers} if said else {}
    return listed(
        "workers", arguments, lambda row: (row, None if row.ended else now.get((row.node, row.epoch, row.serial)))
    )
