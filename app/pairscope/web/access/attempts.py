"""Wrong tokens are counted, and whoever sends too many is told to wait. Pure: the clock is an argument."""

from __future__ import annotations

import collections
import ipaddress
import threading


class Attempts:
    """Wrong tokens per address. Counted in this process alone: with P web processes an address has P times as many.

    This tells a program that has a wrong token to leave off. It is no guard against guessing, because a right token is
    taken all the same: that is the length of a token, 256 bits of ours, and at least config.TOKEN_LEAST characters that
    an operator chose. An IPv6 address counts as its /64, which one attacker has whole.
    """

    MOST = 20
    SPAN = 60.0
    ADDRESSES = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def wrong(self, address: str | None, now: float) -> None:
        """One wrong token came from `address` at `now` (seconds, monotonic)."""
        place = self.place(address)
        with self._lock:
            times = self._wrong.setdefault(place, collections.deque(maxlen=self.MOST))
            times.append(now)
            self._wrong.move_to_end(place)
            if len(self._wrong) > self.ADDRESSES:
                self._wrong.popitem(last=False)

    def wait(self, address: str | None, now: float) -> float:
        """Seconds until `address` may try again; 0: now."""
        with self._lock:
            times = self._wrong.get(self.place(address))
            return max(0.0, times[0] + self.SPAN - now) if times is not None and len(times) == self.MOST else 0.0

    @staticmethod
    def place(address: str | None) -> str:
        """What an address is counted as."""
        try:
            parsed = ipaddress.ip_address((address or "").partition("%")[0])
        except ValueError:
            return address or ""
        return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
