"""How a run was confined, read for people. It may come from a file, which says of its sandbox what it likes: any words
and numbers, in any shape. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Confined(NamedTuple):
    """A run's sandbox, as far as it is said."""

    level: str
    """One of confine.LEVELS, or another word; empty: not said."""
    namespaces: list[str] | None
    """The run's own, by name; None: not said, as in runs of before."""
    missing: list[str]
    """A sentence for each part that was not there."""


def confined(sandbox: Mapping[str, Any]) -> Confined:
    """What `Run.sandbox` says."""
    level, namespaces = sandbox.get("level"), sandbox.get("namespaces")
    return Confined(
        level if isinstance(level, str) else "",
        _words(namespaces) if isinstance(namespaces, list) else None,
        _words(sandbox.get("missing")),
    )


def _words(said: Any) -> list[str]:
    return [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
