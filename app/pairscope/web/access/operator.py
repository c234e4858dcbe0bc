"""Who asks: a program with a bearer token, a person with a login session, or nobody that is known.

A login session is a signed cookie that names the token it came from: a revoked or expired token ends its sessions at
once.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple

from flask import current_app, g, request, session
from flask_babel import gettext as _
from sqlalchemy import update

from pairscope.store.models import Token
from pairscope.web import problems, reach
from pairscope.web.access.tokens import Verified, attempt, digest, new_token, stored
from pairscope.web.problems import Problem

SESSION_HOURS = 12


class Operator(NamedTuple):
    """Who asks."""

    name: str
    """Of the token."""
    by: str
    """``bearer`` or ``session``."""


def operator() -> Operator | None:
    """The operator who makes this request, or None. Raises Problem for a bearer token that is no operator's."""
    if "operator" not in g:
        g.operator = _operator()
    return g.operator


def is_operator() -> bool:
    """True if an operator makes this request; for templates: a database that is away makes no difference on a page."""
    try:
        return operator() is not None
    except (Problem, *problems.DATABASE_AWAY):
        return False


def operator_named() -> str:
    """The name of the operator who makes this request; empty: nobody who is one makes it."""
    if not is_operator():
        return ""
    asking = operator()
    return (asking.name if asking else "") or "operator"


def may_see() -> bool:
    """True if this request may see payloads, names of files and outputs: an operator's, or anybody's if they are
    public."""
    return reach.settings().public_outputs or is_operator()


def is_bearer() -> bool:
    """No browser sends a bearer token by itself; Basic, as Apache may ask for it, it does."""
    return request.authorization is not None and request.authorization.type == "bearer"


def _operator() -> Operator | None:
    if is_bearer():
        verified = attempt(request.authorization.token or "")  # type: ignore[union-attr]
        if verified is None or verified.once:
            raise Problem(
                "wrong-token",
                _(
                    "The bearer token is not an operator's, or was revoked, or has expired. Make one with: "
                    "pairscope token create NAME"
                ),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope", error="invalid_token"'},
            )
        return Operator(verified.name, "bearer")
    number, mark = session.get("operator", (None, ""))
    if number is None:
        return None
    settings = reach.settings()
    if number == 0:
        known = digest(settings.operator_token) if settings.operator_token else ""
        return Operator(_("operator"), "session") if known and hmac.compare_digest(mark, _mark(known)) else None
    for_number = session.get("digest", "")
    verified = stored(Token.id == number, for_number) if hmac.compare_digest(mark, _mark(for_number)) else None
    return Operator(verified.name, "session") if verified else None


def _mark(of: str) -> str:
    """Binds a session to its token without telling anything of it."""
    key = current_app.secret_key
    assert isinstance(key, bytes)  # create_app() reads it from its file
    return hmac.new(key, f"session {of}".encode(), hashlib.sha256).hexdigest()


def sign_in(verified: Verified) -> bool:
    """Begins a login session. A login link's token is traded for one that only this session knows: it works once."""
    if verified.once:
        own = reach.own()
        fresh = digest(new_token())
        name = _("session of %(name)s", name=verified.name)[:80]
        expires = time.time_ns() + SESSION_HOURS * 3600 * 10**9
        traded = own.execute(
            update(Token)
            .where(Token.id == verified.number, Token.digest == verified.digest)
            .values(digest=fresh, once=False, name=name, expires=expires)
        )
        own.commit()
        if not traded.rowcount:  # type: ignore[attr-defined]  # an UPDATE's result counts them
            return False  # another login was faster
        verified = verified._replace(digest=fresh)
    session.clear()
    session.permanent = True
    session["operator"] = verified.number, _mark(verified.digest)
    if verified.number:
        session["digest"] = verified.digest
    return True
