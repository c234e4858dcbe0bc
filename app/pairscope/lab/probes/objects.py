"""What a description leads to, whatever its kind, as a run's state has it.

What is filled in here is *observed*, and says so in ``how``. ``peer`` alone may be *derived*: from an earlier look, or
from the addresses of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping

from pairscope.lab.probes import anonymous, files, pipes, sockets
from pairscope.lab.probes.descriptions import Description
from pairscope.lab.probes.sockets import Surroundings
from pairscope.lab.run import Object


def key(description: Description) -> tuple[int, ...]:
    """The same for two descriptions of one object."""
    if description.seen.object == "anonymous inode":
        # All eventfds have one inode between them (fs/anon_inodes.c), so each description is an object there.
        return (*description.key, description.number)
    return description.key


def empty(description: Description) -> Object:
    """The object behind it, with nothing but what it is."""
    seen = description.seen
    return Object(description.inode, seen.object, seen.link, [], {}, held=False)


def describe(told: Object, description: Description, info: Mapping[str, str], around: Surroundings) -> None:
    """Adds to `told` what one more of its descriptions says. `info`: the fdinfo of one of its descriptors. What waits
    in a socket stands in ``description.queue``, and is the caller's to tell: he may know who sent it. Raises
    OSError."""
    told.descriptions.append(description.number)
    told.held = told.held or bool(description.holders)
    if description.flies_in and not description.holders:
        told.flies_in = list(dict.fromkeys([*(told.flies_in or ()), *description.flies_in]))
    match description.seen.object:
        case "socket":
            sockets.describe(told, description, info, around)
        case "pipe":
            pipes.describe(told, description)
        case "regular file" | "memfd":
            files.describe(told, description)
        case _:
            anonymous.describe(told, info)
