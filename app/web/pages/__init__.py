"""The pages. Each table page and its live update share one query and one row template."""

from __future__ import annotations

from flask import Blueprint, Flask

blueprint = Blueprint("pages", __name__)


def register(app: Flask) -> None:
    from app.web import face, glossary
    from app.web.pages import appearance, jobs, messages, overview, transfers, workers  # noqa: F401 they add their views

    face.register(app)
    glossary.register(app)
    app.register_blueprint(blueprint)
