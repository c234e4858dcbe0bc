"""A client that writes down by itself what it was told: ``python -m tests.attack.bookkeeper SETTINGS BOOK SEED``.

Each line of its book is one write(2) of an event and what belongs to it:

- ``T text``: it is about to submit a job with that text, which nobody else uses;
- ``A job text``: the pool has acknowledged it;
- ``E job text state``: the pool has said how it ended;
- ``R text code``: the pool refused it, so there is no such job;
- ``G seconds``: for so long it could get nothing done.

What became of a text with none of A, E and R is not known: its pool went away meanwhile. SIGTERM ends it after the
request that it is at.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

from pairscope.client.away import PoolAway, PoolRefused
from pairscope.client.client import Client
from pairscope.config import read
from pairscope.ipc import memfd

IN_FLIGHT = 64
PATIENCE = 8.0
"""Seconds that it waits for an answer. A peer that was stopped may take some."""
SCENARIO = """@title {}

me: socketpair AF_UNIX SOCK_STREAM 0 -> left right => 0
me: write left "ping"                              => 4
me: read right 16                                  => "ping"
"""


class Bookkeeper:
    """Submits one job after the other, or many at once, in every way in which a client may ask."""

    def __init__(self, settings: str, book: str, seed: int) -> None:
        self._client = Client(read(settings), "tool")
        self._book = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._random = random.Random(seed)
        self._seed, self._count = seed, 0
        self._over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: self._over.set())
        self._served = time.monotonic()

    def run(self) -> None:
        ways = [self._one, self._one, self._accepted, self._many, self._many, self._file, self._scenario]
        while not self._over.is_set():
            try:
                self._random.choice(ways)()
                self._served = time.monotonic()
            except PoolRefused:
                self._over.wait(0.01)
            except PoolAway:
                self._client.close()
                self._over.wait(0.02)
            gone = time.monotonic() - self._served
            if gone > 0.5:
                self._note("G", f"{gone:.1f}")

    def _note(self, *words: object) -> None:
        os.write(self._book, (" ".join(map(str, words)) + "\n").encode())

    def _text(self) -> str:
        self._count += 1
        text = f"book{self._seed}x{self._count}x"
        self._note("T", text)
        return text

    def _one(self) -> None:
        text = self._text()
        try:
            answer = self._client.submit("echo", data=text.encode(), want="ended", timeout=PATIENCE)
        except PoolRefused as error:
            self._note("R", text, error.code)
            raise
        self._note("E", answer.job, text, answer.state)

    def _accepted(self) -> None:
        text = self._text()
        try:
            job = self._client.submit("echo", data=text.encode(), timeout=PATIENCE).job
        except PoolRefused as error:
            self._note("R", text, error.code)
            raise
        self._note("A", job, text)

    def _many(self) -> None:
        begun: dict[int, str] = {}
        for _ in range(IN_FLIGHT):
            text = self._text()
            begun[self._client.begin("echo", data=text.encode(), timeout=PATIENCE)] = text
        while begun:
            found = self._client.ended(PATIENCE)
            if not found:
                raise PoolAway("nothing came")
            for seq, answer in found:
                text = begun.pop(seq)
                if isinstance(answer, PoolRefused):
                    self._note("R", text, answer.code)
                else:
                    self._note("E", answer.job, text, answer.state)

    def _file(self) -> None:
        self._descriptor("digest", self._text().encode())

    def _scenario(self) -> None:
        if not self._random.randrange(4):
            self._descriptor("lab", SCENARIO.format(self._text()).encode())

    def _descriptor(self, kind: str, content: bytes) -> None:
        text = f"book{self._seed}x{self._count}x"
        fd = memfd.sealed("book", content)
        try:
            job = self._client.submit(kind, fd, name=text, want="both", timeout=PATIENCE).job
            self._note("A", job, text)
            answer = self._client.answer(job, PATIENCE)
            if answer is not None:
                self._note("E", job, text, answer.state)
        except PoolRefused as error:
            self._note("R", text, error.code)
            raise
        finally:
            os.close(fd)
            self._client.settle()


if __name__ == "__main__":
    Bookkeeper(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()
