"""A histogram of durations: eight steps to each doubling, so that a quantile read from it is at most 5 % off. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

STEPS = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode


def step(ns: int) -> int:
    """The step that holds a duration: below 8 ns its own number, then octave by octave. A negative one counts as 0."""
    if ns < STEPS:
        return max(ns, 0)
    octave = ns.bit_length() - 4
    return octave * STEPS + (ns >> octave)


def middle(number: int) -> int:
    """The duration in the middle of a step, in ns."""
    if number < 2 * STEPS:
        return number
    octave = number // STEPS - 1
    low = (number - octave * STEPS) << octave
    return low + (1 << octave) // 2


def quantile(counts: Mapping[int, int], share: float) -> int | None:
    """The duration in ns that `share` (0 to 1) of the counted ones do not exceed; None if none were counted."""
    wanted = share * sum(counts.values())
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= wanted:
            return middle(number)
    return None


def encode(counts: Mapping[int, int]) -> bytes:
    """As a database keeps it."""
    return _encode(dict(sorted(counts.items())))


def decode(data: bytes) -> dict[int, int]:
    """As :func:`encode` wrote it; empty for what it did not write: one such row must not take down the chart, nor the
    recorder."""
    try:
        found = _decode(data)
    except (msgspec.MsgspecError, TypeError):
        return {}
    return found if all(0 <= number < 64 * STEPS and times >= 0 for number, times in found.items()) else {}
