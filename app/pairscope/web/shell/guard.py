"""A part of a page that cannot be made says so in its place, and the rest of the page stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, render_template
from jinja2.runtime import Context
from jinja2.utils import pass_context
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from pairscope.store import errors
from pairscope.web.recorded import translated


@pass_context
def guarded(context: Context, name: str, instead: str, **more: Any) -> Markup:
    """The template `name` with what the page has and `more`; where that fails the template `instead`.

    What is wrong with the whole (a database that is away) is raised all the same.
    """
    return Markup(attempt(context, name, instead, **more)[0])  # noqa: S704  # a template escapes


def attempt(context: Context, name: str, instead: str, **more: Any) -> tuple[str, bool]:
    """What ``guarded`` gives, and whether it is what was asked for: not `instead`."""
    given = {**context.get_all(), **more}
    try:
        unreadable = getattr(more.get("row"), "unreadable", None)
        if not unreadable:
            return context.environment.get_template(name).render(given), True
        why = "; ".join(f"{column}: {translated(reason)}" for column, reason in unreadable.items())
    except HTTPException:
        raise
    except Exception as error:
        if errors.of(error) is not None:
            raise
        current_app.logger.warning("%s cannot be shown: %s: %s", name, type(error).__name__, error)
        why = type(error).__name__
    return context.environment.get_template(instead).render({**given, "why": why}), False


def drawn(draw: Callable[..., Any], *what: Any) -> Any:
    """A drawing; where it cannot be made from what is recorded, a sentence in its place."""
    try:
        return draw(*what)
    except Exception as error:
        if isinstance(error, HTTPException) or errors.of(error) is not None:
            raise
        current_app.logger.warning("a drawing cannot be made: %s: %s", type(error).__name__, error)
        return Markup(render_template("parts/unreadable.html", why=type(error).__name__))  # noqa: S704  # a template escapes


def register(app: Flask) -> None:
    """Gives the templates ``guarded``."""
    app.jinja_env.globals["guarded"] = guarded
