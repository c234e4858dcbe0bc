"""What was recorded or made here, in the language of who reads the page."""

from __future__ import annotations

from flask_babel import get_domain

from pairscope import recorded
from pairscope.sentence import Sentence


def translated(text: str) -> str:
    """What was made here, by its template; of what was recorded, each sentence that is known."""
    words = get_domain().get_translations()
    if isinstance(text, Sentence):
        return text.told(words.gettext, words.ngettext, translated)
    return recorded.translated(text, words.gettext, words.ngettext)
