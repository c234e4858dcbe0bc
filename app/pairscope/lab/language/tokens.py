"""The tokens of a line: names, numbers, constants, texts and marks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pairscope.lab.model import Position, ScenarioError
from pairscope.sentence import phrase

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+) | (?P<comment>\#.*) | (?P<arrow>->) | (?P<expect>=>)
      | (?P<hex>x"[^"]*") | (?P<text>"(?:[^"\\]|\\.)*") | (?P<number>-?(?:0x[0-9A-Fa-f]+|[0-9]+)[KM]?(?![A-Za-z0-9_]))
      | (?P<constant>[A-Z][A-Z0-9_]*(?![A-Za-z])) | (?P<word>[a-z][A-Za-z0-9_]*)
      | (?P<mixed>[A-Za-z_][A-Za-z0-9_]*) | (?P<mark>[:=|*,\[\]()])""",
    re.VERBOSE,
)

_FOREIGN = {
    "'": phrase('a text in double quotes, as in: "text"'),
    ";": phrase("a name, a number or a text, or nothing: a step ends with its line"),
    "/": phrase("a number, a text, a name or a constant; a comment begins with #"),
    "-": phrase(
        "a number after the minus, or a name of letters, digits and _; an errno has no minus, as in: => EAGAIN"
    ),
    "+": phrase("constants joined by |, as in: O_RDWR|O_CREAT"),
}
"""Characters of other notations, and what stands for them here."""


class Token:
    """A word of a line, and where it stands."""

    __slots__ = ("kind", "place", "text")

    def __init__(self, kind: str, text: str, place: Position) -> None:
        self.kind, self.text, self.place = kind, text, place


def tokens(line: str, number: int) -> Iterable[Token]:
    """The tokens of a line up to its comment; the last is its end. Raises ScenarioError."""
    position = 0
    while position < len(line):
        match = _TOKEN.match(line, position)
        place = Position(number, position + 1)
        if match is None:
            found = phrase("the character %(character)r", character=line[position])
            if line[position] == '"':
                found = phrase("a quote that is not closed")
            usual = phrase("a name, a constant, a number, a text in double quotes or one of : = | * , [ ] ( ) -> =>")
            raise ScenarioError(place, found, _FOREIGN.get(line[position], usual))
        kind = match.lastgroup or ""
        if kind == "comment":
            break
        position = match.end()
        if kind != "space":
            yield Token(kind, match.group(), place)
    yield Token("end", phrase("the end of the line"), Position(number, position + 1))


def clip(text: str) -> str:
    """What was found, short enough for a sentence."""
    return text if len(text) <= 40 else text[:39] + "…"
