"""The command line: serve, and look at, use and administer an installation.

Each command imports what it needs when it runs: ``status`` and ``submit`` talk to the pool and know no database,
``tail`` reads the database and knows no pool. An error is one sentence on standard error, and a status that says of
what kind it is.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from pairscope import __version__
from pairscope.cli.command import DATABASE_AWAY, INTERRUPTED, MISTAKE, USAGE, Failure, pool_away
from pairscope.cli.words import gettext as _
from pairscope.cli.words import helped, told

EPILOG = """\b
Exit status:
  0    done
  1    refused, or the job failed, or something is not ready
  2    wrong usage, or wrong settings
  3    the pool is away
  4    the database is away
  70   a mistake of Pairscope
  130  interrupted

The installation is the one whose settings file PAIRSCOPE_SETTINGS names, or the embedded one under PAIRSCOPE_STATE
(default: var)."""

COMMANDS = (
    "serve",
    "lamp",
    "status",
    "submit",
    "tail",
    "lab",
    "record",
    "program",
    "show",
    "checks",
    "migrate",
    "token",
)
"""Each is a module of this package with a command of the same name."""


class Commands(click.Group):
    """The group of all commands; turns what they raise into one sentence and a status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return helped(getattr(importlib.import_module(f"pairscope.cli.{name}"), name))

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        helped(self)
        return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if os.environ.get("PAIRSCOPE_TRACEBACK"):
                traceback.print_exc()
            raise _failure(error) from None


def _failure(error: Exception) -> Failure:
    """The one sentence that an exception means."""
    from pairscope.client.away import PoolAway, PoolRefused
    from pairscope.config import SettingsError

    if isinstance(error, SettingsError):
        return Failure(told(error.args[0]), USAGE)
    if isinstance(error, PoolAway):
        return pool_away(str(error))
    if isinstance(error, PoolRefused):
        return Failure(told(error.reason))
    if "sqlalchemy" in sys.modules and not (isinstance(error, OSError) and error.strerror):
        from pairscope.store import errors

        if (fault := errors.of(error)) is not None:
            if fault.kind is errors.Kind.VALUE:
                return Failure(_("the database cannot look for that: %(words)s", words=told(fault.words)), USAGE)
            if fault.kind is errors.Kind.TABLES:
                why = _(
                    "the database does not do it: %(words)s (are the tables there? pairscope migrate)",
                    words=told(fault.words),
                )
            else:
                why = _("the database does not do it: %(words)s", words=told(fault.words))
            return Failure(why, DATABASE_AWAY)
    if isinstance(error, OSError) and error.strerror:
        return Failure(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return Failure(
        _("%(name)s: %(error)s (PAIRSCOPE_TRACEBACK=1 shows where)", name=type(error).__name__, error=error), MISTAKE
    )


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name=None, version=__version__, prog_name="pairscope")
def main() -> None:
    """Pairscope: Unix inter-process communication, seen while it really happens."""
