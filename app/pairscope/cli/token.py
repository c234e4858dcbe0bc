"""Operators' tokens: made, listed, revoked. Only the SHA-256 of a token is kept, in web's own table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from pairscope import config
from pairscope.cli.command import Failure, as_json
from pairscope.cli.output import age, console, put_json, say, table
from pairscope.cli.words import gettext as _
from pairscope.store.engine import engine
from pairscope.store.models import Token

DAY = 86400 * 10**9


@contextlib.contextmanager
def _own(*, read_only: bool = False) -> Iterator[Session]:
    made = engine(config.load().web_url, read_only=read_only)
    try:
        with Session(made) as session:
            yield session
    finally:
        made.dispose()


@click.group()
def token() -> None:
    """Make, list and revoke operators' tokens."""


@token.command()
@click.argument("name")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires; default: never.")
@click.option("--once", is_flag=True, help="A login link that works once, instead of a token for the API.")
@click.option(
    "--site",
    envvar="PAIRSCOPE_SITE",
    default="",
    metavar="URL",
    help="Address of the site, for the link of --once.  [env: PAIRSCOPE_SITE]",
)
@as_json
def create(name: str, days: float | None, once: bool, site: str, as_json: bool) -> None:
    """Make a token for the operator or the program NAME. It is shown now and never again."""
    from pairscope.web.access import create_token

    with _own() as own:
        made = create_token(own, name, expires=time.time_ns() + int(days * DAY) if days else None, once=once)
        own.commit()
    link = f"{site.rstrip('/')}/login?token={quote(made)}" if once else None
    if as_json:
        put_json({"token": made, "link": link, "name": name})
        return
    print(link or made)
    say(_("This link logs in once.") if once else _("Send it as: Authorization: Bearer TOKEN. It is not shown again."))


@token.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the tokens: their numbers and names, never the tokens."""
    with _own(read_only=True) as own:
        found = own.scalars(select(Token).order_by(Token.id)).all()
    if as_json:
        put_json([{name: getattr(row, name) for name in ("id", "name", "created", "expires", "once")} for row in found])
        return
    now = time.time_ns()
    rows = table(_("number"), _("name"), _("made"), _("expires"), right=(0,))
    for row in found:
        rows.add_row(str(row.id), row.name, _("%(age)s ago", age=age((now - row.created) / 1e9)), _expiry(row, now))
    console().print(rows if found else _("There is no token. Make one with: pairscope token create NAME"))


def _expiry(row: Any, now: int) -> str:
    if row.expires is None:
        when = _("never")
    elif row.expires <= now:
        when = _("has expired")
    else:
        when = _("in %(age)s", age=age((row.expires - now) / 1e9))
    return _("%(when)s, at its first login at the latest", when=when) if row.once else when


@token.command()
@click.argument("number", type=int)
@as_json
def revoke(number: int, as_json: bool) -> None:
    """Revoke the token NUMBER of the list. Sessions that came from it end at once."""
    from pairscope.web.access import revoke_token

    with _own() as own:
        if not revoke_token(own, number):
            raise Failure(_("there is no token %(number)s: pairscope token list shows them", number=number))
        own.commit()
    put_json({"revoked": number}) if as_json else print(_("Token %(number)s is revoked.", number=number))
