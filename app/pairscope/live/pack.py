"""Events as bytes: text/event-stream, compressed so that one block fits into every viewer's stream. Pure.

A block ends with Z_FULL_FLUSH: it refers to nothing before it. So it is made once and sent to all, also to a viewer
who comes in the midst, whose stream begins with the gzip header. RFC 1952; the end of a stream never comes.
"""

from __future__ import annotations

import zlib

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
"""Of a stream that was compressed at no time in particular, under Unix."""


class Packer:
    """Compresses events. Its blocks may be joined in any order and number, also with those of another one."""

    def __init__(self, level: int = 6) -> None:
        """`level` 0: nothing is compressed, so that no length tells what stands beside a text that a stranger chose
        (BREACH)."""
        self._compress = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)

    def block(self, event: bytes) -> bytes:
        """The event as a block of its own."""
        return self._compress.compress(event) + self._compress.flush(zlib.Z_FULL_FLUSH)


def event(name: str, data: str = "", identity: str = "") -> bytes:
    """One event of text/event-stream. Lines without anything but blanks are left out: the data is HTML, or one line."""
    lines = [f"event: {name}"]
    if identity:
        lines.append(f"id: {identity}")
    lines += [f"data: {line}" for line in data.splitlines() if line.strip()] or ["data:"]
    return ("\n".join(lines) + "\n\n").encode()
