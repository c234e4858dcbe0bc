"""A run of the lab as its JSON has it, and back: tests look at what a file, a row or the API would hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from pairscope.lab.run import Run, decode


def plain(part: Any) -> Any:
    """A run, or a part of one, as its JSON. A whole one must decode again, for what reads it does nothing else."""
    told = msgspec.json.encode(part)
    if isinstance(part, Run):
        assert decode(told) == part
    return json.loads(told)


def typed(told: dict[str, Any]) -> Run:
    """The run that this JSON says."""
    return decode(json.dumps(told).encode())
