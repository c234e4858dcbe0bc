"""The arguments of a step, each of its kind, and what they ask of one another."""

from __future__ import annotations

import socket

from pairscope.lab.calls import Argument, Call
from pairscope.lab.language.bounds import BYTES_MAX
from pairscope.lab.language.kinds import fits, length, whole
from pairscope.lab.language.line import Line
from pairscope.lab.language.tokens import clip
from pairscope.lab.language.values import take_list, take_value
from pairscope.lab.language.writing import shown
from pairscope.lab.model import Constants, Items, Name, Position, ScenarioError, Value
from pairscope.sentence import phrase

_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)
"""Of sockets for the network. Others would have the kernel load modules."""


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
    if call.name == "poll":
        descriptors, events = arguments[:2]
        if isinstance(events, Items):
            wanted = len(descriptors.values) if isinstance(descriptors, Items) else 1
            if len(events.values) != wanted:
                raise ScenarioError(
                    places[1],
                    phrase("%(count)s events", count=len(events.values)),
                    phrase("%(count)s: one for each descriptor, or no brackets", count=wanted),
                )
    elif call.name in ("read", "write"):
        buffer, *counts = arguments[1:]
        if isinstance(buffer, Constants):
            if not counts:
                line.wrong(
                    phrase("count, how many bytes to %(call)s at %(pointer)s", call=call.name, pointer=buffer.names[0])
                )
            return
        held = length(buffer)
        for count in counts:
            if length(count) > held:
                raise ScenarioError(
                    places[2], shown(count), phrase("at most %(most)s, which the buffer has", most=held)
                )
    elif call.name in ("socket", "socketpair"):
        if whole(arguments[0]) != socket.AF_UNIX and whole(arguments[2]) not in _PROTOCOLS:
            raise ScenarioError(
                places[2], shown(arguments[2]), phrase("0, 6 (TCP) or 17 (UDP), as the domain is a network")
            )
