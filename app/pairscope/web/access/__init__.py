"""Who may do what: reading is open unless the settings say otherwise; whatever changes something needs an operator.

An operator has a token (tokens.py). A program sends it as ``Authorization: Bearer``; a person trades it for a login
session (operator.py, login.py). Every view says who may call it with one of five decorators, and checks it itself
(rules.py). This file holds what other parts use of it.
"""

from __future__ import annotations

from flask import Flask
from werkzeug.exceptions import SecurityError

from pairscope.config import Settings
from pairscope.web.access import places
from pairscope.web.access.attempts import Attempts
from pairscope.web.access.headers import CONTENT_SECURITY_POLICY, finish, strange_host
from pairscope.web.access.key import COOKIE, cookie_name, secret_key
from pairscope.web.access.login import blueprint, local
from pairscope.web.access.operator import SESSION_HOURS, is_operator, may_see, operator_named
from pairscope.web.access.pace import Pace
from pairscope.web.access.places import holds, place
from pairscope.web.access.rules import (
    csrf,
    here,
    open_to_all,
    operator_required,
    outputs_required,
    reader_required,
    same_site_only,
    visitor_allowed,
)
from pairscope.web.access.tokens import Kept, create_token, revoke_token

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "COOKIE",
    "Attempts",
    "cookie_name",
    "create_token",
    "here",
    "holds",
    "is_operator",
    "local",
    "may_see",
    "open_to_all",
    "operator_named",
    "operator_required",
    "outputs_required",
    "place",
    "reader_required",
    "register",
    "revoke_token",
    "secret_key",
    "visitor_allowed",
]


def register(app: Flask) -> None:
    """Gives the application its key, its cookies, its headers and the way in."""
    settings: Settings = app.extensions["pairscope"].settings
    app.extensions["access"] = Kept()
    app.extensions["pairscope"].may_see = may_see
    app.secret_key = secret_key(settings)
    app.config.update(
        SESSION_COOKIE_NAME=cookie_name(settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        PERMANENT_SESSION_LIFETIME=SESSION_HOURS * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_CHECK_DEFAULT=False,  # checked by the decorator, after the operator: a stranger's body is not read
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=False,  # wants a Referer, which /login does not send; same_site_only is stricter
    )
    csrf.init_app(app)
    app.register_error_handler(SecurityError, strange_host)
    places.register(app)
    app.extensions["pace"] = Pace()
    app.before_request(same_site_only)
    app.after_request(finish)
    app.context_processor(lambda: {"is_operator": is_operator, "may_see": may_see, "here": here})
    app.register_blueprint(blueprint)
