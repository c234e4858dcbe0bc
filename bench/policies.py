"""Sync policies: jobs per second where clients wait for the disk (``journal_sync = batch``), beside that where they do
not, with the recorder draining."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from bench.contestant import Contestant
from bench.figures import Findings, Row, compare
from bench.round_trip import IN_FLIGHT

TARGET = 0.6
SIZE = 64
METHOD = "begin and ended"


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures both in turn; state under `directory`, which is empty."""
    rounds, seconds = (2, 0.2) if quick else (15, 0.6)
    findings = Findings()
    say("sync policies: starting Pairscope twice")
    with contextlib.ExitStack() as stack:
        running = {
            sync: stack.enter_context(Contestant("pairscope", directory / sync, recorder=True, sync=sync))
            for sync in ("none", "batch")
        }
        rates: dict[str, list[float]] = {sync: [] for sync in running}
        for number in range(1, rounds + 1):
            for sync, contestant in running.items():
                found = contestant.ask("throughput", seconds=seconds, size=SIZE, in_flight=IN_FLIGHT, method=METHOD)
                rates[sync].append(found)
                contestant.ask("drained")
            said = ", ".join(f"{sync} {found[-1]:,.0f}/s" for sync, found in rates.items())
            say(f"round {number} of {rounds}, sync policies: {said}")
    what = f"{SIZE} B, {IN_FLIGHT} in flight, batch, recorder draining"
    row = Row("sync policies", what, "jobs/s", "higher", "sync policy none", target=TARGET)
    findings.rows.append(compare(row, rates["batch"], rates["none"]))
    return findings
