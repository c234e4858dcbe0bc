"""The facts of a run agree with what other programs see at the same moment: ss, lsof, strace."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from typing import Any

import pytest

from pairscope.lab import gallery
from pairscope.lab.calls import CALLS
from pairscope.lab.language import parse
from pairscope.lab.run import Step
from pairscope.lab.stage import manager
from pairscope.lab.stage.actor import HIDDEN
from tests.eventually import eventually
from tests.runs import plain

pytestmark = pytest.mark.process

FEW = (
    "parent-and-child",
    "a-file-handed-over",
    "nginx-channel",
    "android-input",
    "borders",
    "a-connection",
    "a-full-buffer",
    "two-threads",
    "in-flight",
)
WAITING = """
p: socket AF_UNIX SOCK_STREAM 0 -> door
p: bind door "door" => 0
p: listen door 5 => 0
p: socket AF_UNIX SOCK_STREAM 0 -> one
p: connect one "door" => 0
p: write one "before it was accepted" => 22
p: socket AF_UNIX SOCK_STREAM 0 -> two
p: connect two "door" => 0
p: accept door -> first => ok
p: close two => 0
"""
TYPES = {"SOCK_STREAM": "u_str", "SOCK_DGRAM": "u_dgr", "SOCK_SEQPACKET": "u_seq"}


def scenario(name: str) -> Any:
    return parse(WAITING) if name == "waiting" else gallery.scenario(name)


def watched(name: str, look: Any) -> None:
    """Plays a scenario and has `look` called at each step; a run goes on after a failure, so the first one is kept."""
    failures: list[AssertionError] = []

    def after_step(step: Step) -> None:
        if not failures:
            try:
                look(plain(step))
            except AssertionError as failure:
                failures.append(failure)

    run = plain(manager.run(scenario(name), after_step=after_step))
    if failures:
        raise failures[0]
    assert run["verdict"] == "held", run["reason"]


def pids(step: dict) -> list[int]:
    return [process["pid"] for process in step["after"]["processes"] if process["state"] not in ("ended", "zombie")]


def holders(step: dict, inode: int) -> set[tuple[int, int]]:
    return {
        (process["pid"], row["number"])
        for process in step["after"]["processes"]
        for row in process["descriptors"]
        if row["inode"] == inode
    }


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, timeout=60, env=os.environ | {"LC_ALL": "C"})
    return done.stdout.decode(errors="surrogateescape")  # others' sockets may have names of any bytes: unix(7)


# ---- ss


SOCKET = re.compile(
    r"^(u_\w+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(.*)\s(\d+)\s+(.*)\s(\d+)\s*(?:users:\((.*)\))?\s*\Z", re.DOTALL
)


def unix_sockets() -> dict[int, dict[str, Any]]:
    """By inode, as ss tells of them."""
    found = {}
    for entry in re.split(r"^(?=u_\w+\s)", output("ss", "-xanpH"), flags=re.MULTILINE):
        # u_str ESTAB 0 0 * 1197283 * 1197284 users:(("python",pid=21749,fd=5)); a name may hold a line feed
        if not (match := SOCKET.match(entry)):
            continue
        users = {(int(pid), int(fd)) for pid, fd in re.findall(r"pid=(\d+),fd=(\d+)", match[9] or "")}
        found[int(match[6])] = {
            "type": match[1], "state": match[2], "queued": int(match[3]), "bound": int(match[4]),
            "address": match[5].strip(), "peer": int(match[8]),
            "users": {(pid, fd) for pid, fd in users if fd < HIDDEN},
        }  # fmt: skip
    return found


def all_of(inodes: set[int]) -> dict[int, dict[str, Any]]:
    """What ss tells of them. The kernel gives its list in pieces, and leaves out a socket that stands where others came
    or went between two of them: once in 120 lists beside a process that makes and closes sockets all the time."""
    told: dict[int, dict[str, Any]] = {}

    def complete() -> bool:
        told.clear()
        told.update(unix_sockets())
        return inodes <= set(told)

    eventually(complete, "ss tells of each socket")
    return told


@pytest.mark.needs("ss")
def test_what_ss_says_is_read_whatever_others_call_their_sockets(tmp_path):
    with contextlib.ExitStack() as held:
        ours = held.enter_context(socket.socket(socket.AF_UNIX))
        ours.bind(str(tmp_path / "ours"))
        for name in (b"\0a line\nfeed", b"\0\xff", b"\0 12 * 3 ", b"\0u_str LISTEN 0 1 "):
            held.enter_context(socket.socket(socket.AF_UNIX)).bind(name + os.urandom(4).hex().encode())
        inode = os.fstat(ours.fileno()).st_ino
        told = all_of({inode})[inode]
    assert (told["type"], told["address"]) == ("u_str", str(tmp_path / "ours"))


@pytest.mark.needs("ss")
@pytest.mark.parametrize("name", [*FEW, "waiting"])
def test_ss_sees_the_same_unix_sockets_with_the_same_holders_peers_and_queues(name):
    seen = 0

    def look(step: dict) -> None:
        nonlocal seen
        mine = [found for found in step["after"]["objects"] if found.get("family") == "AF_UNIX"]
        sockets = all_of({found["inode"] for found in mine})
        for found in mine:
            seen += 1
            theirs = sockets[found["inode"]]
            assert theirs["type"] == TYPES[found["type"]]
            assert theirs["users"] == holders(step, found["inode"])
            if found["listens"]:
                assert theirs["state"] == "LISTEN"
                assert (theirs["queued"], theirs["bound"]) == (found["waiting"], found["backlog"])
                assert theirs["address"] == found["address"]
            else:
                # An end that was closed has no inode any more; the run remembers which it was.
                assert theirs["peer"] in (found["peer"] or 0, 0)
                assert not found["peer_held"] or theirs["peer"] == found["peer"]
                assert theirs["queued"] == found["queued"]

    watched(name, look)
    assert seen


@pytest.mark.needs("ss")
def test_ss_sees_the_same_connections_over_the_loopback():
    def look(step: dict) -> None:
        lines = output("ss", "-tanpH").splitlines()
        for found in step["after"]["objects"]:
            if found.get("family") != "AF_INET" or not (found["listens"] or "peer_address" in found):
                continue  # the kernel does not list what is merely bound
            mine = [line.split() for line in lines if line.split()[3] == found["address"]]
            mine = [words for words in mine if found["listens"] == (words[0] == "LISTEN")]
            assert len(mine) == 1, lines
            state, queued, bound, _, peer = mine[0][:5]
            if found["listens"]:
                assert (int(queued), int(bound)) == (found["waiting"], found["backlog"])
            else:
                assert peer == found["peer_address"]
                assert int(queued) == found["queued"] or state != "ESTAB"  # ss counts an end of file that waits
            users = {(int(pid), int(fd)) for pid, fd in re.findall(r"pid=(\d+),fd=(\d+)", " ".join(mine[0][5:]))}
            assert users == holders(step, found["inode"])

    watched("a-connection", look)


# ---- lsof


def open_files(of: list[int]) -> dict[tuple[int, int], dict[str, str]]:
    """By process and number, as lsof tells of them."""
    found: dict[tuple[int, int], dict[str, str]] = {}
    pid = number = 0
    for line in output("lsof", "-nP", "-w", "-E", "-o0", "-F", "pfatoin", "-p", ",".join(map(str, of))).splitlines():
        field, value = line[0], line[1:]
        if field == "p":
            pid, number = int(value), -1
        elif field == "f":
            number = int(value) if value.isdigit() else -1
            if number >= 0:
                found[pid, number] = {}
        elif number >= 0:
            found[pid, number][field] = value
    return found


@pytest.mark.alone  # lsof asks every file system that is mounted, also one of another test that answers nobody
@pytest.mark.needs("lsof")
@pytest.mark.parametrize("name", ["parent-and-child", "a-file-handed-over", "in-flight", "pair-or-pipe"])
def test_lsof_sees_the_same_tables_of_descriptors(name):
    access = {"r": "read", "w": "write", "u": "read-write"}

    def look(step: dict) -> None:
        theirs = {key: row for key, row in open_files(pids(step)).items() if 2 < key[1] < HIDDEN}
        ours = {
            (process["pid"], row["number"]): row
            for process in step["after"]["processes"]
            for row in process["descriptors"]
        }
        assert set(theirs) == set(ours)
        for key, row in ours.items():
            assert access[theirs[key]["a"]] == row["access"]
            if "i" in theirs[key] and row["object"] != "socket":
                assert int(theirs[key]["i"]) == row["inode"]
            if row["object"] in ("regular file", "memfd") and "o" in theirs[key]:
                assert int(theirs[key]["o"].removeprefix("0t"), 10) == row["offset"]

    watched(name, look)


# ---- strace


class Trace:
    """The calls of each task, in order, as `strace -f -yy` wrote them."""

    def __init__(self, text: str) -> None:
        self.calls: dict[int, list[tuple[str, str, str]]] = {}
        begun: dict[int, str] = {}
        for line in text.splitlines():
            pid, _, rest = line.partition(" ")
            task, rest = int(pid), rest.strip()
            if rest.endswith("<unfinished ...>"):
                begun[task] = rest.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
                rest = begun.pop(task, "") + rest[resumed.end() :]
            if call := re.match(r"(\w+)\((.*)\)\s+= (.*)", rest):
                self.calls.setdefault(task, []).append((call[1], call[2], call[3]))

    def next(self, task: int, name: str, number: int | None) -> tuple[str, str]:
        """Takes the task's next call of this name, with this descriptor first."""
        queue = self.calls[task]
        while queue:
            found, arguments, result = queue.pop(0)
            if found == name and (number is None or re.match(rf"{number}\b", arguments)):
                return arguments, result
        raise AssertionError(f"strace saw no {name} of {number} by {task}")


STRACED = {
    "read", "write", "close", "socketpair", "sendmsg", "recvmsg", "shutdown", "lseek", "pread", "poll", "fcntl",
    "wait", "send", "recv", "dup", "memfd_create",
    "pwrite", "bind", "connect", "accept", "listen",
}  # fmt: skip


@pytest.mark.needs("strace")
@pytest.mark.parametrize("name", [*FEW, "waiting", "sigpipe", "errors"])
def test_strace_saw_the_same_calls_with_the_same_results_on_the_same_objects(name, tmp_path):
    written = tmp_path / "trace"
    text = WAITING if name == "waiting" else gallery.text(name)
    done = subprocess.run(
        ["strace", "-f", "-yy", "-s", "64", "-o", str(written), sys.executable, "-m", "pairscope.lab.runner"],
        input=text.encode(), capture_output=True, timeout=120,
    )  # fmt: skip
    run = json.loads(done.stdout)
    assert run["verdict"] == "held", run["reason"]
    trace = Trace(written.read_text())
    tasks: dict[str, int] = {}
    compared = 0
    finished = {(actor, result["of"]): result for step in run["steps"] for actor, result in step["completed"].items()}
    for index, step in enumerate(run["steps"]):
        for process in step["after"]["processes"]:
            tasks.setdefault(process["name"], process["pid"])
            for thread in process.get("threads", ()):
                tasks.setdefault(thread["name"], thread["tid"])
        if step["returned"] or step["call"] not in STRACED:
            continue
        result = finished.get((step["actor"], index), step["result"])
        number = step["arguments"][0] if step["arguments"] and isinstance(step["arguments"][0], int) else None
        by_number = number if step["call"] not in ("socketpair", "wait", "poll") else None
        arguments, told = trace.next(tasks[step["actor"]], CALLS[step["call"]].sysno, by_number)
        while told.startswith("? ERESTARTSYS") and result["value"] is not None and result["value"] >= 0:
            # taken up again after a handler
            arguments, told = trace.next(tasks[step["actor"]], CALLS[step["call"]].sysno, by_number)
        compared += 1
        if result["errno"]:
            assert told.startswith((f"-1 {result['errno']} ", "? ERESTART")), (step, told)
        elif result["value"] is not None:
            assert re.match(rf"{result['value']}\b", told), (step, told)
        else:
            assert told.startswith("?") or result.get("killed"), (step, told)
        before = run["steps"][index - 1]["after"] if index else {"processes": [], "objects": []}
        owners = [
            process
            for process in before["processes"]
            if step["actor"] in (process["name"], *(one["name"] for one in process.get("threads", ())))
        ]
        rows = [row for process in owners for row in process["descriptors"]]
        inode = next((row["inode"] for row in rows if row["number"] == by_number), None)
        # 4<UNIX-STREAM:[1061->1060]>, 3<UNIX-STREAM:[1061,"door"]>
        if found := re.match(r"\d+<UNIX-\w+:\[(\d+)(?:->(\d+))?", arguments):
            assert int(found[1]) == inode, (step, arguments)
            held = next(item for item in before["objects"] if item["inode"] == inode)
            assert found[2] is None or int(found[2]) in (held["peer"], 0), (step, arguments)
        if step["call"] == "recvmsg" and result.get("fds"):
            assert [int(number) for number in re.findall(r"cmsg_data=\[(\d+)", arguments)] == result["fds"][:1]
    assert compared >= 6
