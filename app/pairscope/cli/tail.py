"""The newest messages of history, and on request those that follow."""

from __future__ import annotations

import select
import sys
from typing import Any

import click
from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from pairscope import config
from pairscope.cli.command import USAGE, Failure, as_json, beside
from pairscope.cli.output import console, duration, process, put_json, size, state
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.store import filter as filters
from pairscope.store import queries
from pairscope.store.engine import engine
from pairscope.store.models import Message

EVERY_MS = 500


@click.command()
@click.option(
    "-n", "--lines", type=click.IntRange(0, 500), default=20, show_default=True, help="Messages to begin with."
)
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with each message when its outcome is known, until interrupted."
)
@click.option(
    "-q", "--query", default="", metavar="QUERY", help="A query as in the box on the page, such as kind:result fds:>0."
)
@as_json
def tail(lines: int, follow: bool, query: str, as_json: bool) -> None:
    """Show the newest recorded messages, the newest last."""
    try:
        wanted = filters.parse(query, "messages")
    except filters.FilterError as error:
        raise Failure(_("the query cannot be understood: %(why)s", why=told(error.args[0])), USAGE) from None
    settings = config.load()
    if not settings.control.exists() and (hint := beside()):
        click.echo(f"pairscope: {hint}", err=True)  # an old history would be taken for that of the server that runs
    made = engine(settings.history_url, read_only=True)
    out = console()
    try:
        with Session(made) as history:
            cursor = queries.live_cursor(history)
            # searches on to the end
            rows = list(queries.every(history, "messages", wanted, most=max(lines, 1)))[:lines]
            if not as_json and not follow and not rows:
                raise Failure(
                    _("no message is recorded that fits the query")
                    if query
                    else _("no message is recorded yet; submit a job first")
                )
            for row in reversed(rows):
                _put(out, row, as_json)
            known = {row.id for row in rows if row.state != "sent"}
            poll = select.poll()
            poll.register(sys.stdout, 0)  # POLLERR: whoever read this has gone
            while follow and not poll.poll(EVERY_MS):
                history.rollback()
                while True:
                    changes = queries.changes(history, "messages", wanted, cursor)
                    cursor = changes.cursor
                    for row in sorted(changes.rows, key=lambda row: row.id):
                        if row.state != "sent" and row.id not in known:
                            _put(out, row, as_json)
                    if not changes.more:
                        break
                known.clear() if len(known) > 10_000 else None
    finally:
        made.dispose()


def _put(out: Console, row: Message, as_json: bool) -> None:
    if as_json:
        from pairscope.web.api.shapes import MessageShape

        put_json(MessageShape().dump(row))
        return
    if row.unreadable:
        why = "; ".join(f"{column}: {told(reason)}" for column, reason in row.unreadable.items())
        out.print(Text(_("message %(id)s cannot be shown: %(why)s", id=row.id, why=why), "red"), soft_wrap=True)
        return
    out.print(_line(row), soft_wrap=True)


def _line(row: Message) -> Text:
    import datetime

    moment = datetime.datetime.fromtimestamp(row.sent // 10**9, datetime.UTC)
    line = Text(f"{moment:%H:%M:%S}.{row.sent // 1000 % 10**6:06d} ", "dim")
    pairs: list[Any] = [
        process(row.sender_role, row.sender_serial),
        Text(" > ", "dim"),
        process(row.receiver_role, row.receiver_serial),
    ]
    ends = Text.assemble(*pairs)
    ends.pad_right(max(0, 26 - len(ends)))
    line.append_text(ends)
    line.append(f"{row.kind:10}", "bold")
    line.append(f"{size(row.size):>9}")
    line.append(f"  {row.fds} fd" if row.fds else "      ", "bold" if row.fds else "")
    line.append(f"{duration(row.latency):>9}  ")
    line.append_text(state(row.state))
    if row.job:
        line.append("  " + _("job %(job)s", job=row.job), "dim")
    if row.reason:
        line.append(f"  {told(row.reason)}")
    return line
