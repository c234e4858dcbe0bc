"""The facts of a moment by their paths, and what a difference between two moments is. Pure.

A fact has a path: ``("process", name, key)``, ``("thread", process, name)``, ``("descriptor", process, number, key)``,
``("object", inode, key)``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

Path = tuple[Any, ...]
Facts = dict[Path, Any]

BORN = {
    "process": {"pid", "parent", "state", "blocked", "threads", "exit", "signals", "handled"},
    "descriptor": {"names", "object", "inode", "access", "cloexec", "flags", "offset", "description"},
    "object": {
        "kind", "link", "descriptions", "family", "type", "listens", "borders", "why", "peer", "peer_held",
        "credentials", "capacity", "options", "process",
    },
}  # fmt: skip
"""Keys that are told by saying that a thing is there: what it is, and how things of its kind begin."""
EMPTY: dict[str, tuple[Any, ...]] = {
    "queued": (0, None), "contents": ([], None), "in_flight": (0, None), "flying": ([], None), "carried": ([], None),
    "shut": ([], None), "error": (False,),
    "waiting": (0, None), "waiting_from": ([], None), "backlog": (None,), "size": (0,), "crc32": (0,), "count": (0,),
    "seals": ("0", "F_SEAL_SEAL"),
    "address": (None, "0.0.0.0:0", "[::]:0"), "peer_address": (None,),
    "held": (True, None), "flies_in": ([], None), "used_by": ([], None), "ahead": ([], None),
}  # fmt: skip
"""What else an object has that holds nothing yet: no word is made of these."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One change, in words."""

    text: str
    covers: frozenset[Path]
    """The facts that it tells of, of those that changed."""
    known: bool = True
    """False: no teller knows this fact, and it is told by its key."""


def flatten(facts: dict[str, Any]) -> Facts:
    """Every fact by its path, but for `how` it is known."""
    found: Facts = {}
    for process in facts["processes"]:
        name = process["name"]
        found |= {
            ("process", name, key): value
            for key, value in process.items()
            if key not in ("name", "how", "descriptors", "threads")
        }
        found |= {("thread", name, thread["name"]): thread for thread in process.get("threads") or ()}
        for row in process["descriptors"]:
            found |= {("descriptor", name, row["number"], key): value for key, value in row.items() if key != "number"}
    for item in facts["objects"]:
        found |= {("object", item["inode"], key): value for key, value in item.items() if key not in ("inode", "how")}
    return found


def facts_of(item: dict[str, Any], *keys: str) -> set[Path]:
    """The paths of some of an object's facts."""
    return {("object", item["inode"], key) for key in keys}
