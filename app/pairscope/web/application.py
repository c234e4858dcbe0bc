"""The application factory: settings, reach, words, languages, then each part that registers itself."""

from __future__ import annotations

from flask import Flask
from flask_babel import Babel

from pairscope import config
from pairscope.web import access, api, health, live, pages, reach, shell, words
from pairscope.web.access.forwarded import Forwarded
from pairscope.web.address import Number
from pairscope.web.languages import preferred
from pairscope.web.turns import MANY, Turns
from pairscope.web.upload import FIELD_MAX, Request, plain_host

PARTS = (access, shell, pages, live, api, health)
"""Each registers itself, in the order of its hooks on a request: access comes first. One that cannot be imported is an
error, at start and not when somebody asks for its pages."""


def create_app(settings: config.Settings | None = None, *, crowd: bool = False) -> Flask:
    """The WSGI application for these settings, or for those of the environment. `crowd`: hundreds of threads serve
    it."""
    settings = settings or config.load()
    app = Flask("pairscope.web")
    app.request_class = Request
    app.url_map.converters["int"] = Number
    app.config.update(
        TRUSTED_HOSTS=[plain_host(name) for name in settings.trusted_hosts] or None,
        MAX_FORM_PARTS=100,
        MAX_FORM_MEMORY_SIZE=FIELD_MAX,
        BABEL_TRANSLATION_DIRECTORIES="translations",
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    turns = Turns(MANY if crowd else 0)
    reach.register(app, settings, turns)
    Babel(app, locale_selector=preferred)
    words.register(app)
    for part in PARTS:
        part.register(app)
    inner = Forwarded(app.wsgi_app, settings.trusted_proxies, settings.prefix)
    app.wsgi_app = turns.serve(inner)  # type: ignore[method-assign]  # as Flask's own page says
    return app
