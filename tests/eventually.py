"""The only place where a test waits for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

Result = TypeVar("Result")


def eventually(predicate: Callable[[], Result | Literal[False, 0] | None], what: str, timeout: float = 10.0) -> Result:
    """What `predicate` gives once that is true. Fails after `timeout` seconds, saying `what` did not happen.

    An AssertionError or OSError of the predicate counts as not yet; the last one is shown.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        try:
            result = predicate()
            problem: object = repr(result)
            if result:
                return result
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {problem})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
