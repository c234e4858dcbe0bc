"""What a view says of itself: who may call it. Each of the five decorators checks it where it stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import redirect, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, CSRFProtect

from pairscope.web import problems, reach
from pairscope.web.access.forwarded import UNBELIEVED
from pairscope.web.access.key import cookie_name
from pairscope.web.access.operator import is_bearer, operator
from pairscope.web.problems import Problem

View = TypeVar("View", bound=Callable[..., Any])

csrf = CSRFProtect()


def operator_required(view: View) -> View:
    """Only an operator may call the view; one with a login session must come from a page of ours, too (CSRF).

    Goes below the route and above whatever parses arguments: a stranger's body is not even read.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        asking = operator()
        if asking is None:
            raise Problem(
                "login-needed",
                _(
                    "This changes something, so it needs an operator: an Authorization header with a bearer "
                    "token, or a login."
                ),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        if asking.by == "session":
            protect()
        return view(*args, **kwargs)

    checked.reach = "operator"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def reader_required(view: View) -> View:
    """Whoever may read may call the view: everybody, or only operators if ``public_read`` is off."""

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not reach.settings().public_read and operator() is None:
            if not problems.wanted() and request.method in ("GET", "HEAD"):
                return redirect(url_for("access.login", next=here()))
            raise Problem(
                "login-needed",
                _("Reading needs an operator here: an Authorization header with a bearer token, or a login."),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        return view(*args, **kwargs)

    checked.reach = "reader"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def outputs_required(view: View) -> View:
    """Whoever may read and may see outputs may call the view: operators, and everybody if ``public_outputs`` is on."""

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not reach.settings().public_outputs and operator() is None:
            if not problems.wanted() and request.method in ("GET", "HEAD"):
                return redirect(url_for("access.login", next=here()))
            raise Problem(
                "login-needed",
                _(
                    "What a job made is shown after a login only here: send an Authorization header with a bearer "
                    "token, or log in."
                ),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        return view(*args, **kwargs)

    return reader_required(checked)  # type: ignore[return-value]


def visitor_allowed(view: View) -> View:
    """Whoever may read may call the view though it stores something: what it does is bounded, and the view itself says
    for whom.

    A login session must come from a page of ours (CSRF); of others the browser's word is taken that it is this site's
    page.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        asking = operator()
        if asking is None and not reach.settings().public_read:
            raise Problem(
                "login-needed",
                _("Reading needs an operator here: an Authorization header with a bearer token, or a login."),
            )
        if asking is not None and asking.by == "session":
            protect()
        return view(*args, **kwargs)

    checked.reach = "visitor"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def open_to_all(view: View) -> View:
    """Everybody may call the view, whatever the settings say: it tells nothing, or is the way in."""
    view.reach = "all"  # type: ignore[attr-defined]
    return view


def here() -> str:
    """The address of this page, to come back to after a login; after a form that of the first page."""
    if request.method not in ("GET", "HEAD"):
        return request.script_root + "/"
    return request.script_root + request.full_path.rstrip("?")


def protect() -> None:
    """Refuses a form that does not come from a page of ours."""
    try:
        csrf.protect()
    except CSRFError as error:
        words = [
            _(
                "%(reason)s Load the page again and send the form once more; a program sends a bearer token instead.",
                reason=error.description,
            )
        ]
        if cookie_name(reach.settings()) not in request.cookies:
            words.append(_("The browser sent no cookie of this site."))
            if reach.settings().secure_cookies and not request.is_secure:
                words.append(
                    _(
                        "It sends one over https only (secure_cookies is true), and for this site the request came "
                        "by http: open the site by https, or set secure_cookies to false."
                    )
                )
        raise Problem("forged", " ".join(words)) from None


def same_site_only() -> None:
    """Refuses what another site made a browser send, by what the browser says of it, before anything is parsed."""
    if request.method in ("GET", "HEAD", "OPTIONS") or is_bearer():
        return
    fetch = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch is not None:
        if fetch in ("same-origin", "none"):
            return
    elif origin is None or _names(origin, request.host):
        return
    words = _("A page of another site made this browser send the request. Nothing was done.")
    if fetch is None and origin != "null":
        words = f"{words} {_of_proxies(str(origin))}"
    raise Problem("forged", words)


def _names(origin: str, host: str) -> bool:
    """Whether an origin is one of `host`: a port that either leaves out is that of the origin's scheme. RFC 6454."""
    scheme = urlsplit(origin).scheme
    usual = {"http": 80, "https": 443}.get(scheme)
    try:
        ours, theirs = urlsplit(f"{scheme}://{host}"), urlsplit(origin)
        return theirs.hostname is not None and (theirs.hostname, theirs.port or usual) == (
            ours.hostname,
            ours.port or usual,
        )
    except ValueError:
        return False


def _of_proxies(origin: str) -> str:
    """What to set if the page is this site's, and a proxy in front has hidden that."""
    seen = _(
        "The page is of %(origin)s, and the request came for %(host)s.", origin=origin[:100], host=request.host[:100]
    )
    if request.environ.get(UNBELIEVED):
        todo = _(
            "If a proxy stands in front of this site, name its address, %(address)s, in trusted_proxies: only then is "
            "believed which host it was asked for.",
            address=request.remote_addr,
        )
    else:
        todo = _(
            "If a proxy stands in front of this site, let it keep the host name (ProxyPreserveHost On for Apache), or "
            "send it as X-Forwarded-Host and name the proxy's address, %(address)s, in trusted_proxies.",
            address=request.remote_addr,
        )
    return f"{seen} {todo}"
