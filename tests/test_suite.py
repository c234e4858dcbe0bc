"""The rules of the tests themselves: which of them may start a process, who runs beside whom, what a run may take."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from script.guests import fresh, place
from script.guests.place import GuestError, Transcript
from tests import alone, budget
from tests.conftest import BESIDE, COST, group_of, takes_turn
from tests.eventually import eventually

ROOT = Path(__file__).parents[1]


def run(directory: Path, *options: str, **files: str) -> tuple[int, str]:
    """Runs tests of our own under the rules of this checkout; the exit status, and what was said."""
    for name, text in files.items():
        (directory / f"test_{name}.py").write_text("import os, subprocess, sys, pytest\n" + text)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--verbose", *options, str(directory)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"CI": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.process
def test_who_starts_a_process_says_so_by_a_mark(tmp_path: Path) -> None:
    start = "def test_{}(): subprocess.run(['true'])\n"
    status, said = run(tmp_path, one=start.format("silent") + "@pytest.mark.process\n" + start.format("marked"))
    assert status == 1 and "2 passed, 1 error" in said, said
    assert "ERROR at teardown of test_silent" in said and "no mark says so, but it starts processes" in said, said


@pytest.mark.process
def test_two_that_run_side_by_side_see_only_what_they_left_themselves(tmp_path: Path) -> None:
    there = f"def there(name): return os.path.join({str(tmp_path)!r}, name)\n"
    wait = there + (
        "def wait(name):\n"
        "    from tests.eventually import eventually\n"
        "    eventually(lambda: os.path.exists(there(name)), name, 60)\n"
    )
    leave = (
        "@pytest.mark.process\n"
        "def test_a_left_process():\n"
        "    wait('begun')\n"
        "    assert subprocess.Popen(['sleep', '600'], stdin=subprocess.DEVNULL, start_new_session=True)\n"
        "    open(there('left'), 'w').close()\n"
        "    wait('next')\n"
    )
    other = (
        "@pytest.mark.process\n"
        "def test_beside_it():\n"
        "    open(there('begun'), 'w').close()\n"
        "    wait('left')\n"
        "@pytest.mark.process\n"
        "def test_the_next_one(): open(there('next'), 'w').close()\n"
    )
    tool = "@pytest.mark.needs('no-such-tool')\ndef test_a_tool(): pass\n"
    status, said = run(tmp_path, "-n", "2", one=wait + leave, two=wait + other, three=tool)
    assert status == 1 and "3 passed, 2 errors" in said, said
    assert "ERROR at teardown of test_a_left_process" in said and "left behind: process" in said, said
    assert "not installed: no-such-tool" in said, "a missing tool fails in CI as without xdist"
    assert said.index("test_a_tool") < said.index("test_the_next_one"), "what starts nothing comes first"


@pytest.mark.process
@pytest.mark.parametrize(
    ("processes", "order"), [("0", "unit alone pool web guest"), ("1", "unit alone guest pool web")]
)
def test_the_cheapest_come_first_and_a_proof_of_minutes_early_where_others_run_beside_it(
    tmp_path: Path, processes: str, order: str
) -> None:
    marks = {"web": ["web"], "guest": ["guest"], "pool": ["pool"], "alone": ["pool", "alone"], "unit": []}
    tests = [
        "".join(f"@pytest.mark.{mark}\n" for mark in given) + f"def test_{name}(): pass\n"
        for name, given in marks.items()
    ]
    status, said = run(tmp_path, "-n", processes, some="".join(tests))
    assert status == 0, said
    passed = (line for line in said.splitlines() if "PASSED" in line)
    assert [re.findall(r"::test_(\w+)", line)[0] for line in passed] == order.split()


@pytest.mark.process
def test_what_several_need_is_made_once_and_gone_at_the_end(tmp_path: Path) -> None:
    text = (
        "from tests import once\n"
        "def make(place): (place / str(os.getpid())).touch()\n"
        "@pytest.mark.process\n"
        "def test_it(tmp_path):\n"
        f"    with open({str(tmp_path / 'told')!r}, 'a') as told: print(*once.made('it', make).iterdir(), file=told)\n"
    )
    status, said = run(tmp_path, "-n", "2", one=text, two=text)
    assert status == 0, said
    first, second = map(Path, (tmp_path / "told").read_text().split())
    assert first == second and not first.parents[1].exists()


def test_who_must_be_alone_waits_for_the_others_and_lets_none_in_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCK", "GATE"):
        (tmp_path / name).touch()
        monkeypatch.setattr(alone, name, tmp_path / name)
    happened: list[str] = []

    def other(name: str, by_itself: bool) -> threading.Thread:
        def take() -> None:
            with alone.turn(by_itself, beside=True):
                happened.append(name)

        made = threading.Thread(target=take)
        made.start()
        return made

    def waiting() -> int:
        locks = Path("/proc/locks").read_text().splitlines()
        inodes = [f":{(tmp_path / name).stat().st_ino} " for name in ("LOCK", "GATE")]
        return sum("->" in line and any(inode in line for inode in inodes) for line in locks)

    with alone.turn(False, beside=True):
        with alone.turn(False, beside=True):
            happened.append("two side by side")
        first = other("alone", True)
        eventually(lambda: waiting() == 1, "it waits")
        second = other("after", False)
        eventually(lambda: waiting() == 2, "so does who comes after it")
        happened.append("the first one's end")
    first.join()
    second.join()
    assert happened == ["two side by side", "the first one's end", "alone", "after"]


STEADY = """
import os, pytest

def seen(name):
    before = os.path.exists(name)
    open(name, "w").close()
    return before

@pytest.mark.parametrize("number", range({unsteady}))
def test_passes_the_second_time(number):
    assert seen(f"unsteady {{number}}")

def test_passes_and_is_not_tried_again():
    assert not seen("steady")

@pytest.mark.skipif({broken}, reason="")
def test_never_passes():
    assert False
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("unsteady", "broken", "place", "status", "said"),
    [
        (5, False, "tests", 0, "NOT STEADY"),
        (6, False, "tests", 1, ""),
        (2, True, "tests", 1, "test_never_passes"),
        (1, False, "tests/attack", 1, ""),
    ],
    ids=["five", "too many", "one is broken", "a storm"],
)
def test_few_that_fail_beside_others_are_tried_again_alone_and_named(
    tmp_path: Path, unsteady: int, broken: bool, place: str, status: int, said: str
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "test_some.py").write_text(STEADY.format(unsteady=unsteady, broken=not broken))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    told: dict[str, Any] = {"cwd": tmp_path, "env": clean | {"PYTHONPATH": str(ROOT)}, "stdin": subprocess.DEVNULL}
    first = subprocess.run([sys.executable, "-m", "pytest", "-n", "2"], **told, capture_output=True)
    assert first.returncode == 1, first.stdout
    again = subprocess.run([sys.executable, "-m", "tests.again"], **told, capture_output=True, text=True)
    assert again.returncode == status, again.stdout
    assert said in again.stdout and ("Tried again" in again.stdout) == bool(said), again.stdout
    assert ("NOT STEADY" in again.stdout) == (status == 0), again.stdout


@pytest.mark.parametrize(
    ("group", "long", "takes"), [("guest", False, False), ("guest", True, True), ("web", False, True)]
)
def test_a_proof_of_minutes_keeps_nobody_waiting_who_must_be_alone_except_with_long(
    group: str, long: bool, takes: bool
) -> None:
    class Config:
        workerinput: dict[str, str] = {}

        def getoption(self, name: str) -> bool:
            return {"--long": long}[name]

    config: Any = Config()
    assert takes_turn(config, group) is takes


def test_a_proof_that_does_not_hold_shows_the_end_of_what_the_last_command_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextlib.contextmanager
    def machine(log: Transcript) -> Iterator[None]:
        log.add("root$ first", "something else\n", "0")
        log.add("root$ last", "".join(f"line {number}\n" for number in range(100)), "1, 0.1 s")
        raise GuestError("NOT TRUE: a claim")
        yield

    monkeypatch.setattr(fresh, "machine", machine)
    monkeypatch.setattr(place, "end_in_order", lambda: None)  # this process has its own way to end
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert fresh.main([]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said.index("NOT TRUE: a claim") < said.index("    root$ last") and "    [1, 0.1 s]" in said
    assert [line for line in said if "line" in line] == [f"    line {number}" for number in range(40, 100)]
    assert "something else" in (Path(said[-1].rpartition(" ")[2])).read_text()


def test_each_group_has_a_budget_and_the_whole_too() -> None:
    assert set(budget.read()) == {*COST, "whole"} == {*BESIDE, "whole"}
    assert all(minutes > 0 for minutes in budget.read().values())


class Told:
    """What pytest tells a plugin, as far as the budget looks at it."""

    class option:
        keyword = markexpr = ""
        long = collectonly = lf = False

    args_source = pytest.Config.ArgsSource.TESTPATHS
    exitstatus = pytest.ExitCode.OK

    def __init__(self, when: str = "", duration: float = 0.0, **keywords: int) -> None:
        self.when, self.duration, self.keywords = when, duration, keywords


@pytest.mark.parametrize(("ci", "factor", "status"), [("true", 1.4, 0), ("true", 1.6, budget.OVER), ("", 1.6, 0)])
def test_a_group_that_passes_its_budget_by_half_fails_the_run_of_ci(
    ci: str, factor: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    told: Any = Told()
    count = budget.Count(told, group_of)
    report: Any = Told("call", budget.read()["pool"] * factor, pool=1, web_like=1, process=1)
    count.pytest_runtest_logreport(report)
    count.pytest_sessionfinish(told)
    assert told.exitstatus == status
    (line,) = [line for line in count.lines if line.group == "pool"]
    assert line.tests == 1 and ("more than 1.5 times its budget" in str(line)) == (factor > 1.5), line


@pytest.mark.parametrize(
    "chosen",
    [
        {"keyword": "x"},
        {"markexpr": "pool"},
        {"long": True},
        {"lf": True},
        {"args_source": pytest.Config.ArgsSource.ARGS},
    ],
    ids=str,
)
def test_a_part_of_the_tests_has_no_budget(chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told: Any = Told()
    assert budget.is_whole(told)
    for name, value in chosen.items():
        monkeypatch.setattr(told if name == "args_source" else told.option, name, value)
    assert not budget.is_whole(told)
