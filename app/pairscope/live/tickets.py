"""Tickets: each lets one connection come, once, to what it was made for.

A ticket is 128 random bits. It names a socket that stands in a directory of its own until somebody has come, or ten
seconds. What it leads to is known here alone, so there is nothing to forge.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from pairscope.ipc.address import short
from pairscope.live import register
from pairscope.live.door import Door
from pairscope.live.register import Given, Wanted
from pairscope.live.subject import Subject

LIFE = 10.0
"""Seconds."""
EACH = 32
"""Tickets of one address or operator that wait for their use."""
ALL = 4096
FOLLOWED = 500
"""Subjects of one's own that are followed at a time."""


class Ticket(NamedTuple):
    """One that was given and not used."""

    door: Door
    subject: Subject
    who: str
    until: float
    """s of the monotonic clock."""


class Tickets:
    """All that wait, by the descriptor of their door."""

    def __init__(self, directory: Path, most: int = ALL) -> None:
        self._directory = directory / "tickets"
        before = directory / f".tickets.{secrets.token_hex(4)}"
        with contextlib.suppress(FileNotFoundError):
            # Of the live before, which may still give tickets: whoever has one asks for another.
            self._directory.rename(before)
        self._directory.mkdir(mode=0o710)
        shutil.rmtree(before, ignore_errors=True)
        self._most = most
        self._each: Counter[str] = Counter()
        self.waiting: dict[int, Ticket] = {}
        self.counts: Counter[str] = Counter()
        """``given``, ``used``, ``expired``, and why none was given."""
        self._path = register.path(directory)
        self.register = _listen(self._path)
        self._listens = os.stat(self._path)

    def succeeded(self) -> bool:
        """Whether another live listens in place of this one."""
        try:
            return not os.path.samestat(os.stat(self._path), self._listens)
        except FileNotFoundError:
            return False

    def give(self, subject: Subject, who: str, now: float) -> tuple[Given, Ticket | None]:
        """A new ticket, whose door is to be watched; or why there is none."""
        why = "full" if len(self.waiting) >= self._most else "crowd" if self._each[who] >= EACH else ""
        if why:
            return self.refuse(why), None
        name = secrets.token_hex(16)
        try:
            door = Door(self._directory, name, backlog=0)
        except OSError:  # no descriptor, no room in the directory
            return self.refuse("full"), None
        ticket = Ticket(door, subject, who, now + LIFE)
        self.waiting[door.sock.fileno()] = ticket
        self._each[who] += 1
        self.counts["given"] += 1
        return Given(name), ticket

    def refuse(self, why: str) -> Given:
        self.counts[why] += 1
        return Given("", why)

    def end(self, ticket: Ticket, how: str) -> None:
        """It was used or has expired: it leads nowhere any more."""
        if self.waiting.pop(ticket.door.sock.fileno(), None) is None:
            return
        self.counts[how] += 1
        self._each[ticket.who] -= 1
        if not self._each[ticket.who]:
            del self._each[ticket.who]
        ticket.door.close()

    def expire(self, now: float) -> None:
        """Ends those whose time is over."""
        for ticket in [ticket for ticket in self.waiting.values() if now > ticket.until]:
            self.end(ticket, "expired")

    def subjects(self) -> set[Subject]:
        """What somebody may come for."""
        return {ticket.subject for ticket in self.waiting.values()}


class Asked:
    """A connection of web's at the register."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self.until = time.monotonic() + LIFE

    def wanted(self) -> Wanted | None:
        """What it wants; None: nothing that can be understood. Raises BlockingIOError if it has not said it yet."""
        try:
            return register.decode_wanted(self.sock.recv(register.MOST))
        except BlockingIOError:
            raise
        except (OSError, msgspec.MsgspecError):
            return None

    def answer(self, given: Given) -> None:
        with contextlib.suppress(OSError):  # it waits no longer
            self.sock.send(msgspec.msgpack.encode(given))


def _listen(path: Path) -> socket.socket:
    """The register's socket, for web's user alone."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    fresh = path.with_name(f".register.{secrets.token_hex(4)}")
    with short(fresh) as address:
        sock.bind(address)
    fresh.chmod(0o600)
    sock.listen(512)
    fresh.rename(path)
    return sock
