"""A sentence that a person will read, made where it belongs and translated where it is shown. Pure.

``phrase("%(path)s is missing", path=path)`` is English text like any other, and remembers its template and its values.
So a check, a parser or a store needs no gettext, an answer for programs and a log stay English, and a page or the
command line says it in the reader's language. The templates are literals: gettext reads them in the source.

What takes a sentence apart, joins it or formats it gives plain English text: put a sentence into another as a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Sentence(str):
    """English text with its template; empty values leave the template as it is, without a look for ``%``."""

    template: str
    many: str
    """Of several; empty: the number of things is not told."""
    values: dict[str, Any]

    def __new__(cls, template: str, many: str = "", /, **values: Any) -> Sentence:
        chosen = many if many and values["num"] != 1 else template
        made = super().__new__(cls, chosen % values if values else chosen)
        made.template, made.many, made.values = template, many, values
        return made

    def told(
        self,
        gettext: Callable[[str], str],
        ngettext: Callable[[str, str, int], str],
        recorded: Callable[[str], str] = str,
    ) -> str:
        """The sentence in a language, with those among its values. `recorded` says a value named ``why``, ``words`` or
        ``state`` that is no sentence: it may have been one, of another process."""
        chosen = ngettext(self.template, self.many, self.values["num"]) if self.many else gettext(self.template)
        if not self.values:
            return chosen
        return chosen % {
            name: value.told(gettext, ngettext, recorded)
            if isinstance(value, Sentence)
            else recorded(value)
            if name in ("why", "words", "state") and isinstance(value, str)
            else value
            for name, value in self.values.items()
        }


def phrase(template: str, /, **values: Any) -> Sentence:
    """A sentence, a part of one or a word. The values stand in the template as ``%(name)s``."""
    return Sentence(template, **values)


def phrase_of(one: str, many: str, /, num: int, **values: Any) -> Sentence:
    """The same of one or several things; their number is ``%(num)s``."""
    return Sentence(one, many, num=num, **values)


def listed(parts: Sequence[str]) -> str:
    """Parts one after the other, with commas between; each stays a sentence."""
    found = parts[0] if parts else ""
    for part in parts[1:]:
        found = Sentence("%(before)s, %(part)s", before=found, part=part)
    return found
