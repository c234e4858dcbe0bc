"""The recorder held against real programs of Debian: what they say, what they pass, and what strace counts of a second
run. Each is started and ended by a small program of tests/programs/real/, which is recorded with it."""

from __future__ import annotations

import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PLACES
from tests.traced import APP, AS_NOBODY, Run, process

REAL = Path(__file__).parent / "programs/real"
PASSED = {"tmux": 6, "haproxy": 2, "dbus": 4, "apache": 3, "sshd": 2, "nginx": 6, "spawned": 2}
"""Descriptors that each passes."""
PASSING, COUNTED = ("sendmsg", "recvmsg"), ("bind", "listen", "socketpair", "memfd_create")
NEEDS = {
    "tmux": ("tmux",), "haproxy": ("haproxy",), "dbus": ("dbus-daemon",), "apache": ("apache2",),
    "sshd": ("sshd", "ssh", "ssh-keygen", "unshare"), "postgres": ("postgres", "initdb"), "chromium": ("chromium",),
    "nginx": ("nginx",), "spawned": (),
}  # fmt: skip


def needing(name: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(*NEEDS[name])


@pytest.fixture
def places() -> Iterator[list[Path]]:
    """Two directories, short enough for an address, which every user may read and write."""
    made = [Path(tempfile.mkdtemp(prefix="real")) for _ in range(4)]
    for one in made:
        one.chmod(0o777)
    yield made
    for one in made:
        shutil.rmtree(one)


def ran(name: str, place: Path, *before: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, REAL / f"{name}.py", place], capture_output=True, text=True, timeout=250,
        env={**os.environ, "PYTHONPATH": str(APP), "PATH": PLACES},
    )  # fmt: skip


def recorded(name: str, places: list[Path], *before: str, options: tuple[str, ...] = ()) -> Run:
    words = [sys.executable, "-m", "pairscope", "record", "-o", str(places[3] / "of.rec"), "--seconds", "200"]
    done = ran(name, places[0], *before, *words, *options, "--")
    return Run(done, places[3] / "of.rec")


def straced(name: str, place: Path, traced: Path) -> collections.Counter[str]:
    """What strace counts: calls, and descriptors in what they passed and brought."""
    ran(name, place, "strace", "-f", "-qq", "-o", traced, "-e", f"trace={','.join((*PASSING, *COUNTED))}")
    counted, begun = collections.Counter[str](), dict[str, str]()
    for line in traced.read_text(errors="replace").splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if (more := re.match(r"<\.\.\. \w+ resumed>", text)) is not None:
            text = begun.pop(pid) + text[more.end() :]
        call = re.match(r"\w+(?=\()", text)
        if call is None or re.search(r"= (-1 E.*|\?)$", text):
            continue
        if call[0] in PASSING:
            for numbers in re.findall(r"cmsg_type=SCM_RIGHTS, cmsg_data=\[([-\d, ]+)", text):
                counted[call[0]] += len(numbers.split(","))
        else:
            counted[call[0]] += 1
    return +counted


def told(run: Run) -> collections.Counter[str]:
    """The same of a recording."""
    counted = collections.Counter[str]()
    for step in run.steps():
        if step.blocked or "errno" in step.gave:
            continue
        parts = step.given if step.call == "sendmsg" else step.gave.get("received", {})
        if step.call in PASSING:
            counted[step.call] += sum(len(part.get("fds", ())) for part in parts.get("control", ()) or ())
        elif step.call in COUNTED:
            counted[step.call] += step.count
    return +counted


@process
@pytest.mark.needs("strace")
@pytest.mark.parametrize("name", [pytest.param(name, marks=needing(name)) for name in PASSED])
def test_a_real_program_says_the_same_and_all_that_it_passes_is_proved_and_counted_as_strace_does(
    name: str, places: list[Path]
) -> None:
    if name == "sshd" and subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("only root may let another user in, where it may have namespaces")
    run = recorded(name, places)
    bare = ran(name, places[1])
    assert (run.out, run.status) == (bare.stdout, bare.returncode) and bare.returncode == 0, run.err + bare.stderr
    passages = run.passages()
    assert [(one["end"], bool(one["proof"])) for one in passages] == [("received", True)] * PASSED[name], passages
    assert told(run) == straced(name, places[2], places[3] / "strace"), run.err


@process
@pytest.mark.long
@pytest.mark.parametrize("name", [pytest.param(one, marks=needing(one)) for one in PASSED if one != "sshd"])
def test_it_does_so_for_an_ordinary_user(name: str, places: list[Path]) -> None:
    run = recorded(name, places, *(AS_NOBODY if os.geteuid() == 0 else ()))
    bare = ran(name, places[1], *(AS_NOBODY if os.geteuid() == 0 else ()))
    assert (run.out, run.status) == (bare.stdout, bare.returncode), run.err
    assert [(one["end"], bool(one["proof"])) for one in run.passages()] == [("received", True)] * PASSED[name]


@process
@pytest.mark.long
@needing("postgres")
def test_postgresql_which_duplicates_a_thousand_times_starts_within_ten_seconds(places: list[Path]) -> None:
    """It needs a machine that is not busy: it compares with nothing."""
    user = AS_NOBODY if os.geteuid() == 0 else []
    ran("postgres", places[0], *user)  # makes the database
    run = recorded("postgres", places, *user)
    assert run.status == 0 and run.out.endswith("ended 0\n"), run.err
    assert float(re.findall(r"ready after ([\d.]+)", run.out)[0]) < 10 and not run.passages()
    assert sum(step.call == "dup" for step in run.steps()) >= 1000


@process
@pytest.mark.long
@needing("chromium")
def test_of_what_chromium_passes_ninety_nine_in_a_hundred_are_proved(places: list[Path]) -> None:
    run = recorded("chromium", places, options=("--steps", "200000", "--processes", "200"))
    bare = ran("chromium", places[1])
    assert "a page" in bare.stdout and run.out == bare.stdout, run.err
    counts = run.index.counts
    assert counts.received > 100 and counts.proved >= 0.99 * counts.received, run.err
    assert counts.sent == counts.received + counts.in_flight + counts.dropped + counts.outside
    print(json.dumps({"sent": counts.sent, "received": counts.received, "proved": counts.proved}))
