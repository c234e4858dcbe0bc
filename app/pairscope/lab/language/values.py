"""The values of a step: numbers, constants, texts, names and lists of these."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pairscope.lab.constants import NUMBERS
from pairscope.lab.language import literals
from pairscope.lab.language.bounds import BYTES_MAX, LIST_MAX
from pairscope.lab.language.line import Line
from pairscope.lab.model import Constants, Items, Name, Position, ScenarioError, Text, Value
from pairscope.sentence import phrase


def take_value(line: Line, inside: bool = False) -> Value:
    """One value. Raises ScenarioError if none begins here."""
    token = line.next
    if token.kind == "number":
        line.take()
        return literals.number(token)
    if token.kind in ("text", "hex"):
        line.take()
        times = 1
        if line.at("*"):
            line.take()
            if line.next.kind != "number":
                line.wrong(phrase("how often the text is repeated, a number"))
            times = literals.number(line.next).value
            if not 1 <= times <= BYTES_MAX:
                line.wrong(phrase("a number from 1 to %(most)s", most=BYTES_MAX))
            line.take()
        data = literals.hexadecimal(token) if token.kind == "hex" else literals.string(token)
        if len(data) * times > BYTES_MAX:
            raise ScenarioError(
                token.place,
                phrase("%(count)s bytes", count=len(data) * times),
                phrase("at most %(most)s", most=BYTES_MAX),
            )
        return Text(data, times, token.kind == "hex")
    if token.kind in ("constant", "mixed"):
        return Constants(tuple(_constants(line)))
    if token.kind == "word":
        return Name(line.name())
    if line.at("[") and not inside:
        return take_list(line)[0]
    line.wrong(
        phrase("a number, a constant, a name, a text in double quotes")
        if inside
        else phrase("a number, a constant, a name, a text in double quotes or a list in brackets")
    )


def take_list(line: Line) -> tuple[Items, list[Position]]:
    """A list in brackets, and where each of its values stands. Raises ScenarioError."""
    line.take()
    values: list[Value] = []
    positions: list[Position] = []
    while not line.at("]"):
        positions.append(line.next.place)
        values.append(take_value(line, inside=True))
        if line.at(","):
            line.take()
        elif line.next.kind == "end":
            line.wrong(phrase("] at the end of the list"))
    line.take()
    if values and line.at("*"):
        line.take()
        if line.next.kind != "number":
            line.wrong(phrase("how often the list is repeated, a number"))
        times = literals.number(line.next).value
        if not 1 <= times <= LIST_MAX // len(values):
            line.wrong(phrase("a number from 1 to %(most)s", most=LIST_MAX // len(values)))
        line.take()
        values, positions = values * times, positions * times
    return Items(tuple(values)), positions


def _constants(line: Line) -> Iterable[str]:
    while True:
        token = line.next
        if token.kind != "constant" or token.text not in NUMBERS:
            near = difflib.get_close_matches(
                token.text.upper(), [name for name in NUMBERS if name[0] == token.text[0].upper()], 1
            )
            line.wrong(
                phrase("a constant of the C headers, such as %(name)s; names have lower-case letters", name=near[0])
                if near
                else phrase("a constant of the C headers; names have lower-case letters")
            )
        yield line.take().text
        if not line.at("|"):
            return
        line.take()
