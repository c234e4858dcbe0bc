"""The sandbox, against real processes that attack from inside of it. docs/sandbox.md is the expectation."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.sandbox import BOTH, LEVELS, NONE, SECCOMP, landlock, syscalls
from tests.confinement import AS_ROOT, ROOT, UID, Confined, Scene, victim
from tests.eventually import eventually

pytestmark = pytest.mark.process

DOCUMENT = (ROOT / "docs/sandbox.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
ATTACKS = {row[0].replace(" ", "-"): row[1:] for row in ROWS if row[0] not in ("attack",)}
NAMES = [name for name in ATTACKS if "x32" not in name or platform.machine() == "x86_64"]

try:
    ABI = landlock.abi()
except landlock.Unavailable:
    ABI = 0

needs_landlock = pytest.mark.skipif(not ABI, reason="this kernel gives no Landlock")
needs_seccomp = pytest.mark.skipif(syscalls.seccomp is None, reason="libseccomp.so.2 is not installed")


@pytest.fixture(scope="module")
def stage(temporary_directory: Path) -> Iterator[Path]:
    """A directory that the attacker's user can reach."""
    directory = Path(tempfile.mkdtemp(dir=temporary_directory))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def target() -> Iterator[tuple[int, int]]:
    with victim() as process:
        yield process


@pytest.fixture(scope="module")
def bare() -> Iterator[Confined]:
    with Confined("bare") as child:
        yield child


@pytest.fixture(scope="module")
def only_landlock() -> Iterator[Confined]:
    with Confined("landlock") as child:
        yield child


@pytest.fixture(scope="module")
def only_seccomp() -> Iterator[Confined]:
    with Confined(most=SECCOMP) as child:
        assert child.hello["level"] == SECCOMP
        yield child


@pytest.fixture(scope="module")
def closed() -> Iterator[Confined]:
    if not ABI or syscalls.seccomp is None:
        pytest.skip("this machine gives no Landlock or has no libseccomp.so.2")
    with Confined() as child:
        assert child.hello["level"] == BOTH
        yield child


def try_it(child: Confined, name: str, stage: Path, target: tuple[int, int]) -> str:
    """How the attack ends. One that succeeds has something of its own to destroy."""
    directory = Path(tempfile.mkdtemp(dir=stage))
    scene = Scene(directory, *target)
    try:
        answer = child.ask(scene.fds, attack=name, **scene.facts)
        return answer["outcome"] if answer else f"killed by {signal.Signals(-child.process.wait(10)).name}"
    finally:
        scene.close()


def on_a_worker_of_its_own(name: str, stage: Path, target: tuple[int, int], **told: Any) -> str:
    with Confined(**told) as child:
        return try_it(child, name, stage, target)


# ---- the table of attacks


def test_every_attack_is_documented_and_every_documented_attack_is_tried() -> None:
    program = (ROOT / "tests/programs/confined.py").read_text()
    assert sorted(ATTACKS) == sorted(
        name.replace("_", "-") for name in re.findall(r"^@attack\ndef (\w+)", program, re.MULTILINE)
    )


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_confines_the_attack_works(
    name: str, bare: Confined, stage: Path, target: tuple[int, int]
) -> None:
    expected = ATTACKS[name][0]
    if name.startswith("kill-"):
        with victim() as one_more:
            outcome = try_it(bare, name, stage, one_more)
    else:
        outcome = try_it(bare, name, stage, target)
    if outcome != expected and expected == "done":
        pytest.skip(f"this machine refuses it to everybody: {outcome}")
    assert outcome == expected or name == "call-with-an-x32-number"


@needs_landlock
@pytest.mark.parametrize("name", NAMES)
def test_landlock_alone_leaves_open_what_the_document_says(
    name: str, only_landlock: Confined, stage: Path, target: tuple[int, int]
) -> None:
    if ABI != 7:
        pytest.skip(f"the column is for Landlock ABI 7, this kernel has {ABI}")
    expected = ATTACKS[name][1]
    outcome = try_it(only_landlock, name, stage, target)
    if expected == "done" and outcome != "done" and try_it(only_landlock, name, stage, target) == outcome:
        pytest.skip(f"this machine refuses it to everybody: {outcome}")
    assert outcome == expected or name == "call-with-an-x32-number"


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_worker_is_refused_what_the_document_says(
    name: str, closed: Confined, stage: Path, target: tuple[int, int]
) -> None:
    expected = ATTACKS[name][2]
    outcome = (
        on_a_worker_of_its_own(name, stage, target)
        if expected.startswith("killed")
        else try_it(closed, name, stage, target)
    )
    assert outcome == expected


@needs_seccomp
@pytest.mark.parametrize("name", NAMES)
def test_seccomp_alone_refuses_the_same(
    name: str, only_seccomp: Confined, stage: Path, target: tuple[int, int]
) -> None:
    expected = ATTACKS[name][2]
    if expected.startswith("killed"):
        outcome = on_a_worker_of_its_own(name, stage, target, most=SECCOMP)
    else:
        outcome = try_it(only_seccomp, name, stage, target)
    assert outcome == expected


# ---- the calls


def test_the_documented_calls_are_the_filter() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", DOCUMENT.partition("## System calls")[2], re.MULTILINE))
    for purpose, names in syscalls.ALLOWED.items():
        assert rows[purpose] == ", ".join(names)
    for name, condition in syscalls.CONDITIONS.items():
        assert rows[name] == condition
    assert set(rows) - {"for", "call"} == {*syscalls.ALLOWED, *syscalls.CONDITIONS}


def test_no_call_is_both_allowed_and_promised_to_be_refused() -> None:
    allowed = {name for names in syscalls.ALLOWED.values() for name in names} | set(syscalls.CONDITIONS)
    assert not allowed & set(syscalls.DENIED)


@needs_seccomp
def test_every_call_that_is_promised_to_be_refused_is_refused() -> None:
    with Confined(calls=syscalls.DENIED) as child:
        outcomes = {name: child.ask(call=name)["outcome"] for name in syscalls.DENIED}
    for name in ("open", "openat", "openat2", "creat"):
        assert outcomes.pop(name) in ("EACCES", "ENOSYS")
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in ("EPERM", "ENOSYS")} == {}
    assert sum(outcome == "ENOSYS" for outcome in outcomes.values()) < 8, "numbers that this architecture does not have"


# ---- what is there after closing


def test_nothing_is_open_but_its_own_end_and_the_standard_streams() -> None:
    with Confined("bare") as child:
        found = child.ask(supervise="")
        assert found["fds"] == [0, 1, 2, found["end"]]


def test_the_supervisor_of_the_same_user_can_still_prove_and_look() -> None:
    with Confined("bare") as child:  # as root this is a supervisor that has become an ordinary user
        found = child.ask(supervise="")
    assert found["kcmp"] == "done" and found["same"]
    assert found["pidfd_getfd"] == "done"
    assert found["link"]


@needs_seccomp
def test_the_kernel_shows_what_the_level_says(closed: Confined) -> None:
    detail = closed.hello["detail"]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{closed.pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1" and detail["no_new_privs"]
    assert status["Seccomp"] == "2" and detail["seccomp"]["otherwise"] == "EPERM"
    assert status["Uid"].split() == [str(detail["uid"])] * 4
    assert int(status["CapEff"], 16) == 0 or detail["uid"] == 0
    assert os.getsid(closed.pid) == closed.pid
    assert os.readlink(f"/proc/{closed.pid}/cwd") == "/"
    limits = Path(f"/proc/{closed.pid}/limits").read_text()
    for name, words in {
        "NOFILE": "Max open files",
        "FSIZE": "Max file size",
        "AS": "Max address space",
        "NPROC": "Max processes",
    }.items():
        soft, hard = re.search(rf"^{words}\s+(\d+)\s+(\d+)", limits, re.MULTILINE).groups()  # type: ignore[union-attr]
        assert int(soft) == int(hard) == detail["limits"][name]


@pytest.mark.skipif(not AS_ROOT, reason="only root can make workers another user")
def test_root_makes_its_worker_another_user_without_groups(closed: Confined) -> None:
    status = Path(f"/proc/{closed.pid}/status").read_text()
    assert closed.hello["detail"]["uid"] == UID != 0
    assert closed.hello["detail"]["groups"] == []
    assert re.search(r"^Groups:\s*$", status, re.MULTILINE)
    assert re.search(r"^CapPrm:\s0+$", status, re.MULTILINE)


@pytest.mark.skipif(not AS_ROOT, reason="only root can make workers another user")
def test_a_root_that_keeps_its_user_says_so() -> None:
    with Confined(user="root") as child:
        assert "a user of its own: worker_user is root" in child.hello["detail"]["missing"]


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user becomes nobody else")
def test_an_unknown_user_is_an_error_in_words() -> None:
    with Confined(user="no-such-user") as child:
        assert child.hello == {"error": "worker_user is 'no-such-user'; there is no such user on this machine"}


def test_a_worker_whose_supervisor_has_gone_does_not_begin() -> None:
    with Confined(parent=1) as child:
        assert child.hello == {"error": "the supervisor 1 ended before its worker was ready"}


def test_a_busy_worker_dies_with_its_supervisor() -> None:
    with Confined("bare") as child:
        worker = child.ask(supervise="busy")["child"]
        child.process.kill()
        child.process.wait()
        eventually(lambda: _has_ended(worker), "the end of a worker whose supervisor was killed")


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_its_own_end_can_be_made_blocking_and_what_was_passed_cannot(closed: Confined) -> None:
    reader, writer = os.pipe()
    try:
        assert closed.ask([reader], blocking=True) == {"own": "done", "passed": "EPERM"}
        assert os.get_blocking(reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_an_abort_is_seen_as_one() -> None:
    with Confined() as child:
        assert child.ask(abort=True) is None
        assert child.process.wait(10) == -signal.SIGABRT


def test_a_worker_that_was_stopped_goes_on() -> None:
    with Confined(jobs=True) as child:
        child.process.send_signal(signal.SIGSTOP)
        eventually(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "its stop")
        child.process.send_signal(signal.SIGCONT)
        answer = child.ask(job="echo", parameters={}, data=b"still here".hex(), input=False, output=False, spare=False)
        assert answer == {"result": {"bytes": 10, "text": "still here"}}


def test_standard_error_can_be_appended_to_and_not_rewritten(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        stream.write(b"before\n")
        stream.flush()
        with Confined(stderr=stream.fileno()) as child:
            answer = child.ask(log="from the worker\n")
    assert log.read_bytes() == b"before\nfrom the worker\n#"
    assert answer == {"overwrite": "done", "truncate": "EPERM", "read": "EBADF"}


def test_a_full_pipe_as_standard_error_does_not_stop_a_worker() -> None:
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 65536)
        except BlockingIOError:
            os.set_blocking(writer, True)
        with Confined(stderr=writer, jobs=True) as child:
            assert child.hello["level"] in LEVELS
    finally:
        os.close(reader)
        os.close(writer)


# ---- levels


@pytest.mark.parametrize("level", [SECCOMP, NONE])
def test_a_level_lowered_by_the_environment_is_said(level: str) -> None:
    with Confined(env={"PAIRSCOPE_SANDBOX": level}) as child:
        assert child.hello["level"] == level
        assert f"Landlock: PAIRSCOPE_SANDBOX is {level}" in child.hello["detail"]["missing"]
        assert child.hello["detail"]["landlock"] is None
        assert child.hello["detail"]["no_new_privs"]


def test_an_unknown_level_is_an_error_in_words() -> None:
    with Confined(env={"PAIRSCOPE_SANDBOX": "strict"}) as child:
        assert child.hello == {
            "error": "PAIRSCOPE_SANDBOX is 'strict'; expected one of landlock+seccomp, seccomp, none"
        }


@needs_seccomp
def test_a_kernel_without_landlock_gives_seccomp() -> None:
    with Confined(deny=["landlock_create_ruleset"]) as child:
        assert child.hello["level"] == SECCOMP
        assert "Landlock: this kernel has none" in child.hello["detail"]["missing"]


@needs_seccomp
@needs_landlock
def test_a_kernel_without_filters_gives_none_and_keeps_landlock() -> None:
    with Confined(deny=["seccomp"]) as child:
        assert child.hello["level"] == NONE
        assert child.hello["detail"]["landlock"]["abi"] == ABI
        assert child.hello["detail"]["seccomp"] is None
        assert any(
            sentence.startswith("seccomp: the filter was refused") for sentence in child.hello["detail"]["missing"]
        )


def test_a_machine_without_libseccomp_gives_none(tmp_path: Path) -> None:
    (tmp_path / "pyseccomp.py").write_text('raise RuntimeError("Unable to find libseccomp")\n')
    with Confined(path=[str(tmp_path)]) as child:
        assert child.hello["level"] == NONE
        assert "seccomp: libseccomp cannot be used: Unable to find libseccomp" in child.hello["detail"]["missing"]


@needs_landlock
@pytest.mark.parametrize("abi", range(1, 10))
def test_each_older_abi_is_asked_only_for_what_it_knows(abi: int, stage: Path, target: tuple[int, int]) -> None:
    if abi > ABI:
        pytest.skip(f"this kernel has ABI {ABI}")
    with Confined("landlock", abi=abi) as child:
        handled = child.hello["detail"]
        assert handled["abi"] == abi
        assert len(handled["files"]) == 13 + (abi >= 2) + (abi >= 3) + (abi >= 5) + (abi >= 9)
        assert bool(handled["network"]) == (abi >= 4) and bool(handled["scopes"]) == (abi >= 6)
        assert try_it(child, "open-a-file", stage, target) == "EACCES"
        assert try_it(child, "connect-by-tcp", stage, target) == ("EACCES" if abi >= 4 else "done")
        assert try_it(child, "connect-to-an-abstract-unix-socket", stage, target) == ("EPERM" if abi >= 6 else "done")


def test_the_level_is_small_enough_for_every_hello(closed: Confined) -> None:
    assert len(json.dumps(closed.hello["detail"])) < 2048


def test_the_errors_of_the_tables_are_real_ones() -> None:
    for outcomes in ATTACKS.values():
        for outcome in outcomes:
            assert (
                outcome == "done"
                or hasattr(errno, outcome)
                or outcome.endswith("Error")
                or outcome.startswith("killed by SIG")
            )
