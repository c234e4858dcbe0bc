"""A language whose every letter is another one, made of what gettext finds: what is still in Latin letters was never
given to it."""

from __future__ import annotations

import functools
import re
import shlex
from gettext import NullTranslations
from pathlib import Path

from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg

ROOT = Path(__file__).parent.parent
_KEPT = re.compile(r"%\(\w+\)[sdr]|%%|%[sdr]|\{\w+(?:![rs])?\}|<[^>]*>|&#?\w+;")
"""What is no letter of a message: values, tags, entities."""


@functools.cache
def extracted() -> dict[str, str | tuple[str, ...]]:
    """Each message that the command of docs/face.md finds, and what it is with its plural."""
    told = re.search(r"`(pybabel extract [^`]+)`", (ROOT / "docs/face.md").read_text())
    assert told
    words = shlex.split(told[1])
    keywords = [words[at + 1] for at, word in enumerate(words) if word == "-k"]
    methods, options = parse_mapping_cfg((ROOT / words[words.index("-F") + 1]).open())
    found = extract_from_dir(
        ROOT / "app", _below(methods), _options(options), {**DEFAULT_KEYWORDS, **parse_keywords(keywords)}
    )
    return {message if isinstance(message, str) else message[0]: message for _path, _line, message, *_more in found}


def _below(methods: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """From app/, whose environment for Python stands beside it and need not be walked."""
    return [(pattern.removeprefix("app/"), method) for pattern, method in methods]


def _options(options: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {pattern.removeprefix("app/"): given for pattern, given in options.items()}


def wide(message: str) -> str:
    """A message in this language: each Latin letter is its full width form."""
    pieces, at = [], 0
    for kept in _KEPT.finditer(message):
        pieces += [_wide(message[at : kept.start()]), kept[0]]
        at = kept.end()
    return "".join(pieces) + _wide(message[at:])


def _wide(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if letter.isascii() and letter.isalpha() else letter for letter in text)


class Wide(NullTranslations):
    """The language. What gettext does not find in the source stays as it is."""

    def gettext(self, message: str) -> str:
        return wide(message) if message in extracted() else message

    def ngettext(self, one: str, many: str, count: int) -> str:
        return wide(one if count == 1 else many) if extracted().get(one) == (one, many) else (one, many)[count != 1]

    ugettext, ungettext = gettext, ngettext
