"""The recorder held against many ways to pass descriptors: tests/programs/ways.py. Each says how many it passes are
received, and how many dropped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import traced
from tests.programs.ways import WAYS
from tests.traced import USERS, Run, bare, compiled, process, recorded

programs = traced.programs
PYTHON = os.path.realpath(sys.executable)
PROGRAM = str(Path(__file__).parent / "programs/ways.py")
ROOM = ("--steps", "100000", "--processes", "1000")


def hold(run: Run, names: list[str], out: str) -> None:
    assert (run.out, run.status) == (out, 0), run.err
    counts = run.index.counts
    received, dropped = sum(WAYS[name].received for name in names), sum(WAYS[name].dropped for name in names)
    assert (counts.received, counts.proved, counts.dropped) == (received, received, dropped), counts
    assert (counts.sent, counts.unmatched) == (received + dropped, 0), counts


@process
def test_all_that_is_passed_in_many_ways_is_proved_or_dropped(tmp_path: Path) -> None:
    out, status = bare(PYTHON, PROGRAM)
    assert status == 0
    hold(recorded(tmp_path, PYTHON, PROGRAM, options=ROOM), list(WAYS), out)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A machine on which four others compute."""
    loops = [subprocess.Popen([PYTHON, "-c", "while True: pass"]) for _ in range(4)]
    try:
        yield
    finally:
        for one in loops:
            one.kill()
            one.wait()


@process
@compiled
@pytest.mark.long
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("user", USERS)
def test_each_is_so_twenty_times_beside_four_who_compute(programs: Path, user: str, name: str) -> None:
    out, _ = bare(PYTHON, PROGRAM, name)
    with busy():
        for _ in range(20):
            hold(recorded(programs, PYTHON, PROGRAM, name, user=user, options=ROOM), [name], out)
