"""The lab from the command line: list the gallery, run a scenario, show a run step by step, export it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from pairscope import config
from pairscope.cli.command import FAILED, USAGE, Failure, as_json
from pairscope.cli.output import console, duration, put_json, table
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.files import SOURCE
from pairscope.lab import TIMES_MAX
from pairscope.sentence import phrase

if TYPE_CHECKING:
    from pairscope.lab.run import Run

FORMS = ("c", "python", "transcript", "json")
WAYS: dict[str, str] = {
    "readers": phrase("%(who)s wait for the same; which of them gets it is the kernel's choice"),
    "writers": phrase("%(who)s wait for the same room; whose bytes come next is the kernel's choice"),
    "children": phrase("%(who)s have ended; of which child wait takes leave first is the kernel's choice"),
    "stopped": phrase(
        "%(who)s stops its own process by a signal that another thread takes; whether its call returns before is the "
        "kernel's choice"
    ),
    "collector": phrase(
        "descriptors are in flight to each other alone; when the kernel's garbage collector frees them is open"
    ),
}
"""Why another run may not repeat what a step gave."""
STANDING = (
    phrase("running"),
    phrase("waiting for its next step"),
    phrase("stopped"),
    phrase("zombie"),
    phrase("ended"),
)
"""How a process stands, as a run says it."""
ANOTHER_WAY = phrase("the kernel may choose otherwise")
STYLES = {"held": "green", "failed": "red"}
"""Of a run's verdict; the others are yellow."""


@click.group()
def lab() -> None:
    """Scenarios: small programs of system calls, step by step.

    Real processes carry them out. A run tells what the kernel held after each step.
    """


@lab.command("list")
@as_json
def list_(as_json: bool) -> None:
    """The gallery."""
    from pairscope.lab import gallery

    if as_json:
        return put_json(
            [
                {"name": entry.name, "number": entry.number, "title": entry.title, "ask": entry.ask}
                for entry in gallery.entries()
            ]
        )
    shown = table("", _("name"), _("title"), right=(0,))
    for entry in gallery.entries():
        shown.add_row(str(entry.number), Text(entry.name, "bold"), entry.title)
    console().print(shown)
    return None


@lab.command()
@click.argument("scenario")
@click.option("--here", is_flag=True, help="Without the pool: by a process of this command's own.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="PATH",
    help="Write the run as JSON there: show and export read it, and every Pairscope opens it.",
)
@click.option(
    "--times",
    type=click.IntRange(1, TIMES_MAX),
    default=1,
    metavar="N",
    help=f"Run it N times, at most {TIMES_MAX}, one after the other, and count the outcomes.",
)
@as_json
def run(scenario: str, here: bool, output: str | None, times: int, as_json: bool) -> None:
    """Run SCENARIO and show what happened. It is a name of the gallery, a file, or - for standard input.

    \b
    pairscope lab run parent-and-child
    pairscope lab run --here my.scenario -o my.run.json
    pairscope lab run --here --times 20 my.scenario

    The exit status is 0 where all came as expected, 1 where it did not.
    """
    text, name = _text(scenario)
    if times > 1:
        if output:
            raise Failure(_("-o writes one run; without --times"), USAGE)
        return _often(text, name, here, times, as_json)
    found = _here(text) if here else _through_the_pool(text, name)
    if output:
        from pairscope.lab import exports

        Path(output).write_bytes(exports.json(found))
    if as_json:
        import msgspec

        put_json(msgspec.to_builtins(found))
    else:
        _show(found)
    if found.verdict != "held":
        sys.exit(FAILED)
    return None


@lab.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--step", type=click.IntRange(1), help="What was held after this step; without it, all steps.")
def show(file: str, step: int | None) -> None:
    """Show a run that `run -o` or a page has written."""
    found = _run_of(Path(file))
    if step is None:
        return _show(found)
    if step > len(found.steps):
        raise Failure(_("--step is %(step)s; the run has %(count)s steps", step=step, count=len(found.steps)), USAGE)
    _show_step(found, step)
    return None


@lab.command()
@click.argument("scenario")
@click.option(
    "--as",
    "form",
    type=click.Choice(FORMS),
    required=True,
    help="c and python: a program that does the same. transcript and json: of a run, which is made now unless "
    "SCENARIO is the file of one.",
)
def export(scenario: str, form: str) -> None:
    """Write SCENARIO to standard output in another form. It is a name, a file, - or the file of a run."""
    from pairscope.lab import exports
    from pairscope.lab.language import parse

    path = Path(scenario)
    stored = _run_of(path) if path.suffix == ".json" and path.is_file() else None
    if form in ("c", "python"):
        text = stored.text if stored else _text(scenario)[0]
        made: str | bytes = (exports.c if form == "c" else exports.python)(parse(text))
    else:
        found = stored or _here(_text(scenario)[0])
        made = exports.transcript(found) if form == "transcript" else exports.json(found)
    sys.stdout.buffer.write(made.encode() if isinstance(made, str) else made)


# ---- where a text or a run comes from


def _text(scenario: str) -> tuple[str, str]:
    """The text of a name, a file or standard input, checked; and what to call it."""
    from pairscope.lab import gallery
    from pairscope.lab.language import parse
    from pairscope.lab.model import ScenarioError

    try:
        if scenario == "-":
            text, name = sys.stdin.buffer.read().decode(), _("standard input")
        elif scenario in gallery.names():
            text, name = gallery.text(scenario), scenario
        elif os.path.exists(scenario):
            text, name = Path(scenario).read_bytes().decode(), scenario
        else:
            raise Failure(
                _(
                    "%(scenario)s is neither a file nor in the gallery; `pairscope lab list` shows the gallery",
                    scenario=scenario,
                ),
                USAGE,
            )
        parse(text)
    except ScenarioError as error:
        raise Failure(f"{name}:{told(error.args[0])}", USAGE) from None
    except UnicodeDecodeError as error:
        raise Failure(
            _(
                "%(scenario)s is not UTF-8: %(reason)s at byte %(start)s",
                scenario=scenario,
                reason=error.reason,
                start=error.start,
            ),
            USAGE,
        ) from None
    return text, name


def _run_of(path: Path) -> Run:
    from pairscope.lab import exports

    try:
        return exports.load(path.read_bytes())
    except exports.NoRun as error:
        raise Failure(_("%(path)s is no run: %(why)s", path=path, why=told(error.args[0])), USAGE) from None


def _here(text: str) -> Run:
    """Has a runner of its own do it."""
    from pairscope.lab.run import Failed, heard

    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"], input=text.encode(), capture_output=True, cwd=SOURCE
    )
    found = heard(done.stdout)
    if found is None:
        raise Failure(
            _(
                "the runner ended with status %(status)s: %(words)s",
                status=done.returncode,
                words=done.stderr.decode(errors="replace").strip()[-300:],
            )
        )
    if isinstance(found, Failed):
        raise Failure(told(found.error))
    return found


def _through_the_pool(text: str, name: str) -> Run:
    from pairscope.client.client import Client
    from pairscope.ipc import memfd
    from pairscope.ipc.vocabulary import LAB
    from pairscope.lab.run import decode

    client = Client(config.load(), role="tool")
    fd = memfd.sealed("scenario", text.encode())
    try:
        accepted = client.submit(LAB, fd, name=os.path.basename(name), size=len(text.encode()), want="both")
        answer = client.answer(accepted.job, 60)
        if answer is None:
            client.cancel(accepted.job)
            raise Failure(_("the run did not end within 60 s and was cancelled"))
        if answer.state != "done":
            raise Failure(_("the run did not come to its end: %(reason)s", reason=told(answer.reason)))
        found, output = client.fetch(accepted.job)
        try:
            return decode(memfd.read_all(output, found.size))
        finally:
            os.close(output)
    finally:
        os.close(fd)
        client.settle()
        client.close()


# ---- what is shown


def _often(text: str, name: str, here: bool, times: int, as_json: bool) -> None:
    """Several runs: each outcome with its count, and the lines that tell it from the others."""
    from pairscope.lab.exports import tally

    outcomes = tally(_here(text) if here else _through_the_pool(text, name) for _ in range(times))
    if as_json:
        put_json(
            [
                {"count": one.count, "verdict": one.run.verdict, "apart": one.apart, "lines": one.lines}
                for one in outcomes
            ]
        )
    else:
        out = console()
        for one in outcomes:
            out.print(
                Text(_("%(count)s of %(times)s", count=one.count, times=times), "bold"),
                _verdict(one.run),
                soft_wrap=True,
            )
            for line in one.apart if len(outcomes) > 1 else one.lines:
                out.print(Text(f"  {told(line)}"), soft_wrap=True)
        _show_open(outcomes[0].run)
    if any(one.run.verdict != "held" for one in outcomes):
        sys.exit(FAILED)


def _verdict(found: Run) -> Text:
    from pairscope.lab.exports.lines import VERDICTS

    return Text(told(VERDICTS.get(found.verdict, found.verdict)), f"bold {STYLES.get(found.verdict, 'yellow')}")


def _show_open(found: Run) -> None:
    """The steps of a run whose outcome another run may not repeat."""
    for number, step in enumerate(found.steps, 1):
        for way in step.open or ():
            why = _(WAYS.get(way.kind, ANOTHER_WAY), who=_(" and ").join(way.who))
            console().print(
                Text(_("step %(number)s is open: %(why)s", number=number, why=why), "yellow"), soft_wrap=True
            )


def _show(found: Run) -> None:
    from pairscope.lab.exports import result_lines

    out = console()
    lines = result_lines(found)
    for line in lines:
        out.print(Text(line), soft_wrap=True)
    for number, step in enumerate(found.steps, 1):
        if step.verdict == "failed":
            out.print(
                Text(_("step %(number)s: %(reason)s", number=number, reason=told(step.reason)), "red"), soft_wrap=True
            )
    _show_open(found)
    took = _("in %(duration)s", duration=duration(found.took_ns))
    out.print(_verdict(found), Text(f"{took}: {told(found.reason)}" if found.reason else took), soft_wrap=True)


def _show_step(found: Run, number: int) -> None:
    from pairscope.lab.constants import signal_name

    out = console()
    state = found.state(number)
    for process in state.processes:
        blocked, ended = process.blocked, process.exit
        standing = _(process.state)
        if blocked:
            standing = _("blocked in %(call)s (%(where)s)", call=blocked.call, where=blocked.wchan)
        if ended and ended.killed is not None:
            standing = _("%(standing)s, killed by %(signal)s", standing=standing, signal=signal_name(ended.killed))
        elif ended:
            status = "?" if ended.status is None else ended.status
            standing = _("%(standing)s, exited %(status)s", standing=standing, status=status)
        out.print(Text(process.name, "bold"), Text(f"pid {process.pid}"), Text(standing))
        description = _("description")
        for row in process.descriptors:
            out.print(
                Text(
                    f"  {row.number:4}  {(row.names or [''])[-1]:12} {_(row.object):13} inode {row.inode:<10} "
                    f"{_(row.access):10} {description} {row.description}  "
                    f"{row.flags if row.flags != '0' else ''}{'  FD_CLOEXEC' if row.cloexec else ''}".rstrip()
                )
            )
    for item in state.objects:
        out.print(
            Text(f"{_(item.kind)} {item.inode}", "dim"),
            Text(_("%(count)s bytes wait", count=item.queued) if item.queued else ""),
            Text(_("%(count)s in flight", count=item.in_flight) if item.in_flight else ""),
        )
