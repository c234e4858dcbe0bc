"""The stack, step by step, on a terminal."""

from __future__ import annotations

import dataclasses
import sys

import click
from rich.text import Text

from pairscope import config
from pairscope.cli.command import FAILED, USAGE, Failure, as_json
from pairscope.cli.output import console, put_json, table
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.sentence import phrase

WORDS = {
    "good": phrase("good"),
    "recommended": phrase("recommended"),
    "critical": phrase("critical"),
    "unknown": phrase("unknown"),
    "unused": phrase("unused"),
}
STYLES = {"good": "green", "recommended": "yellow", "critical": "bold red", "unknown": "dim", "unused": "dim"}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also what is as it should be.")
@as_json
def checks(everything: bool, as_json: bool) -> None:
    """Compare every layer of the stack with what the guides say.

    The exit status is 0 where all is good or not to be seen by this user, 1 where something is not, 2 where nothing
    could be looked at.
    """
    try:
        settings = config.load()
    except config.SettingsError as error:
        raise Failure(told(error.args[0]), USAGE) from None
    from pairscope.stack.checks import run
    from pairscope.stack.step import Verdict

    report = run(settings, fresh=True)
    wrong = report.count(Verdict.RECOMMENDED) + report.count(Verdict.CRITICAL)
    if as_json:
        put_json({"at": report.at, "rows": [dataclasses.asdict(row) for row in report.rows]})
    else:
        shown = table("", _("what"), _("expected"), _("observed"))
        for row in report.rows:
            if everything or row.verdict is not Verdict.GOOD:
                # why it is not known, or not used, stands with it: there is nothing to be done about it
                why = [row.drift] if row.drift and row.verdict in (Verdict.UNKNOWN, Verdict.UNUSED) else []
                shown.add_row(
                    Text(told(WORDS[row.verdict.value]), STYLES[row.verdict.value]),
                    f"{row.chapter}: {told(row.title)}",
                    told(row.expected),
                    Text("\n".join(map(told, (row.observed, *row.detail, *why))), overflow="fold"),
                )
        out = console()
        if shown.row_count:
            out.print(shown)
        for row in report.rows:
            if row.drift and row.verdict not in (Verdict.UNKNOWN, Verdict.UNUSED):
                out.print(Text(told(row.drift), STYLES[row.verdict.value]), soft_wrap=True)
        out.print(
            _(
                "%(count)s looked at: %(verdicts)s",
                count=len(report.rows),
                verdicts=", ".join(
                    f"{report.count(verdict)} {told(WORDS[verdict.value])}"
                    for verdict in Verdict
                    if report.count(verdict)
                ),
            )
        )
    if wrong:
        sys.exit(FAILED)
