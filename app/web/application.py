"""The application factory: settings, reach, words, languages, then each part that registers itself."""

from __future__ import annotations

import importlib
import importlib.util

from flask import Flask, request
from flask_babel import Babel

from app import config
from app.web import reach, words
from app.web.upload import Request

PARTS = ("access", "errors", "pages", "live", "export", "api", "health")
"""Modules of app.web with a ``register(app)`` each, in the order of their request hooks: access comes first."""

LANGUAGES = ("en",)


def create(settings: config.Settings | None = None) -> Flask:
    """A new application for these settings, or for those of the environment."""
    settings = settings or config.load()
    app = Flask("app.web")
    app.request_class = Request
    app.config.update(
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
        MAX_FORM_PARTS=100,
        BABEL_TRANSLATION_DIRECTORIES="translations",
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    reach.register(app, settings)
    Babel(app, locale_selector=lambda: request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0])
    words.register(app)
    for name in PARTS:
        if importlib.util.find_spec(f"app.web.{name}"):
            importlib.import_module(f"app.web.{name}").register(app)
    return app
