"""Runs a program that is given as its source, apart from everything, and records it: docs/programs.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pairscope.cli.command import USAGE, Failure
from pairscope.cli.output import safe, say
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told

if TYPE_CHECKING:
    from pairscope.trace.recording import Remark

LANGUAGES = {".c": "c", ".py": "python"}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1)
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write the recording there.")
@click.option(
    "--input",
    "given",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="What stands at its standard input; without it, nothing.",
)
def program(file: str, arguments: tuple[str, ...], output: str | None, given: str | None) -> None:
    """Run a program in C (.c) or Python (.py), and record it.

    \b
    pairscope program pair.c -o pair.rec
    pairscope show pair.rec

    It runs in a box of its own, with bounds of time and memory. Its outputs are printed when it has ended. The exit
    status is its own.
    """
    language = LANGUAGES.get(Path(file).suffix)
    if language is None:
        raise Failure(_("%(path)s ends neither in .c nor in .py", path=file), USAGE)
    from pairscope import config
    from pairscope.program import run
    from pairscope.program.request import INPUT_MOST, encoded
    from pairscope.trace.file import MAGIC
    from pairscope.trace.recording import SOURCE_MOST

    asked = encoded(language, _text(file, SOURCE_MOST), list(arguments), _text(given, INPUT_MOST) if given else "")
    data = run.have(asked, config.load().lab_user)
    if not data.startswith(MAGIC):
        unran = run.unran(data)
        _remarks(file, unran.remarks)
        raise Failure(told(unran.error))
    if output is not None:
        _write(output, data)
    _tell(file, data, output)


def _text(path: str, most: int) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(4 * most + 1)  # a character has at most four bytes
        if len(data) > 4 * most or len(text := data.decode()) > most:
            raise Failure(_("%(path)s has too many characters; expected at most %(most)s", path=path, most=most), USAGE)
        return text
    except UnicodeDecodeError:
        raise Failure(_("%(path)s is no text in UTF-8", path=path), USAGE) from None
    except OSError as error:
        raise Failure(_("%(path)s cannot be read: %(why)s", path=path, why=error.strerror)) from None


def _write(path: str, data: bytes) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise Failure(_("%(path)s cannot be written: %(why)s", path=path, why=error.strerror)) from None


def _remarks(file: str, remarks: list[Remark]) -> None:
    for one in remarks:
        where = f"{file}:{one.line}:{one.column}: " if one.line else ""
        say(f"{where}{one.kind}: {one.text}")


def _tell(file: str, data: bytes, output: str | None) -> None:
    from pairscope.cli.recording import opened

    fd = os.memfd_create("recording")
    try:
        with open(fd, "wb", closefd=False) as written:
            written.write(data)
        with opened(f"/proc/self/fd/{fd}") as found:
            index, steps = found.index, found.steps
    finally:
        os.close(fd)
    assert index.program is not None
    _remarks(file, index.program.remarks)
    click.echo(index.program.output, nl=False)
    click.echo(index.program.errors, nl=False, err=True)
    say("pairscope: " + _("%(ended)s; %(steps)s steps", ended=told(index.ended), steps=steps))
    for sentence in index.missing:
        say(f"pairscope: {told(sentence)}")
    status = index.processes[0].status
    if status is not None and status < 0:
        from pairscope.lab.constants import signal_name

        say("pairscope: " + _("the program was killed by %(signal)s", signal=signal_name(-status)))
    if output is not None:
        say("pairscope: " + _("written: %(path)s", path=safe(output)))
        say("pairscope: " + _("it opens with: %(command)s", command=f"pairscope show {safe(output)}"))
    if status is not None:
        sys.exit(status if status >= 0 else 128 - status)
