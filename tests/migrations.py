"""The migrations that there are, by the names of their files: ``0002_history_fence.py`` is the revision history0002."""

from __future__ import annotations

from pathlib import Path

import pairscope.store

_FILES = sorted((Path(pairscope.store.__file__).parent / "migrations/versions").glob("0*.py"))
ALL = sorted("".join(reversed(path.stem.split("_")[:2])) for path in _FILES)
"""In the order in which fresh tables get them: the line of history first, then web's own."""
