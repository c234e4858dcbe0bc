"""Nested values that a peer hands in (a job's answer, its parameters): how deep they may go, how many they may hold,
and of what kinds. Pure.

What is accepted is recorded and shown to everybody. An answer nested 990 deep could be decoded by the supervisor, a few
calls below the bottom of its stack, and by no page that showed it: each list that held the job was an error for all.
"""

from __future__ import annotations

import math
from typing import Any

DEPTH = 16
"""Levels; what jobs answer has four."""
VALUES = 10_000
"""Values in all of it."""

DEEPER = "it is nested deeper than %(most)s levels"
NAMELESS = "it holds a name that is no text"
NO_KIND = "it holds a %(kind)s; expected text, numbers, true, false, null, lists and objects"
NO_NUMBER = "it holds %(number)s, which is no number in JSON"
MORE = "it holds more than %(most)s values"

_PLAIN = frozenset((str, int, bool, type(None)))


def excess(value: Any, values: int = VALUES) -> str:
    """Says what of a value JSON could not hold within the bounds; empty: all is well. It does not recurse, whatever
    comes."""
    if type(value) is dict and len(value) <= values:
        for key, one in value.items():
            if type(key) is not str or type(one) not in _PLAIN:
                break
        else:
            return ""  # as most are: it is asked for each job, and the way below takes three times as long
    level = [value]
    count = 0
    for depth in range(DEPTH + 1):
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind in _PLAIN:
                continue
            if depth == DEPTH and kind in (dict, list):
                return DEEPER % {"most": DEPTH}
            if kind is dict:
                if any(type(key) is not str for key in one):
                    return NAMELESS
                below += one.values()
            elif kind is list:
                below += one
            elif kind is not float:
                return NO_KIND % {"kind": kind.__name__}
            elif not math.isfinite(one):
                return NO_NUMBER % {"number": one}
        count += len(below)
        if count > values:
            return MORE % {"most": values}
        if not below:
            return ""
        level = below
    raise AssertionError("what lies deeper was refused")
