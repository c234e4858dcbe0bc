"""The stage against a second observer that shares no code with it (tests/oracle.py), and against the exported programs:
over random scenarios, step by step."""

from __future__ import annotations

import base64
import copy
import os
import platform
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from pairscope.lab import exports, gallery
from pairscope.lab.exports.lines import result_lines
from pairscope.lab.language import format, parse
from pairscope.lab.model import Scenario
from pairscope.lab.stage import manager
from pairscope.lab.stage.apart import apart
from tests.oracle import Play, Seen, constant
from tests.runs import plain, typed
from tests.test_lab_exports import COMPILE, PYTHON, account
from tests.test_lab_random import scenarios

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the oracle knows the numbers of x86_64's system calls"),
]
OFTEN = 5
"""How often a scenario is played again on both sides before they are said to disagree: what the kernel decides one way
or another is open."""
RUNS = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def no_directory_beside_the_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


# ---- the two beside each other


class Side:
    """Labels for what each side numbers in its own way: the objects in the order in which they came, the processes by
    name."""

    def __init__(self) -> None:
        self.objects: dict[int, int] = {}
        self.pids: dict[int, str] = {}

    def label(self, inode: int) -> int:
        return self.objects.setdefault(inode, len(self.objects))


Played = tuple[list[Seen], list[Seen], dict[int, dict[str, Any]], dict[int, str]]
"""Every step; the steps up to the cut, played anew; what waited there, by inode; the names of processes by pid."""


def play(scenario: Scenario, steps: int, cut: int) -> Played:
    """The first `steps` steps by the oracle; and once more up to `cut`, and all that waits then."""
    with Play(scenario) as whole:
        seen = [whole.step(index) for index in range(steps)]
        pids = whole.pids()
    with Play(scenario) as short:
        to_cut = [short.step(index) for index in range(cut + 1)]
        return seen, to_cut, short.drained(), pids


def differences(run: dict[str, Any], seen: list[Seen], pids: dict[int, str], side: Side) -> list[str]:
    """Between the steps of a run and those of the oracle, in words."""
    ours, theirs = Side(), side
    theirs.pids = pids
    ours.pids = {
        process["pid"]: process["name"]
        for step in run["steps"]
        if step["after"]
        for process in step["after"]["processes"]
    }
    found: list[str] = []
    for number, (step, other) in enumerate(zip(run["steps"], seen), 1):
        found += [
            f"step {number} {step['call']}: {words}"
            for words in [
                *_came(step, other.outcome, ours, theirs),
                *_held(step["after"], other.processes, ours, theirs),
            ]
        ]
        if found:
            break
    return found


def _came(step: dict[str, Any], other: dict[str, Any] | None, ours: Side, theirs: Side) -> list[str]:
    result = step["result"]
    if result is None or other is None:
        return [] if result is None and other is None else [f"{result} and {other}"]
    if result["blocked"] or "blocks" in other:
        return [] if result["blocked"] and "blocks" in other else [f"blocks: {result} and {other}"]
    if result.get("ended") or "ended" in other:
        status = other.get("ended", 0)
        wanted = os.WTERMSIG(status) if status >= 0 and os.WIFSIGNALED(status) else None
        return (
            []
            if result.get("ended") and "ended" in other and (status < 0 or result.get("killed") == wanted)
            else [f"ended: {result} and {other}"]
        )
    errno = (
        constant(result["errno"]) if result["errno"] and not result["errno"].isdigit() else int(result["errno"] or 0)
    )
    value = (
        (ours.pids.get(result["value"], result["value"]), theirs.pids.get(other["value"], other["value"]))
        if step["call"] in ("fork", "wait", "waitpid")
        else (result["value"], other["value"])
    )
    pairs: list[tuple[str, Any, Any]] = [("errno", errno, other["errno"]), ("value", *value)]
    if not errno:
        pairs += _beside(step, result, other, ours, theirs)
    return [f"{what}: {one} and {another}" for what, one, another in pairs if one != another]


def _beside(
    step: dict[str, Any], result: dict[str, Any], other: dict[str, Any], ours: Side, theirs: Side
) -> Iterator[tuple[str, Any, Any]]:
    """What a call gave beside its value."""
    data = base64.b64decode(result["data"] or "")
    whole = result.get("bytes", len(data)) == len(data)
    for memory in [other["memory"]] if "memory" in other else []:
        yield "memory", data, memory[0][: len(data)]
        if whole:
            yield "memory beyond what was told", True, memory[1] <= len(data)
    if "rooms" in other and whole:
        left = data
        mine: Any
        for room, changed in other["rooms"]:
            mine, left = left[: len(room)], left[len(room) :]
            yield "memory", mine, room[: len(mine)]
            yield "memory beyond what was told", True, changed <= len(mine)
        yield "more than there was room for", b"", left
    if "flags" in other:
        yield "msg_flags", result["msg_flags"] & 0xFFFFFFFF, other["flags"]
        mine, its = (
            side.pids.get(creds[0], creds[0]) if creds else None
            for side, creds in ((ours, result["creds"]), (theirs, other["creds"]))
        )
        yield "credentials", mine, its
    if "made" in other:
        yield "made", result.get("made") or [], other["made"]
    if "revents" in other:
        yield "revents", result["revents"], other["revents"]
    if "before" in other:
        yield "before", result["before"], other["before"]
    if "status" in other and result["value"]:
        status = other["status"]
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            mine = result.get("killed") if os.WIFSIGNALED(status) else result.get("status")
            yield "status", mine, os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    # of the process of the other end: it has another number
    if "option" in other and step["arguments"][2] not in (
        17,
        77,
    ):
        yield "option", base64.b64decode(result["option"]), other["option"]


def _held(after: dict[str, Any] | None, processes: dict[str, dict[str, Any]], ours: Side, theirs: Side) -> list[str]:
    """Differences between tables, and between what an object says through them."""
    if after is None:
        return []
    found = []
    objects = {(one["inode"], description): one for one in after["objects"] for description in one["descriptions"]}
    relation: dict[int, int] = {}
    for process in after["processes"]:
        other = processes[process["name"]]
        state = {"zombie": "ended", "waiting for its next step": "waits"}.get(process["state"], process["state"])
        if state != other["state"]:
            found.append(f"{process['name']} is {process['state']} and {other['state']}")
        if state == "ended":
            status, mine = other["status"], process["exit"]
            if status >= 0 and mine != {
                "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                "killed": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            }:
                found.append(f"{process['name']} ended as {mine} and {status}")
            continue
        rows = {row["number"]: row for row in other.get("table", ())}
        if [row["number"] for row in process["descriptors"]] != list(rows):
            found.append(
                f"{process['name']} holds {[row['number'] for row in process['descriptors']]} and {list(rows)}"
            )
            continue
        for row in process["descriptors"]:
            pairs = list(_row(row, rows[row["number"]], objects[row["inode"], row["description"]], ours, theirs))
            same = relation.setdefault(row["description"], rows[row["number"]]["description"])
            pairs.append(("one open file description", same, rows[row["number"]]["description"]))
            found += [
                f"{process['name']} {row['number']} {row['object']}, {what}: {one} and {another}"
                for what, one, another in pairs
                if one != another
            ]
    if len(set(relation.values())) != len(relation):
        found.append(f"descriptions that are one: {relation}")
    return found


def _row(
    row: dict[str, Any], other: dict[str, Any], held: dict[str, Any], ours: Side, theirs: Side
) -> Iterator[tuple[str, Any, Any]]:
    kinds = {"anonymous inode": held["kind"], "directory": "regular file"}
    yield "kind", kinds.get(row["object"], row["object"]), other["kind"]
    yield "object", ours.label(row["inode"]), theirs.label(other["inode"])
    yield "close-on-exec", row["cloexec"], other["cloexec"]
    words = [word for word in row["flags"].split("|") if word != "0"]
    flags = 0
    for word in words:
        flags |= int(word, 16) if word.startswith("0x") else constant(word)
    yield "flags", flags & ~constant("O_CLOEXEC"), other["flags"]
    # by that nothing is read, and lseek(2) fails: there is no offset to tell, though /proc writes 0
    if not flags & os.O_PATH:
        yield "access", row["access"], {0: "read", 1: "write", 2: "read-write"}.get(other["access"], "none")
    if other["kind"] in ("regular file", "memfd") and not flags & os.O_PATH:
        yield "offset", row["offset"], other["offset"]
    if other["kind"] == "socket":
        yield "in flight", held["in_flight"] if held["in_flight"] is not None else -1, other["in_flight"]
    for key in ("queued", "size", "capacity", "count"):
        if other[key] is not None and (key != "queued" or not held.get("listens")):
            yield key, held.get(key), other[key]


def undrained(after: dict[str, Any], drained: dict[int, dict[str, Any]], ours: Side, theirs: Side) -> list[str]:
    """Differences between what the run says waits in each queue and what was received from it."""
    by_label = {theirs.objects[inode]: found for inode, found in drained.items() if inode in theirs.objects}
    found = []
    for item in after["objects"]:
        label = ours.label(item["inode"])
        got = by_label.pop(label, None)
        name = f"what waits in {item['kind']} {label}"
        if got is None:
            if item["kind"] == "socket" and (item["held"] or item["how"]["flies_in"] == "observed"):
                found.append(f"{name}: nothing was received from there")
            continue
        if item.get("listens"):
            if item["waiting"] not in (None, got["connections"]):
                found.append(f"{name}: {item['waiting']} and {got['connections']} connections")
            continue
        if item["contents"] is None:
            if not got["error"] and item["kind"] == "socket":
                found.append(f"{name}: nothing is told, and {got['messages']}")
            continue
        found += [f"{name}: {words}" for words in _received(item, got, ours, theirs)]
    return found + [f"what waits in an object that is not told: {one}" for one in by_label.values()]


def _received(item: dict[str, Any], got: dict[str, Any], ours: Side, theirs: Side) -> Iterator[str]:
    pieces = [piece for piece in item["contents"] if not piece.get("oob")]
    oob = b"".join(base64.b64decode(piece["data"]) for piece in item["contents"] if piece.get("oob"))
    told = [(piece["bytes"], base64.b64decode(piece["data"])) for piece in pieces]
    came = [(len(data), data[:1024]) for data in got["messages"]]
    fds = [[theirs.label(inode) for inode in one] for one in got["fds"]]
    if item["borders"] and item.get("family") != "AF_INET" and item.get("family") != "AF_INET6":
        if item.get("why"):
            came, fds = came[: len(told)], fds[: len(told)]
        if told != came:
            yield f"{told} and {came}"
        parts = [piece["carried"] for piece in pieces if piece.get("carried") is not None]
        if item["kind"] == "socket" and len(parts) == len(fds) and all(one["inode"] for part in parts for one in part):
            carried = [[ours.label(one["inode"]) for one in part] for part in parts]
            if carried != fds:
                yield f"descriptors {carried} and {fds}"
    elif item["borders"]:
        if told[:1] != came[:1]:
            yield f"first {told[:1]} and {came[:1]}"
    else:
        whole = b"".join(got["messages"])
        if sum(size for size, _ in told) != len(whole) or oob != got["oob"]:
            yield f"{told} with {oob!r} and {len(whole)} bytes with {got['oob']!r}"
        elif len(told) == 1 and told[0][1] != whole[:1024]:
            yield f"{told} and {whole[:1024]!r}"
    if item.get("carried") and all(one["inode"] for one in item["carried"]):
        mine = [ours.label(one["inode"]) for one in item["carried"]]
        if mine != [one for each in fds for one in each] and not item.get("why"):
            yield f"in flight {mine} and {fds}"


def compared(text: str, cut: float) -> list[str]:
    """One scenario, once on each side. `cut`: where what waits is received, of all steps."""
    scenario = parse(text)
    run = plain(manager.run(scenario))
    steps = sum(step["after"] is not None for step in run["steps"])
    if not steps:
        return []
    at = min(int(cut * steps), steps - 1)
    with apart(scenario):  # as the run itself was: the kernel counts descriptors in flight by user
        played = play(scenario, steps, at)
    return between(run, played, at)


def between(run: dict[str, Any], played: Played, at: int) -> list[str]:
    """What differs between a run and what the oracle saw, and received after the step `at`."""
    seen, to_cut, drained, pids = played
    found = differences(run, seen, pids, Side())
    if found:
        return found
    ours, theirs = Side(), Side()
    for step, other in zip(run["steps"][: at + 1], to_cut):
        _held(step["after"], other.processes, ours, theirs)
    return undrained(run["steps"][at]["after"], drained, ours, theirs)


def verdict(text: str, once: Callable[[str], list[str]]) -> tuple[str, list[str]]:
    """``same``; ``open`` where both sides can do either; ``other`` and in what."""
    found = once(text)
    if not found:
        return "same", []
    for _ in range(OFTEN):
        if not (again := once(text)):
            return "open", found
    return "other", again


CROWDED = """
a: socketpair AF_UNIX {0} 0 -> a0 a1
a: socketpair AF_UNIX {1} 0 -> b0 b1
a: socketpair AF_UNIX {2} 0 -> c0 c1
a: pipe2 O_NONBLOCK|{3} -> r w
a: memfd_create "m" 0 -> m
a: eventfd 4 EFD_NONBLOCK -> e
a: fork -> b
"""
"""What a crowd begins with."""


@st.composite
def crowds(draw: Any) -> str:
    """A scenario in which much is sent, little is received, and what was sent is closed: queues within queues."""
    kinds = [draw(st.sampled_from(["SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"])) for _ in range(3)]
    lines = [CROWDED.format(*kinds, draw(st.sampled_from(["O_DIRECT", "0"]))).strip()]
    ends = ["a0", "a1", "b0", "b1", "c0", "c1"]
    names = {actor: [*ends, "r", "w", "m", "e"] for actor in "ab"}
    for number in range(draw(st.integers(8, 40))):
        actor = draw(st.sampled_from("aab"))
        some, end = (
            st.sampled_from(names[actor]),
            draw(st.sampled_from(ends + [name for name in names[actor] if name[0] == "n"])),
        )
        if end not in names[actor]:
            end = draw(some)
        text = draw(st.sampled_from(['"x"', '"xx"', '""', '"hello"', '"y" * 3000']))
        action = draw(
            st.sampled_from(
                ["sendmsg"] * 6
                + [
                    "send",
                    "send",
                    "oob",
                    "write",
                    "write",
                    "close",
                    "close",
                    "close",
                    "recvmsg",
                    "recvmsg",
                    "recv",
                    "flag",
                    "shut",
                    "exit",
                ]
            )
        )
        if action == "sendmsg":
            more = draw(st.sampled_from(["", "", "", "", " control=0", " cmsg_len=20", " cmsg_len=24", " control=24"]))
            fds = draw(st.lists(some, min_size=1, max_size=3))
            lines.append(
                f"{actor}: sendmsg {end} iov=[{text}] fds=[{', '.join(fds)}]{more} flags=MSG_DONTWAIT|MSG_NOSIGNAL"
            )
        elif action in ("send", "oob"):
            lines.append(f"{actor}: send {end} {text} {'MSG_OOB|' if action == 'oob' else ''}MSG_DONTWAIT|MSG_NOSIGNAL")
        elif action == "write":
            lines.append(f"{actor}: write {'w' if 'w' in names[actor] and 'r' in names[actor] else 99} {text}")
        elif action == "close" and len(names[actor]) > 2:
            name = draw(some)
            names[actor].remove(name)
            lines.append(f"{actor}: close {name}")
        elif action == "recvmsg":
            lines.append(
                f"{actor}: recvmsg {end} iov=[{draw(st.sampled_from(['1', '16', '4096']))}] flags=MSG_DONTWAIT "
                f"-> n{number}"
            )
        elif action == "recv":
            lines.append(
                f"{actor}: recv {end} {draw(st.sampled_from(['1', '16', '0']))} "
                f"{draw(st.sampled_from(['0', 'MSG_PEEK', 'MSG_TRUNC', 'MSG_OOB']))}|MSG_DONTWAIT".replace(" 0|", " ")
            )
        elif action == "flag":
            lines.append(
                f"{actor}: fcntl {'w' if 'w' in names[actor] else 99} F_SETFL "
                f"O_NONBLOCK|{draw(st.sampled_from(['O_DIRECT', '0']))}"
            )
        elif action == "shut":
            lines.append(f"{actor}: shutdown {end} {draw(st.sampled_from(['SHUT_RD', 'SHUT_WR']))}")
        elif action == "exit" and actor == "b" and len(lines) > 14:
            lines.append("b: exit 0")
            break
    return (
        "\n".join(
            line.replace("|0", "").replace(" 0|", " ") if "F_SETFL" in line or "pipe2" in line else line
            for line in lines
        )
        + "\n"
    )


def judged(
    examples: int, once: Callable[[str], list[str]], derandomize: bool, of: st.SearchStrategy[str] = scenarios()
) -> dict[str, list[tuple[str, list[str]]]]:
    """Random scenarios, by verdict."""
    found: dict[str, list[tuple[str, list[str]]]] = {"same": [], "open": [], "other": []}

    @settings(RUNS, max_examples=examples, derandomize=derandomize)
    @given(of)
    def each(text: str) -> None:
        canonical = format(parse(text))
        word, differing = verdict(canonical, once)
        found[word].append((canonical, differing))

    each()
    return found


# ---- the oracle


def told(found: dict[str, list[tuple[str, list[str]]]]) -> str:
    """What differs, for a person."""
    return "\n\n".join(f"{'; '.join(words)[:1000]}\n{text}" for text, words in found["other"])


def beside_the_oracle(text: str) -> list[str]:
    return compared(text, random.Random(text).random())


@pytest.mark.parametrize("name", ["in-flight", "it-is-a-test", "two-threads"])
def test_the_oracle_sees_what_the_stage_sees_in_the_gallery(name):
    assert not compared(format(parse(gallery.text(name))), 0.7)


def test_the_oracle_sees_what_the_stage_sees_in_random_scenarios():
    found = judged(3, beside_the_oracle, True)
    assert not found["other"], told(found)
    assert len(found["same"]) >= 2


def test_what_waits_in_a_crowd_of_queues_is_what_a_reader_gets():
    found = judged(3, beside_the_oracle, True, crowds())
    assert not found["other"], told(found)
    assert len(found["same"]) >= 2


@pytest.mark.long
def test_what_waits_in_a_hundred_crowds_of_queues_is_what_a_reader_gets():
    found = judged(100, beside_the_oracle, False, crowds())
    print({word: len(each) for word, each in found.items()})
    assert not found["other"], told(found)
    assert len(found["same"]) >= 80


@pytest.mark.long
def test_the_oracle_sees_what_the_stage_sees_in_hundreds_of_random_scenarios():
    found = judged(300, beside_the_oracle, False)
    print({word: len(each) for word, each in found.items()})
    assert not found["other"], told(found)
    assert len(found["same"]) >= 250


LIED_ABOUT = """
a: socketpair AF_UNIX SOCK_SEQPACKET 0 -> x y
a: memfd_create "m" 0 -> m
a: write m "12345"
a: sendmsg x iov=["one"] fds=[m]
a: send x "two" 0
a: dup m -> n
a: pipe2 O_DIRECT -> r w
a: write w "ab"
a: fork -> b
b: exit 3
a: eventfd 7 0 -> e
a: recv y 2 MSG_PEEK
"""
LIES: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any]] = {
    "a value": lambda step, facts, queue: step["result"].update(value=3),
    "an errno": lambda step, facts, queue: step["result"].update(errno="EPIPE"),
    "data": lambda step, facts, queue: (
        step["result"].update(data=base64.b64encode(b"on").decode() + "", bytes=2)
        or step["result"].update(data=base64.b64encode(b"xx").decode())
    ),
    "less data": lambda step, facts, queue: step["result"].update(data=base64.b64encode(b"o").decode(), bytes=1),
    "a state": lambda step, facts, queue: facts["processes"][0].update(state="blocked"),
    "an end": lambda step, facts, queue: facts["processes"][1]["exit"].update(status=4),
    "a number": lambda step, facts, queue: facts["processes"][0]["descriptors"].pop(),
    "an offset": lambda step, facts, queue: facts["processes"][0]["descriptors"][2].update(offset=4),
    "a flag": lambda step, facts, queue: facts["processes"][0]["descriptors"][0].update(cloexec=True),
    "a description": lambda step, facts, queue: (
        facts["processes"][0]["descriptors"][3].update(description=9) or facts["objects"][2]["descriptions"].append(9)
    ),
    "two descriptions": lambda step, facts, queue: (
        facts["processes"][0]["descriptors"][0].update(description=2) or facts["objects"][0]["descriptions"].append(2)
    ),
    "what is in flight": lambda step, facts, queue: queue.update(in_flight=0),
    "a count": lambda step, facts, queue: facts["objects"][-1].update(count=6),
    "a message": lambda step, facts, queue: queue["contents"].pop(),
    "its bytes": lambda step, facts, queue: queue["contents"][1].update(data=base64.b64encode(b"twa").decode()),
    "what it carries": lambda step, facts, queue: queue["contents"][0].update(carried=[]),
    "a border": lambda step, facts, queue: next(one for one in facts["objects"] if one["kind"] == "pipe").update(
        contents=[{"bytes": 1, "data": "YQ=="}, {"bytes": 1, "data": "Yg=="}]
    ),
}


@pytest.fixture(scope="module")
def lied_about() -> tuple[dict[str, Any], Played, int]:
    scenario = parse(LIED_ABOUT)
    last = len(scenario.steps) - 1
    return plain(manager.run(scenario)), play(scenario, last + 1, last), last


@pytest.mark.parametrize("what", LIES)
def test_the_oracle_finds_a_lie(what, lied_about):
    truth, played, last = lied_about
    run = copy.deepcopy(truth)
    step = run["steps"][-1]
    inode = next(row["inode"] for row in step["after"]["processes"][0]["descriptors"] if row["names"] == ["y"])
    LIES[what](step, step["after"], next(one for one in step["after"]["objects"] if one["inode"] == inode))
    assert between(run, played, last)


def test_without_a_lie_there_is_nothing_to_find(lied_about):
    assert not between(*lied_about)


# ---- the exported programs


class Export:
    """Scenarios as programs, in a directory that anybody may enter."""

    def __init__(self, directory: Path, language: str) -> None:
        self._directory = directory
        self._command = {"c": self._compiled, "python": self._written}[language]
        (directory / "scratch").mkdir()
        (directory / "scratch").chmod(0o1777)

    def lines(self, text: str) -> list[str]:
        """What the program prints."""
        become: dict[str, Any] = (
            {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        environment = os.environ | {"TMPDIR": str(self._directory / "scratch")}
        return subprocess.run(
            self._command(text), capture_output=True, text=True, cwd="/", env=environment, **become
        ).stdout.splitlines()

    def _compiled(self, text: str) -> list[str | Path]:
        program = self._directory / "program"
        source = program.with_suffix(".c")
        source.write_text(
            exports.c(parse(text)).replace('"/tmp/lab.XXXXXX"', f'"{self._directory}/scratch/lab.XXXXXX"')
        )
        # Not optimised: that takes twice as long. That it compiles without a warning is tested elsewhere.
        subprocess.run(
            [*(word for word in COMPILE if word not in ("-O2", "-Werror")), "-w", "-O0", "-o", program, source],
            check=True,
        )
        return [program]

    def _written(self, text: str) -> list[str | Path]:
        program = self._directory / "program.py"
        program.write_text(exports.python(parse(text)))
        return [*PYTHON, program]

    def differs(self, text: str) -> list[str]:
        """Lines that differ. What the lab refuses, and what it knows not to be possible, ends a run and not a
        program."""
        run = plain(manager.run(parse(text)))
        wanted = result_lines(typed(run))
        if run["steps"] and run["steps"][-1]["result"] is None:
            wanted.pop()
        with apart(parse(text)):
            came = self.lines(text)
        came += [""] * (len(wanted) - len(came))
        return [f"{one!r} and {other!r}" for one, other in zip(wanted, came) if one != other]


@pytest.fixture(params=[pytest.param("c", marks=pytest.mark.needs("gcc")), "python"])
def export(temporary_directory: Path, request: pytest.FixtureRequest) -> Iterator[Export]:
    directory = Path(tempfile.mkdtemp(prefix="random"))
    directory.chmod(0o755)
    yield Export(directory, request.param)
    shutil.rmtree(directory)


def test_the_program_of_a_random_scenario_prints_what_the_lab_observed(export):
    found = judged(2, export.differs, True)
    assert not found["other"], told(found)


@pytest.mark.long
def test_the_programs_of_a_thousand_random_scenarios_print_what_the_lab_observed(export):
    found = judged(1000, export.differs, False)
    print({word: len(each) for word, each in found.items()})
    assert not found["other"], told(found)
    assert len(found["same"]) >= 900
