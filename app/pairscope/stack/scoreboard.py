"""Apache's scoreboard: what each of its workers does. A daemon process of mod_wsgi has inherited Apache's shared
memory, and mod_wsgi reads it where the site says ``server-metrics=On``: no URL, no program and no right is needed.
Other processes do not see it."""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from typing import Any

from pairscope.sentence import listed, phrase

STATES = {
    "_": phrase("idle"),
    "S": phrase("starting"),
    "R": phrase("reading a request"),
    "W": phrase("answering"),
    "K": phrase("keeping a connection"),
    "L": phrase("logging"),
    "D": phrase("resolving a name"),
    "C": phrase("closing"),
    "G": phrase("finishing"),
    "I": phrase("ending"),
}
"""httpd's scoreboard.h, as mod_status prints them. ``.`` is a place without a worker."""


@dataclasses.dataclass(frozen=True)
class Scoreboard:
    """Apache's workers at one moment."""

    pids: tuple[int, ...]
    """Its processes that take requests."""
    states: dict[str, int]
    """How many workers are in each state, in the order of STATES."""

    @property
    def workers(self) -> int:
        return sum(self.states.values())

    @property
    def idle(self) -> int:
        return self.states.get("idle", 0)

    def __str__(self) -> str:
        return str(self.told())

    def told(self) -> str:
        """How many workers do what."""
        return listed([phrase("%(count)s %(state)s", count=count, state=state) for state, count in self.states.items()])


def inside() -> bool:
    """Whether this is a process that Apache has started: only there has the module mod_wsgi a process group."""
    try:
        from mod_wsgi import process_group  # noqa: F401 its being there is what is asked
    except ImportError:
        return False
    return True


def read() -> Scoreboard | None:
    """The scoreboard; None where this is no process of mod_wsgi, or the site does not let it look."""
    try:
        from mod_wsgi import server_metrics  # stands only in a process of Apache's
    except ImportError:
        return None
    told = server_metrics()
    return counted(told) if told else None


def counted(told: dict[str, Any]) -> Scoreboard:
    """From what mod_wsgi tells. What a request asks for, and of whom, is in there too where ExtendedStatus is on, and
    is left alone."""
    living = [process for process in told["processes"] if process["pid"]]
    found = Counter(worker["status"] for process in living for worker in process["workers"])
    states: dict[str, int] = {name: found[letter] for letter, name in STATES.items() if found[letter]}
    return Scoreboard(tuple(process["pid"] for process in living), states)


def module() -> str:
    """The version of mod_wsgi that this process runs in, and of the Python that it embeds; empty: it runs in none."""
    if not inside():
        return ""
    import mod_wsgi

    return phrase(
        "mod_wsgi %(version)s with Python %(python)s, process group %(group)s",
        version=".".join(map(str, mod_wsgi.version)),
        python=platform.python_version(),
        group=mod_wsgi.process_group,
    )
