"""What the commands have in common: exit statuses, a failure in one sentence, the answer in JSON."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import click

from pairscope.cli.words import gettext as _
from pairscope.cli.words import told

OK, FAILED, USAGE, POOL_AWAY, DATABASE_AWAY, MISTAKE, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130


class Failure(click.ClickException):
    """A command that could not do what was asked: one sentence, and the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]  # click declares it for the class, and reads the instance's

    def show(self, file: Any = None) -> None:
        click.echo(f"pairscope: {self.format_message()}", file=file or sys.stderr)


def pool_away(why: str) -> Failure:
    """That the pool is away, and where another one may be."""
    hint = beside()
    if hint:
        return Failure(_("the pool is away: %(why)s (%(hint)s)", why=told(why), hint=hint), POOL_AWAY)
    return Failure(_("the pool is away: %(why)s", why=told(why)), POOL_AWAY)


def beside() -> str:
    """How to reach the private Apache and MariaDB whose settings stand beside those of the embedded run; empty where
    there are none."""
    from pairscope import config

    settings = config.load()
    private = str(settings.state / "lamp" / "conf" / "web.toml")
    if settings.source != "embedded" or not os.path.exists(private):
        return ""
    return _(
        "this is the embedded run; for that of script/lamp set PAIRSCOPE_SETTINGS=%(path)s", path=shlex.quote(private)
    )


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
