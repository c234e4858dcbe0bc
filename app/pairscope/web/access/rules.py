"""What a view says of itself: who may call it. Each of the four decorators checks it where it stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import redirect, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, CSRFProtect

from pairscope.web import problems, reach
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
                return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
            raise Problem(
                "login-needed",
                _("Reading needs an operator here: an Authorization header with a bearer token, or a login."),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        return view(*args, **kwargs)

    checked.reach = "reader"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


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


def protect() -> None:
    """Refuses a form that does not come from a page of ours."""
    try:
        csrf.protect()
    except CSRFError as error:
        raise Problem(
            "forged",
            _(
                "%(reason)s Load the page again and send the form once more; a program sends a bearer token instead.",
                reason=error.description,
            ),
        ) from None


def same_site_only() -> None:
    """Refuses what another site made a browser send, by what the browser says of it, before anything is parsed."""
    if request.method in ("GET", "HEAD", "OPTIONS") or is_bearer():
        return
    fetch = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch is not None:
        foreign = fetch not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.host
    if foreign:
        raise Problem("forged", _("A page of another site made this browser send the request. Nothing was done."))
