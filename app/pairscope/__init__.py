"""Pairscope: a dashboard that shows Unix inter-process communication while it really happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from pairscope.config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application. Imported only when asked for: the supervisor and the recorder share this package without
    Flask."""
    from pairscope.web.application import create

    return create(settings)
