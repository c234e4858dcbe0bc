"""A run as a file: JSON, and back. What comes back was in a stranger's hands, and is believed in nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from pairscope.lab.exports.lines import result_lines
from pairscope.lab.exports.transcript import transcript
from pairscope.lab.language import TEXT_MAX, parse
from pairscope.lab.model import Scenario, ScenarioError
from pairscope.lab.run import Message, Run, State, Step, decode
from pairscope.sentence import phrase

LOAD_MAX = 16 << 20
"""Bytes of a file that load reads."""


class NoRun(ValueError):
    """The bytes are no run. str() says what is wrong, and where."""


def json(run: Run) -> bytes:
    """The run itself: the same bytes for the same run."""
    return msgspec.json.encode(run, order="sorted") + b"\n"


def load(data: bytes) -> Run:
    """The run that json() wrote. Raises NoRun for anything that is none: too large, of another shape, or not of one
    piece with its scenario."""
    if len(data) > LOAD_MAX:
        raise NoRun(phrase("it is larger than %(most)s bytes", most=LOAD_MAX))
    try:
        told = msgspec.json.decode(data)
        _arguments(told)
        run = decode(data)
        _known(told, msgspec.to_builtins(run), "$")
    except msgspec.DecodeError as error:  # a ValidationError says at which member
        raise NoRun(phrase("it is not a run of format 1: %(why)s", why=str(error))) from None
    except (RecursionError, UnicodeDecodeError) as error:
        raise NoRun(phrase("it is not a run of format 1: %(name)s", name=type(error).__name__)) from None
    _agree(run)
    try:
        result_lines(run)
        transcript(run)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise NoRun(
            phrase(
                "its steps hold less than their calls give: %(name)s: %(why)s",
                name=type(error).__name__,
                why=str(error),
            )
        ) from None
    return run


def _known(told: Any, run: Any, path: str) -> None:
    """Whether every member of what came is one of a run. Raises ValidationError, in msgspec's own words, for one that
    decoding has passed over."""
    if isinstance(told, dict):
        for key, value in told.items():
            if key not in run:
                raise msgspec.ValidationError(f"Object contains unknown field `{key}` - at `{path}`")
            _known(value, run[key], f"{path}.{key}")
    elif isinstance(told, list):
        for index, (value, other) in enumerate(zip(told, run)):
            _known(value, other, f"{path}[{index}]")


def _agree(run: Run) -> None:
    """Whether the steps are those of the scenario, and every piece of data is one."""
    if len(run.text) > 2 * TEXT_MAX:
        raise NoRun(phrase("its text is longer than %(most)s characters", most=2 * TEXT_MAX))
    try:
        scenario = parse(run.text)
    except ScenarioError as error:
        raise NoRun(phrase("its text is no scenario: %(why)s", why=error.args[0])) from None
    if [list(pair) for pair in scenario.about] != run.about:
        raise NoRun(phrase("about is not what its text says"))
    if len(run.steps) > len(scenario.steps):
        raise NoRun(
            phrase("it has %(count)s steps, and its scenario %(own)s", count=len(run.steps), own=len(scenario.steps))
        )
    _plain("sandbox", run.sandbox or None, 0)
    for index, step in enumerate(run.steps):
        _agree_step(phrase("step %(number)s", number=index + 1), step, run.state(index + 1), scenario, index)


def _agree_step(where: str, step: Step, state: State, scenario: Scenario, index: int) -> None:
    own = scenario.steps[index]
    if (step.actor, step.call, step.returned) != (own.actor, own.call, own.returned):
        raise NoRun(phrase("%(where)s is not that of its scenario", where=where))
    for result in (step.result, *step.completed.values()):
        if result is not None:
            _data(where, result.data, result.option or None, *_pieces(result.message))
    for found in state.objects:
        _data(where, *(piece.data for pieces in (found.contents, found.ahead) for piece in pieces or ()))
    for completed in step.completed.values():
        if completed.of > index:
            raise NoRun(phrase("%(where)s: completed is a call of step %(step)s", where=where, step=completed.of + 1))


def _pieces(message: Message | None) -> list[str]:
    return [] if message is None else [message.control, *(part.data for part in message.parts)]


def _arguments(told: Any) -> None:
    """Whether each argument is one, before the schema says it in msgspec's own words."""
    steps = told.get("steps") if isinstance(told, dict) else None
    for number, step in enumerate(steps if isinstance(steps, list) else (), 1):
        arguments = step.get("arguments") if isinstance(step, dict) else None
        for argument in arguments if isinstance(arguments, list) else ():
            _argument(phrase("step %(number)s", number=number), argument, 0)


def _argument(where: str, value: Any, depth: int) -> None:
    """An argument as made: a number, a word, a text by its piece, a list of these, or one of them under its name."""
    if isinstance(value, dict) and "data" in value:
        if set(value) != {"data", "times"} or type(value["times"]) is not int or not isinstance(value["data"], str):
            raise NoRun(phrase("%(where)s: an argument is no text", where=where))
        _data(where, value["data"])
    elif isinstance(value, (list, dict)) and depth < 2:
        for inner in value.values() if isinstance(value, dict) else value:
            _argument(where, inner, depth + 1)
    elif type(value) is not int and not isinstance(value, str):
        raise NoRun(phrase("%(where)s: an argument is a %(type)s", where=where, type=type(value).__name__))
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise NoRun(phrase("%(where)s: an argument is no number of 64 bits", where=where))


def _plain(where: str, value: Any, depth: int) -> None:
    """What a page may show as it is: words and numbers, and lists and members of these."""
    if isinstance(value, (list, dict)) and depth < 4 and len(value) <= 256:
        for inner in value.values() if isinstance(value, dict) else value:
            _plain(where, inner, depth + 1)
    elif (
        isinstance(value, (list, dict, float))
        or (isinstance(value, str) and len(value) > 4096)
        or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 64)
    ):
        raise NoRun(phrase("%(where)s holds what is neither a word nor a number", where=where))


def _data(where: str, *texts: str | None) -> None:
    for text in texts:
        try:
            base64.b64decode(text or "", validate=True)
        except binascii.Error as error:
            raise NoRun(phrase("%(where)s: data is not base64: %(why)s", where=where, why=str(error))) from None
