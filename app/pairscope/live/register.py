"""The register: where web tells live what a page follows, and gets the ticket by which that page may come.

A packet there and one back over a local socket that only web's user reaches. A page is not kept waiting for it: without
an answer it has no ticket, and asks.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec

from pairscope.ipc.address import short

WAIT = 0.3
"""Seconds for an answer: live may be in the midst of sending to thousands."""
PAUSE = 2.0
"""Seconds for which live is left alone when it has not answered."""
MOST = 64 * 1024
"""Bytes of a packet."""
SHOWN = 100
"""Rows that a page names at most."""


class Wanted(msgspec.Struct, frozen=True):
    """What a page follows."""

    view: str
    language: str
    text: str
    """The filter."""
    operator: bool
    who: str
    """For whom tickets are counted: an address, or an operator's name."""
    shown: list[str]
    """Rows that the page holds and that may leave the filter, by the ids that they have in the page."""


class Given(msgspec.Struct, frozen=True):
    """What live answers."""

    ticket: str
    """32 hexadecimal digits; empty: none."""
    why: str = ""
    """Which bound is reached, ``crowd`` or ``full``; or ``wrong``: it cannot be followed."""


def path(directory: Path) -> Path:
    """Of the socket; its name is none that Apache could be brought to connect to."""
    return directory / "register"


decode_wanted = msgspec.msgpack.Decoder(Wanted).decode
decode_given = msgspec.msgpack.Decoder(Given).decode


class Register:
    """Web's end. One for each process."""

    def __init__(self, directory: Path) -> None:
        self._path = path(directory)
        self._again = 0.0

    def ticket(self, wanted: Wanted) -> str:
        """A ticket; empty: live is away or busy, or gives none. Waits WAIT at most, and not at all for PAUSE after
        nobody answered."""
        if time.monotonic() < self._again:
            return ""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock, short(self._path) as address:
                sock.settimeout(WAIT)
                sock.connect(address)
                sock.send(msgspec.msgpack.encode(wanted))
                return decode_given(sock.recv(MOST)).ticket
        except (OSError, msgspec.MsgspecError):
            self._again = time.monotonic() + PAUSE
            return ""
