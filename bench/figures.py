"""Figures: what a benchmark has found. One :class:`Row` compares Pairscope with one peer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec


class Row(msgspec.Struct):
    """One line of the table. The ratio is the median of the ratios of the rounds, each within its own round."""

    benchmark: str
    what: str
    unit: str
    better: Literal["lower", "higher"]
    peer_name: str
    ours: float | None = None
    """Median of the rounds, as `peer` is."""
    peer: float | None = None
    ratio: float | None = None
    """Ours divided by the peer's."""
    target: float | None = None
    """What the ratio, or with `absolute` our own figure, shall reach; None: nothing is promised."""
    absolute: bool = False
    met: bool | None = None
    left_out: str = ""
    """Why there is no figure."""
    rounds: list[tuple[float, float | None]] = []
    """(ours, peer) of each round."""


class Check(msgspec.Struct):
    """Something that must hold for the figures to mean what they say."""

    benchmark: str
    what: str
    holds: bool


class Findings(msgspec.Struct):
    """All that one benchmark has found."""

    rows: list[Row] = []
    checks: list[Check] = []
    notes: list[str] = []
    """What a reader must know beside the figures, such as how a peer was driven."""


def compare(row: Row, ours: Sequence[float], peer: Sequence[float] | None) -> Row:
    """Fills `row` from the rounds; `peer` None: there is none, or it was left out."""
    row.ours = statistics.median(ours)
    theirs: Sequence[float | None] = peer or [None] * len(ours)
    row.rounds = list(zip(ours, theirs))
    if peer:
        row.peer = statistics.median(peer)
        row.ratio = statistics.median([one / other for one, other in zip(ours, peer)])
    value = row.ours if row.absolute else row.ratio
    if row.target is not None and value is not None:
        row.met = value <= row.target if row.better == "lower" else value >= row.target
    return row


def percentile(samples: Sequence[float], part: float) -> float:
    """The sample below which `part` (0 to 1) of all lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
