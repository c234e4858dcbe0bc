"""The languages of the pages."""

from __future__ import annotations

from flask import request

LANGUAGES = ("en",)


def preferred() -> str:
    """The one that the reader's browser asks for, of those that there are."""
    return request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]
