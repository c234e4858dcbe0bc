"""The API: what the pages show and do, for programs, under ``/api/v1``.

The declarations that check a request also make ``openapi.json``, through Flask-smorest.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, redirect, url_for
from flask_smorest import Api as SmorestApi

import pairscope
from pairscope.web import problems
from pairscope.web.access import open_to_all
from pairscope.web.api import history, jobs, lab, pool, stack  # noqa: F401 each adds its routes to the blueprint
from pairscope.web.api.routes import blueprint
from pairscope.web.api.shapes import ProblemShape


class Api(SmorestApi):
    """Flask-smorest without its handlers and pages: a problem looks the same wherever it arises."""

    ERROR_SCHEMA = ProblemShape
    DEFAULT_RESPONSE_CONTENT_TYPE: str

    def _register_error_handlers(self) -> None:
        """It would answer the pages' errors as JSON, too."""

    def _register_responses(self) -> None:
        usual, self.DEFAULT_RESPONSE_CONTENT_TYPE = self.DEFAULT_RESPONSE_CONTENT_TYPE, problems.MEDIA
        super()._register_responses()
        self.DEFAULT_RESPONSE_CONTENT_TYPE = usual


def register(app: Flask) -> None:
    """Adds the API to the application."""
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's own provider. A message begins with its id
    api = Api(
        app,
        spec_kwargs={
            "title": "Pairscope",
            "version": pairscope.__version__,
            "openapi_version": "3.1.0",
            "info": {
                "description": "Real Unix IPC: a pool of sandboxed workers behind socketpairs, every message and every "
                "descriptor transfer recorded. Ids are strings; times are UTC with nanoseconds; a list is "
                "newest first.",
            },
            "servers": [{"url": "/"}],
        },
    )
    api.spec.components.security_scheme(
        "operator",
        {
            "type": "http",
            "scheme": "bearer",
            "description": "An operator's token: pairscope token create NAME",
        },
    )
    api.register_blueprint(blueprint)
    for path in ("/api", "/api/v1", "/api/v1/docs"):
        app.add_url_rule(path, "api_description", _description, strict_slashes=False)


@open_to_all
def _description() -> Any:
    """Who looks for the API at its root is led to what describes it."""
    return redirect(url_for("api.openapi"))
