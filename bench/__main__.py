"""``script/bench``: measures, shows a table, and writes JSON when it is told to."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from bench import export, lab, live, policies, recorder, recording, round_trip, transfers
from bench.contestant import ContestantFailed
from bench.figures import Findings, Row
from bench.machine import describe
from bench.table import show

BUSY = 0.5
"""Load average above which somebody else is at work."""
BENCHMARKS = {
    "round-trip": round_trip.run,
    "recorder": recorder.run,
    "transfers": transfers.run,
    "lab": lab.run,
    "export": export.run,
    "policies": policies.run,
    "live": live.run,
    "record": recording.run,
}


def main(arguments: list[str]) -> int:
    """Exit status: 0 measured, whatever the figures are; 1 a benchmark failed or something that must hold does not."""
    parser = argparse.ArgumentParser(
        prog="script/bench", description="Measures Pairscope beside its peers, in the same run."
    )
    parser.add_argument("benchmark", nargs="*", help=f"any of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds: whether it works, not how fast it is"
    )
    parser.add_argument("--viewers", type=int, default=1000, help="how many follow a page in `live`; default: 1000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found to FILE")
    asked = parser.parse_args(arguments)
    for name in asked.benchmark:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; expected {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    start = time.monotonic()

    def say(words: str) -> None:
        errors.print(f"[dim]{time.monotonic() - start:4.0f} s[/]  {words}")

    machine = describe()
    say(", ".join(f"{name} {value}" for name, value in machine.items()))
    findings = Findings()
    failed = False
    with tempfile.TemporaryDirectory(prefix="pb") as directory:
        for name in asked.benchmark or BENCHMARKS:
            place = Path(directory, name)
            place.mkdir()
            try:
                measure = functools.partial(live.run, viewers=asked.viewers) if name == "live" else BENCHMARKS[name]
                found = measure(place, asked.quick, say)
            except ContestantFailed as error:
                failed = True
                found = Findings(
                    rows=[Row(name, "not measured", "", "lower", "", left_out=str(error).splitlines()[-1])]
                )
                errors.print(f"[red]{name} failed:[/] {error}", markup=True)
            findings.rows += found.rows
            findings.checks += found.checks
            findings.notes += found.notes
    seconds = round(time.monotonic() - start, 1)
    machine["load_after"] = round(os.getloadavg()[0], 2)
    if machine["load"] > BUSY:
        findings.notes.append(
            f"the machine was busy before the first measurement (load {machine['load']}): believe the ratios, "
            "if anything"
        )
    if asked.quick:
        findings.notes.append("--quick: these figures show that it works, not how fast it is")
    show(
        Console(width=None if sys.stdout.isatty() else 170, highlight=False),
        findings.rows,
        findings.checks,
        findings.notes,
    )
    say("done")
    if asked.json:
        Path(os.environ.get("BENCH_FROM", ""), asked.json).write_bytes(
            msgspec.json.format(
                msgspec.json.encode(
                    {"machine": machine, "quick": asked.quick, "seconds": seconds, **msgspec.to_builtins(findings)}
                )
            )
            + b"\n"
        )
    return 1 if failed or not all(check.holds for check in findings.checks) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
