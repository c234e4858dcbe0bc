"""The page shell, what stands around every page: navigation, health strip, the table that it may hold, an error's page.

Pages and live updates show it by the same templates.
"""

from __future__ import annotations

from flask import Flask

from pairscope.web.shell import assets, errors, face, glossary, guard, moment, pushed, rendered, strip, unchanged


def register(app: Flask) -> None:
    """Gives the application what every page has."""
    for part in (assets, errors, guard, rendered, moment, strip, face, glossary, pushed, unchanged):
        part.register(app)
