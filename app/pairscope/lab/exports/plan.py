"""What both programs need to know of a scenario: who takes which step, how long a step may sleep, which names there
are."""

from __future__ import annotations

import struct
import textwrap
from collections.abc import Callable, Iterator

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.programs import Actor, Line, Plan, Turn
from pairscope.lab.calls.recvmsg import CONTROL_ROOM
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import integer, items, narrow, word
from pairscope.lab.language import format as canonical
from pairscope.lab.language import quoted, shown
from pairscope.lab.model import Items, Number, Scenario, Step, Text, Value

PATIENCE = 250
"""Milliseconds that an expected return may take of itself, as the stage waits."""
SECONDS = 10
"""What a program takes at most: twice the stage's own."""
NUMBERS_MAX = 256
"""RLIMIT_NOFILE, as on the stage."""
_TIMEOUTS = {NUMBERS["SO_RCVTIMEO"], NUMBERS["SO_SNDTIMEO"]}


def plan(scenario: Scenario) -> Plan:
    """Reads the scenario once. Raises nothing: what could not be said was refused when it was parsed."""
    actors = {scenario.steps[0].actor: Actor(scenario.steps[0].actor, False)}
    descriptors: dict[str, None] = {}
    for index, step in enumerate(scenario.steps, 1):
        actor = actors[step.actor]
        if step.returned:
            if actor.turns and not actor.turns[-1].back:
                turn = actor.turns[-1]
                turn.binds, turn.back, turn.back_step = turn.binds or step.binds, index, step
            descriptors |= dict.fromkeys(step.binds)
            continue
        if CALLS[step.call].binds == "process":
            for name in step.binds:
                actors[name] = Actor(name, step.call == "thread")
        else:
            descriptors |= dict.fromkeys(step.binds)
        if not actor.exits:
            actor.turns.append(Turn(index, step, step.binds))
    return Plan(
        scenario, tuple(actors.values()), tuple(_lines(scenario)), tuple(descriptors),
        any(step.call == "signal" and word(step.arguments[1]) == "HANDLER" for step in scenario.steps),
        _sets(scenario, "SO_PASSPIDFD"),
        _sets(scenario, "SO_PASSCRED"),
        any(_timeout(step) for step in scenario.steps),
    )  # fmt: skip


def _lines(scenario: Scenario) -> Iterator[Line]:
    """As the stage's patience goes, in app/pairscope/lab/stage/orders.py."""
    longest = 0
    last: dict[str, Step] = {}
    for step in scenario.steps:
        longest = max(longest, _timeout(step))
        made = last.get(step.actor, step) if step.returned else step
        last[step.actor] = made
        patience = longest
        if made.call == "poll" and not made.returned and isinstance(made.arguments[2], Number):
            patience = max(patience, narrow(made.arguments[2].value))
        blocks = step.expectation is not None and step.expectation.first == "blocks" and not step.returned
        if blocks or not (step.expectation or patience or step.returned):
            yield Line(step.actor, step.call, 0, step.returned)
        else:
            yield Line(step.actor, step.call, min(patience, SECONDS * 1000) + PATIENCE, step.returned)


def _sets(scenario: Scenario, option: str) -> bool:
    return any(step.call == "setsockopt" and integer(step.arguments[2]) == NUMBERS[option] for step in scenario.steps)


def _timeout(step: Step) -> int:
    """Milliseconds that the step gives to a socket's calls; 0: it gives none."""
    if (
        step.call != "setsockopt"
        or not isinstance(step.arguments[3], Text)
        or integer(step.arguments[2]) not in _TIMEOUTS
    ):
        return 0
    data = step.arguments[3].bytes
    if len(data) != 16:
        return 0
    seconds: int
    micro: int
    seconds, micro = struct.unpack("=qq", data)
    return max(0, min(5000, seconds * 1000 + micro // 1000))


def expected(turn: Turn) -> str:
    """What the scenario expects, in its own words, on one line of ASCII; empty: nothing."""
    said = _expected(turn.step)
    if turn.back_step is not None:
        said = (
            f"{said}; step {turn.back}: returns {_expected(turn.back_step)}".rstrip()
            if said
            else f"step {turn.back} tells what it returned"
        )
    return said if len(said) <= 90 else said[:87] + "..."


def _expected(step: Step) -> str:
    expectation = step.expectation
    if expectation is None:
        return ""
    first = expectation.first
    words = [] if first is None else [first if isinstance(first, str) else _ascii(first)]
    words += [] if expectation.data is None else [_ascii(expectation.data)]
    return " ".join([*words, *(f"{key}={_ascii(value)}" for key, value in expectation.keys)])


def _ascii(value: Value) -> str:
    if isinstance(value, Text) and not value.hexadecimal:
        plain = "".join(
            letter if letter.isascii() else "".join(f"\\x{byte:02x}" for byte in letter.encode())
            for letter in quoted(value.data)
        )
        return plain if value.times == 1 else f"{plain} * {value.times}"
    if isinstance(value, Items):
        return f"[{', '.join(map(_ascii, value.values))}]"
    return shown(value)


def steps(scenario: Scenario) -> list[str]:
    """The steps as the scenario has them, numbered, with its comments; none longer than a line of a comment."""
    found, number = [], 0
    for line in canonical(scenario).splitlines():
        if line and not line.startswith("@"):
            number += not line.startswith("#")
            shown = f"{'' if line.startswith('#') else number:3} {line}"
            found.append(shown if len(shown) <= 116 else shown[:113] + "...")
    return found


def apart(names: tuple[str, ...], reserved: Callable[[str], bool]) -> dict[str, str]:
    """Each name as the language may have it: with ``_`` behind it where it is a word of the language. No two become
    one."""
    found: dict[str, str] = {}
    for name in names:
        other = name
        while reserved(other) or (other != name and other in names) or other in found.values():
            other += "_"
        found[name] = other
    return found


def makes_files(scenario: Scenario) -> bool:
    """Whether a step may leave a file in the directory it is taken in."""
    return any(CALLS[step.call].file(step) for step in scenario.steps if not step.returned)


def line_room(made: Plan, messages: bool) -> int:
    """Bytes that a line of what the program prints may have: it holds the data shown, every descriptor that may come
    (`messages`: whether any may), and what is found of each that is polled."""
    polled = max((len(items(turn.step.arguments[0])) for turn in made.turns() if turn.step.call == "poll"), default=0)
    return 512 + 5 * CONTROL_ROOM // 4 * messages + 128 * polled


def heading(scenario: Scenario, command: str, needs: str) -> list[str]:
    """The lines in front of a program: what the scenario is about, its steps, how the program is run and read.
    `command`: what runs it; `needs`: where."""
    lines = _filled(scenario.said("title") or "A scenario")
    for word, before in (
        ("quirk", "Unexpected: "),
        ("notice", "Notice: "),
        ("ask", "Question: "),
        ("man", "Manual pages: "),
    ):
        texts = [text for key, text in scenario.about if key == word]
        lines += ["", *(line for text in texts for line in _filled(text, before))] if texts else []
    return [
        *lines,
        "",
        *steps(scenario),
        "",
        f"    {command}",
        "",
        needs,
        "",
        *_filled(
            "Each process has a function below. turn(N) waits until it is time for step N, the system call that "
            "follows, and tell() says what came of it: one line is printed for each step. The steps are taken one at "
            "a time, in the order of their numbers, whichever process they belong to. Beside a turn stands what is to "
            "be expected."
        ),
    ]


def _filled(text: str, before: str = "") -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=before, subsequent_indent="    " if before else "")
