"""The headers of every response, and the answer to a host name that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, request
from flask_babel import gettext as _
from werkzeug.exceptions import SecurityError

from pairscope.config import BOX, Settings
from pairscope.web import problems, reach
from pairscope.web.problems import Problem

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every response that does not say otherwise itself."""


def finish(response: Response) -> Response:
    """Adds to a response what its view has not said."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
        if not response.headers[name]:
            del response.headers[name]  # the view said: not here
    if response.status_code >= 400:
        response.headers["Cache-Control"] = "no-store"
    elif request.blueprint in ("access", "api", "health"):
        response.headers.setdefault("Cache-Control", "no-store")
    if request.blueprint == "access":
        # The login link carries a token, so its path goes to nobody. Not no-referrer: with it a browser says "Origin:
        # null" of the form, and over http to another name than localhost that is all it says; same_site_only refuses
        # that.
        response.headers["Referrer-Policy"] = "strict-origin"
    return response


def strange_host(_error: SecurityError) -> Any:
    """A problem for a program, plain text for a browser: without a host that is ours there are no addresses to put into
    a page."""
    asked = request.headers.get("Host", "")[:100]
    words = " ".join(
        (
            _("This site does not answer to the host name %(asked)s.", asked=repr(asked)),
            _where_hosts_are_named(reach.settings()),
        )
    )
    if problems.wanted():
        return problems.answer(Problem("wrong-host", words))
    return words + "\n", 400, {"Content-Type": "text/plain; charset=utf-8"}


def _where_hosts_are_named(settings: Settings) -> str:
    """How whoever runs this installation lets it answer to another name, by what the installation has."""
    source = settings.source
    if source == "embedded" or settings.client is not None:
        return _(
            "Started by %(command)s it answers to localhost and the loopback addresses only; an installation "
            "with settings of its own has trusted_hosts.",
            command="script/lamp" if settings.client is not None else "script/server",
        )
    if Path(source).parent == BOX:
        return _(
            "Whoever runs it can add the name to hosts in %(file)s; deploy/provision.sh then makes "
            "trusted_hosts of it.",
            file=str(BOX / "box.toml"),
        )
    return _("Whoever runs it can add the name to trusted_hosts in its settings, %(file)s.", file=Path(source).name)
