"""What a step is expected to give."""

from __future__ import annotations

from pairscope.lab.calls import EXPECTED_OF, EXPECTED_TAKES, Call
from pairscope.lab.constants import ERRNOS, NUMBERS
from pairscope.lab.language.arguments import take_argument
from pairscope.lab.language.line import Line
from pairscope.lab.language.tokens import clip
from pairscope.lab.language.values import take_value
from pairscope.lab.model import Constants, Expectation, Items, Number, ScenarioError, Text, Value
from pairscope.sentence import phrase

_FLAGS_OF = {"POLL": "revents", "MSG_": "flags", "SIG": "killed"}
"""How constants begin that are expected of a key."""


def take_expectation(line: Line, call: Call) -> Expectation | None:
    """What is expected of the call; None: the step ends before ``=>``. Raises ScenarioError."""
    if not line.at("=>"):
        return None
    place = line.take().place
    first: Value | str | None = None
    data: Text | None = None
    if line.next.kind == "end":
        line.wrong(phrase("what is expected: a number, an errno, a text, blocks, ok, or KEY=VALUE"))
    if line.at("blocks") or line.at("ok"):
        first = line.take().text
    elif line.next.kind != "word":
        token = line.next
        _unlike(line, call)
        first = take_value(line)
        if isinstance(first, Items) or (isinstance(first, Constants) and not ERRNOS.issuperset(first.names)):
            raise ScenarioError(
                token.place,
                clip(token.text),
                phrase("a number, the name of an errno, a text, blocks, ok, or KEY=VALUE"),
            )
        if isinstance(first, Number) and line.next.kind in ("text", "hex"):
            value = take_value(line)
            assert isinstance(value, Text)
            data = value
    keys: list[tuple[str, Value]] = []
    while line.next.kind == "word":
        known = [key for key, of in EXPECTED_OF.items() if not of or call.name in of]
        if line.next.text not in known:
            line.wrong(
                phrase(
                    "one of blocks, ok, %(known)s for %(call)s; a text stands in double quotes",
                    known=", ".join(f"{key}=" for key in known),
                    call=call.name,
                )
            )
        argument = EXPECTED_TAKES[line.next.text]
        if any(argument.name == key for key, _ in keys):
            line.wrong(phrase("each key once"))
        line.take()
        line.want("=")
        keys.append((argument.name, take_argument(line, phrase("what is expected"), argument)))
    return Expectation(first, tuple(keys), place, data)


def _unlike(line: Line, call: Call) -> None:
    """Refuses what other notations write for an outcome, with the form that it has here."""
    token, following = line.next, line.following
    if token.kind == "number" and following.text in ERRNOS:
        raise ScenarioError(
            token.place,
            f"{token.text} {following.text}",
            phrase("the errno alone, as in: => %(text)s", text=following.text),
        )
    if token.kind == "number" and following.text == "errno":
        raise ScenarioError(
            token.place, phrase("%(text)s errno", text=token.text), phrase("the errno alone, as in: => EAGAIN")
        )
    if "EOF" in (token.text, following.text if token.kind == "number" else ""):
        line.wrong(phrase('the empty text of a read at the end of file, as in: => ""'))
    if token.kind == "constant" and token.text in NUMBERS and token.text not in ERRNOS:
        for begins, key in _FLAGS_OF.items():
            of = EXPECTED_OF[key]
            if token.text.startswith(begins) and (not of or call.name in of):
                line.wrong(phrase("its key before it, as in: => %(key)s=%(text)s", key=key, text=token.text))
