"""A line of a scenario while it is read."""

from __future__ import annotations

import re
from typing import NoReturn

from pairscope.lab.language.tokens import Token, clip
from pairscope.lab.model import Position, ScenarioError
from pairscope.sentence import phrase

_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}\Z")


class Line:
    """One step's tokens, read from left to right; and which names it used and bound, each with its position."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.used: list[tuple[str, str, Position]] = []
        """``process`` or ``fd``, and the name."""
        self.bound: list[tuple[str, Position]] = []

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    @property
    def following(self) -> Token:
        """The token behind the next; of the last the last."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    @property
    def rest(self) -> list[Token]:
        """The tokens behind the next."""
        return self._tokens[self._at + 1 :]

    @property
    def last(self) -> Token:
        """The token that was taken last."""
        return self._tokens[self._at - 1]

    def take(self) -> Token:
        token = self.next
        self._at += token.kind != "end"
        return token

    def at(self, text: str) -> bool:
        """Whether the next token is this word or mark."""
        return self.next.kind in ("mark", "arrow", "expect", "word") and self.next.text == text

    def want(self, text: str) -> Token:
        """Takes this word or mark. Raises ScenarioError if another stands there."""
        return self.take() if self.at(text) else self.wrong(text)

    def wrong(self, expected: str) -> NoReturn:
        """Refuses the next token. Raises ScenarioError."""
        raise ScenarioError(self.next.place, clip(self.next.text), expected)

    def name(self, whole: str = phrase("a name"), what: str = phrase("a name")) -> str:
        """Takes a name. Raises ScenarioError, with `whole` as that which was expected where no name stands, and `what`
        where one stands in other letters."""
        token = self.next
        if token.kind not in ("word", "mixed", "constant"):
            self.wrong(whole)
        if token.kind != "word" or not _NAME.match(token.text):
            lower = re.sub(r"^[^a-z]+", "", token.text.lower())[:16]
            less = what if token.kind != "word" else phrase("a name")
            if not lower:
                self.wrong(phrase("%(what)s of lower-case letters, digits and _, at most 16 characters", what=less))
            self.wrong(
                phrase(
                    "%(what)s of lower-case letters, digits and _, at most 16 characters, such as %(example)s",
                    what=less,
                    example=lower,
                )
            )
        return self.take().text
