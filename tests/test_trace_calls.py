"""What the recorder of real programs tells of calls, and which: docs/recorder.md, "What it keeps"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pairscope.trace.followed import NAMES
from pairscope.trace.kinds import KINDS, stopping
from tests import traced
from tests.traced import Run, compiled, pairscope, process, recorded

programs = traced.programs


def told(programs: Path, *options: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What the last of each call was given and gave."""
    run = recorded(programs, str(programs / "several"), options=options)
    assert run.out == "sent 2\ncame 2\nready 1\n", run.err
    return {step.call: (step.given, step.gave) for step in run.steps()}


@process
@compiled
def test_vectors_and_several_messages_are_told_with_their_lengths_and_no_byte(programs: Path) -> None:
    steps = told(programs)
    assert steps["writev"][0]["iov"] == [3] and steps["readv"] == (steps["readv"][0], {"value": 8})
    assert (steps["pwritev"][0]["iov"], steps["pwritev"][0]["offset"]) == ([3, 5], 4)
    assert steps["preadv"][1] == {"value": 8}
    first, second = steps["sendmmsg"][0]["messages"]
    assert first == {"iov": [3, 5]} and second["iov"] == [3] and second["control"][0]["type"] == "SCM_RIGHTS"
    came, more = steps["recvmmsg"][1]["messages"]
    assert came == {"bytes": 8, "control": []} and more["bytes"] == 3 and len(more["control"][0]["fds"]) == 1
    assert steps["recvmmsg"][0]["messages"] == 2


@process
@compiled
def test_their_first_bytes_are_kept_where_one_asks_for_them(programs: Path) -> None:
    steps = told(programs, "--bytes", "5")
    gathered = {"bytes": 8, "head": b"abcde"}
    assert steps["pwritev"][0]["data"] == steps["preadv"][1]["data"] == steps["readv"][1]["data"] == gathered
    assert [one["data"] for one in steps["sendmmsg"][0]["messages"]] == [gathered, {"bytes": 3, "head": b"abc"}]
    assert [one["data"] for one in steps["recvmmsg"][1]["messages"]] == [gathered, {"bytes": 3, "head": b"abc"}]


@process
@compiled
def test_calls_between_two_descriptors_and_sets_of_them_are_told(programs: Path) -> None:
    steps = told(programs)
    for call, length in ("tee", 2), ("splice", 3), ("sendfile", 4):
        given, gave = steps[call]
        assert given["length"] == gave["value"] == length and given["fd"] != given["to"]
    other = steps["tee"][0]["to"]
    given, gave = steps.get("select") or steps["pselect6"]  # of aarch64 the C library makes pselect6 of it
    if "select" in steps:
        assert given["timeout_ns"] == 1_000_500_000
        assert gave["read"] == [other - 1] and set(given["read"]) == {other - 1, steps["tee"][0]["fd"]}
    given, gave = steps["pselect6"]
    assert given == {"count": other + 1, "write": [other], "timeout_ns": 2_000_000_007} and gave["write"] == [other]
    assert "timeout_ns" not in steps["ppoll"][0] and steps["ppoll"][1]["value"] == 1


@process
@compiled
def test_timers_sets_of_signals_and_who_is_waited_for_are_told(programs: Path) -> None:
    steps = told(programs)
    timer, _ = steps["timerfd_settime"]
    assert (timer["value_ns"], timer["interval_ns"]) == (3_000_000_001, 5)
    assert steps["signalfd4"][0]["signals"] == ["SIGUSR1", "SIGURG"] and steps["signalfd4"][1]["value"] >= 0
    waited, ended = steps["waitid"]
    assert waited.get("idtype", 1) == 1 and (ended["code"], ended["status"]) == (1, 7) and ended["pid"] > 0


ALWAYS = {"clone", "execve", "exit", "sendmmsg", "recvmmsg"}


def held(run: Run) -> dict[int, str]:
    """What kind of object stands at each number before the end."""
    return {number: link.partition(":")[0] for number, link in run.state_before_the_end().items()}


@process
@compiled
@pytest.mark.parametrize(("only", "expected"), [
    ("passages", set()),
    ("pipes", {"pipe2", "writev", "readv", "tee", "splice"}),
    ("waits,signals", {"select", "pselect6", "ppoll", "epoll_create1", "kill", "signal"}),
    ("memory", {"memfd_create", "pwritev", "preadv"}),
])  # fmt: skip
def test_of_some_kinds_alone_the_steps_are_told_and_the_passages_and_the_state_of_all(
    programs: Path, only: str, expected: set[str]
) -> None:
    whole = held(recorded(programs, str(programs / "several")))
    run = recorded(programs, str(programs / "several"), options=("--only", only))
    calls = {step.call for step in run.steps()}
    assert calls - {"sendfile", "write", "pipe", "select"} == (expected | ALWAYS) - {"select"}
    assert f"of all steps only these kinds were kept, and what passes descriptors: {only.replace(',', ', ')}" in run.err
    (passage,) = run.passages()
    assert passage["proof"] and run.steps()[passage["from"]["step"] - 1].call == "sendmmsg"
    assert run.steps()[passage["to"]["step"] - 1].call == "recvmmsg"
    assert held(run) == whole and list(whole.values()).count("/memfd") == 2


@process
def test_another_kind_is_told_with_those_that_there_are() -> None:
    done = pairscope("-o", "/dev/null", "--only", "sockets,sokcets", "--", "true")
    assert done.returncode == 2 and f"there is no kind sokcets; expected some of {','.join(KINDS)}" in done.stderr


def test_calls_of_other_kinds_stop_no_program_where_they_change_nothing() -> None:
    names = set(stopping(frozenset({"pipes"})).values())
    assert not names & {"poll", "epoll_wait", "kill", "tgkill"} and {"close", "epoll_create1", "recvmsg"} <= names
    assert stopping(None) == stopping(frozenset(KINDS)) == NAMES
