"""Scenarios that go wrong, and runners that are ended: each run has a verdict in words, and nothing of it remains."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab import exports
from pairscope.lab.calls import CALLS, MACHINE
from pairscope.lab.language import parse
from pairscope.lab.model import Position, ScenarioError
from pairscope.lab.run import NOTHING, Step
from pairscope.lab.stage import manager
from pairscope.lab.stage.allowance import Allowance
from tests import leaks
from tests.eventually import eventually
from tests.runs import plain, typed

pytestmark = pytest.mark.process

PIPE = "a: pipe -> r w\n"
PAIR = "a: socketpair AF_UNIX SOCK_SEQPACKET 0 -> x y\n"
BUSY = """
a: socketpair AF_UNIX SOCK_SEQPACKET 0 -> x y
a: socketpair AF_UNIX SOCK_STREAM 0 -> s t
a: open "f" O_RDWR|O_CREAT -> f
a: memfd_create "m" 0 -> m
a: sendmsg x iov=["in each other"] fds=[x, y, m, f] => 13
a: fork -> blocked
a: fork -> stopped
blocked: read t 1 => blocks
a: thread -> waiting
a: kill stopped SIGSTOP => 0
waiting: poll t POLLIN -1 => blocks
a: poll t POLLIN 4000
"""
"""Of everything something: a reader that is blocked, one that is stopped, a thread, a file, sockets that hold each
other in flight."""


def run(text: str) -> dict:
    return plain(manager.run(parse(text)))


def ended(text: str, verdict: str, *words: str) -> dict:
    """The run, with what it must say of its end."""
    told = run(text)
    assert told["verdict"] == verdict, told["reason"]
    assert all(word in told["reason"] for word in words), told["reason"]
    return told


def shared() -> dict[str, str]:
    """The environment of a runner that stays in the machine's network."""
    return {**os.environ, "PAIRSCOPE_NAMESPACES": "none"}


def start(text: str, **more: Any) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "pairscope.lab.runner"],
        stdin=subprocess.PIPE,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )
    assert process.stdin
    process.stdin.write(text.encode())
    process.stdin.close()
    return process


# ---- scenarios


def test_two_that_wait_for_each_other_fail_and_both_are_named():
    text = PAIR + "a: fork -> b\na: read x 1\nb: read y 1\n"
    ended(text, "failed", "no process can move", "a is blocked in read", "b is blocked in read")


def test_a_deadlock_that_was_foreseen_holds_and_is_named_all_the_same():
    text = PAIR + "a: fork -> b\na: read x 1 => blocks\nb: read y 1 => blocks\n"
    ended(text, "held", "no process can move")


def test_one_who_is_blocked_while_another_could_move_is_no_deadlock():
    ended(PAIR + "a: fork -> b\nb: read y 1\n", "held", "at the end b is blocked in read")


def test_a_poll_without_an_end_is_seen_at_once():
    ended(PIPE + "a: poll r POLLIN -1\n", "failed", "no process can move", "a is blocked in poll")
    ended(PIPE + "a: poll r POLLIN -1 => 1\n", "failed", "line 2: expected 1, observed the call blocks")


def test_a_wait_that_is_longer_than_a_run_may_take_times_out(monkeypatch):
    """Time in which nobody wants the processor is the run's own."""
    assert manager.SECONDS == 5
    monkeypatch.setattr(manager, "SECONDS", 1.5)
    told = ended(
        PIPE + "a: poll r POLLIN 60000 => 0\n",
        "timed out",
        "more than 1.5 seconds of processor and idle time",
        "a is blocked in poll",
    )
    assert told["took_ns"] >= 10**9


@contextlib.contextmanager
def a_busy_processor(hogs: int) -> Iterator[None]:
    """Has this test, and whom it makes, share one processor with so many that never rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    spinning = [
        subprocess.Popen([sys.executable, "-c", "import signal\nsignal.alarm(120)\nwhile True: pass"])
        for _ in range(hogs)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, before)


def test_a_busy_machine_does_not_use_up_a_runs_time(monkeypatch):
    """What others take of the processor is not counted: the run takes longer than its bound by the clock on the wall,
    and holds."""
    monkeypatch.setattr(manager, "SECONDS", 1.0)
    text = PIPE + "a: fork -> b\na: fork -> c\n" + 'b: write w "x" => 1\nc: read r 1 => "x"\n' * 12
    for hogs in (8, 16, 32):
        with a_busy_processor(hogs):
            told = ended(text, "held")
        if told["took_ns"] > 10**9:
            break
    assert told["took_ns"] > 10**9


def test_processor_time_is_counted_and_nothing_lasts_for_ever(monkeypatch):
    allowance, before = Allowance(0.05, 60), time.process_time()
    while allowance.left > 0:
        pass
    assert time.process_time() - before >= 0.04
    allowance = Allowance(1.0, 60)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as actor:
        try:
            eventually(
                lambda: allowance.charge(actor.pid) or allowance.left <= 0, "an actor that spins has used all", 60
            )
        finally:
            actor.kill()
    monkeypatch.setattr(manager, "WALL", 0.0)
    ended(PIPE, "timed out")
    monkeypatch.setattr(manager, "WALL", 0.5)
    told = ended(PIPE + "a: poll r POLLIN 4000\n", "timed out")
    # the latter where it is so busy
    assert (
        "the machine is too busy, 0.5 seconds have passed" in told["reason"] or "never came to life" in told["reason"]
    )


def test_who_cannot_move_takes_no_step():
    ended(PIPE + "a: read r 1 => blocks\na: close r\n", "failed", "line 3: a cannot take this step: it stands in read")


def test_a_return_is_that_of_the_call_that_was_made():
    ended(
        PAIR + 'a: fork -> b\nb: read y 1 => blocks\na: write x "1"\nb: (poll returns)\n',
        "failed",
        "b has made no poll: its last call is read",
    )
    ended(PAIR + "a: (read returns)\n", "failed", "a has made no read")


def test_a_return_that_does_not_come_says_where_the_call_stands():
    ended(
        PAIR + 'a: fork -> b\nb: read y 1 => blocks\nb: (read returns) => ""\n',
        "failed",
        "line 4: b still stands in read",
        "released",
    )


@pytest.mark.parametrize(
    "text", [PIPE + 'a: write w "x" * 1M', PAIR + 'a: write x "x" * 100000\n' * 4], ids=["pipe", "pair"]
)
def test_a_write_into_a_full_buffer_blocks_and_ends(text):
    ended(text, "failed", "no process can move", "a is blocked in write")


def test_a_ninth_process_is_no_scenario_and_is_not_made():
    eight = "".join(f"a: fork -> b{number}\n" for number in range(7))
    assert run(eight)["verdict"] == "held"
    with pytest.raises(ScenarioError, match="process 9"):
        parse(eight + "a: fork -> ninth\na: fork -> tenth\n")
    scenario = parse(eight)
    ninth = dataclasses.replace(scenario.steps[-1], binds=("ninth",), place=Position(9, 1))
    told = plain(manager.run(dataclasses.replace(scenario, steps=(*scenario.steps, ninth))))
    assert told["verdict"] == "refused" and told["reason"] == "line 9: a process too many; at most 8"


def test_a_hundred_and_first_step_is_no_scenario_and_is_not_taken():
    scenario = parse("a: close 99\n" * 100)
    assert plain(manager.run(scenario))["verdict"] == "held"
    told = plain(manager.run(dataclasses.replace(scenario, steps=scenario.steps * 2)))
    assert told["verdict"] == "refused" and "200 steps; at most 100" in told["reason"] and not told["steps"]


def test_too_many_descriptors_are_refused():
    ended(PIPE + "a: dup r\n" * 70, "refused", "a holds 65 descriptors; at most 64")


@pytest.mark.parametrize(
    "call", ["close 200", "read 255 1", "dup2 r 201", "poll [r 222] POLLIN 0", "fcntl r F_DUPFD 199"]
)
def test_the_stages_own_numbers_are_out_of_reach(call):
    ended(PIPE + f"a: {call}\n", "refused", "line 2", "the stage's own")


def test_the_stages_own_numbers_cannot_be_sent():
    ended(PAIR + 'a: sendmsg x iov=["x"] fds=[200]\n', "refused", "the stage's own")
    ended(
        PAIR + 'a: sendmsg x iov=["x"] raw=x"14000000000000000100000001000000c8000000"\n', "refused", "the stage's own"
    )


@pytest.mark.parametrize("target", ["1", "-1", "0", "4194304"])
@pytest.mark.parametrize("call", ["kill {} SIGTERM", "pidfd_open {} 0"])
def test_a_stranger_cannot_even_be_named(call, target):
    with pytest.raises(ScenarioError, match="a process's name"):
        parse(f"a: {call.format(target)}\n")


@pytest.mark.parametrize("command", ["F_SETOWN 1", "8 1", "F_SETSIG 9", "F_SETLEASE 0", "9999"])
def test_a_descriptor_cannot_be_made_to_signal_anybody(command):
    with pytest.raises(ScenarioError, match="command of fcntl"):
        parse(PIPE + f"a: fcntl r {command}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a: connect s "127.0.0.1:22"', "no process of this run has port 22 of 127.0.0.1"),
        ('a: connect s "127.0.0.1:0"', "no process of this run has port 0 of 127.0.0.1"),
        ('a: connect s "[::1]:3306"', "no process of this run has port 3306"),
        ("a: listen s 1", "would listen to every network"),
    ],
)
def test_the_network_is_out_of_reach(text, words):
    ended("a: socket AF_INET SOCK_STREAM 0 -> s\n" + text, "refused", "line 2", words)


TCP4, TCP6, UDP4, UDP6 = (f"socket AF_INET{six} SOCK_{kind} 0 -> " for kind in ("STREAM", "DGRAM") for six in ("", "6"))


class Stranger:
    """A socket of this test that would be glad to hear from a scenario; it takes the address at once, or when `told` is
    as far as a step."""

    def __init__(self, kind: socket.SocketKind, host: str = "127.0.0.1", *, share: int = 0) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        if share:
            self.sock.setsockopt(socket.SOL_SOCKET, share, 1)
        self.sock.setblocking(False)
        self._host = host

    def take(self, port: int = 0) -> int:
        self.sock.bind((self._host, port))
        if self.sock.type == socket.SOCK_STREAM:
            self.sock.listen(5)
        return int(self.sock.getsockname()[1])

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody has come, and nothing."""
        with self.sock, pytest.raises(BlockingIOError):
            self.sock.accept() if self.sock.type == socket.SOCK_STREAM else self.sock.recv(100)


@pytest.mark.parametrize(
    ("bound", "connected"),
    [
        (UDP4 + "u\na: bind u {4}", TCP4 + "s\na: connect s {4}"),
        (TCP6 + 't\na: bind t {6} => 0\na: listen t 1', TCP4 + "s\na: connect s {4}"),
        (UDP6 + "u\na: bind u {6} => 0\na: dup u -> d\na: fork -> b", TCP4 + "s\na: connect s {4}"),
        (TCP4 + "t\na: bind t {4} => EADDRINUSE", TCP4 + "s\na: connect s {4}"),
        (TCP4 + 't\na: bind t "127.0.0.1:0"\na: listen t 1', TCP4 + "s\na: connect s {4}"),
        (UDP4 + 't\na: bind t "127.0.0.1:0"', TCP4 + 's\na: connect s "127.0.0.1:0"'),
    ],
    ids=["by UDP", "at another host", "inherited", "a bind that failed", "another port", "port 0 of UDP"],
)  # fmt: skip
def test_a_port_is_bound_only_with_its_protocol_and_its_host(bound, connected):
    with Stranger(socket.SOCK_STREAM) as stranger:
        port = stranger.take()
        text = f"a: {bound}\na: {connected}\n".replace("{4}", f'"127.0.0.1:{port}"').replace("{6}", f'"[::1]:{port}"')
        told = ended(
            text, "refused", "no process of this run has port", "127.0.0.1 over TCP", "connects to nobody else"
        )
        assert told["steps"][-1]["result"] is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    ("kind", "more"), [(socket.SOCK_STREAM, "a: listen t 1\n"), (socket.SOCK_DGRAM, "")], ids=["TCP", "UDP"]
)
def test_a_port_that_was_bound_and_closed_is_anybodys(kind, more, host):
    socket_of = f"a: socket AF_INET {kind.name} 0 -> "
    text = f'{socket_of}t\na: bind t "127.0.0.1:0"\n{more}a: close t\n{socket_of}s\na: connect s "127.0.0.1:0"\n'
    with Stranger(kind, host) as stranger:
        port: list[int] = []

        def follow(step: Step) -> None:
            port.append(step.result.port or 0 if step.result else 0)
            if step.call == "close":
                stranger.take(max(port))

        told = plain(manager.run(parse(text), after_step=follow))
        assert told["verdict"] == "refused" and "no process of this run has port 0 of 127.0.0.1" in told["reason"], (
            told["reason"]
        )


@pytest.mark.parametrize(
    ("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "[::1]"), ("AF_INET6", "127.0.0.1")]
)
@pytest.mark.parametrize("send", ['write s "x"', 'send s "x" 0', 'sendmsg s iov=["x"]'])
def test_what_is_sent_to_a_port_that_is_a_strangers_by_now_does_not_leave(family, host, send):
    own = f"AF_INET{'6' if ':' in host else ''}"
    text = (
        f"a: socket {own} SOCK_DGRAM 0 -> t\n"
        f'a: bind t "{host}:0"\n'
        f"a: socket {family} SOCK_DGRAM 0 -> s\n"
        f'a: connect s "{host}:0" => 0\n'
    )
    text += 'a: fork -> b\na: write s "to me" => 5\na: close t\nb: close t\nb: ' + send
    with Stranger(socket.SOCK_DGRAM, host.strip("[]")) as stranger:
        port: list[int] = []

        def follow(step: Step) -> None:
            port.append(step.result.port or 0 if step.result else 0)
            if step.actor == "b":
                stranger.take(max(port))

        told = plain(manager.run(parse(text), after_step=follow))
    assert told["verdict"] == "refused" and "another process's now over UDP" in told["reason"], told["reason"]


def test_a_port_is_not_shared_with_a_stranger():
    with Stranger(socket.SOCK_DGRAM, share=socket.SO_REUSEADDR) as stranger:
        text = f'a: {UDP4}s\na: setsockopt s SOL_SOCKET SO_REUSEADDR 1\na: bind s "127.0.0.1:{stranger.take()}"\n'
        ended(text, "refused", "another process's over UDP", "shares it with nobody else")


def test_an_abstract_name_is_a_strangers_or_the_runs_own():
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind("")  # the kernel chooses an abstract name that is free
        name = stranger.getsockname().hex()
        stranger.listen()
        stranger.setblocking(False)
        text = (
            f'a: socket AF_UNIX SOCK_STREAM 0 -> s\na: connect s x"{name}00" => ECONNREFUSED\na: connect s x"{name}"\n'
        )
        ended(text, "refused", "is another process's; a run connects to nobody else")
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_a_stranger_who_connects_is_not_signalled():
    """SO_PEERPIDFD gives a descriptor that stands for whoever it is."""
    name = f"lab test {os.getpid()}"
    text = (
        "a: socket AF_UNIX SOCK_STREAM 0 -> l\n"
        f'a: bind l "\\0{name}"\n'
        "a: listen l 1\n"
        "a: accept l -> s\n"
        "a: getsockopt s SOL_SOCKET SO_PEERPIDFD\n"
        "a: pidfd_send_signal 5 0\n"
    )
    with socket.socket(socket.AF_UNIX) as stranger:
        told = plain(
            manager.run(
                parse(text), after_step=lambda step: stranger.connect("\0" + name) if step.call == "listen" else None
            )
        )
    assert told["steps"][4]["result"]["made"] == [5]
    assert told["verdict"] == "refused" and f"process {os.getpid()}, which is none of this run" in told["reason"], told[
        "reason"
    ]


def test_a_run_reaches_its_own_sockets_wherever_they_are_held():
    """By a copy, by a child, in flight; over UDP of IPv6 to IPv4 as well. In the sandbox, and in the machine's
    network."""
    text = f"""
        a: {UDP4}u
        a: bind u "127.0.0.1:0" => 0
        a: {TCP4}l
        a: bind l "127.0.0.1:0" => 0
        a: socketpair AF_UNIX SOCK_STREAM 0 -> x y
        a: listen l 3 => 0
        a: sendmsg x iov=["x"] fds=[l] => 1
        a: close l
        a: {TCP4}c
        a: connect c "127.0.0.1:0" => 0
        a: recvmsg y iov=[1] -> m
        a: fork -> b
        a: close m
        b: {TCP4}d
        b: connect d "127.0.0.1:0" => 0
        a: {UDP6}v
        a: connect v "127.0.0.1:0" => 0
        a: write v "six" => 3
        a: read u 9 => "six"
        b: accept m -> n
        b: close m
        a: connect c "127.0.0.1:0"
        """
    with start(text, env=shared()) as process:
        told = json.loads(process.stdout.read())
    # That the last one is refused shows that nobody held the port any more: what was accepted has its number, and does
    # not count.
    assert told["verdict"] == "refused" and told["reason"].startswith("line 22: no process"), told["reason"]


@pytest.mark.parametrize(
    "line",
    ["socket AF_NETLINK SOCK_RAW 0", "socket 17 SOCK_RAW 0", "socket AF_INET SOCK_STREAM 132", "socketpair 38 1 0"],
)
def test_no_other_kind_of_socket_is_made(line):
    with pytest.raises(ScenarioError, match=r"one of AF_UNIX, AF_INET, AF_INET6|0, 6 \(TCP\) or 17"):
        parse(f"a: {line}\n")


def test_a_name_that_was_never_given_to_anything_is_no_argument():
    ended('a: open "none" O_RDONLY -> f\na: read f 1\n', "failed", "line 2: f was never made")


# ---- signals


def test_who_stops_another_sees_it_stand_and_may_let_it_go_on():
    told = ended("a: fork -> b\na: kill b SIGSTOP => 0\na: kill b SIGCONT => 0\nb: close 99 => EBADF\n", "held")
    states = [
        next(process["state"] for process in step["after"]["processes"] if process["name"] == "b")
        for step in told["steps"]
    ]
    assert states[1] == "stopped" and states[2] != "stopped"


def test_who_is_stopped_takes_no_step():
    ended(
        "a: fork -> b\na: kill b SIGSTOP => 0\nb: close 99\n",
        "failed",
        "line 3: b cannot take this step: it is stopped",
    )


@pytest.mark.parametrize("stop", ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"])
def test_a_child_that_was_stopped_or_let_go_on_is_told_by_wait(stop):
    told = ended(
        "a: fork -> b\n"
        f"a: kill b {stop} => 0\n"
        f"a: waitpid b WUNTRACED => ok stopped={stop}\n"
        "a: waitpid b WNOHANG|WUNTRACED => 0\n"
        "a: kill b SIGCONT => 0\n"
        "a: waitpid b WCONTINUED => ok continued=SIGCONT\n"
        "b: exit 3\n"
        "a: wait b WUNTRACED|WCONTINUED => status=3\n",
        "held",
    )
    number = int(getattr(signal, stop))
    assert [{key: step["result"].get(key) for key in ("stopped", "continued",
    "status")} for step in told["steps"] if step["call"].startswith("wait")] == [
        {"stopped": number, "continued": None, "status": None}, {"stopped": None, "continued": None, "status": None},
        {"stopped": None, "continued": 18, "status": None}, {"stopped": None, "continued": None, "status": 3},
    ]  # fmt: skip


def test_who_has_stopped_himself_goes_on_when_another_lets_him():
    text = (
        "a: fork -> b\n"
        "b: pidfd_open b 0 -> p\n"
        "b: {} => blocks\n"
        "a: kill b SIGCONT => 0\n"
        "b: ({} returns) => 0\n"
        "b: close p => 0\n"
    )
    for call in ("kill b SIGSTOP", "pidfd_send_signal p SIGTSTP"):
        ended(text.format(call, call.split()[0]), "held")
    ended(
        "a: fork -> b\n"
        "a: waitpid b WUNTRACED => blocks\n"
        "b: kill b SIGSTOP => blocks\n"
        "a: (waitpid returns) => ok stopped=SIGSTOP\n"
        "a: kill b SIGKILL\n"
        "b: (kill returns) => killed=SIGKILL\n",
        "held",
    )


def test_who_has_stopped_himself_cannot_move():
    ended("a: kill a SIGSTOP\n", "failed", "no process can move", "a is blocked in kill and stopped")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGALRM", "SIGXCPU", "SIGTERM"])
def test_who_kills_himself_leaves_a_run_that_says_so(name):
    number = int(getattr(signal, name))
    told = ended(f"a: kill a {name} => killed={name}\n", "held")
    assert told["steps"][0]["result"]["ended"] == f"killed by {name}"
    assert told["steps"][0]["after"]["processes"][0]["exit"] == {"status": None, "killed": number}


def test_the_dead_take_no_step():
    ended("a: fork -> b\na: kill b SIGKILL\nb: close 99\n", "failed", "line 3: b has ended, killed by SIGKILL")
    ended("a: thread -> t\na: exit 3\nt: close 99\n", "failed", "line 3: t has ended, exit status 3")


CREW = PAIR + PIPE + "a: fork -> p\na: fork -> q\np: thread -> t\n"
"""Thread t of process p, which is a's child, and q, who can kill it."""


@pytest.mark.parametrize("call", ["read r 4", "recvmsg x iov=[4]", "poll r POLLIN -1", 'write w "x" * 100000', "wait"])
@pytest.mark.parametrize(("end", "how"), [("q: kill p SIGTERM", "killed=SIGTERM"), ("p: exit 3", "status=3")])
def test_a_call_whose_thread_died_with_its_process_never_returned(call, end, how):
    """However it died, and whoever made the others die: neither was nothing written nor an end of file read."""
    child = "p: fork -> c\n" if call == "wait" else ""
    told = run(
        CREW + child + f"t: {call} => blocks\n{end}\nt: ({call.split()[0]} returns) => 0\na: wait p => ok {how}\n"
    )
    *_, step, last = told["steps"]
    assert step["result"]["value"] is None and step["result"].get("killed") == {"SIGTERM": 15}.get(how[7:]), step[
        "result"
    ]
    assert step["verdict"] == "failed" and step["reason"].startswith("expected 0, observed the process ended"), step[
        "reason"
    ]
    assert last["verdict"] == "held", last["reason"]


def test_a_thread_that_writes_to_nobody_dies_in_its_call_with_its_process():
    for _ in range(5):
        ended(
            CREW
            + 'a: close r\nq: close r\np: close r\nt: write w "x" => killed=SIGPIPE\na: wait p => ok killed=SIGPIPE\n',
            "held",
        )
    ended(
        'a: pipe -> r w\na: thread -> t\na: close r\nt: write w "x" => 0\n',
        "failed",
        "line 4: expected 0, observed the process ended: killed by SIGPIPE",
    )


def test_ok_is_not_fulfilled_by_a_caller_that_is_dead():
    ended(
        "a: kill a SIGTERM => ok\n",
        "failed",
        "line 1: expected no error, observed the process ended: killed by SIGTERM",
    )
    ended("a: thread -> t\nt: exit 0 => ok\na: exit 4 => ok\n", "held")


def test_how_a_process_ended_is_known_though_its_parent_waited_and_has_taken_leave():
    text = (
        PIPE
        + "a: fork -> p\na: fork -> q\np: thread -> t\nt: read r 1 => blocks\na: wait p => blocks\nq: kill p SIGTERM\n"
    )
    for _ in range(10):
        ended(text + "t: (read returns) => killed=SIGTERM\na: (wait returns) => ok killed=SIGTERM\n", "held")


def test_how_often_a_handler_ran_is_a_fact():
    """Of each signal, in each process; two that come while it is stopped are one. A child's begins with none, and a
    thread's counts with its process."""
    text = (
        "m: pipe -> r w\n"
        "m: signal SIGUSR1 HANDLER\n"
        "m: signal SIGCHLD HANDLER\n"
        "m: fork -> k\n"
        "k: kill m SIGUSR1\n"
        "k: kill k SIGUSR1\n"
        "k: thread -> t\n"
        "t: kill k SIGUSR1\n"
        "m: kill k SIGUSR1\n"
        "m: kill k SIGSTOP\n"
        "m: kill k SIGUSR1\n"
        "m: kill k SIGUSR1\n"
        "m: kill k SIGCONT\n"
        "k: fork -> c\n"
        "c: signal SIGUSR2 HANDLER\n"
        "k: kill c SIGUSR2\n"
        "m: signal SIGUSR1 SIG_IGN\n"
        "c: kill m SIGUSR1\nc: kill k SIGUSR1\nm: kill k SIGKILL\n"
    )
    told = ended(text, "held")
    assert {process["name"]: process.get("handled") for process in told["steps"][-1]["after"]["processes"]} == {
        "m": {"SIGUSR1": 1, "SIGCHLD": 3}, "k": {"SIGUSR1": 5}, "c": {"SIGUSR2": 1},
    }  # fmt: skip
    assert told["steps"][-1]["after"]["processes"][0]["how"]["handled"] == "reported"
    assert "handled" not in told["steps"][3]["after"]["processes"][0]
    assert plain(exports.load(exports.json(typed(told)))) == told


def test_a_handler_that_counts_nothing_lets_a_process_survive():
    ended("a: signal SIGSEGV HANDLER\na: kill a SIGSEGV => 0\na: signal SIGKILL HANDLER => EINVAL\n", "held")


def test_an_orphan_is_killed_with_its_run_and_reaped():
    ended(
        PAIR + "a: fork -> b\nb: fork -> c\nc: read x 1 => blocks\nb: exit 0\na: wait b => ok\na: exit 0\n",
        "held",
        "c is blocked in read",
    )


# ---- values


@pytest.mark.parametrize(
    "call",
    [
        "read r 1M => blocks",
        "lseek r 0x7fffffffffffffff SEEK_SET => ESPIPE",
        "dup2 r 0x7fffffff => EBADF",
        "dup3 r 0x7fffffffffffffff O_CLOEXEC => EBADF",
        "fcntl r F_SETPIPE_SZ 0x7fffffff => EPERM",
        "fcntl r F_SETPIPE_SZ -1 => EINVAL",
        "poll r -1 0 => 0",
        "waitpid -9223372036854775808 0 => ECHILD",
        "kill a 0x7fffffff => EINVAL",
        "socketpair AF_UNIX 0x7fffffffffffffff 0x7fffffffffffffff => EINVAL",
        'memfd_create "x" * 1M 0 => EINVAL',
        'memfd_create "m" -1 => EINVAL',
        "eventfd 0x7fffffffffffffff -1 => EINVAL",
        "close 0x7fffffffffffffff => EBADF",
        'sendmsg w iov=["x"] cmsg_len=-1 fds=[r] => ENOTSOCK',
        "exit 0x7fffffffffffffff",
        'open "x" -1 -1',
    ],
)
def test_a_value_beyond_all_measure_is_the_kernels_to_judge(call):
    told = run(PIPE + f"a: {call}\n")
    step = told["steps"][1]
    assert step["verdict"] in ("held", "none"), told["reason"]
    assert not step["result"].get("fault")


FILE = 'a: open "f" O_RDWR|O_CREAT -> f\na: memfd_create "m" 0 -> m\na: open "f" O_WRONLY|O_APPEND -> g\na: fork -> b\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("b: ftruncate m 2M => ok", "the file would have 2097152 bytes, and may have 1048576 here"),
        (
            'a: write f "x" * 1M => 1048576\na: write f "x" => killed=SIGXFSZ',
            "line 6: the file would have 1048577 bytes",
        ),
        ('a: lseek m 1048570 SEEK_SET\na: write m "x" * 10 => 6', "line 6"),
        ('a: pwrite f "x" * 10 1048570 => 6', "would have 1048580 bytes"),
        ('a: ftruncate f 1M => 0\nb: write g "x" => EFBIG', "line 6"),
        ("a: signal SIGXFSZ SIG_IGN\nb: ftruncate f 1048577 => EFBIG", "line 6"),
        ("a: dup2 f 256 => EBADF", "a process has the numbers up to 255 here, and 256 is none of them"),
        ("a: dup3 f 1023 0 => EBADF", "1023 is none of them"),
        ("a: poll " + str([3] * 257) + " POLLIN 0 => EINVAL", "poll takes 256 descriptors here"),
        ("a: fcntl f F_DUPFD 191\n" * 12, "the numbers from 200 on are the stage's own, and no lower one is free"),
    ],
)
def test_a_limit_of_the_lab_is_refused_and_never_passes_for_the_kernels_answer(text, words):
    told = ended(FILE + text + "\n", "refused", words)
    assert told["steps"][-1]["result"] is None and told["steps"][-1]["verdict"] == "none"


@pytest.mark.parametrize(
    "line",
    [
        "ftruncate m 1M => 0",
        "ftruncate m -1 => EINVAL",
        'pwrite m "x" -1 => EINVAL',
        "ftruncate g 0 => 0",
        "dup2 f 1024 => EBADF",
        "dup2 99 99 => EBADF",
        'pwrite f "x" 1048575 => 1',
    ],
)
def test_what_the_kernel_would_answer_to_anybody_it_answers_here(line):
    ended(FILE + f"a: {line}\n", "held")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGXCPU, "10 seconds of processor time"),
        (signal.SIGKILL, "or the machine had no memory left"),
        (signal.SIGXFSZ, "1048576 bytes"),
    ],
)
def test_who_was_killed_by_no_step_was_killed_by_a_limit(number, words):
    def strike(step: Step) -> None:
        if step.call == "read":
            os.kill(next(process.pid for process in (step.after or NOTHING).processes if process.name == "b"), number)

    text = PIPE + "a: fork -> b\nb: read r 1 => blocks\nb: (read returns) => ok\n"
    told = plain(manager.run(parse(text), after_step=strike))
    assert (
        told["verdict"] == "refused"
        and "b was killed by a limit of the lab" in told["reason"]
        and words in told["reason"]
    ), told["reason"]
    assert told["steps"][-1]["result"] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's processes are counted with those of this test")
def test_a_process_too_many_for_the_labs_user_is_the_labs_limit():
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_NPROC, (2, 2))
    with start(
        "a: pipe -> r w\na: fork -> b\n", preexec_fn=limited, env=os.environ | {"PAIRSCOPE_LAB_USER": "games"}
    ) as process:
        told = json.loads(process.stdout.read())
    assert (
        told["verdict"] == "refused" and "line 2: the lab's user has as many processes as it may" in told["reason"]
    ), told["reason"]


# ---- the runner


def family(pid: int) -> list[int]:
    """The process's descendants."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return children + [below for child in children for below in family(child)]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def sockets(pid: int) -> set[str]:
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[8:-1] for link in links if link.startswith("socket:")}


def busy(process: subprocess.Popen) -> list[int]:
    """The processes of a runner that plays BUSY, once its last step is under way."""

    def four_and_the_last_polls() -> list[int]:
        found = family(process.pid)
        calls = [
            Path(f"/proc/{pid}/task/{task}/syscall").read_text().split()[0]
            for pid in found
            for task in os.listdir(f"/proc/{pid}/task")
        ]
        polls = calls.count(str(CALLS["poll"].kernel[MACHINE].number))
        return found if len(found) == 4 and polls == 2 and "T" in map(state, found) else []

    return eventually(four_and_the_last_polls, "all four processes stand where they should")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
def test_of_a_runner_that_is_killed_nothing_remains(number, temporary_directory):
    before = leaks.look(temporary_directory)
    process = start(BUSY, env=shared())  # so that its sockets can be seen from here
    found = busy(process)
    held = set().union(*map(sockets, found))
    assert held & leaks.unix_sockets() and before.left(temporary_directory).files
    pidfds = [os.pidfd_open(pid) for pid in found]
    process.send_signal(number)
    assert process.wait() == -number
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 10)[0], "a process has outlived its runner"
        os.close(pidfd)
    eventually(lambda: not held & leaks.unix_sockets(), "the kernel lets go of every socket")
    assert not process.stdout.read()
    process.stdout.close()
    process.stderr.close()
    assert not before.left(temporary_directory, patience=2.0)


def test_a_runner_whose_output_nobody_reads_says_so_by_its_status(temporary_directory):
    before = leaks.look(temporary_directory)
    process = start(BUSY.replace("4000", "10"))
    process.stdout.close()
    assert process.wait() == 3
    assert not process.stderr.read()
    process.stderr.close()
    assert not before.left(temporary_directory, patience=2.0)


def test_of_a_run_in_this_process_nothing_remains():
    before = set(os.listdir("/proc/self/fd"))
    told = run(BUSY.replace("4000", "10"))
    assert told["verdict"] == "held", told["reason"]
    inodes = {str(found["inode"]) for step in told["steps"] for found in step["after"]["objects"]}
    eventually(lambda: not inodes & leaks.unix_sockets(), "the kernel lets go of every socket")
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-told["steps"][0]["after"]["processes"][0]["pid"], os.WNOHANG)
