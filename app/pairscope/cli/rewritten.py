"""A recording of a real program, told as a scenario of the lab."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pairscope.cli.command import Failure
from pairscope.cli.output import safe, say
from pairscope.cli.recording import opened
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told


def write_scenario(path: str, first: int, last: int, output: str | None) -> None:
    """The steps from one to another, 0: all of them, to standard output or into a file. Raises Failure."""
    from pairscope.trace.scenario import NoScenario, scenario

    try:
        with opened(path) as found:
            text = scenario(found, Path(path).name, first, last, told).text
    except NoScenario as error:
        raise Failure(_("%(path)s gives no scenario: %(why)s", path=path, why=told(error.args[0]))) from None
    if output is None:
        return click.echo(text, nl=False)
    try:
        with open(output, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)  # as the recording: it has the same bytes
            file.write(text)
    except OSError as error:
        words = _("%(path)s cannot be written: %(why)s", path=output, why=error.strerror)
        raise Failure(words) from None
    say("pairscope: " + _("written: %(path)s", path=safe(output)))
    return say("pairscope: " + _("it runs with: %(command)s", command=f"pairscope lab run --here {safe(output)}"))
