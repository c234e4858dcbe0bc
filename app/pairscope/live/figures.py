"""How live is, in one small file beside its sockets: web shows it, and the live that comes next goes on from there."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

from pairscope.config import Settings

STALE = 6.0
"""Seconds after which the file says nothing of now."""
RESUMED = 60.0
"""Seconds after which nobody goes on from where a stream stood."""


class StreamFigures(msgspec.Struct, frozen=True):
    """One stream."""

    viewers: int
    cursor: str
    """Up to where its events reach."""
    at: str
    events: int
    rows: int


class TicketFigures(msgspec.Struct, frozen=True):
    """Of tickets."""

    waiting: int
    counts: dict[str, int]
    """``given``, ``used``, ``expired``; and why none was given: ``crowd``, ``full``, ``wrong``."""


class Figures(msgspec.Struct, frozen=True):
    """Of one process of live, since it began."""

    at: int
    """When it said this, ns since 1970."""
    pid: int
    viewers: int
    most: int
    """Bound of all viewers, and of one address."""
    each: int
    behind: int
    """Viewers for whom something waits."""
    handed: int
    """Sockets that Apache has handed over."""
    recorded: int
    """How many of these were reported for the record: at most 20 a second."""
    sent_bytes: int
    ends: dict[str, int]
    busy: float
    """Seconds of processor time."""
    streams: dict[str, StreamFigures]
    """By name; ``own``: all that somebody follows by a ticket."""
    tickets: TicketFigures


_decode = msgspec.json.Decoder(Figures).decode


def path(directory: Path) -> Path:
    return directory / "live.json"


def write(directory: Path, figures: Figures) -> None:
    """Replaces the file in one step. On a full disk the old one grows stale."""
    temporary = directory / f".live.{os.getpid()}"
    with contextlib.suppress(OSError):
        temporary.write_bytes(msgspec.json.encode(figures))
        temporary.replace(path(directory))


def read(settings: Settings, now: int | None = None, stale: float = STALE) -> Figures | None:
    """What live last said of itself; None: there is none, or it has said nothing for `stale` seconds. `now`: ns since
    1970."""
    if settings.live_run is None:
        return None
    try:
        found = _decode(path(settings.live_run).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return found if (now or time.time_ns()) - found.at < stale * 1e9 else None
