"""A job from the command line: the file's own open descriptor travels to a worker."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import click
from rich.text import Text

from pairscope import config
from pairscope.cli.command import FAILED, USAGE, Failure, as_json
from pairscope.cli.output import console, put_json, say, size, state
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.client.client import Client
from pairscope.config import Settings
from pairscope.ipc import memfd
from pairscope.ipc.mounts import Mounts, origin
from pairscope.ipc.payloads import Answer
from pairscope.ipc.sentences import IN_RESULTS

BLOCK = 1 << 20


@click.command()
@click.argument("kind")
@click.argument("file", required=False)
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the job; may be repeated.",
)
@click.option("--data", help="Input without a file, for jobs that need none.")
@click.option(
    "-o", "--output", type=click.Path(), metavar="PATH", help="Write the job's output there; - for standard output."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86400),
    default=120.0,
    show_default=True,
    help="Seconds to wait for the end.",
)
@click.option("--no-wait", is_flag=True, help="Return when the job is accepted, and print its id.")
@as_json
def submit(
    kind: str,
    file: str | None,
    parameters: tuple[str, ...],
    data: str | None,
    output: str | None,
    timeout: float,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Have the job KIND done on FILE, and show the result. FILE is - for standard input.

    \b
    pairscope submit digest /etc/os-release
    pairscope submit thumbnail photo.jpg -p size=200 -o small.png
    pairscope submit echo --data hello
    """
    if file is not None and data is not None:
        raise click.UsageError(_("FILE and --data cannot be given both."))
    if no_wait and output is not None:
        raise click.UsageError(_("--no-wait and --output cannot be given both."))
    settings = config.load()
    client = Client(settings, role="tool")
    given = dict(_parameter(text) for text in parameters)
    fd, name, length = _open(file, settings) if file is not None else (None, "", 0)
    try:
        accepted = client.submit(
            kind,
            fd,
            name=name,
            size=length,
            parameters=given,
            data=(data or "").encode(),
            want="accepted" if no_wait else "both",
        )
        job = accepted.job
        if no_wait:
            put_json({"job": str(job), "state": "queued"}) if as_json else print(job)
            return
        answer = client.answer(job, timeout)
        if answer is None:
            raise Failure(
                _(
                    "job %(job)s has not ended within %(timeout)s s; it goes on, and its page shows it",
                    job=job,
                    timeout=format(timeout, "g"),
                )
            )
        if answer.output and output is not None:
            _save(client, job, output)
    finally:
        if fd is not None:
            os.close(fd)
        client.settle()
        client.close()
    _show(answer, as_json, output_on_stdout=output == "-")
    if answer.state != "done":
        sys.exit(FAILED)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failure(_("%(text)r is no parameter; expected NAME=VALUE", text=text), USAGE)
    return name, value


def _open(path: str, settings: Settings) -> tuple[int, str, int]:
    """An open descriptor, its name and its size. What is no regular file of this machine is first read into a sealed
    memfd."""
    if path == "-":
        return _copy(sys.stdin.buffer, "stdin", settings)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise Failure(_("%(path)s is a directory; expected a file", path=path))
        if not stat.S_ISREG(found.st_mode) or not _local(fd):
            with os.fdopen(os.dup(fd), "rb") as source:
                copied = _copy(source, os.path.basename(path), settings)
            os.close(fd)
            return copied
        if found.st_size == 0:
            raise Failure(_("%(path)s is empty: there is nothing to work on", path=path))
        return fd, os.path.basename(path), found.st_size
    except Failure:
        os.close(fd)
        raise


def _local(fd: int) -> bool:
    """Whether the pool takes the file as it is: that of a FUSE or a file server it would refuse."""
    mounts = Mounts()
    try:
        return mounts.local(origin(fd))
    finally:
        mounts.close()


def _copy(source: BinaryIO, name: str, settings: Settings) -> tuple[int, str, int]:
    fd = memfd.empty(name)
    try:
        length = 0
        while block := source.read(BLOCK):
            length += len(block)
            if length > settings.upload_max:
                raise Failure(_("%(name)s exceeds the bound of %(size)s", name=name, size=size(settings.upload_max)))
            memfd.write_all(fd, block)
        if not length:
            raise Failure(_("%(name)s is empty: there is nothing to work on", name=name))
        memfd.seal(fd)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd, name, length
    except BaseException:
        os.close(fd)
        raise


def _save(client: Client, job: int, path: str) -> None:
    """Copies the output from the descriptor that the supervisor hands over."""
    found, fd = client.fetch(job)
    with os.fdopen(fd, "rb", buffering=0) as source, click.open_file(path, "wb") as sink:
        while block := source.read(BLOCK):
            sink.write(block)
    if path != "-":
        say(f"{path}: {size(found.size)}, {found.media}")


def _plainly(result: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a result by name, its sentences in the reader's language; one within another stands behind its
    name and a dot."""
    for name, value in result.items():
        if isinstance(value, dict):
            yield from _plainly(value, f"{before}{name}.")
        else:
            yield before + name, told(value) if name in IN_RESULTS and isinstance(value, str) else value


def _show(answer: Answer, as_json: bool, *, output_on_stdout: bool) -> None:
    if as_json:
        shown = {"job": str(answer.job)} | {
            name: getattr(answer, name) for name in ("state", "result", "reason", "worker", "output")
        }
        put_json(shown, stderr=output_on_stdout)
        return
    out = console(stderr=output_on_stdout)
    out.print(
        Text(_("job")),
        Text(str(answer.job), "bold"),
        state(answer.state),
        Text(_("by worker %(worker)s", worker=answer.worker) if answer.worker else ""),
    )
    values = [(name, str(value)) for name, value in _plainly(answer.result)]
    if answer.output:
        values.append((_("output"), size(answer.output)))
    wide = max([14, *(len(name) for name, _value in values)])
    for name, value in values:
        out.print(Text("  " + name.ljust(wide), "dim"), Text(value))
    if answer.state != "done":
        why = told(answer.reason)
        if answer.state == "failed":
            say("pairscope: " + _("the job failed: %(why)s", why=why))
        else:
            say("pairscope: " + _("the job was cancelled: %(why)s", why=why))
