"""Where the pages are registered: each module of views adds its own to this blueprint."""

from __future__ import annotations

from flask import Blueprint, Response

blueprint = Blueprint("pages", "pairscope.web.pages")


@blueprint.after_request
def _fresh(response: Response) -> Response:
    """A page is asked for again each time; only what says otherwise is kept."""
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response
