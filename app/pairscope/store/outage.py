"""An outage, as the log tells it: a line when it begins, one a minute while it lasts, one when it is over."""

from __future__ import annotations

import logging
import threading
import time

EVERY = 60.0
"""Seconds between two lines. A database that comes and goes twice a second had filled a log with thousands."""


class Outage:
    """The outage of one database, for one process. Any thread may tell it."""

    def __init__(self, log: logging.Logger, every: float = EVERY) -> None:
        self._log = log
        self._every = every
        self._lock = threading.Lock()
        self._next = 0.0
        self._untold = 0
        self._told = False

    def say(self, words: str) -> None:
        """Tells that the database is away, and why. Call it at each attempt that fails."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                self._untold += 1
                return
            more = f" ({self._untold} more times since the last line)" if self._untold else ""
            self._next, self._untold, self._told = now + self._every, 0, True
        self._log.warning("%s%s", words, more)

    def over(self, words: str) -> None:
        """Tells that the database is back, if it was told to be away."""
        with self._lock:
            told, self._told = self._told, False
        if told:
            self._log.info("%s", words)
