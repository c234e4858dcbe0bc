"""What each group of tests took, beside its budget: .ci/budget.toml.

A group is what the dearest mark of a test says (tests/conftest.py). Its time is the sum over its tests, with the
fixtures that they were the first to need; tests that run side by side count each.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / ".ci" / "budget.toml"
ALLOWED = 1.5
"""A group that takes longer than its budget by this factor has failed."""
OVER = 10
"""The exit status then. pytest's own end at 5; a test that failed, its 1, may be tried again (tests/again.py)."""


@dataclass
class Line:
    """One group. Seconds."""

    group: str
    took: float
    budget: float
    tests: int = 0

    @property
    def passed(self) -> bool:
        return self.took > ALLOWED * self.budget

    def __str__(self) -> str:
        share = f"{self.took / 60:6.1f} of {self.budget / 60:4.1f} min"
        words = f"  more than {ALLOWED:g} times its budget" if self.passed else ""
        return f"{self.group:9}{share}{f'  {self.tests:5} tests' if self.tests else ''}{words}"


def read(file: Path = FILE) -> dict[str, float]:
    """The budget of each group, and of the whole, in seconds."""
    return {group: minutes * 60 for group, minutes in tomllib.loads(file.read_text())["minutes"].items()}


def is_whole(config: pytest.Config) -> bool:
    """Whether every test runs that has a budget, and no other."""
    chosen = (
        config.option.keyword or config.option.markexpr or config.option.long or getattr(config.option, "lf", False)
    )
    return config.args_source == pytest.Config.ArgsSource.TESTPATHS and not chosen


class Count:
    """A plugin of the process that gives out the tests, or runs them all itself."""

    def __init__(self, config: pytest.Config, group_of: Callable[[Iterable[str]], str]) -> None:
        self._told = is_whole(config) and not config.option.collectonly
        self._holds = os.environ.get("CI") == "true"
        self._group_of = group_of
        self._begun = time.monotonic()
        self._took: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, int] = defaultdict(int)
        self.lines: list[Line] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        group = self._group_of(report.keywords)
        self._took[group] += report.duration
        self._tests[group] += report.when == "call"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Before the terminal's own, which tells the end with the status."""
        if not self._told:
            return
        budgets = read()
        whole = Line("whole", time.monotonic() - self._begun, budgets.pop("whole"), sum(self._tests.values()))
        self.lines = [Line(group, self._took[group], budgets[group], self._tests[group]) for group in budgets]
        self.lines.append(whole)
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self._holds and ended and any(line.passed for line in self.lines):
            session.exitstatus = OVER

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.lines:
            terminalreporter.section("time and budget (.ci/budget.toml)")
        for line in self.lines:
            terminalreporter.line(str(line), red=line.passed)
