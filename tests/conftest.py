"""What holds for every test: the order, the marks, the programs that must be there, and that nothing is left behind.

The order is by cost, cheapest first: tests without a mark, then process, database, pool, web, browser, lamp, guest. A
test without a mark starts no process: that is what ``script/test --quick`` runs, and it is checked.

script/test runs three processes of pytest side by side (pytest-xdist) on two cores, as most tests wait for others much
of the time. Each takes the next file in the order (tests/shares.py) and has a TMPDIR, a mark of its processes and
servers of its own, so none finds what another one holds; what takes long to make and is not changed, all have
together (tests/once.py). What is one piece of minutes is begun early then, as all
others would wait for it at the end: a proof in a guest behind the tests without a mark, Apache's tests before web.

Tests marked ``alone`` have the machine for themselves (tests/alone.py), but for proofs in guests, which have users,
mounts and a network of their own. With ``--long``, where such a test claims milliseconds, a proof takes its turn like
all others. Those that are alone come right behind those without a mark: later they would wait for a proof.
"""

from __future__ import annotations

import gc
import getpass
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import alone, budget, fonts, leaks, once
from tests.browser import FONTS
from tests.database import history, mariadb, running_mariadb  # noqa: F401 fixtures for every test
from tests.lamp import lamp, running_lamp  # noqa: F401
from tests.running import running_server, server  # noqa: F401 fixtures for every test
from tests.wheel import installed, wheel  # noqa: F401

COST = ("unit", "process", "database", "pool", "web", "browser", "lamp", "guest")
BESIDE = ("unit", "guest", "process", "database", "pool", "lamp", "web", "browser")
"""The order where several run at a time."""

NEEDS = {
    "database": ("mariadbd", "mariadb-install-db", "mariadb"),
    "browser": ("chromium", "chromedriver", *(str(file) for each in fonts.SETS.values() for file in each.files)),
    "lamp": ("apache2", "mod_wsgi.so", "mariadbd", "mariadb-install-db", "mariadb", "setpriv"),
}

PLACES = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/apache2/modules")
)
"""Debian's servers stand outside of an ordinary user's PATH."""


STARTS = {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}
"""Python's audit events of a process that begins. https://docs.python.org/3/library/audit_events.html"""
started: list[str] = []
"""Every process that this one has begun, as its event and what it runs."""
BEFORE = pytest.StashKey[int]()


def _noted(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTS:
        started.append(f"{event}{arguments[:2]}"[:200])


sys.addaudithook(_noted)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked long")
    parser.addoption(
        "--fonts",
        choices=sorted(fonts.SETS),
        default="own",
        help="the set of fonts (tests/fonts.py) that the browser has",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ[FONTS] = config.getoption("--fonts")
    if not hasattr(config, "workerinput"):  # who gives out the tests counts
        config.pluginmanager.register(budget.Count(config, group_of))
        once.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        once.end()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.shares import Shares  # not needed by who runs all tests in one process

    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order = BESIDE if hasattr(config, "workerinput") else COST

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        group = _group(item)
        return group != "unit", not item.get_closest_marker("alone"), order.index(group)

    items.sort(key=place)  # stable: within a cost the order of the files stays
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="long: run with --long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)


def group_of(marks: Iterable[str]) -> str:
    """The dearest of the marks that say a cost."""
    return COST[max((COST.index(mark) for mark in marks if mark in COST), default=0)]


def _group(item: pytest.Item) -> str:
    return group_of(mark.name for mark in item.iter_markers())


def takes_turn(config: pytest.Config, group: str) -> bool:
    """Whether a test of that group is kept from those that are alone, and they from it."""
    return hasattr(config, "workerinput") and (group != "guest" or bool(config.getoption("--long")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with alone.turn(item.get_closest_marker("alone") is not None, beside=takes_turn(item.config, _group(item))):
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[BEFORE] = len(started)
    wanted: list[str] = []
    for mark in item.iter_markers():
        wanted += mark.args if mark.name == "needs" else NEEDS.get(mark.name, ())
    missing = sorted({tool for tool in wanted if not shutil.which(tool, os.F_OK, PLACES)})
    if missing:
        reason = f"not installed: {', '.join(missing)} (script/packages says of which packages)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def temporary_directory() -> Iterator[Path]:
    """The TMPDIR of the test process and all that it starts: a directory of its own, short enough for AF_UNIX paths."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    directory = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    directory.chmod(0o711)  # as root, servers of other users pass through it
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    os.environ[leaks.MARK] = directory.name
    own = directory / f"pytest-of-{getpass.getuser()}"
    own.mkdir(0o700)  # pytest's own, made now: the first test that asks for tmp_path, or runs pytest, did not leave it
    yield directory
    os.environ.pop(leaks.MARK)
    os.environ.pop("TMPDIR") if before[0] is None else os.environ.update(TMPDIR=before[0])
    tempfile.tempdir = before[1]
    left = sorted(entry.name for entry in directory.iterdir() if entry != own)
    shutil.rmtree(directory, ignore_errors=True)
    assert not left, f"left in TMPDIR by a fixture of the session: {', '.join(left)}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, temporary_directory: Path) -> Iterator[None]:
    """Fails a test that leaves a process, a descriptor or a temporary file.

    Fixtures of a wider scope are set up before this one and so belong to what was there before.
    """
    if request.node.get_closest_marker("database"):
        request.getfixturevalue("running_mariadb")  # is what was there before, also for the first that uses it
    if request.node.get_closest_marker("leaves"):
        yield
        return
    before = leaks.look(temporary_directory)
    yield
    left = before.left(temporary_directory)
    if left:
        gc.collect()  # a cycle that a traceback holds is no leak
        left = before.left(temporary_directory, patience=2.0)
    for pid in left.processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for fd in left.fds:
        try:
            os.close(fd)
        except OSError:
            pass
    for path in left.files:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    if left:
        pytest.fail(f"left behind: {left}", pytrace=False)
    begun = started[request.node.stash[BEFORE] :]
    if begun and _group(request.node) == "unit":
        pytest.fail(f"no mark says so, but it starts processes: {', '.join(begun)}", pytrace=False)
