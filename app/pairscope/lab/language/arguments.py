"""The arguments of a step, each of its kind, and what they ask of one another."""

from __future__ import annotations

from pairscope.lab.calls import Argument, Call
from pairscope.lab.given import length
from pairscope.lab.language.bounds import BYTES_MAX
from pairscope.lab.language.kinds import fits
from pairscope.lab.language.line import Line
from pairscope.lab.language.tokens import clip
from pairscope.lab.language.values import take_list, take_value
from pairscope.lab.language.writing import shown
from pairscope.lab.model import Items, Name, Position, ScenarioError, Value
from pairscope.sentence import phrase


def take_argument(line: Line, whose: str, argument: Argument) -> Value:
    """One argument. Raises ScenarioError if it is not of the argument's kind."""
    place, found = line.next.place, clip(line.next.text)
    positions: list[Position] = []
    value: Value
    if line.at("["):
        value, positions = take_list(line)
    else:
        value = take_value(line)
    if isinstance(value, Items) and argument.of:
        for inner, inner_place in zip(value.values, positions, strict=True):
            _check(
                line,
                inner,
                argument.of,
                inner_place,
                clip(shown(inner)),
                _wanted(argument, whose),
            )
        _check_whole(argument, value, place, whose)
    else:
        _check(line, value, argument.takes, place, found, _wanted(argument, whose))
    return value


def _wanted(argument: Argument, whose: str) -> str:
    return phrase("%(argument)s of %(whose)s: %(wanted)s", argument=argument.name, whose=whose, wanted=argument.wanted)


def _check(line: Line, value: Value, kind: str, place: Position, found: str, expected: str) -> None:
    if not fits(value, kind):
        raise ScenarioError(place, found, expected)
    if isinstance(value, Name):
        line.used.append(("process" if kind in ("process", "id") else "fd", value.text, place))


def _check_whole(argument: Argument, items: Items, place: Position, whose: str) -> None:
    if argument.name == "creds" and whose == "sendmsg" and len(items.values) != 3:
        raise ScenarioError(
            place,
            phrase("%(count)s values", count=len(items.values)),
            phrase("three: the process, the user's number and the group's"),
        )
    if argument.name in ("creds", "value") and whose != "sendmsg" and not 1 <= len(items.values) <= 4:
        raise ScenarioError(place, phrase("%(count)s values", count=len(items.values)), phrase("one to four"))
    total = sum(length(value) for value in items.values) if argument.of in ("text", "size") else 0
    if total > BYTES_MAX:
        raise ScenarioError(
            place, phrase("%(count)s bytes in one list", count=total), phrase("at most %(most)s", most=BYTES_MAX)
        )


def agree(line: Line, call: Call, arguments: list[Value], places: list[Position]) -> None:
    """Checks what one argument asks of another. Raises ScenarioError."""
    clash = call.clash(arguments)
    if clash is None:
        return
    if clash.at == len(arguments):
        line.wrong(clash.expected)
    raise ScenarioError(places[clash.at], clash.found or shown(arguments[clash.at]), clash.expected)
