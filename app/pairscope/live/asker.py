"""The asker: the thread that reads the database and renders, one round after the other.

The hub's thread holds the sockets and never waits for it. A round goes there as a Wish and comes back as an Answer:
both are handed over whole, and what is kept from round to round is this thread's own.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

from pairscope.live.pack import Packer
from pairscope.live.parts import Parts
from pairscope.live.source import Source, Trouble
from pairscope.live.stream import Standing, Stream
from pairscope.live.subject import Subject
from pairscope.live.tail import IDLE, Tail

log = logging.getLogger("live")


class Wish(NamedTuple):
    """What is wanted of a round."""

    followed: Mapping[Subject, bool]
    """Each subject that somebody follows; True: somebody comes to it, who needs all that is there."""
    expected: frozenset[Subject]
    """Those for which somebody has a ticket: their rows are kept."""
    shown: Mapping[Subject, list[str]]
    """Rows that pages hold."""
    grown: bool
    """The record has grown."""


class Answer(NamedTuple):
    """What came of it."""

    blocks: Mapping[Subject, bytes]
    """What is to be sent to all who follow a subject."""
    standing: Mapping[Subject, Standing]
    used: float
    """Seconds of processor time."""


class Asker(threading.Thread):
    """Owns tails, parts and streams."""

    def __init__(self, source: Source, resumed: Mapping[str, str]) -> None:
        """`resumed`: the cursor at which a table's tail goes on."""
        super().__init__(name="asker", daemon=True)  # at the end nobody waits for a database that stands still
        self._source = source
        self._resumed = resumed
        self._until = time.monotonic() + IDLE
        self._packers = {False: Packer(), True: Packer(0)}
        self._tails: dict[tuple[str, bool], Tail] = {}
        self._parts: dict[tuple[str, str, bool], Parts] = {}
        self._streams: dict[Subject, Stream] = {}
        self._shown: dict[Subject, list[str]] = {}
        self._wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.wake, self._bell = socket.socketpair()
        """Can be read when there is an answer."""
        for each in (self.wake, self._bell):
            each.setblocking(False)
        self.asked = 0.0
        """When the round began that is under way (s of the monotonic clock); 0: none is."""

    # ---- of the hub's thread

    def ask(self, wish: Wish) -> None:
        """Begins a round; none is under way."""
        self.asked = time.monotonic()
        self._wishes.put(wish)

    def told(self) -> Answer | None:
        """What came of the round; None: it is under way."""
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(64)
        try:
            answer = self._answers.get_nowait()
        except queue.Empty:
            return None
        self.asked = 0.0
        return answer

    # ---- of its own

    def run(self) -> None:
        while True:
            wish = self._wishes.get()
            begun = time.thread_time()  # not the clock's: on a busy machine a round takes many times as long
            try:
                blocks, standing = self._round(wish, time.monotonic())
            except Exception:
                log.exception("a round failed")
                blocks, standing = {}, {}
            self._answers.put(Answer(blocks, standing, time.thread_time() - begun))
            with contextlib.suppress(OSError):
                self._bell.send(b"!")

    def _round(self, wish: Wish, now: float) -> tuple[dict[Subject, bytes], dict[Subject, Standing]]:
        for subject in wish.followed.keys() | wish.expected:
            if subject.table:
                self._tails.setdefault((subject.table, subject.operator), self._tail(subject)).left = now
        for tail in self._tails.values():
            self._read(tail, wish.grown, now)
        comes: dict[tuple[str, str, bool], bool] = {}
        for subject, somebody in wish.followed.items():
            key = (subject.surroundings, subject.language, subject.operator)
            comes[key] = comes.get(key, False) or somebody
        self._parts = {key: self._parts.get(key) or Parts(*key, self._source, self._packers[key[2]]) for key in comes}
        for key, parts in self._parts.items():
            parts.look(now, comes[key])
        for subject, names in wish.shown.items():
            self._shown.setdefault(subject, []).extend(names)
        blocks, standing, streams = {}, {}, self._streams
        self._streams = {}
        for subject in wish.followed:
            stream = self._streams[subject] = streams.get(subject) or self._stream(subject)
            stream.shows(self._shown.pop(subject, ()))
            parts = self._parts[subject.surroundings, subject.language, subject.operator]
            if block := stream.tell(self._tails.get((subject.table, subject.operator)), parts, now):
                blocks[subject] = block
            standing[subject] = stream.standing(parts, now)
        for subject in self._shown.keys() - wish.expected:
            del self._shown[subject]
        return blocks, standing

    def _tail(self, subject: Subject) -> Tail:
        return Tail(subject.table, subject.operator, self._source)

    def _stream(self, subject: Subject) -> Stream:
        return Stream(subject, self._source, self._packers[subject.operator])

    def _read(self, tail: Tail, grown: bool, now: float) -> None:
        if tail.left < now:  # nobody follows
            if tail.cursor and now > tail.left + IDLE:
                tail.forget()
            return
        try:
            if not tail.cursor:
                tail.begin(self._resumed.get(tail.table, "") if now < self._until else "")
                grown = True
            if grown or tail.trouble:
                tail.read(now)
            tail.trouble = ""
        except Trouble as error:
            tail.trouble = str(error)
