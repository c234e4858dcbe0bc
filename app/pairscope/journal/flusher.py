"""fdatasync(2) in a thread of its own: whoever appends goes on meanwhile, and one call serves all that wait for it.

One call is under way at a time. It covers what was appended before it began; what is appended while the disk works is
covered by the next one. So the longer the disk takes, the more each call serves.
"""

from __future__ import annotations

import os
import threading


class Flusher:
    """Is told what to flush, and makes its descriptor readable once that is on the disk. eventfd(2)."""

    def __init__(self) -> None:
        self.flushed = 0
        """Every record up to this position is on the disk."""
        self.busy = False
        """A call is under way, or has ended and its outcome was not taken yet."""
        self._fd, self._position = -1, 0
        self._error: OSError | None = None
        self._begun, self._done = os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._work, name="flusher", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Readable: a call has ended."""
        return self._done

    def begin(self, fd: int, position: int) -> None:
        """Begins to flush `fd`, to which everything up to `position` was appended. Not while it is busy. `fd` stays
        open until :meth:`finish`."""
        self._fd, self._position, self.busy = fd, position, True
        os.eventfd_write(self._begun, 1)

    def finish(self) -> None:
        """Takes the outcome of the call; waits for it, if need be. Raises OSError: what it was to flush may be lost."""
        os.eventfd_read(self._done)
        self.busy = False
        if self._error is not None:
            raise self._error
        self.flushed = max(self.flushed, self._position)

    def close(self) -> None:
        """Ends the thread, after the call that is under way."""
        self._fd = -1
        os.eventfd_write(self._begun, 1)
        self._thread.join()
        os.close(self._begun)
        os.close(self._done)

    def _work(self) -> None:
        while True:
            os.eventfd_read(self._begun)
            if self._fd < 0:
                return
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._error = error
            os.eventfd_write(self._done, 1)
