"""The filter's grammar: from a text to the terms that are written in it. Pure.

A term is ``field:value`` or a text to search for. What a field is, and what its values mean, is not known here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from pairscope.sentence import phrase

LENGTH = 1000
"""Characters that a filter may have."""


class FilterError(ValueError):
    """What was wrong and what was expected, and at which character (from 0) of the filter it stands."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


@dataclasses.dataclass(frozen=True)
class Term:
    """One term as it was written: where, and what."""

    column: int
    """Of its first character, from 0."""
    negated: bool
    field: str
    """Empty: a text to search for."""
    values: tuple[tuple[int, str, str], ...]
    """(column, operator, value) of each alternative. The operator is ``>=``, ``>``, ``<=``, ``<`` or empty."""


def terms(text: str) -> list[Term]:
    """The terms of a filter in the order in which they are written. Raises FilterError."""
    if len(text) > LENGTH:
        raise FilterError(
            phrase("this filter has %(count)s characters; expected at most %(most)s", count=len(text), most=LENGTH),
            LENGTH,
        )
    written = list(_terms(text))
    for before, term, after in zip(written, written[1:], written[2:]):
        _refuse_connective(text, before, term, after)
    return written


def as_written(words: Iterable[str], between: str = ", ") -> str:
    """Words as a filter takes them: in quotes where one has a space."""
    return between.join(f'"{word}"' if " " in word else word for word in words)


def _terms(text: str) -> Iterator[Term]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        negated = text[at] == "-"
        at += negated
        name = _NAME.match(text, at)
        values: list[tuple[int, str, str]] = []
        if name:
            at = name.end()
            while True:
                operator = _OPERATOR.match(text, at)
                place = at
                at = operator.end() if operator else at
                value, at = _value(text, at, _ENDS_VALUE)
                if not value:
                    raise FilterError(phrase("%(field)s: has no value", field=name[1]), min(at, len(text) - 1))
                values.append((place, operator[0] if operator else "", value))
                if at >= len(text) or text[at] != ",":
                    break
                at += 1
            yield Term(start, negated, name[1].lower(), tuple(values))
        else:
            value, end = _value(text, at, _ENDS_WORD)
            if not value:
                raise FilterError(
                    phrase("there is nothing to search for; expected a word, text in quotes, or field:value"), start
                )
            values.append((at, "", value))
            at = end
            yield Term(start, negated, "", tuple(values))


_NAME = re.compile(r"([A-Za-z_]+):")
_OPERATOR = re.compile(r">=|<=|>|<")
_ENDS_VALUE = re.compile(r"[\s,]|$")
_ENDS_WORD = re.compile(r"\s|$")


def _value(text: str, at: int, ends: re.Pattern[str]) -> tuple[str, int]:
    """A bare or quoted value at that place, and where it ends. In quotes, a backslash takes the next character as it
    is."""
    if at >= len(text) or text[at] != '"':
        found = ends.search(text, at)
        end = found.start() if found else len(text)
        return text[at:end], end
    value = []
    place = at + 1
    while place < len(text) and text[place] != '"':
        place += text[place] == "\\" and place + 1 < len(text)
        value.append(text[place])
        place += 1
    if place >= len(text):
        raise FilterError(phrase("this quote is not closed"), at)
    return "".join(value), place + 1


def _refuse_connective(text: str, before: Term, term: Term, after: Term) -> None:
    """Who writes OR or AND between two terms does not search for that text; in quotes he does. Raises FilterError."""
    if term.field or term.negated or text[term.column] == '"' or term.values[0][2] not in ("OR", "AND"):
        return
    word = term.values[0][2]
    if word == "AND":
        right: str = phrase("leave it out: terms side by side must all hold")
    else:
        alike = before.field and before.field == after.field and not (before.negated or after.negated)
        values = as_written((operator + value for _, operator, value in (*before.values, *after.values)), ",")
        right = (
            phrase("write %(field)s:%(values)s", field=before.field, values=values)
            if alike
            else phrase("write field:this,that for any of several values of one field")
        )
    raise FilterError(
        phrase(
            '%(word)s joins nothing here; %(right)s. "%(word)s" in quotes searches that text', word=word, right=right
        ),
        term.column,
    )
