"""Memory of a task that stands still."""

from __future__ import annotations

from pairscope.trace import ptrace

_PAGE = 4096


class Memory:
    """Reads it by pages: what is looked for takes a few words, and the next of them stand beside it."""

    def __init__(self, tid: int) -> None:
        self._tid = tid
        self._pages: dict[int, bytes] = {}

    def read(self, address: int, length: int) -> bytes:
        """Raises OSError where not all of it can be read."""
        page, at = divmod(address, _PAGE)
        if at + length > _PAGE or address < 0:
            return ptrace.read(self._tid, address, length)
        if (data := self._pages.get(page)) is None:
            data = self._pages[page] = ptrace.read(self._tid, page * _PAGE, _PAGE)
        return data[at : at + length]

    def word(self, address: int) -> int:
        """8 bytes as a number. Raises OSError."""
        return int.from_bytes(self.read(address, 8), "little")
