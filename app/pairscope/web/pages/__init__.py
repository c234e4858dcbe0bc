"""The pages. Each table page and its live update share one query and one row template."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

blueprint = Blueprint("pages", __name__)


@blueprint.after_request
def _fresh(response: Response) -> Response:
    """A page is asked for again each time; only what says otherwise is kept."""
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def register(app: Flask) -> None:
    from pairscope.web import face, glossary
    from pairscope.web.pages import appearance, database, jobs, lab, messages, overview, stack, transfers, workers  # noqa: F401 they add their views

    face.register(app)
    glossary.register(app)
    app.register_blueprint(blueprint)
