"""Records a real program, and tells the passages of a recording."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from pairscope.cli.command import INTERRUPTED, USAGE, Failure
from pairscope.cli.output import console, duration, put_json, safe, say, table
from pairscope.cli.recording import opened
from pairscope.cli.words import gettext as _
from pairscope.cli.words import ngettext, told
from pairscope.sentence import phrase

if TYPE_CHECKING:
    from pairscope.trace.recorder import Recorded
    from pairscope.trace.recording import Counts
    from pairscope.trace.tasks import Lines

ENDS: dict[str, str] = {
    "received": phrase("received"),
    "peeked": phrase("peeked at"),
    "in flight": phrase("in flight at the end"),
    "dropped": phrase("dropped"),
    "outside": phrase("to a process outside"),
}
"""What became of a passed descriptor."""
PROOFS: dict[str, str] = {
    "both": phrase("kcmp of both numbers"),
    "duplicate": phrase("kcmp with a duplicate taken in flight"),
    "": phrase("none"),
}
"""How its receipt is proved."""


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write the recording there.")
@click.option(
    "-p",
    "--pid",
    type=click.IntRange(1),
    metavar="PID",
    help="Record no COMMAND, but a process that runs already, with its descendants. It runs on afterwards.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 86400), default=60, show_default=True, help="End after so many seconds."
)
@click.option(
    "--steps", type=click.IntRange(1, 1_000_000), default=20_000, show_default=True, help="End after so many steps."
)
@click.option(
    "--processes", type=click.IntRange(1, 4000), default=64, show_default=True, help="End beyond so many processes."
)
@click.option(
    "--bytes",
    "kept",
    type=click.IntRange(0, 4096),
    default=0,
    show_default=True,
    help="Keep so many bytes of what each call carries; without it, sizes alone.",
)
@click.option(
    "--lines",
    "with_lines",
    is_flag=True,
    help="Tell of each step from which line of the source it came: of a program compiled with -g, or a Python script.",
)
@click.option(
    "--only",
    metavar="KIND,...",
    help="Keep steps of these kinds alone: sockets, pipes, memory, events, waits, signals, descriptors, processes. "
    "Births, ends and what passes descriptors are kept in any case; passages alone keeps nothing else.",
)
@click.option("--no-arguments", is_flag=True, help="Do not keep the arguments of the programs that are started.")
@click.option(
    "--passages",
    "shown",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Record nothing; tell the descriptors that were passed in this recording.",
)
@click.option(
    "--transcript",
    "told_from",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Record nothing; tell the steps of this recording in the manner of strace.",
)
@click.option(
    "--capture",
    "captured",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Record nothing; write the messages of this recording to -o, as a capture that Wireshark opens (pcapng).",
)
@click.option(
    "--compare",
    "compared",
    nargs=2,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE OTHER",
    help="Record nothing; tell what was passed in both recordings, and in one of them alone.",
)
@click.option(
    "--scenario",
    "told_as",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Record nothing; tell this recording as a scenario of the lab, which does the same again and checks it.",
)
@click.option("--from", "first", type=click.IntRange(1), metavar="N", help="With --scenario: from this step on.")
@click.option("--to", "last", type=click.IntRange(1), metavar="N", help="With --scenario: up to this step.")
@click.option("--json", "as_json", is_flag=True, help="With --passages and --compare: answer in JSON, for programs.")
def record(
    command: tuple[str, ...], output: str | None, pid: int | None, seconds: float, steps: int, processes: int,
    kept: int, with_lines: bool, only: str | None, no_arguments: bool, shown: str | None, told_from: str | None,
    captured: str | None, compared: tuple[str, str] | None, told_as: str | None, first: int | None, last: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run COMMAND and record how it and its processes talk. A recording tells the system calls, and the
    descriptors that were passed.

    \b
    pairscope record -o nginx.rec --seconds 10 -- nginx -g 'daemon off;'
    pairscope record -o nginx.rec -p 4711
    pairscope record --passages nginx.rec
    pairscope record --scenario nginx.rec --from 20 --to 90 -o nginx.scenario

    COMMAND runs with your own rights, is not confined, and ends with the recording. The exit status is its own.
    """
    if sum(one is not None for one in (shown, told_from, captured, compared, told_as)) > 1:
        raise Failure(
            _("expected one of --passages, --transcript, --capture, --compare and --scenario, not two of them"), USAGE
        )
    if as_json and shown is None and compared is None:
        raise Failure(_("--json goes with --passages and with --compare alone"), USAGE)
    if shown is not None:
        if command or output or pid:
            raise Failure(_("--passages reads a recording; it takes no command, no -o and no -p"), USAGE)
        return _passages(shown, as_json)
    if told_from is not None and (command or output or pid):
        raise Failure(_("--transcript reads a recording; it takes no command, no -o and no -p"), USAGE)
    if captured is not None and (command or pid):
        raise Failure(_("--capture reads a recording; it takes no command and no -p"), USAGE)
    if compared is not None:
        if command or output or pid:
            raise Failure(_("--compare reads two recordings; it takes no command, no -o and no -p"), USAGE)
        from pairscope.cli.compared import show_both

        return show_both(*compared, as_json=as_json)
    if told_as is not None and (command or pid):
        raise Failure(_("--scenario reads a recording; it takes no command and no -p"), USAGE)
    if told_as is None and (first or last):
        raise Failure(_("--from and --to say which steps --scenario takes; --scenario FILE is missing"), USAGE)
    if told_as is not None:
        from pairscope.cli.rewritten import write_scenario

        return write_scenario(told_as, first or 0, last or 0, output)
    if told_from is not None:
        return _transcript(told_from)
    if captured is not None:
        return _capture(captured, output)
    if command and pid:
        raise Failure(_("expected a command to run or -p PID, not both"), USAGE)
    if not command and not pid:
        raise Failure(_("there is no command to record; expected pairscope record -o FILE -- COMMAND"), USAGE)
    if output is None:
        raise Failure(_("-o FILE is missing: where the recording is written"), USAGE)
    kinds = _kinds(only) if only is not None else None
    from pairscope.trace.launch import Refused
    from pairscope.trace.recorder import Bounds, lacks
    from pairscope.trace.recorder import record as run

    for sentence in lacks():
        say(f"pairscope: {told(sentence)}")
    bounds = Bounds(
        seconds=seconds, steps=steps, processes=processes, kept=kept, arguments=not no_arguments, only=kinds,
        lines=_lines(command, pid) if with_lines else None,
    )  # fmt: skip
    try:
        if pid:
            found = run(pid, output, bounds, lambda: _attached(pid))
        else:
            found = run(command, output, bounds, lambda: _begins(command[0]))
    except Refused as error:
        raise Failure(told(error.args[0])) from None
    _summary(found, output)
    if found.interrupted:
        sys.exit(INTERRUPTED)
    if found.status is not None:
        sys.exit(found.status if found.status >= 0 else 128 - found.status)
    return None


def _lines(command: tuple[str, ...], pid: int | None) -> Lines:
    from pairscope.trace import attach
    from pairscope.trace.python_lines import PythonLines, script
    from pairscope.trace.source_lines import CompiledLines

    path = f"/proc/{pid}/exe" if pid else shutil.which(command[0]) or ""
    words = attach.command(pid) if pid else command
    place = os.path.realpath(f"/proc/{pid}/cwd") if pid else os.getcwd()
    if words and (found := script(words)):
        return PythonLines(path, os.path.join(place, found))
    return CompiledLines(path)


def _kinds(text: str) -> frozenset[str]:
    from pairscope.trace.kinds import KINDS

    for word in (words := text.split(",")):
        if word not in KINDS:
            raise Failure(
                _("--only: there is no kind %(word)s; expected some of %(kinds)s", word=word, kinds=",".join(KINDS)),
                USAGE,
            )
    return frozenset(words)


def _begins(command: str) -> None:
    from pairscope.trace.filter import takes_rights

    say(
        "pairscope: "
        + _(
            "%(command)s runs with your own rights, is not confined, and ends with the recording",
            command=safe(command),
        )
    )
    if takes_rights():
        say("pairscope: " + _("a setuid program (sudo, su, ping) gets no rights of its owner while it is recorded"))


def _attached(pid: int) -> None:
    say(
        "pairscope: "
        + _(
            "process %(pid)s is followed with its descendants; each of their system calls stops them for a moment, and "
            "they run on afterwards",
            pid=pid,
        )
    )


def _summary(found: Recorded, output: str) -> None:
    counts = found.index.counts
    say(f"pairscope: {told(found.ended)}; " + _took(found))
    for sentence in found.missing:
        say(f"pairscope: {told(sentence)}")
    if found.status is not None and found.status < 0:
        from pairscope.lab.constants import signal_name

        say("pairscope: " + _("the program was killed by %(signal)s", signal=signal_name(-found.status)))
    say(f"pairscope: {_counted(counts)}")
    say("pairscope: " + _("written: %(path)s", path=safe(output)))


def _took(found: Recorded) -> str:
    return _(
        "%(steps)s, %(processes)s in %(duration)s",
        steps=ngettext("%(num)s step", "%(num)s steps", found.steps),
        processes=ngettext("%(num)s process", "%(num)s processes", len(found.index.processes)),
        duration=duration(found.index.took_us * 1000),
    )


def _counted(counts: Counts) -> str:
    words = [
        _(
            "descriptors sent %(sent)s, received %(received)s, proved %(proved)s",
            sent=counts.sent,
            received=counts.received,
            proved=counts.proved,
        )
    ]
    for many, text in (
        (counts.in_flight, phrase("in flight at the end %(count)s", count=counts.in_flight)),
        (counts.dropped, phrase("dropped %(count)s", count=counts.dropped)),
        (counts.outside, phrase("to processes outside %(count)s", count=counts.outside)),
        (counts.peeked, phrase("peeked at %(count)s", count=counts.peeked)),
        (counts.unmatched, phrase("received from outside %(count)s", count=counts.unmatched)),
    ):
        if many:
            words.append(told(text))
    return ", ".join(words)


def _passages(path: str, as_json: bool) -> None:
    from pairscope.trace.passages import items

    with opened(path) as found:
        index = found.index
    rows = items(index)
    if as_json:
        return put_json({"items": rows})
    if not rows:
        console().print(Text(_("No descriptor was passed.")))
        return None
    listed = table(
        _("step"), _("from"), _("number"), _("step"), _("to"), _("number"), _("what"), _("proof"), right=(0, 2, 3, 5)
    )
    for row in rows:
        listed.add_row(*map(Text, _row(row)))
    console().print(listed)
    console().print(Text(_counted(index.counts)), soft_wrap=True)
    return None


def _transcript(path: str) -> None:
    from pairscope.trace.lines import transcript

    with opened(path) as found:
        for line in transcript(found):
            click.echo(line, nl=False)


def _capture(path: str, output: str | None) -> None:
    from pairscope.trace import capture

    if output is None:
        raise Failure(_("-o FILE is missing: where the capture is written"), USAGE)
    try:
        with opened(path) as found, open(output, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # as the recording: it has the same bytes
            for part in capture.capture(found):
                file.write(part)
    except OSError as error:
        words = _("%(path)s cannot be written: %(why)s", path=output, why=error.strerror)
        raise Failure(words) from None
    lua = Path(capture.__file__).with_suffix(".lua")
    say("pairscope: " + _("written: %(path)s", path=safe(output)))
    say("pairscope: " + _("Wireshark tells it with -X lua_script:%(path)s", path=safe(str(lua))))


def _row(row: dict[str, Any]) -> list[str]:
    sender, receiver = row["from"], row["to"]
    came = receiver["process"] is not None
    return [
        str(sender["step"]),
        safe(sender["process"]),
        str(sender["number"]),
        "" if receiver["step"] is None else str(receiver["step"]),
        safe(receiver["process"]) if came else _(ENDS[row["end"]]),
        str(receiver["number"]) if came else "",
        safe(row["object"]),
        _(PROOFS[row["proof"]]) if came else "",
    ]
