"""Where the program's own files stand: in a checkout, in a copy of it, in an installed wheel.

A checkout has ``app/pairscope/`` and, beside ``app/``, ``deploy/`` and ``requirements.txt``. A wheel, and the copy that
a private instance makes of a checkout, have both of these inside the package.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE = PACKAGE.parent
"""The directory that must stand on Python's path for `pairscope` to be found."""


def _own(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.exists() else SOURCE.parent / name


DEPLOY = _own("deploy")
"""The templates of the servers' configurations, the guides and the scripts that set a box up."""
REQUIREMENTS = _own("requirements.txt")
"""What the program needs, each in the version that it is tested with."""
CATALOGUES = PACKAGE / "web" / "translations"
"""Those of gettext, ``LANGUAGE/LC_MESSAGES/messages.mo``, for pages and the command line."""
