"""What stands in the addresses of pages."""

from __future__ import annotations

from werkzeug.routing import IntegerConverter, Map


class Number(IntegerConverter):
    """A number in an address: one that no column holds is no address of ours. 19 digits at most, so that none is too
    long to be read."""

    regex = r"[0-9]{1,19}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**63 - 1)
