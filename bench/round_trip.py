"""Round trip: client, supervisor, worker and back, every message journaled before it is sent, beside pools that record
nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.contestant import Contestant
from bench.figures import Check, Findings, Row, compare, percentile
from bench.machine import one_core
from bench.peers import redis

IN_FLIGHT = 256
SIZES = {64: "64 B", 1024: "1 KiB"}
PEERS = {
    "process-pool": "ProcessPoolExecutor",
    "multiprocessing": "multiprocessing.Pool",
    "celery": "Celery with Redis",
}
TARGETS = {
    "": {"p50": {"process-pool": 0.7}, "rate": {"process-pool": 3.0, "celery": 40.0}},
    ", recorder draining": {"p50": {"process-pool": 0.7}, "p99": {"process-pool": 1.0}},
}
"""For each kind of row and each figure, by peer. With the recorder at work is how everybody has it."""

Say = Callable[[str], None]


class Plan(NamedTuple):
    """How much is measured; times in seconds."""

    rounds: int
    latency: float
    throughput: float

    pinned_rounds: int
    draining_rounds: int


# Many short rounds: what else the machine does then falls on all of them alike.
FULL = Plan(rounds=25, latency=0.12, throughput=0.15, pinned_rounds=9, draining_rounds=5)
QUICK = Plan(rounds=2, latency=0.05, throughput=0.1, pinned_rounds=1, draining_rounds=1)


def missing() -> dict[str, str]:
    """Peers that cannot take part here, and why."""
    for module in ("celery", "redis"):
        if importlib.util.find_spec(module) is None:
            return {"celery": f"the Python package {module} is not installed (requirements-bench.txt)"}
    if redis() is None:
        return {"celery": "redis-server is not installed (apt-get install redis-tools)"}
    return {}


def run(directory: Path, quick: bool, say: Say) -> Findings:
    """Measures everything; state under `directory`, which is empty."""
    plan = QUICK if quick else FULL
    findings = Findings()
    left_out = missing()
    others = {name: "" for name in PEERS if name != "process-pool"}
    _compete(
        findings,
        directory / "draining",
        plan,
        plan.draining_rounds,
        {64: "64 B"},
        others,
        ", recorder draining",
        say,
        recorder=True,
    )
    _compete(findings, directory / "both", plan, plan.rounds, SIZES, left_out, "", say)
    with one_core():
        _compete(findings, directory / "one", plan, plan.pinned_rounds, {64: "64 B"}, left_out, ", one core", say)
    return findings


def _compete(
    findings: Findings,
    directory: Path,
    plan: Plan,
    rounds: int,
    sizes: dict[int, str],
    left_out: dict[str, str],
    where: str,
    say: Say,
    recorder: bool = False,
) -> None:
    """Rounds of A B C D A B C D, and a row for each figure and peer. `where` tells these rows from the others."""
    directory.mkdir()
    peers = {name: title for name, title in PEERS.items() if name not in left_out}
    with contextlib.ExitStack() as stack:
        say(f"round trip{where}: starting Pairscope{''.join(f', {title}' for title in peers.values())}")
        ours = stack.enter_context(Contestant("pairscope", directory / "pairscope", recorder=recorder))
        running = {"pairscope": ours}
        for name in peers:
            running[name] = stack.enter_context(Contestant(name, directory / name))
        methods = {name: _best_method(contestant, plan) for name, contestant in running.items()}
        for name, title in peers.items():
            findings.notes.append(f"round trip{where}: {title} was fastest driven by {methods[name]}")
        found: dict[tuple[str, str, int], list[float]] = {}
        drained = [ours.ask("drained")] if recorder else []
        for number in range(1, rounds + 1):
            for size, words in sizes.items():
                for name, contestant in running.items():
                    for figure, value in _measure(contestant, plan, size, methods[name]).items():
                        found.setdefault((figure, name, size), []).append(value)
                    if recorder and contestant is ours:
                        drained.append(contestant.ask("drained"))
                said = [
                    f"{name} {found['p50', name, size][-1]:,.0f} us {found['rate', name, size][-1]:,.0f}/s"
                    for name in running
                ]
                say(f"round {number} of {rounds}{where}, {words}: {', '.join(said)}")
        better: Literal["lower", "higher"]
        for figure, unit, better in (("p50", "us", "lower"), ("p99", "us", "lower"), ("rate", "jobs/s", "higher")):
            targets = TARGETS.get(where, {}).get(figure, {})
            for size, words in sizes.items():
                for name, title in PEERS.items():
                    if left_out.get(name) == "":
                        continue
                    what = f"{words}, {IN_FLIGHT} in flight{where}" if figure == "rate" else f"{words}, {figure}{where}"
                    row = Row("round trip", what, unit, better, title, target=targets.get(name))
                    row.left_out = left_out.get(name, "")
                    findings.rows.append(
                        compare(row, found[figure, "pairscope", size], found.get((figure, name, size)))
                    )
        if recorder:
            rates = [(rows - before) / (spent - used) for (before, used), (rows, spent) in itertools.pairwise(drained)]
            rate = statistics.median(rates)
            findings.notes.append(f"round trip{where}: the recorder wrote {rate:,.0f} rows/s of its processor time")
        say(f"round trip{where}: counting what the journal holds")
        findings.checks.append(_count(ours.ask("journaled"), where))


def _measure(contestant: Contestant, plan: Plan, size: int, method: str) -> dict[str, float]:
    samples = contestant.ask("latency", seconds=plan.latency, size=size)
    rate = contestant.ask("throughput", seconds=plan.throughput, size=size, in_flight=IN_FLIGHT, method=method)
    return {"p50": statistics.median(samples) / 1000, "p99": percentile(samples, 0.99) / 1000, "rate": rate}


def _best_method(contestant: Contestant, plan: Plan) -> str:
    """Warms up, and finds out by which of its methods the program is fastest."""
    contestant.ask("latency", seconds=plan.latency, size=64)
    best: dict[str, float] = {}
    for _ in range(3):
        for method in contestant.ask("names"):
            rate = contestant.ask("throughput", seconds=plan.throughput, size=64, in_flight=IN_FLIGHT, method=method)
            best[method] = max(rate, best.get(method, 0.0))
    return max(best, key=lambda method: best[method])


def _count(held: dict[str, Any], where: str) -> Check:
    holds = held["jobs"] == held["ended"] and held["messages"] == 4 * held["jobs"] and not held["odd"]
    said = (
        f"the journal (sync policy {held['sync']}{where}) holds {held['messages']:,} messages of {held['jobs']:,} jobs"
    )
    said += (
        ""
        if holds
        else f" where {held['ended']:,} jobs ended; {held['odd']:,} have not exactly submit, task, result and answer"
    )
    return Check("round trip", said + (": four each" if holds else ""), holds)
