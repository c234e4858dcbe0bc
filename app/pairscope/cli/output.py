"""What a command prints: tables with colours for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pairscope.cli.words import gettext as _
from pairscope.sentence import phrase

PIPED_WIDTH = 200
"""Columns where no terminal is: nothing is cut that a program could want to find."""

ROLES = {
    "web": "blue",
    "supervisor": "magenta",
    "worker": "green",
    "recorder": "yellow",
    "live": "cyan",
    "lab": "red",
    "tool": "bright_blue",
}
GOOD, ATTENTION, BAD = "green", "yellow", "red"
STATES: dict[str, str] = {
    phrase("idle"): GOOD, phrase("busy"): ATTENTION, phrase("starting"): ATTENTION, phrase("stopping"): ATTENTION,
    phrase("stopped"): ATTENTION, phrase("received"): GOOD, phrase("sent"): ATTENTION, phrase("failed"): BAD,
    phrase("unknown"): BAD, phrase("done"): GOOD, phrase("queued"): ATTENTION, phrase("running"): ATTENTION,
    phrase("cancelled"): BAD,
}  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """Rich's console, without colours and cuts where the output is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, highlight=False, markup=False, width=None if stream.isatty() else PIPED_WIDTH, soft_wrap=True
    )


def say(text: str) -> None:
    """Progress, for people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def announce(text: str) -> None:
    """Progress of a server, on standard output. It goes on when nobody reads that any more."""
    try:
        print(text, flush=True)
    except OSError:
        pass


def put_json(value: Any, *, stderr: bool = False) -> None:
    print(json.dumps(value, ensure_ascii=False), file=sys.stderr if stderr else sys.stdout, flush=True)


def table(*columns: str, right: Iterable[int] = ()) -> Table:
    """An empty table; the columns at the places `right` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place in right else "left", no_wrap=True)
    return made


def state(word: str) -> Text:
    return Text(_(word), style=STATES.get(word, ""))


def label(word: str) -> str:
    """What a line is about, at its beginning."""
    return f"{word:10}"


def process(role: str, serial: int) -> Text:
    """A process in its role's hue."""
    return Text(f"{role} {serial}", style=ROLES.get(role, ""))


def size(count: int) -> str:
    """Bytes in binary units."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1023.5:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def duration(ns: int | None) -> str:
    """Nanoseconds as us, ms or s with two significant digits."""
    if ns is None:
        return "-"
    for limit, divisor, unit in ((995e3, 1e3, "us"), (995e6, 1e6, "ms"), (float("inf"), 1e9, "s")):
        if ns < limit:
            value = ns / divisor
            return f"{value:.1f} {unit}" if 0 < value < 9.95 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable")


def age(seconds: float) -> str:
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h"), (float("inf"), 86400, "d")):
        if seconds < limit:
            return f"{max(0, int(seconds // divisor))} {unit}"
    raise AssertionError("unreachable")


def safe(text: str) -> str:
    """What others wrote, without what a terminal would obey."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "replace").decode() for one in text)
