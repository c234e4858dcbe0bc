"""Values as people read them: sizes in binary units, durations to two significant digits, times relative, ids short.

Each filter gives the same text on a page, in a live update and in a drawing.
"""

from __future__ import annotations

import datetime
import functools
import math
import time
import unicodedata
from collections.abc import Sequence
from typing import Any

from flask import Flask
from flask_babel import gettext as _
from markupsafe import Markup

from pairscope.sentence import phrase
from pairscope.web.recorded import translated

NS = 1_000_000_000
NOTHING = "\u2013"
"""Stands where there is no value."""


def size(count: int | None) -> str:
    """Bytes in binary units: ``512 B``, ``4.0 KiB``, ``100 MiB``."""
    if count is None:
        return NOTHING
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1023.5:
            break
        value, unit = value / 1024, larger
    if unit == "B":
        return f"{count}\u00a0B"
    return f"{value:.1f}\u00a0{unit}" if value < 9.95 else f"{value:.0f}\u00a0{unit}"


def significant(value: float, digits: int = 2) -> str:
    """A positive number with two significant digits, or `digits`, without an exponent."""
    if value <= 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(float(f"{value:.{digits - 1}e}")))
    return f"{round(value, places):.{max(places, 0)}f}"


def duration(ns: int | float | None, digits: int = 2) -> str:
    """Nanoseconds as us, ms, s, min or h with two significant digits, or `digits`."""
    if ns is None:
        return NOTHING
    if ns < 0:
        return "\u2212" + duration(-ns, digits)
    for limit, divisor, unit in (
        (995e3, 1e3, "\u00b5s"),
        (995e6, 1e6, "ms"),
        (99.5e9, 1e9, "s"),
        (99.5 * 60e9, 60e9, "min"),
    ):
        if ns < limit:
            return f"{significant(ns / divisor, digits)}\u00a0{unit}"
    return f"{significant(ns / 3600e9, digits)}\u00a0h"


def after(times: Sequence[int]) -> list[str]:
    """How long after the first of them each of `times` is, in ns and in order: with as many digits as tell it from its
    neighbours."""
    more = [0] * len(times)
    while True:
        told = [f"+{_after(time, digits)}" if time else "0" for time, digits in zip(times, more)]
        alike = {
            index
            for left in range(len(times) - 1)
            if told[left] == told[left + 1] and times[left] != times[left + 1]
            for index in (left, left + 1)
        }
        if not alike:
            return told
        for index in alike:
            more[index] += 1


def _after(ns: int, more: int) -> str:
    """A duration with `more` digits than usual; beyond a second then in seconds, to the millisecond and finer."""
    if not more or ns < NS:
        return duration(ns, 2 + more)
    return f"{ns // NS}.{f'{ns % NS:09d}'[: 2 + more]}\u00a0s"


def number(value: int | float | None) -> str:
    """A count with thin spaces between the thousands."""
    if value is None:
        return NOTHING
    if isinstance(value, float) and value < 99.5:
        return significant(value)
    return f"{round(value):,}".replace(",", "\u2009")


def clock(ns: int | None, *, day: bool = False, places: int = 3) -> str:
    """The time of day in UTC to the millisecond, or to `places`; with `day` the date before it."""
    if not ns:
        return NOTHING
    moment = datetime.datetime.fromtimestamp(ns // NS, datetime.UTC)
    fraction = f"{ns % NS:09d}"[:places]
    return f"{moment:%Y-%m-%d %H:%M:%S}.{fraction} UTC" if day else f"{moment:%H:%M:%S}.{fraction}"


def stamp(ns: int | None) -> str | None:
    """ns since 1970 for programs: RFC 3339 in UTC with nine digits."""
    if not ns:
        return None
    seconds, rest = divmod(ns, NS)
    return f"{_second(seconds)}.{rest:09d}Z"


@functools.lru_cache(1024)
def _second(seconds: int) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%S}"


class Ages:
    """How long ago, for many times: the words are looked up once. The script on the page says the same from the same
    words (`data-*` of the frame)."""

    def __init__(self, now: int) -> None:
        self._at, self._now, self._ago = now, _("now"), _("%(time)s ago")

    def of(self, ns: int) -> str:
        """The age of ns since 1970; what another clock puts into the future is now."""
        seconds = (self._at - ns) / NS
        return self._now if seconds < 1 else self._ago % {"time": _span(seconds)}

    @staticmethod
    def ns(moment: str) -> int:
        """The time that ``ago`` has written into its element, without its Z: ns since 1970."""
        return int(datetime.datetime.fromisoformat(f"{moment}+00:00").timestamp() * 1000 + 0.5) * 1_000_000


def relative(ns: int, now: int | None = None) -> str:
    """How long ago."""
    return Ages(now or time.time_ns()).of(ns)


def _span(seconds: float) -> str:
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // divisor)}\u00a0{unit}"
    return f"{int(seconds // 86400)}\u00a0d"


def ago(ns: int | None) -> Markup:
    """A ``<time>`` element: relative in the text, absolute in its attributes."""
    if not ns:
        return Markup(NOTHING)  # noqa: S704  # a dash
    stamp = datetime.datetime.fromtimestamp(ns // NS, datetime.UTC)
    return Markup('<time datetime="{}.{:03d}Z" title="{}" data-ago>{}</time>').format(
        f"{stamp:%Y-%m-%dT%H:%M:%S}", ns // 1_000_000 % 1000, clock(ns, day=True), relative(ns)
    )


def moment(ns: int | None, places: int = 3) -> Markup:
    """A ``<time>`` element with the absolute time in its text, to `places`."""
    if not ns:
        return Markup(NOTHING)  # noqa: S704  # a dash
    stamp = datetime.datetime.fromtimestamp(ns // NS, datetime.UTC)
    return Markup('<time datetime="{}.{:03d}Z">{}</time>').format(
        f"{stamp:%Y-%m-%dT%H:%M:%S}", ns // 1_000_000 % 1000, clock(ns, day=True, places=places)
    )


def short(identity: int | str | None) -> str:
    """The last six digits of an id, enough to tell neighbours apart; the whole id stands in the link."""
    if not identity:
        return NOTHING
    text = str(identity)
    return text if len(text) <= 7 else "\u2026" + text[-6:]


def visible(text: str) -> str:
    """Text in which what would change the look of its surroundings is written out: controls, and marks of writing
    direction."""
    if text.isascii() and text.isprintable():
        return text  # nearly all; an export asks for each of its cells
    return "".join(
        f"\\u{ord(letter):04x}" if unicodedata.category(letter) == "Cc" or letter in _DIRECTIONS else letter
        for letter in text
    )


_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clip(text: Any, length: int) -> str:
    """Visible text of at most `length` characters, with an ellipsis where something was left out."""
    text = visible(str(text))
    return text if len(text) <= length else text[: length - 1] + "\u2026"


def sentence(text: str) -> str:
    """What was recorded in lower case and without an end, as a sentence of its own."""
    text = visible(text).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


NOUNS = frozenset(
    (
        *(phrase("regular file"), phrase("memfd"), phrase("pipe"), phrase("socket"), phrase("directory")),
        *(phrase("character device"), phrase("block device"), phrase("anonymous inode"), phrase("unreachable file")),
        phrase("foreign file"),
        *(phrase("eventfd"), phrase("pidfd"), phrase("read"), phrase("write"), phrase("read-write"), phrase("none")),
    )
)
"""What a descriptor refers to and what it allows, as pairscope.ipc.descriptor and the lab's probes say it."""


def noun(word: str) -> str:
    """One of NOUNS in the reader's language; another word as it is."""
    return _(word) if word in NOUNS else word


STATES = {
    "sent": ("moving", phrase("in flight")),
    "received": ("good", phrase("received")),
    "failed": ("failed", phrase("failed")),
    "unknown": ("unknown", phrase("unknown")),
    "queued": ("moving", phrase("waiting")),
    "running": ("moving", phrase("running")),
    "done": ("good", phrase("done")),
    "cancelled": ("attention", phrase("cancelled")),
    "same": ("good", phrase("proved")),
    "different": ("failed", phrase("different")),
    "unproved": ("unknown", phrase("unproved")),
    "unmade": ("moving", phrase("not made yet")),
}


def state_of(name: str) -> tuple[str, str]:
    """A state's shape and word: the shape is good, attention, failed, unknown or moving."""
    if name not in STATES:
        return "unknown", name
    shape, word = STATES[name]
    return shape, _(word)


FILTERS = {
    "noun": noun,
    "sentence": sentence,
    "translated": translated,
    "size": size,
    "duration": duration,
    "number": number,
    "clock": clock,
    "ago": ago,
    "moment": moment,
    "short": short,
    "clip": clip,
    "visible": visible,
}


def register(app: Flask) -> None:
    """Makes the filters known to the templates."""
    app.jinja_env.filters.update(FILTERS)
