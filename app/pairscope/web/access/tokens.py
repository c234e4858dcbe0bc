"""An operator's tokens: 32 random bytes each, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any, NamedTuple

from flask import current_app, request
from flask_babel import gettext as _
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pairscope.store.models import Token
from pairscope.web import problems, reach
from pairscope.web.access.attempts import Attempts
from pairscope.web.problems import Problem

REMEMBERED = 600.0
"""Seconds for which a token that was verified counts as valid while the database cannot be asked."""


def new_token() -> str:
    """A fresh token: 256 random bits in URL-safe letters."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token. A token has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(own: Session, name: str, *, expires: int | None = None, once: bool = False) -> str:
    """Adds an operator's token to web's own table and returns it: it can be shown now and never again.

    `expires` is in ns since 1970; `once` makes it a login link's, gone after its first login. The caller commits.
    """
    token = new_token()
    own.add(Token(digest=digest(token), name=name[:80], created=time.time_ns(), expires=expires, once=once))
    own.flush()
    return token


def revoke_token(own: Session, number: int) -> bool:
    """Removes a token, and with it the sessions that came from it. False: there is none. The caller commits."""
    return bool(own.execute(delete(Token).where(Token.id == number)).rowcount)  # type: ignore[attr-defined]  # a DELETE's result counts them


class Verified(NamedTuple):
    """A token that is an operator's. `number` is 0 for the one of the settings."""

    number: int
    name: str
    digest: str
    expires: int | None
    once: bool


def verify(token: str) -> Verified | None:
    """The operator's token that this is; None: it is none. Raises what the database raises, unless it is remembered."""
    found = digest(token)
    settings = reach.settings()
    if settings.operator_token and hmac.compare_digest(found, digest(settings.operator_token)):
        return Verified(0, _("operator"), found, None, False)
    return stored(Token.digest == found, found)


def stored(condition: Any, expected: str) -> Verified | None:
    """The row that fulfils `condition`, if its digest is the expected one and it has not expired."""
    memory = kept().remembered
    try:
        with Session(current_app.extensions["pairscope"].engine(reach.settings().web_url, read_only=True)) as own:
            row = own.scalars(select(Token).where(condition)).first()
    except problems.DATABASE_AWAY:
        verified, until = memory.get(expected, (None, 0.0))
        if until < time.monotonic():
            raise
    else:
        verified = None
        if row is not None and hmac.compare_digest(row.digest, expected):
            verified = Verified(row.id, row.name, row.digest, row.expires, row.once)
            if len(memory) > 1000:
                memory.clear()
            memory[expected] = verified, time.monotonic() + REMEMBERED
        else:
            memory.pop(expected, None)
    if verified is None or (verified.expires is not None and verified.expires <= time.time_ns()):
        return None
    return verified


class Kept:
    """What one application keeps."""

    def __init__(self) -> None:
        self.attempts = Attempts()
        self.remembered: dict[str, tuple[Verified, float]] = {}


def kept() -> Kept:
    """What this application keeps."""
    return current_app.extensions["access"]


def attempt(token: str) -> Verified | None:
    """Verifies a token that somebody sent; None if it is wrong. Raises Problem (429) for a wrong one after too many.

    A right one is never refused: whoever guesses behind the same proxy would lock its owner out.
    """
    verified = verify(token)
    if verified is not None:
        return verified
    attempts = kept().attempts
    seconds = attempts.wait(request.remote_addr, time.monotonic())
    if seconds:
        raise Problem(
            "too-many-attempts",
            _(
                "Too many wrong tokens came from %(address)s. Try again in %(seconds)d seconds.",
                address=request.remote_addr,
                seconds=int(seconds) + 1,
            ),
            headers={"Retry-After": str(int(seconds) + 1)},
        )
    attempts.wrong(request.remote_addr, time.monotonic())
    return None
