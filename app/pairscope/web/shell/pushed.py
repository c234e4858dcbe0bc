"""Where a page's updates are pushed: docs/live.md. A page that has no such address asks."""

from __future__ import annotations

from flask import request
from flask_babel import get_locale

from pairscope.web import access, reach

SHARED = ("messages", "transfers", "jobs", "workers", "overview", "strip")
"""The streams that everybody may share, each by the view below /live that it follows. Pages on which nothing changes
but the strip share one: the lab and its runs, the stack, the database."""


def address(asked: str) -> str:
    """Where what the page asks for at `asked` is pushed; empty: nowhere. Rows differ for whoever is logged in, and a
    filter is one's own."""
    settings = reach.settings()
    page = asked.removeprefix(f"{request.script_root}/live/")
    if settings.live_run is None or not settings.public_read or page not in SHARED or access.is_operator():
        return ""
    return f"{request.script_root}/push/{page}.{get_locale() or 'en'}"
