"""Which descriptors are one open file description, and a duplicate of each to ask it by.

kcmp(2) says it, within what has one device and inode. :class:`Descriptions` is the only owner of the duplicates.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from pairscope.ipc import descriptor
from pairscope.lab.constants import decode
from pairscope.lab.probes import tables
from pairscope.lab.probes.peek import Waits
from pairscope.lab.run import Descriptor

_GONE = (errno.ENOENT, errno.EBADF)
"""A number was closed between two questions."""


@dataclasses.dataclass(slots=True)
class Description:
    """One open file description."""

    own: int
    """This process's duplicate."""
    seen: descriptor.Object
    key: tuple[int, int]
    """Device and inode."""
    sock: socket.socket | None
    """The duplicate again, if it is a socket."""
    number: int = 0
    """The caller's number for it; 0: it has none yet."""
    holders: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    """Pid and number of each descriptor; none if it is only in flight."""
    flies_in: dict[int, None] = dataclasses.field(default_factory=dict)
    """Inodes of the sockets in whose queues it was found in flight."""
    queue: Queue | None = None
    """What waits in it; None: it is no socket, or one whose queue is not looked at."""

    @property
    def inode(self) -> int:
        """Of the object that it leads to."""
        return self.key[1]


@dataclasses.dataclass(slots=True)
class Queue:
    """What was found in a socket's queue."""

    waits: Waits
    error: bool
    """An error waits, and the first look would take it away."""
    ends: bool
    """The end of what may come stands behind it."""
    carried: list[list[Description]] | None = None
    """Of each part the descriptors that are in flight with it; None: not all that are could be asked about."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A row of a process's table."""

    number: int
    description: Description
    info: Mapping[str, str]
    """Its fdinfo."""

    def told(self, names: Iterable[str] = ()) -> Descriptor:
        """For a state. `names`: what the descriptor is called."""
        seen = self.description.seen
        status = seen.flags & ~os.O_ACCMODE
        return Descriptor(
            number=self.number,
            names=list(names),
            object=seen.object,
            inode=self.description.inode,
            access=seen.access,
            cloexec=bool(int(self.info.get("flags", "0"), 8) & os.O_CLOEXEC),
            flags=decode("O_", status) if status else "0",
            offset=seen.offset,
            description=self.description.number,
        )


class Descriptions:
    """All that were met so far, in that order. A context manager: at its end every duplicate is closed."""

    def __init__(self) -> None:
        self.all: list[Description] = []
        self._alike: dict[tuple[int, int], list[Description]] = {}
        """By device and inode."""

    def __enter__(self) -> Descriptions:
        return self

    def __exit__(self, *_: Any) -> None:
        for description in self.all:
            if description.sock is not None:
                description.sock.close()
            else:
                os.close(description.own)

    def table(self, pid: int, pidfd: int, numbers: Iterable[int]) -> list[Entry]:
        """These numbers of a process's table; one that is closed is left out. Raises OSError if the process is gone, or
        may not be looked at."""
        entries = []
        for number in numbers:
            try:
                entries.append(self._entry(pid, pidfd, number))
            except OSError as error:
                if error.errno not in _GONE:
                    raise
        return entries

    def _entry(self, pid: int, pidfd: int, number: int) -> Entry:
        status = os.stat(f"/proc/{pid}/fd/{number}")
        info = tables.fdinfo(pid, number)
        key = status.st_dev, status.st_ino
        description = self._known(key, pid, number) or self._take(tables.duplicate(pidfd, number), key)
        description.holders.append((pid, number))
        return Entry(number, description, info)

    def adopt(self, own: int, queue: int) -> Description:
        """The description behind a duplicate of a descriptor that is in flight to the socket `queue` (its inode). Takes
        the duplicate over."""
        status = os.fstat(own)
        key = status.st_dev, status.st_ino
        description = self._known(key, os.getpid(), own)
        if description is None:
            description = self._take(own, key)
        else:
            os.close(own)
        description.flies_in[queue] = None
        return description

    def _known(self, key: tuple[int, int], pid: int, number: int) -> Description | None:
        """The one that this descriptor belongs to, if it was met before."""
        for description in self._alike.get(key, ()):
            if descriptor.prove(pid, number, description.own)[0] == "same":
                return description
        return None

    def _take(self, own: int, key: tuple[int, int]) -> Description:
        """A new one; `own` belongs to it."""
        try:
            seen = descriptor.look(own)
            if seen.object == "socket" and seen.flags & os.O_PATH:
                seen = seen._replace(object="file of a socket")  # and no socket: open(2)
            sock = tables.opened(own) if seen.object == "socket" else None
        except OSError:
            os.close(own)
            raise
        description = Description(own, seen, key, sock)
        self.all.append(description)
        self._alike.setdefault(key, []).append(description)
        return description
