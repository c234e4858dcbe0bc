"""The pages. Each table page and its live update share one query and one row template."""

from __future__ import annotations

from flask import Flask

from pairscope.web.pages import (
    appearance,
    compare,
    database,
    editor,
    export,
    jobs,
    lab,
    messages,
    overview,
    program,
    recordings,
    stack,
    transfers,
    workers,
)
from pairscope.web.pages.routes import blueprint
from pairscope.web.recording.pages import add_filters

VIEWS = (
    appearance,
    compare,
    database,
    editor,
    jobs,
    lab,
    messages,
    overview,
    program,
    recordings,
    stack,
    transfers,
    workers,
)
"""The modules that add their views to the blueprint when they are imported."""


def register(app: Flask) -> None:
    """Adds the pages to the application, and the files of what their tables show."""
    app.register_blueprint(blueprint)
    export.register(app)
    add_filters(app)
