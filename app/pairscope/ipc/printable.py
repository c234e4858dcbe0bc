"""Others' text in a line of a log: a control character would end the line, and begin one that looks like ours."""

from __future__ import annotations

import logging


def printable(text: str) -> str:
    """The text with every character that is not to be seen (controls, line breaks, marks of writing direction) written
    out, as ``\\n`` or ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


class OneLine(logging.Formatter):
    """Each record is one line, whatever its arguments hold."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
