"""Each step at its line, of a compiled program and of a script: docs/programs.md, "Each step at its line". The
programs are those of tests/programs/lines/."""

from __future__ import annotations

import collections
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pairscope.trace import callers, cfi, line_table, maps, ptrace, python_lines
from pairscope.trace.file import Recording, Writer
from pairscope.trace.recording import Step
from tests.eventually import eventually
from tests.test_trace_attach import attached
from tests.traced import USERS, Run, compiled, pairscope, process, recorded

SOURCES = Path(__file__).parent / "programs/lines"
SOURCE = (SOURCES / "lines.c").read_text().splitlines()
SCRIPT = (SOURCES / "lines.py").read_text().splitlines()
BUILDS = {"O0": ["-O0"], "O2": ["-O2"], "no-pie": ["-O1", "-no-pie", "-gdwarf-4"], "static": ["-O2", "-static-pie"]}
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


def line(name: str, source: list[str] = SOURCE) -> int:
    """The line of a text that is written, or of a name in a comment."""
    marks = f'"{name}"', f"/* {name} */", f"  # {name}"
    (found,) = [number for number, text in enumerate(source, 1) if any(mark in f"{text} " for mark in marks)]
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
@pytest.mark.parametrize("how", ["-gdwarf-3", "-gdwarf-5", "-g -flto", "-g1 -O2"])
def test_a_table_is_read_however_its_source_was_named(place: Path, how: str) -> None:
    (place / "sub").mkdir(exist_ok=True)
    (place / "sub/main.c").write_text("\nint main(void)\n{\n    return 0;\n}\n")
    for number, (folder, name) in enumerate([("sub", "main.c"), (".", "sub/main.c"), ("sub", f"{place}/sub/main.c")]):
        program = place / f"named-{number}"
        subprocess.run(["gcc", *how.split(), "-o", program, name], cwd=place / folder, check=True)
        with open(program, "rb") as file:
            symbols = ELFFile(file).get_section_by_name(".symtab")
            assert isinstance(symbols, SymbolTableSection)
            (main,) = symbols.get_symbol_by_name("main") or []
        table, _ = line_table.read(str(program))
        assert 2 <= table.at(main["st_value"]) <= table.at(main["st_value"] + main["st_size"] - 1) == 5


@process
@compiled
def test_a_table_that_would_take_all_memory_is_ended_at_its_bound(place: Path) -> None:
    """A count of 2^63 directories that have no bytes."""
    program = build(place, "hostile", "-c", source="relayed.c", debug="-gdwarf-5")
    with open(program, "r+b") as file:
        section = ELFFile(file).get_section_by_name(".debug_line")
        assert section is not None
        file.seek(section["sh_offset"] + 30)  # directory_entry_format_count, and behind it the number of directories
        file.write(b"\0" + b"\xff" * 8 + b"\x7f")
    with pytest.raises(line_table.NoLines, match="take more than 1 seconds to read"):
        line_table.read(program, seconds=1)


@process
@compiled
def test_a_program_that_becomes_itself_again_at_other_addresses_keeps_its_lines(place: Path) -> None:
    program = build(place, "again", source="again.c")
    steps = lines(place, program).steps()
    assert [(step.call, step.line) for step in steps if step.call != "exit"] == [
        ("execve", 0), ("execve", 8), ("execve", 8), ("socketpair", 9),
    ]  # fmt: skip


@process
@compiled
def test_another_program_that_it_becomes_has_no_lines_of_his(place: Path) -> None:
    program, other = build(place, "becomes", source="becomes.c"), build(place, "other", source="again.c")
    steps = lines(place, program, other, "a", "b").steps()
    assert [(step.call, step.line) for step in steps if step.call != "exit"] == [
        ("execve", 0), ("execve", 9), ("socketpair", 0),
    ]  # fmt: skip


@process
@compiled
def test_what_the_linker_has_thrown_out_is_not_taken_for_what_stands_there(place: Path) -> None:
    """It has lines at the addresses from 0 on, and here more of them than lie before main."""
    source = place / "thrown.c"
    unused = "void unused(volatile int *x) {\n" + "*x += 1;\n" * 3000 + "}\n"
    source.write_text(f"#include <unistd.h>\n{unused}int main(void) {{\n    return pipe((int[2]){{0}});\n}}\n")
    program = build(place, "thrown", "-ffunction-sections", "-Wl,--gc-sections", source=str(source))
    assert [step.line for step in lines(place, program).steps() if step.call in ("pipe", "pipe2")] == [3005]


def test_refusals_at_two_lines_are_two_steps(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "of.rec"))
    for number in (4, 4, 7):
        writer.add(Step(0, 1, 1, "read", {}, {"errno": "EAGAIN"}, line=number))
    assert writer.steps == 2
    writer.close()


@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.5])
def test_whatever_call_frame_information_holds_its_reader_ends(wrong: float) -> None:
    """Libc's own, as it stands in this process, of which so many reads have bytes that are others."""
    chance = random.Random(18)
    mapping = next(one for one in maps.parsed(maps.read(os.getpid())) if b"libc.so" in one.path and one.executable)
    ends = collections.Counter[str]()

    def right(address: int, length: int) -> bytes:
        return ptrace.read(os.getpid(), address, length)

    def read(address: int, length: int) -> bytes:
        data = bytearray(right(address, length))
        for _ in range(length if chance.random() < wrong else 0):
            data[chance.randrange(length)] = chance.randrange(256)
        return bytes(data)

    module = cfi.Module(right, mapping.base)
    for _ in range(500):
        try:
            row = module.row(read, chance.randrange(mapping.start, mapping.end) - module.bias)
            callers.caller(row, dict.fromkeys(range(17), mapping.start + 8 * chance.randrange(1000)), read)
            ends["found"] += 1
        except (callers.Unknown, OSError, struct.error):
            ends["unknown"] += 1
    assert ends["found"] > 400 * (1 - wrong) ** 4, ends


def test_between_two_functions_there_is_no_rule() -> None:
    """Glibc's clone and clone3 have none where they call the kernel."""
    mapping = next(one for one in maps.parsed(maps.read(os.getpid())) if b"libc.so" in one.path and one.executable)

    def read(address: int, length: int) -> bytes:
        return ptrace.read(os.getpid(), address, length)

    module = cfi.Module(read, mapping.base)
    found = list(cfi.CLONE.finditer(read(mapping.start, mapping.end - mapping.start)))
    assert len(found) >= 2
    for one in found:
        with pytest.raises(callers.Unknown):
            module.row(read, mapping.start + one.start() - module.bias)


# ---- Python


@pytest.fixture(scope="module")
def script(place: Path) -> Run:
    path = str(shutil.copy(SOURCES / "lines.py", place))
    run = lines(place, sys.executable, path)
    assert run.status == 0, run.err
    return run


def at(name: str) -> int:
    return line(name, SCRIPT)


@process
def test_each_call_of_a_script_is_told_with_the_line_of_its_innermost_own_frame(script: Run) -> None:
    """Direct, as an argument of another, in a generator, a thread, also one that threading does not know, a handler,
    children, after an overflow, without a trace function, at exit; through the standard library."""
    found = said(script.steps())
    names = ("direct", "nested", "generator", "comprehension", "thread", "of a thread", "raw", "late", "handler",
             "child", "recursion", "untraced", "at exit")  # fmt: skip
    assert {name: found[name] for name in names} == {name: {at(name)} for name in names}
    assert found["argument"] == {at("of its argument")} and found["flushed"] == {0}
    steps = script.steps()
    births = [step.line for step in steps if step.call in ("clone", "clone3", "fork", "vfork")]
    marks = ("started", "from a thread", "begun", "started", "fork", "started", "subprocess")
    assert births == [at(mark) for mark in marks]
    assert next(step.line for step in steps if step.call == "socketpair") == at("socketpair")
    ends = {step.process: step.line for step in steps if step.call == "exit"}
    assert ends == {1: 0, 2: at("of a thread"), 3: at("over"), 4: 0}


@process
def test_a_wait_of_a_script_has_one_line_and_a_signal_the_one_that_its_thread_was_at(script: Run) -> None:
    steps = script.steps()
    waits = [step.line for step in steps if step.call == "recvfrom" and (step.blocked or step.of)]
    assert waits == [at("waits")] * 2
    (loop,) = [step.line for step in steps if step.gave.get("signal") == "SIGVTALRM"]
    assert loop in (at("loop") - 1, at("loop"))


@process
def test_a_child_that_shares_the_memory_of_its_parent_has_no_line_of_his(script: Run) -> None:
    """subprocess starts it by vfork, and it runs no Python."""
    assert {step.line for step in script.steps() if step.process == 4} == {0}


@process
def test_lines_of_a_script_add_no_step_to_it(place: Path) -> None:
    path = place / "pair.py"
    path.write_text("import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))\n")
    without = recorded(place, sys.executable, str(path))
    told = [(step.call, step.given, step.gave.get("value")) for step in without.steps()]
    within = lines(place, sys.executable, str(path))
    assert [(step.call, step.given.keys(), step.gave.get("value")) for step in within.steps()] == [
        (call, given.keys(), value) for call, given, value in told
    ]
    assert within.out == without.out and {step.line for step in within.steps()} >= {2, 3, 4}


@process
def test_a_script_that_runs_already_has_lines_too(place: Path) -> None:
    (place / "runs.py").write_text("import os, sys\nprint(flush=True)\nsys.stdin.readline()\nos.pipe()\n")
    path = place / "runs.rec"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "runs.py"], stdin=pipe, stdout=pipe, cwd=place) as program:
        assert program.stdin is not None and program.stdout is not None
        program.stdout.readline()
        with attached(path, program.pid, "--lines") as recorder:
            program.stdin.close()
            assert recorder.wait(60) == 0
    with Recording(str(path)) as recording:
        assert [step.line for step in recording.all() if step.call == "pipe2"] == [4]


def test_where_instructions_stand_is_what_python_itself_says() -> None:
    """Of all code of a module, every seventh instruction."""
    left = [compile(Path(str(shutil.__file__)).read_text(), "x", "exec")]
    for code in left:
        left += [one for one in code.co_consts if isinstance(one, types.CodeType)]
        for place, (number, *_) in enumerate(code.co_positions()):
            if place % 7 == 0:
                assert python_lines.located(code.co_linetable, code.co_firstlineno, 2 * place) == (number or 0)
    assert len(left) > 50


def test_of_versions_that_are_not_known_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from a thread of this process, which waits."""
    over = threading.Event()
    thread = threading.Thread(target=lambda: over.wait())
    number = sys._getframe().f_lineno - 1
    thread.start()
    try:
        tid = thread.native_id or 0
        known = python_lines.PythonLines(sys.executable, __file__)
        eventually(lambda: known.at(tid, call=True) == number, "the line of a thread that waits")
        assert python_lines.PythonLines(sys.executable, __file__[1:]).at(tid, call=True) == 0
        monkeypatch.setattr(python_lines, "_LAYOUTS", {})
        unknown = python_lines.PythonLines(sys.executable, __file__)
        assert unknown.at(tid, call=True) == 0 and "of CPython 3.11 to 3.13 alone" in unknown.missing()
    finally:
        over.set()
        thread.join()


def test_another_python_and_a_name_that_is_not_ascii_are_told_in_a_sentence() -> None:
    assert "of CPython 3.11 to 3.13 alone" in python_lines.PythonLines("/bin/true", "/x.py").missing()
    assert "/ä.py is not all ASCII" in python_lines.PythonLines(sys.executable, "/ä.py").missing()
    assert not python_lines.PythonLines(sys.executable, "/x.py").missing()


@pytest.mark.parametrize(("command", "found"), [
    ("python3 x.py y", "x.py"), ("/usr/bin/python3.12 -u -X utf8 -Wd x.py -m", "x.py"), ("python3 -m http.server", ""),
    ("python3 -Bc pass", ""), ("python3 -", ""), ("python3", ""), ("./a.out x.py", ""), ("python3-config x", ""),
])  # fmt: skip
def test_the_script_of_a_command_is_found(command: str, found: str) -> None:
    assert python_lines.script(command.split()) == found
