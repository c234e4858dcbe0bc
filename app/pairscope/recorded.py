"""Sentences that other processes recorded, in the language of who reads: why a job or a run was not done, how a process
ended, what of a row cannot be shown, what the recorder waits for, what a sandbox lacks.

They stand where they belong, as templates with names for their values, and are recorded filled, in English: a run is a
file that every Pairscope opens, and a row may be older than this version. So who shows one (a page, the command line)
knows it again by its template, translates that, and puts the values in. What fits none of them (the words of a
database's server, of Python, of a decoder) is shown as it was recorded.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Callable, Iterator

from pairscope.client.away import Away
from pairscope.ipc import nesting
from pairscope.ipc import sentences as ipc
from pairscope.ipc.vocabulary import REFUSALS
from pairscope.journal import sentences as journal
from pairscope.lab.exports.lines import VERDICTS
from pairscope.lab.reasons import Reason
from pairscope.program.sentences import Bound, Lacking, Unrun
from pairscope.sandbox.sentences import Missing
from pairscope.store import errors, models, told
from pairscope.trace.sentences import Of, Over, Unseen
from pairscope.work.sentences import Failure

Gettext = Callable[[str], str]
Ngettext = Callable[[str, str, int], str]
Part = str | tuple[str, "tuple[tuple[str, str | Parts], ...]"]
"""Text that is nobody's sentence, or a template with its values."""
Parts = tuple[Part, ...]

REMEMBERED = 512
"""Texts. A live table shows the same ones at each poll: finding a sentence again takes 20 to 150 us, what is
nobody's sentence up to 500, and what is remembered 2."""

LONGEST = 4096
"""Characters: what is longer is not searched."""
DEEPEST = 8
"""Sentences in sentences. The stage makes four, but a run may come from a file."""
NEAR = 8
"""Joints within which a sentence ends."""
JOINTS = 64
"""In one text: of more nothing is translated. 4,000 commas took a quarter of a second for each reason of a run."""

LISTS: tuple[type[enum.StrEnum], ...] = (
    *(ipc.Answered, ipc.State, ipc.Waits, ipc.Broken, ipc.Gone, ipc.Unsent, ipc.Undone, ipc.Unproved),
    *(journal.Missing, journal.Stuck, Reason, Away, Missing, Failure, Over, Unseen),
    *(Unrun, Lacking, Bound),
)
"""Lists of sentences, each where it belongs."""
PLURALS: tuple[tuple[str, str], ...] = tuple(of.value for of in Of)
"""Sentences of one or several (``num``), both forms."""
_PLURAL = {form: both for both in PLURALS for form in both}

_NARROW = {
    **dict.fromkeys(
        ("line", "count", "most", "bytes", "first", "port", "pid", "status", "job", "num", "steps", "processes"),
        r"-?\d+(?:,\d{3})*",
    ),
    **dict.fromkeys(("who", "call", "last", "errno", "protocol", "kind"), r"\w+"),
    **dict.fromkeys(("number", "host", "signal"), r"\S+"),
    "seconds": r"[\d.]+",
    "peer": r"\w+ \d+ \(pid \d+\)",
    "text": r'x?"(?:[^"\\…]|\\[^…])*(?:"|\\?…)',
}
"""What a value of this name is made of. Every other one may be any text."""
_WHOLE = ("%(why)s", "%(fault)s", "%(words)s")
"""A sentence that ends so reaches to the end, whatever follows."""
_AGAIN = ("why", "fault", "words", "came", "how", "where", "expected", "known", "state", "files")
"""Values that may be such sentences again."""
_VALUE = re.compile(r"%\((\w+)\)s")
_JOINT = re.compile(r'"(?:[^"\\…]|\\[^…])*(?:"|\\?…|$)|[(\[]|[)\]]|; |, |(?<=[a-z0-9)]\.) (?=[A-Z])')
"""What parts sentences, and what it does not part: quoted text, which may be cut, and what stands in brackets."""


def templates() -> Iterator[str]:
    """Every sentence that is recorded, each once or more."""
    for said in LISTS:
        yield from (template.value for template in said)
    for verdict in ("held", "failed", "refused", "timed out"):
        word = VERDICTS.get(verdict, verdict)
        yield from (word, f"{word}: %(why)s")
    yield from (told.NOTE, told.TOO_DEEP, told.NO_JSON)
    yield from (nesting.DEEPER, nesting.NAMELESS, nesting.NO_KIND, nesting.NO_NUMBER, nesting.MORE)
    yield from (models.UNFIT, *models.EXPECTED.values())
    yield from (sentence for sentence in errors.SAID.values() if not _VALUE.fullmatch(sentence))
    yield from (errors.NO_RECORD, *errors.OWN)
    yield from REFUSALS.values()


def translated(text: str, gettext: Gettext, ngettext: Ngettext) -> str:
    """What was recorded, with each sentence of it that is known in the language of `gettext` and `ngettext`."""
    return _told(_parts(text), gettext, ngettext) if len(text) <= LONGEST else text


def _told(parts: Parts, gettext: Gettext, ngettext: Ngettext) -> str:
    told = []
    for part in parts:
        if isinstance(part, str):
            told.append(part)
            continue
        template, values = part
        both = _PLURAL.get(template)
        sentence = ngettext(*both, int(str(dict(values)["num"]).replace(",", ""))) if both else gettext(template)
        told.append(
            sentence
            % {name: value if isinstance(value, str) else _told(value, gettext, ngettext) for name, value in values}
            if values
            else sentence
        )
    return "".join(told)


@functools.lru_cache(REMEMBERED)
def _parts(text: str) -> Parts:
    return _found(text, 0)


def _found(text: str, depth: int) -> Parts:
    ends = [*itertools.islice(_joints(text), JOINTS + 1), (len(text), len(text))]
    if len(ends) > JOINTS:
        return (text,)
    parts: list[Part] = []
    at = 0
    while at < len(text):
        ends = [one for one in ends if one[0] > at]
        part, (end, after) = _beginning(text, at, ends, depth)
        parts += (part, text[end:after])
        at = after
    return tuple(parts)


def _joints(text: str) -> Iterator[tuple[int, int]]:
    """Where a sentence may end, and where the next one begins then."""
    depth = 0
    for found in _JOINT.finditer(text):
        sign = found[0]
        depth = max(0, depth + (sign in "([") - (sign in ")]"))
        if sign in ("; ", ", ", " ") and not depth:
            yield found.span()


def _beginning(text: str, at: int, ends: list[tuple[int, int]], depth: int) -> tuple[Part, tuple[int, int]]:
    """The sentence that begins at `at`, and where it ends; where none is known, what stands before the next
    joint."""
    whole, narrow, free = _patterns()
    near = ends[:NEAR]
    # What only says where the rest belongs takes all of it. Of the others, one with plain values is the longest that
    # fits; a value of any text, the shortest.
    for patterns, places in ((whole, ends[-1:]), (narrow, near[::-1]), (free, near)):
        for place in places:
            piece = text[at : place[0]]
            for template, pattern in patterns:
                if found := pattern.fullmatch(piece):
                    again = _AGAIN if depth < DEEPEST else ()
                    values = tuple(
                        (name, _found(value, depth + 1) if name in again else value)
                        for name, value in found.groupdict().items()
                    )
                    return (template, values), place
    return text[at : near[0][0]], near[0]


_Patterns = list[tuple[str, "re.Pattern[str]"]]


@functools.cache
def _patterns() -> tuple[_Patterns, _Patterns, _Patterns]:
    """The templates by how far they reach; each kind with the longest first, for what says more is meant where both
    fit."""
    found: tuple[_Patterns, _Patterns, _Patterns] = ([], [], [])
    for template in sorted({*templates(), *_PLURAL}, key=lambda template: (-len(_VALUE.sub("", template)), template)):
        names = _VALUE.findall(template)
        parts = _VALUE.split(template)
        pattern = "".join(
            f"(?P<{part}>{_NARROW.get(part, '.+?')})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        reach = 0 if template.endswith(_WHOLE) else 1 if all(name in _NARROW for name in names) else 2
        found[reach].append((template, re.compile(pattern, re.DOTALL)))
    return found
