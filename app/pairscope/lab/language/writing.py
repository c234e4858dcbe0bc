"""A scenario as its canonical text."""

from __future__ import annotations

from pairscope.lab.language.literals import ESCAPES
from pairscope.lab.model import Constants, Expectation, Items, Name, Number, Scenario, Step, Value

_REPEATED = 5
"""So many values of a list, if they are all the same, are written once."""


def format(scenario: Scenario) -> str:
    """The canonical text."""
    lines: list[str] = []
    for index, (word, text) in enumerate(scenario.about):
        lines += [comment.text for comment in scenario.comments if comment.about and comment.before == index]
        lines.append(f"@{word} {text}")
    actors = max(len(step.actor) for step in scenario.steps) + 1
    calls = [_written(step) for step in scenario.steps]
    arrows = max((len(call) for call, step in zip(calls, scenario.steps) if step.binds), default=0)
    left = [
        f"{step.actor + ':':<{actors}} " + (f"{call:<{arrows}} -> {' '.join(step.binds)}" if step.binds else call)
        for call, step in zip(calls, scenario.steps)
    ]
    # One very long text must not push every expectation out of sight.
    column = max(
        (len(text) for text, step in zip(left, scenario.steps) if step.expectation and len(text) <= 72), default=0
    )
    lines += [""] if lines else []
    for index, (text, step) in enumerate(zip(left, scenario.steps)):
        lines += [comment.text for comment in scenario.comments if not comment.about and comment.before == index]
        line = f"{text:<{column}} => {_expected(step.expectation)}" if step.expectation else text
        lines.append(f"{line}  {step.comment}" if step.comment else line)
    lines += [
        comment.text for comment in scenario.comments if not comment.about and comment.before == len(scenario.steps)
    ]
    return "\n".join(lines) + "\n"


def _written(step: Step) -> str:
    if step.returned:
        return f"({step.call} returns)"
    return " ".join([step.call, *map(shown, step.arguments), *(f"{name}={shown(value)}" for name, value in step.named)])


def _expected(expectation: Expectation) -> str:
    first = expectation.first
    words = [] if first is None else [first if isinstance(first, str) else shown(first)]
    words += [] if expectation.data is None else [shown(expectation.data)]
    return " ".join([*words, *(f"{key}={shown(value)}" for key, value in expectation.keys)])


def shown(value: Value) -> str:
    """A value as a scenario writes it."""
    if isinstance(value, Number):
        return value.shown
    if isinstance(value, Name):
        return value.text
    if isinstance(value, Constants):
        return "|".join(value.names)
    if isinstance(value, Items):
        if len(value.values) >= _REPEATED and len(set(value.values)) == 1:
            return f"[{shown(value.values[0])}] * {len(value.values)}"
        return f"[{', '.join(map(shown, value.values))}]"
    text = f'x"{value.data.hex()}"' if value.hexadecimal else quoted(value.data)
    return text if value.times == 1 else f"{text} * {value.times}"


def quoted(data: bytes) -> str:
    """Bytes as a text in double quotes, with escapes for what cannot be printed."""
    names = {number: letter for letter, number in ESCAPES.items()}
    found = []
    characters = data.decode("utf-8", "surrogateescape")
    for character, following in zip(characters, characters[1:] + " "):
        code = ord(character)
        if not code:
            found.append("\\x00" if following in "01234567" else "\\0")  # further digits would be read as its own
        elif code in names:
            found.append("\\" + names[code])
        elif 0xDC80 <= code <= 0xDCFF:
            found.append(f"\\x{code - 0xDC00:02x}")
        elif character.isprintable():
            found.append(character)
        else:
            found.append("".join(f"\\x{byte:02x}" for byte in character.encode()))
    return f'"{"".join(found)}"'
