"""Addresses: a path of the recording becomes a file of the scratch directory, a port of the loopback any that is
free."""

from __future__ import annotations

import re

from pairscope.lab.language.kinds import fits
from pairscope.lab.model import Text
from pairscope.sentence import phrase
from pairscope.trace.scenario.line import LeftOut, Line
from pairscope.trace.scenario.turn import UNSEEN, Turn

_PORT = re.compile(rb"(?:127\.0\.0\.1|0\.0\.0\.0|(\[::1\]|\[::\])):[0-9]+\Z")
ELSEWHERE = phrase("to addresses that are not here")


class Places:
    """The addresses that this scenario has, by those of the recording."""

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}
        self._hosts: set[bytes] = set()

    def bind(self, turn: Turn) -> Line:
        """A socket gets its address. Raises LeftOut."""
        fd, where = turn.fd(), self._given(turn)
        if port := _PORT.match(where):
            host = b"[::1]" if port[1] else b"127.0.0.1"
            self._hosts.add(host)
            return turn.line("bind", fd, Text(host + b":0"))
        return turn.line("bind", fd, Text(self._named(where)))

    def connect(self, turn: Turn) -> Line:
        """One looks for another's. Raises LeftOut."""
        fd, where = turn.fd(), self._given(turn)
        if port := _PORT.match(where):
            host = b"[::1]" if port[1] else b"127.0.0.1"
            if host not in self._hosts:
                raise LeftOut(ELSEWHERE)
            return turn.line("connect", fd, Text(host + b":0"))
        if where not in self._names and "errno" not in turn.gave:
            raise LeftOut(ELSEWHERE)
        return turn.line("connect", fd, Text(self._named(where)))

    @staticmethod
    def _given(turn: Turn) -> bytes:
        where = turn.given.get("address")
        if not isinstance(where, bytes) or not where:
            raise LeftOut(UNSEEN)
        return where

    def _named(self, where: bytes) -> bytes:
        """A name that the language takes, and that no other address has."""
        if where not in self._names:
            plain = where if where.startswith(b"\0") else where.rpartition(b"/")[2]
            taken = self._names.values()
            if not fits(Text(plain), "address") or plain in taken:
                plain = (b"\0" if where.startswith(b"\0") else b"") + b"s%d" % (len(taken) + 1)
            self._names[where] = plain
        return self._names[where]
