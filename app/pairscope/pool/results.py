"""Outputs kept for download, bounded by age and by bytes. Owns their descriptors."""

from __future__ import annotations

import os
from typing import NamedTuple

from pairscope.ipc.sentences import Undone


class Kept(NamedTuple):
    """One output: a sealed memfd."""

    job: int
    fd: int
    size: int
    media: str
    name: str
    until: float
    """s of the caller's clock."""


KEPT_MOST = 512
"""Outputs: small ones, such as runs of the lab, would be thousands of descriptors before they are too many bytes."""


class Results:
    """At most `most_bytes` of outputs and `most` descriptors, each for at most `age` seconds; the oldest goes first."""

    def __init__(self, most_bytes: int, age: float, most: int = KEPT_MOST) -> None:
        self.most_bytes = most_bytes
        self.age = age
        self.most = most
        self.bytes = 0
        self._kept: dict[int, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, job: int, fd: int, size: int, media: str, name: str, now: float) -> Kept:
        """Keeps an output; owns `fd` from now on."""
        kept = self._kept[job] = Kept(job, fd, size, media, name, now + self.age)
        self.bytes += size
        return kept

    def get(self, job: int) -> Kept | None:
        return self._kept.get(job)

    def next_end(self) -> float | None:
        """When the next output is too old."""
        return next(iter(self._kept.values())).until if self._kept else None

    def expire(self, now: float) -> list[tuple[int, str]]:
        """Closes what is too old or too much; returns (job, reason in words)."""
        gone = []
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.until <= now:
                reason = Undone.KEPT.say(seconds=f"{self.age:.0f}")
            elif self.bytes > self.most_bytes:
                reason = Undone.NEWER_BYTES.say(bytes=self.most_bytes)
            elif len(self._kept) > self.most:
                reason = Undone.NEWER.say(most=self.most)
            else:
                break
            del self._kept[oldest.job]
            self.bytes -= oldest.size
            os.close(oldest.fd)
            gone.append((oldest.job, reason))
        return gone

    def close(self) -> None:
        for kept in self._kept.values():
            os.close(kept.fd)
        self._kept.clear()
        self.bytes = 0
