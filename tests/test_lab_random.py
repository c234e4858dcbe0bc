"""Random scenarios that the language admits: each has a verdict in words, whatever it does; nothing breaks, and nothing
remains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from pairscope.lab.language import PROCESSES_MAX, format, parse
from pairscope.lab.stage import manager
from tests import leaks
from tests.eventually import eventually
from tests.runs import plain

pytestmark = pytest.mark.process

RUNS = settings(
    # The same scenarios in each run of the tests; --long tries others.
    derandomize=True,
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
VERDICTS = {"held", "failed", "refused", "timed out"}

SIZES = st.sampled_from(["0", "1", "5", "100", "4096", "64K", "1M"])
TEXTS = st.sampled_from(['""', '"a"', '"hello"', '"\\0\\xff"', '"x" * 5000', '"x" * 300000', 'x"00ff10"'])
SMALL = st.sampled_from(['""', '"a"', '"hello"', '"x" * 5000'])
SOCKET_TYPES = st.sampled_from(
    ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"]
    + [f"SOCK_{kind}|SOCK_NONBLOCK" for kind in ("STREAM", "DGRAM", "SEQPACKET")]
)
SEND_FLAGS = st.sampled_from(
    ["0", "MSG_DONTWAIT", "MSG_DONTWAIT|MSG_NOSIGNAL", "MSG_NOSIGNAL", "MSG_OOB", "MSG_EOR", "MSG_DONTROUTE"]
)
RECEIVE_FLAGS = st.sampled_from(
    [
        "0",
        "MSG_DONTWAIT",
        "MSG_DONTWAIT",
        "MSG_PEEK|MSG_DONTWAIT",
        "MSG_TRUNC|MSG_DONTWAIT",
        "MSG_WAITALL|MSG_DONTWAIT",
        "MSG_OOB",
        "MSG_CMSG_CLOEXEC",
    ]
)
EVENTS = st.sampled_from(["POLLIN", "POLLOUT", "POLLIN|POLLOUT", "POLLHUP", "0"])
SIGNALS = st.sampled_from(
    ["SIGUSR1", "SIGPIPE", "SIGCHLD", "SIGTERM", "SIGIO", "SIGRTMIN", "36", "SIGSTOP", "SIGCONT", "SIGKILL", "0"]
)
EXPECTATIONS = st.sampled_from([*[""] * 20, " => ok", " => 0", " => blocks", " => EAGAIN", ' => "a"'])
NUMBERS = st.sampled_from(["0", "1", "-1", "7", "4096", "0x7fffffff", "-9223372036854775808", "9223372036854775807"])


FILES = st.sampled_from(['"f"', '"g"', '"h"'])
ADDRESSES = st.sampled_from(['"door"', '"f"', '"127.0.0.1:0"', '"[::1]:0"', '"127.0.0.1:1"'])
OPEN_FLAGS = st.sampled_from(
    [
        "O_RDWR|O_CREAT",
        "O_RDWR|O_CREAT",
        "O_RDONLY|O_CREAT",
        "O_RDONLY",
        "O_WRONLY|O_CREAT|O_EXCL",
        "O_RDWR|O_CREAT|O_TRUNC|O_APPEND",
        "O_RDWR|O_CREAT|O_SYNC|O_CLOEXEC",
        "O_PATH",
        "3",
        "-1",
    ]
)
SET_OPTIONS = st.sampled_from(["SO_PASSCRED", "SO_SNDBUF", "SO_RCVBUF", "SO_PEEK_OFF", "SO_PASSRIGHTS", "SO_LINGER"])
GET_OPTIONS = st.sampled_from(["SO_PEERCRED", "SO_TYPE", "SO_ERROR", "SO_SNDBUF", "SO_PEERPIDFD"])
NAMED_OPTIONS = st.sampled_from(["SO_TYPE", "SO_DOMAIN", "SO_PROTOCOL", "SO_ERROR", "SO_ERROR"])
"""Whose values are constants."""
COMMANDS = st.sampled_from(
    [
        "F_GETFD",
        "F_GETFL",
        "F_SETFD FD_CLOEXEC",
        "F_SETFL O_NONBLOCK",
        "F_SETFL 0",
        "F_SETPIPE_SZ 4096",
        "F_GET_SEALS",
        "F_ADD_SEALS F_SEAL_WRITE",
        "F_DUPFD 20",
        "F_SETFL -1",
    ]
)


class Writer:
    """One scenario as it grows: who there is, which names each has, and what each name stands for."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.names: dict[str, dict[str, str]] = {"a": {}}
        self.made = 0
        self.files: list[str] = []

    def step(self) -> None:
        actor = self.draw(st.sampled_from(sorted(self.names)))
        call = self.draw(st.sampled_from(sorted(MAKERS)))
        if len(self.names[actor]) < 2 and self.draw(st.booleans()):
            call = self.draw(st.sampled_from(["socketpair", "pipe2", "memfd_create", "open"]))
        line = MAKERS[call](self, actor)
        if line:
            expected = "" if "->" in line or "=>" in line else self.draw(EXPECTATIONS)
            self.lines.append(f"{actor}: {line}{expected}")

    def fd(self, actor: str, *kinds: str) -> str:
        """A descriptor's name, of one of the kinds if there is any and chance does not want otherwise; or a number."""
        known = self.names[actor]
        fitting = sorted(name for name, kind in known.items() if not kinds or kind in kinds)
        if fitting and self.draw(st.integers(0, 19)):
            return self.draw(st.sampled_from(fitting))
        return self.draw(st.sampled_from([*sorted(known), "0", "3", "5", "99", "-1", "0x7fffffff"]))

    def new(self, actor: str, kind: str) -> str:
        self.made += 1
        self.names[actor][f"n{self.made}"] = kind
        return f"n{self.made}"

    def of(self, *words: str) -> str:
        return self.draw(st.sampled_from(words))

    def some(self, strategy: st.SearchStrategy[str], most: int = 3) -> str:
        return f"[{', '.join(self.draw(st.lists(strategy, max_size=most)))}]"


def socketpair(w: Writer, actor: str) -> str:
    kind = w.draw(SOCKET_TYPES)
    domain = w.draw(st.sampled_from(["AF_UNIX"] * 12 + ["AF_INET"]))
    return f"socketpair {domain} {kind} 0 -> {w.new(actor, 'socket')} {w.new(actor, 'socket')}"


def fork(w: Writer, actor: str, call: str = "fork") -> str:
    if len(w.names) >= PROCESSES_MAX:
        return ""
    name = f"p{len(w.names)}"
    w.names[name] = w.names[actor] if call == "thread" else dict(w.names[actor])
    return f"{call} -> {name}"


def sendmsg(w: Writer, actor: str) -> str:
    line = f"sendmsg {w.fd(actor, 'socket')} iov={w.some(SMALL)}"
    if w.draw(st.booleans()):
        fds = [w.fd(actor) for _ in range(w.draw(st.integers(0, 3)))]
        line += f" fds=[{', '.join(fds)}]" + w.draw(st.sampled_from(["", "", "", " * 9"]) if fds else st.just(""))
    if not w.draw(st.integers(0, 5)):
        line += f" creds=[{w.draw(st.sampled_from(sorted(w.names)))}, 0, 0]"
    if not w.draw(st.integers(0, 5)):
        line += f" control={w.draw(SIZES)}"
    if not w.draw(st.integers(0, 5)):
        line += f" cmsg_len={w.draw(NUMBERS)}"
    if not w.draw(st.integers(0, 5)):
        line += f' raw=x"{w.draw(st.binary(max_size=48)).hex()}"'
    return line + f" flags={w.draw(SEND_FLAGS)}"


def recvmsg(w: Writer, actor: str) -> str:
    line = (
        f"recvmsg {w.fd(actor, 'socket')} iov={w.some(st.sampled_from(['0', '1', '4', '4096']))} "
        f"flags={w.draw(RECEIVE_FLAGS)}"
    )
    if w.draw(st.booleans()):
        line += f" control={w.draw(SIZES)}"
    return line + (f" -> {w.new(actor, 'any')}" if not w.draw(st.integers(0, 3)) else "")


def poll(w: Writer, actor: str) -> str:
    fds = [w.fd(actor) for _ in range(w.draw(st.integers(1, 3)))]
    return f"poll [{', '.join(fds)}] {w.draw(EVENTS)} {w.draw(st.sampled_from(['0', '0', '10', '-1']))}"


def wait(w: Writer, actor: str) -> str:
    who = w.draw(st.sampled_from([*sorted(w.names), "-1"]))
    return f"waitpid {who} {w.draw(st.sampled_from(['0', 'WNOHANG', 'WNOHANG', '0x7fffffff']))}"


def returns(w: Writer, actor: str) -> str:
    return f"({w.draw(st.sampled_from(['read', 'recvmsg', 'poll', 'write', 'waitpid']))} returns)"


MAKERS: dict[str, Any] = {
    "socketpair": socketpair,
    "pipe2": lambda w, a: (
        f"pipe2 {w.of('0', 'O_NONBLOCK', 'O_NONBLOCK', 'O_CLOEXEC')} -> {w.new(a, 'pipe')} {w.new(a, 'pipe')}"
    ),
    "fork": fork,
    "thread": lambda w, a: fork(w, a, "thread"),
    "close": lambda w, a: f"close {w.fd(a)}",
    "dup": lambda w, a: f"dup {w.fd(a)} -> {w.new(a, 'any')}",
    "dup2": lambda w, a: f"dup2 {w.fd(a)} {w.of('0', '3', '9', '100', '199', '200', '300', '-1')}",
    "dup3": lambda w, a: f"dup3 {w.fd(a)} {w.fd(a)} O_CLOEXEC",
    "read": lambda w, a: f"read {w.fd(a)} {w.draw(SIZES)}",
    "bad read": lambda w, a: f"read {w.fd(a)} BADPTR 10",
    "write": lambda w, a: f"write {w.fd(a)} {w.draw(TEXTS)}",
    "send": lambda w, a: f"send {w.fd(a, 'socket')} {w.draw(TEXTS)} {w.draw(SEND_FLAGS)}",
    "recv": lambda w, a: f"recv {w.fd(a, 'socket')} {w.draw(SIZES)} {w.draw(RECEIVE_FLAGS)}",
    "sendmsg": sendmsg,
    "send more": sendmsg,
    "recvmsg": recvmsg,
    "receive more": recvmsg,
    "shutdown": lambda w, a: f"shutdown {w.fd(a, 'socket')} {w.of('SHUT_RD', 'SHUT_WR', 'SHUT_RDWR', '7')}",
    "setsockopt": lambda w, a: f"setsockopt {w.fd(a, 'socket')} SOL_SOCKET {w.draw(SET_OPTIONS)} {w.draw(NUMBERS)}",
    "getsockopt": lambda w, a: f"getsockopt {w.fd(a, 'socket')} SOL_SOCKET {w.draw(GET_OPTIONS)}",
    "fcntl": lambda w, a: f"fcntl {w.fd(a)} {w.draw(COMMANDS)}",
    "ask for flags": lambda w, a: f"fcntl {w.fd(a)} {w.of('F_GETFL', 'F_GETFL', 'F_GETFD', 'F_GET_SEALS')}",
    "ask for a constant": lambda w, a: f"getsockopt {w.fd(a, 'socket')} SOL_SOCKET {w.draw(NAMED_OPTIONS)}",
    "open": lambda w, a: f"open {w.draw(FILES)} {w.draw(OPEN_FLAGS)} -> {w.new(a, 'file')}",
    "memfd_create": lambda w, a: (
        f"memfd_create {w.draw(FILES)} {w.of('0', 'MFD_ALLOW_SEALING', 'MFD_CLOEXEC', '8')} -> {w.new(a, 'file')}"
    ),
    "ftruncate": lambda w, a: f"ftruncate {w.fd(a, 'file')} {w.of('0', '1', '4096', '1M', '-1')}",
    "lseek": lambda w, a: f"lseek {w.fd(a, 'file')} {w.draw(NUMBERS)} {w.of('SEEK_SET', 'SEEK_CUR', 'SEEK_END', '9')}",
    "pread": lambda w, a: f"pread {w.fd(a, 'file')} {w.draw(SIZES)} {w.draw(NUMBERS)}",
    "pwrite": lambda w, a: f"pwrite {w.fd(a, 'file')} {w.draw(SMALL)} {w.of('0', '5', '-1', '100000')}",
    "eventfd": lambda w, a: (
        f"eventfd {w.draw(NUMBERS)} {w.of('0', 'EFD_NONBLOCK', 'EFD_SEMAPHORE|EFD_NONBLOCK')} -> {w.new(a, 'any')}"
    ),
    "poll": poll,
    "socket": lambda w, a: (
        f"socket {w.of('AF_UNIX', 'AF_UNIX', 'AF_INET', 'AF_INET6')} {w.of('SOCK_STREAM', 'SOCK_DGRAM')} 0 -> "
        f"{w.new(a, 'socket')}"
    ),
    "bind": lambda w, a: f"bind {w.fd(a, 'socket')} {w.draw(ADDRESSES)}",
    "listen": lambda w, a: f"listen {w.fd(a, 'socket')} {w.of('0', '1', '5', '-1')}",
    "connect": lambda w, a: f"connect {w.fd(a, 'socket')} {w.draw(ADDRESSES)}",
    "accept": lambda w, a: (
        f"accept {w.fd(a, 'socket')}" + (f" -> {w.new(a, 'socket')}" if not w.draw(st.integers(0, 3)) else "")
    ),
    "pidfd_open": lambda w, a: f"pidfd_open {w.of(*sorted(w.names))} 0 -> {w.new(a, 'any')}",
    "pidfd_send_signal": lambda w, a: f"pidfd_send_signal {w.fd(a)} {w.draw(SIGNALS)}",
    "signal": lambda w, a: f"signal {w.draw(SIGNALS)} {w.of('SIG_IGN', 'SIG_DFL', 'HANDLER', 'HANDLER')}",
    "kill": lambda w, a: f"kill {w.of(*sorted(w.names))} {w.draw(SIGNALS)}",
    "wait": wait,
    "returns": returns,
    "exit": lambda w, a: "exit 3" if not w.draw(st.integers(0, 3)) else "",
}


@st.composite
def scenarios(draw: Any) -> str:
    """The text of one."""
    writer = Writer(draw)
    writer.lines.append(
        f"a: socketpair AF_UNIX {draw(SOCKET_TYPES)} 0 -> {writer.new('a', 'socket')} {writer.new('a', 'socket')}"
    )
    for _ in range(draw(st.integers(4, 60))):
        writer.step()
    return "\n".join(writer.lines) + "\n"


@pytest.fixture(autouse=True, scope="module")
def no_directory_beside_the_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hypothesis keeps what it has found out about the code in its working directory, else."""
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


def plays(text: str) -> dict[str, Any]:
    """The run, once it has been held to what every run must be."""
    scenario = parse(text)
    assert format(parse(format(scenario))) == format(scenario)
    before = sorted(os.listdir("/proc/self/fd"))
    run = plain(manager.run(scenario))
    assert run["verdict"] in VERDICTS
    assert run["verdict"] == "held" or run["reason"], run
    for step in run["steps"]:
        assert step["result"] is not None or step["reason"] or run["reason"], step
        assert not (step["result"] or {}).get("fault"), step
        for process in step["after"]["processes"] if step["after"] else ():
            assert process["state"] in ("waiting for its next step", "blocked", "stopped", "zombie", "ended"), process
    assert sorted(os.listdir("/proc/self/fd")) == before
    if run["steps"] and run["steps"][0]["after"]:
        with pytest.raises(ChildProcessError):
            os.waitpid(-run["steps"][0]["after"]["processes"][0]["pid"], os.WNOHANG)
    return run


def inodes(run: dict[str, Any]) -> set[str]:
    return {
        str(found["inode"])
        for step in run["steps"]
        if step["after"]
        for found in step["after"]["objects"]
        if found["kind"] == "socket"
    }


def test_two_hundred_random_scenarios_have_a_verdict_each_and_leave_nothing():
    runs: list[dict[str, Any]] = []

    @RUNS
    @given(scenarios())
    def each(text: str) -> None:
        runs.append(plays(text))

    each()
    sockets = set().union(*map(inodes, runs))
    eventually(lambda: not sockets & leaks.unix_sockets(), "the kernel lets go of every socket")
    assert len(runs) >= 200
    # Chance has done its work: not all end in the first lines.
    assert len({run["verdict"] for run in runs}) >= 3
    assert sum(len(run["steps"]) for run in runs) / len(runs) > 5


@pytest.mark.long
def test_thousands_of_others_do_so_too():
    @settings(RUNS, derandomize=False, max_examples=5000, print_blob=True)
    @given(scenarios())
    def each(text: str) -> None:
        plays(text)

    each()


def outcomes(run: dict[str, Any]) -> list[Any]:
    """What came of each call, without what differs from run to run."""
    return [
        (
            step["line"],
            result["errno"],
            result["blocked"],
            result.get("killed"),
            result.get("msg_flags"),
            len(result.get("fds", ())),
        )
        for step in run["steps"]
        if (result := step["result"]) is not None
    ]


@pytest.mark.parametrize("namespaces", ["none", "own"])
def test_the_sandbox_changes_nothing_that_a_scenario_can_see(namespaces):
    """But that in a network of its own the kernel answers where the stage refuses to reach for strangers."""
    seen = 0

    @settings(RUNS, max_examples=30)
    @given(scenarios())
    def each(text: str) -> None:
        nonlocal seen
        canonical = format(parse(text))
        done = subprocess.run(
            [sys.executable, "-m", "pairscope.lab.runner"],
            input=canonical.encode(),
            env={**os.environ, "PAIRSCOPE_NAMESPACES": namespaces},
            capture_output=True,
            timeout=60,
        )
        confined, free = json.loads(done.stdout), plays(canonical)
        if namespaces == "own" and free["verdict"] == "refused":
            return
        assert outcomes(confined) == outcomes(free), canonical
        seen += len(confined["steps"])

    each()
    assert seen > 100
