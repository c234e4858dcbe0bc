"""The facts of a moment by their paths, and what a difference between two moments is. Pure.

A fact has a path: ``("process", name, key)``, ``("thread", process, name)``, ``("descriptor", process, number, key)``,
``("object", inode, key)``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pairscope.lab.run import UNSET, Object, Process, State, known

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


def flatten(state: State, other: State) -> Facts:
    """Every fact by its path, but for `how` it is known. Processes and objects that are the same in `other`, another
    moment, are left out: most are, and nothing of them differs."""
    found: Facts = {}
    processes = {process.name: process for process in other.processes}
    objects = {item.inode: item for item in other.objects}
    for process in state.processes:
        name = process.name
        if process == processes.get(name):
            continue
        for key in process.__struct_fields__:
            if key not in _APART and (value := getattr(process, key)) is not UNSET:
                found["process", name, key] = value
        for thread in process.threads or ():
            found["thread", name, thread.name] = thread
        for row in process.descriptors:
            number = row.number
            for key in row.__struct_fields__:
                if key != "number":
                    found["descriptor", name, number, key] = getattr(row, key)
    for item in state.objects:
        inode = item.inode
        if item == objects.get(inode):
            continue
        for key in item.__struct_fields__:
            if key not in _APART and (value := getattr(item, key)) is not UNSET:
                found["object", inode, key] = value
    return found


_APART = {"name", "inode", "how", "descriptors", "threads"}
"""What names a process or an object, how its values are known, and what has paths of its own."""


def value_of(thing: Process | Object, key: str) -> Any:
    """One of its facts; None: it is not known, or not there."""
    return known(getattr(thing, key))


def facts_of(item: Object, *keys: str) -> set[Path]:
    """The paths of some of an object's facts."""
    return {("object", item.inode, key) for key in keys}
