"""Each step at its line of a compiled program: docs/programs.md, "Each step at its line". The programs are those of
tests/programs/lines/."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.trace import line_table
from tests.traced import USERS, Run, compiled, pairscope, process, recorded

SOURCES = Path(__file__).parent / "programs/lines"
SOURCE = (SOURCES / "lines.c").read_text().splitlines()
BUILDS = {"O0": ["-O0"], "O2": ["-O2"], "no-pie": ["-O1", "-no-pie"], "static": ["-O2", "-static-pie"]}
SAID = (
    "constructor", "direct", "inlined", "deep", "compared", "number", "assembler", "thread", "late", "handler",
    "child", "destructor",
)  # fmt: skip
"""Texts that are written where they stand."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user may read and write."""
    made = Path(tempfile.mkdtemp(prefix="lines-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def build(place: Path, name: str, *options: str, source: str = "lines.c", debug: str = "-g") -> str:
    path = str(place / name)
    words = ["gcc", "-Wall", "-Wextra", "-pthread", *debug.split(), "-o", path, str(SOURCES / source), *options]
    subprocess.run(words, check=True)
    return path


def line(name: str) -> int:
    """The line of a text that is written, or of a name in a comment."""
    (found,) = [number for number, text in enumerate(SOURCE, 1) if f'"{name}"' in text or f"/* {name} */" in text]
    return found


def lines(place: Path, *command: str, user: str = "ordinary") -> Run:
    return recorded(place, *command, user=user, options=("--lines", "--bytes", "32"))


def said(steps: list[Any]) -> dict[str, set[int]]:
    """The lines of each text that was written."""
    found: dict[str, set[int]] = {}
    for step in steps:
        head = next(
            (value["head"] for value in step.given.values() if isinstance(value, dict) and "head" in value), b""
        )
        if step.call in ("write", "sendto"):
            found.setdefault(re.split(r"\W{2}", head.decode())[0], set()).add(step.line)
    return found


@pytest.fixture(scope="module", params=BUILDS)
def run(request: pytest.FixtureRequest, place: Path) -> Run:
    run = lines(place, build(place, request.param, *BUILDS[request.param]))
    assert run.status == 3, run.err
    return run


@process
@compiled
def test_each_call_is_told_with_the_line_of_the_program_s_own_frame(run: Run) -> None:
    """Direct, inlined, out of a recursion, a callback of libc, a thread, a handler, a child, a destructor; by
    syscall(2) and without libc at all."""
    found = said(run.steps())
    assert {name: found[name] for name in SAID} == {name: {line(name)} for name in SAID}
    steps = run.steps()
    births = [(step.call, step.line) for step in steps if step.call in ("clone", "clone3", "fork", "vfork")]
    assert [one[1] for one in births] == [line(name) for name in ("pthread_create", "again", "fork", "vfork")], births
    assert next(step.line for step in steps if step.call == "socketpair") == line("socketpair")
    assert [step.line for step in steps if step.call == "execve"] == [0, line("exec")]


@process
@compiled
def test_what_is_flushed_is_told_at_the_line_that_flushed_it(run: Run) -> None:
    found = said(run.steps())
    assert found["buffered"] == {line("flush")} and found["at exit"] == {line("exit")}


@process
@compiled
def test_a_call_that_waits_and_its_return_have_one_line(run: Run) -> None:
    (waits,) = [step for step in run.steps() if step.call == "read" and step.blocked]
    (ends,) = [step for step in run.steps() if step.call == "read" and step.of]
    assert waits.line == ends.line == line("waits")


@process
@compiled
def test_a_signal_has_the_line_that_it_interrupted_if_that_is_the_program_s_own(run: Run) -> None:
    signals = {step.gave["signal"]: step.line for step in run.steps() if step.call == "signal"}
    assert signals["SIGVTALRM"] == line("loop")
    assert not signals["SIGUSR1"], "it came while libc's raise was at work"
    assert not signals["SIGCHLD"]


@process
@compiled
def test_an_end_has_the_line_that_asked_for_it_but_not_behind_a_handler_of_libc_s(run: Run) -> None:
    ends = {step.process: step.line for step in run.steps() if step.call == "exit"}
    assert ends == {1: line("exit"), 2: 0, 3: 0}, "the second ends in _exit as a handler, the third is true(1)"


@process
@compiled
def test_what_comes_from_a_header_has_no_line(run: Run) -> None:
    assert said(run.steps())["header"] == {0}


@process
@compiled
def test_what_libc_does_on_its_own_behalf_has_no_line(place: Path) -> None:
    """What is left in a buffer when main has returned."""
    run = lines(place, build(place, "returns"), "once more")
    assert said(run.steps())["at exit"] == {0} and run.status == 0
    (end,) = [step for step in run.steps() if step.call == "exit" and step.process == 1]
    assert end.line == 0
    assert "line" not in "".join(
        row for row in pairscope("--transcript", str(run.path)).stdout.splitlines() if "at exit" in row
    )
    assert f"line {line('direct')}" in pairscope("--transcript", str(run.path)).stdout


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_behind_a_frame_without_information_no_line_is_guessed(place: Path, user: str) -> None:
    told = {}
    for name, options in (("known", []), ("unknown", ["-fno-asynchronous-unwind-tables", "-fno-omit-frame-pointer"])):
        library = build(place, f"{name}.so", "-shared", "-fPIC", *options, source="library.c")
        program = build(place, f"by-{name}", library, source="relayed.c")
        told[name] = [
            step.line for step in lines(place, program, user=user).steps() if step.call in ("socketpair", "write")
        ]
    assert told == {"known": [0, 5], "unknown": [0, 0]}, "and the constructor of a library comes from no line"


@process
@compiled
def test_without_a_table_of_lines_all_are_unknown_and_it_says_so(place: Path) -> None:
    bare, stripped = build(place, "bare", debug=""), build(place, "stripped")
    subprocess.run(["strip", stripped], check=True)
    for program in (bare, stripped):
        run = lines(place, program)
        assert not any(step.line for step in run.steps()) and len(run.steps()) > 20
        sentence = f"no lines are known: {program} holds none; expected a program that was compiled with -g"
        assert run.index.missing == [sentence] and sentence in run.err


@process
@compiled
def test_a_program_without_the_option_has_no_lines_and_another_program_neither(place: Path) -> None:
    program = build(place, "asked")
    assert not any(step.line for step in recorded(place, program).steps())
    assert not any(step.line for step in lines(place, "/bin/sh", "-c", program).steps())


@process
@compiled
def test_a_table_that_would_take_all_memory_is_ended_at_its_bound(place: Path) -> None:
    """A count of 2^63 directories that have no bytes."""
    from elftools.elf.elffile import ELFFile

    program = build(place, "hostile", "-c", source="relayed.c", debug="-gdwarf-5")
    with open(program, "r+b") as file:
        section = ELFFile(file).get_section_by_name(".debug_line")
        assert section is not None
        file.seek(section["sh_offset"] + 30)  # directory_entry_format_count, and behind it the number of directories
        file.write(b"\0" + b"\xff" * 8 + b"\x7f")
    with pytest.raises(line_table.NoLines, match="take more than 1 seconds to read|holds none"):
        line_table.read(program, seconds=1)
