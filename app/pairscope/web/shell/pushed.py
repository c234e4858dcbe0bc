"""Where a page's updates are pushed: docs/live.md. A page that has no such address asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from flask import Flask, current_app, request
from flask_babel import get_locale

from pairscope.live.register import SHOWN, Register, Wanted
from pairscope.web import access, reach

VIEWS = ("messages", "transfers", "jobs", "workers", "overview", "strip")
"""What is pushed, each by the view below /live that it follows. Pages on which nothing changes but the strip share one:
the lab and its runs, the stack, the database."""


class Push(NamedTuple):
    """How a page is pushed to."""

    address: str
    """Where; empty: nowhere now."""
    ticket: bool
    """True: the address is good for one connection, and an answer brings the next one."""


NOWHERE = Push("", False)


def push(asked: str, shown: Iterable[str] = ()) -> Push:
    """How what the page asks for at `asked` is pushed. What everybody sees has an address of its own; a filter, and
    what an operator sees, a ticket. `shown`: the rows on the page, which may leave the filter."""
    page, text = _followed(asked)
    operator = access.is_operator()
    if reach.settings().live_run is None or page not in VIEWS:
        return NOWHERE
    if operator and page == "workers":
        return NOWHERE  # its forms are signed for this session
    if not text and not operator and reach.settings().public_read:
        return Push(f"{request.script_root}/push/{page}.{_language()}", False)
    return Push(ticket(page, text, shown), True)


def ticket(page: str, text: str, shown: Iterable[str]) -> str:
    """Where this request's page is pushed to, once; empty: live gives no ticket. Of a page that may be read by whoever
    asks."""
    operator = access.operator_named()
    if page not in VIEWS or reach.settings().live_run is None or (operator and page == "workers"):
        return ""
    who = f"operator {operator}" if operator else str(request.remote_addr)
    wanted = Wanted(page, _language(), text, bool(operator), who, list(shown)[:SHOWN])
    register: Register = current_app.extensions["register"]
    found = register.ticket(wanted)
    return f"{request.script_root}/push/{found}" if found else ""


def _followed(asked: str) -> tuple[str, str]:
    """The view below /live, and the filter."""
    parts = urlsplit(asked)
    return parts.path.removeprefix(f"{request.script_root}/live/"), parse_qs(parts.query).get("q", [""])[0]


def _language() -> str:
    return str(get_locale() or "en")


def register(app: Flask) -> None:
    """Gives the application its end of live's register."""
    directory = app.extensions["pairscope"].settings.live_run
    if directory is not None:
        app.extensions["register"] = Register(directory)
