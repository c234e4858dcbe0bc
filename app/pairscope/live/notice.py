"""The pair to the supervisor, by which live learns that the record has grown.

Asking the database every 50 ms took 2 % of a core. While there is no supervisor nothing is committed but what other
nodes write: then a look each second finds it.
"""

from __future__ import annotations

import contextlib
import time

from pairscope.client.attach import connect, replaced
from pairscope.client.away import PoolAway
from pairscope.config import Settings
from pairscope.ipc.channel import Channel, ChannelBroken, ChannelClosed
from pairscope.ipc.payloads import Viewer
from pairscope.ipc.vocabulary import Role
from pairscope.pool import snapshot

TRY_EVERY = 1.0
MOST = 20
"""Viewers a second that are reported."""
TIMEOUT = 1.0
"""Seconds for each step of connecting: viewers hear nothing meanwhile."""


class Notice:
    """The pair, made again when it has ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._again = 0.0
        self.channel: Channel | None = None
        self.serial = 0
        self._begun = 0.0
        self._reported = 0

    def connect(self, now: float) -> Channel | None:
        """A new pair, where none is there and a supervisor is; None: nothing new."""
        if self.channel is not None and replaced(self._settings, self.channel.door):
            self.close()
        if self.channel is not None or now < self._again:
            return None
        self._again = now + TRY_EVERY
        if snapshot.read(self._settings, time.time_ns()) is None:
            return None
        with contextlib.suppress(PoolAway, OSError):
            channel, welcome = connect(self._settings, Role.LIVE.value, TIMEOUT)
            self.channel, self.serial = channel, welcome.serial
            return channel
        return None

    def heard(self) -> bool:
        """Reads what the supervisor has said: whether the record has grown. A pair that has ended is closed."""
        channel = self.channel
        if channel is None:
            return False
        grown = False
        try:
            while arrivals := channel.wait(0):
                grown = grown or any(arrival.kind.name == "committed" for arrival in arrivals)
                for arrival in arrivals:
                    arrival.close()
        except (ChannelClosed, ChannelBroken, OSError):
            self.close()
            return True  # something may have been committed unheard
        return grown

    def handed(self, viewer: Viewer, now: float) -> bool:
        """Reports a viewer that Apache handed over, for the record. False: it is left out, because MOST were reported
        within a second, or nobody hears it."""
        if now >= self._begun + 1.0:
            self._begun, self._reported = now, 0
        if self.channel is None or self._reported >= MOST:
            return False
        self._reported += 1
        try:
            self.channel.post("viewer", viewer, timeout=0)
        except TimeoutError:
            return False  # the supervisor does not read now
        except (ChannelClosed, ChannelBroken, OSError):
            return False  # heard() will find that it has ended
        return True

    def close(self) -> None:
        """Ends the pair."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
