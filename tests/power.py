"""A power failure: of a journal that is left to the kernel, what had not reached the disk is gone, and the machine has
been started since."""

from __future__ import annotations

from pathlib import Path

from pairscope.journal import segment


def fail(directory: Path, last: int, torn: int = 0, last_id: int = 0) -> None:
    """Leaves the records up to position `last`, and `torn` bytes of the frame behind them. `last_id`: as if the clock
    had been so far."""
    for first, path in segment.listed(directory):
        kept, begin = b"", 0
        data = path.read_bytes()
        for end, position, count, body in segment.scan(data):
            if count == 0:
                head = segment.decode_head(body)
                head.boot = head.boot and "the boot before"
                head.last_id = last_id or head.last_id
                kept += segment.frame(position, 0, segment.encode(head))
            elif position + count - 1 <= last:
                kept += data[begin:end]
            else:
                kept += data[begin : min(begin + torn, end - 1)]
                break
            begin = end
        if first <= last:
            path.write_bytes(kept)
        else:
            path.unlink()
