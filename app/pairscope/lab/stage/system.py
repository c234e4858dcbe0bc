"""A call of a scenario as an actor makes it: through the C library, with the arguments as they stand."""

from __future__ import annotations

import time
from typing import Any

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.call import Made


def perform(call: str, arguments: list[Any], named: dict[str, Any]) -> Made:
    """Makes the call and gives what came of it, with ``duration_ns``. Raises KeyError for a call that is none."""
    function = CALLS[call].make
    started = time.monotonic_ns()
    made: Made = function(*arguments, **named)
    # The inner time, where the function took it, leaves the building of buffers out.
    made.setdefault("duration_ns", time.monotonic_ns() - started)
    return made
