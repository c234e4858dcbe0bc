"""The stage: real processes carry scenarios out, and what the kernel held is what the run holds."""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import platform
import pwd
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab import exports, gallery, tables
from pairscope.lab.constants import NUMBERS
from pairscope.lab.language import parse
from pairscope.lab.stage import confine, manager
from tests import leaks
from tests.eventually import eventually
from tests.runs import plain, typed
from tests.test_lab_language import DOCUMENT, documented

pytestmark = pytest.mark.process

libc = ctypes.CDLL(None, use_errno=True)


def played(text: str) -> dict:
    """The run of a scenario, as JSON gives it back."""
    return plain(manager.run(parse(text)))


def held(text: str) -> dict:
    run = played(text)
    assert run["verdict"] == "held", run["reason"]
    return run


def account() -> pwd.struct_passwd:
    """Whom the actors become."""
    return pwd.getpwnam(manager.USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def process(step: dict, name: str) -> dict:
    return next(process for process in step["after"]["processes"] if process["name"] == name)


def descriptor(step: dict, process_name: str, name: str) -> dict:
    return next(row for row in process(step, process_name)["descriptors"] if name in row["names"])


def object_of(step: dict, row: dict) -> dict:
    return next(found for found in step["after"]["objects"] if found["inode"] == row["inode"])


def test_the_documents_example_holds_and_its_last_step_ends_the_childs_wait():
    run = held(documented())
    assert [step["verdict"] for step in run["steps"]] == ["none"] * 4 + ["held", "held", "held", "none", "held"]
    assert run["steps"][7]["completed"]["child"]["value"] == 0
    assert run["steps"][7]["completed"]["child"]["of"] == 6


def test_a_blocked_call_is_the_kernels_word():
    step = held(documented())["steps"][6]
    blocked = process(step, "child")["blocked"]
    assert step["result"]["blocked"] and blocked["call"] == "read" and blocked["state"] == "S"
    assert int(blocked["arguments"][0], 16) == step["arguments"][0]
    assert blocked["wchan"].startswith("unix_stream")


def test_the_runner_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"], input=documented().encode(), capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["verdict"] == "held"
    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"], input=b"p: pipe => 1\n", capture_output=True, timeout=30
    )
    assert done.returncode == 1 and "expected 1, observed 0" in json.loads(done.stdout)["reason"]
    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"], input=b"p: pip\n", capture_output=True, timeout=30
    )
    assert done.returncode == 2 and json.loads(done.stdout)["line"] == 1


# ---- the sandbox


def run_by_runner(text: str, **environment: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "pairscope.lab.runner"],
        input=text.encode(),
        capture_output=True,
        timeout=30,
        env=os.environ | environment,
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout)


def outcome(call: Callable[[], Any]) -> str:
    """``done``, or the errno's name."""
    try:
        got = call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except AssertionError as error:
        return str(error)
    if isinstance(got, int) and got > 2:
        os.close(got)
    return "done"


def system_call(number: int, *arguments: Any) -> Callable[[], int]:
    def make() -> int:
        value = libc.syscall(
            ctypes.c_long(number), *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
        )
        if value < 0:
            raise OSError(ctypes.get_errno(), "")
        return 0

    return make


class Apart:
    """A child that is confined as a stage, or as an actor, and tells what it could do; it lives until it is left."""

    def __init__(self, layers: int, attacks: Callable[[confine.Sandbox | None], dict[str, Callable[[], Any]]]) -> None:
        out, into = os.pipe()
        stay, leave = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(leave)
                if not os.geteuid():
                    account = pwd.getpwnam("nobody")
                    os.setgroups([])
                    os.setresgid(*[account.pw_gid] * 3)
                    os.setresuid(*[account.pw_uid] * 3)
                libc.prctl(4, 1, 0, 0, 0)
                sandbox = confine.enter(parse("a: pipe -> r w\n"), False, own_user=False) if layers else None
                if sandbox and layers == 2:
                    sandbox.enter()
                os.write(
                    into, json.dumps({name: outcome(attack) for name, attack in attacks(sandbox).items()}).encode()
                )
                os.close(into)
                os.read(stay, 1)
            finally:
                os._exit(0)
        os.close(into)
        os.close(stay)
        self._leave = leave
        with open(out) as told:
            self.outcomes = json.load(told)

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._leave)
        os.waitpid(self.pid, 0)


def connecting(name: str) -> Callable[[], None]:
    def connect() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect("\0" + name)

    return connect


def making(family: int, kind: int) -> Callable[[], None]:
    return lambda: socket.socket(family, kind).close()


def binding() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))


def against(other: int) -> dict[str, Callable[[], Any]]:
    """What one might try on a process of the same user."""
    return {
        "signal it": lambda: os.kill(other, signal.SIGCONT),
        "take its descriptor": lambda: system_call(438, os.pidfd_open(other), 0, 0)(),
        "compare with it": lambda: system_call(
            {"x86_64": 312, "aarch64": 272}[platform.machine()], os.getpid(), other, 0, 0, 0
        )(),
        "read its links": lambda: os.readlink(f"/proc/{other}/fd/0"),
        "read where it stands": lambda: Path(f"/proc/{other}/syscall").read_text(),
    }


def test_a_run_says_how_it_is_confined():
    told = run_by_runner(documented())["sandbox"]
    assert told["level"] == "landlock+seccomp", told["missing"]
    assert told["uid"] != 0 and told["no_new_privs"]
    assert {"read_file", "make_sock"} <= set(told["landlock"]["files"])
    assert told["limits"]["FSIZE"] == 1 << 20
    assert told["namespaces"] and told["landlock"]["network"] == [], "its own network is open to it"
    shared = run_by_runner(documented(), PAIRSCOPE_NAMESPACES="none")["sandbox"]
    assert not shared["namespaces"] and "connect_tcp" in shared["landlock"]["network"]
    assert played(documented())["sandbox"]["level"] == "none"


def test_without_landlock_and_seccomp_there_is_no_run():
    told = run_by_runner(documented(), PAIRSCOPE_SANDBOX="none")
    assert told["verdict"] == "refused" and not told["steps"]
    assert (
        told["reason"].startswith("no run without a sandbox: ")
        and "Landlock" in told["reason"]
        and "seccomp" in told["reason"]
    )


def test_one_of_the_two_is_enough_and_the_other_is_named(tmp_path):
    told = run_by_runner(documented(), PAIRSCOPE_SANDBOX="seccomp")
    assert (
        told["verdict"] == "held"
        and told["sandbox"]["level"] == "seccomp"
        and any("Landlock" in line for line in told["sandbox"]["missing"])
    )
    (tmp_path / "pyseccomp.py").write_text("raise RuntimeError('no libseccomp here')\n")
    told = run_by_runner(documented(), PYTHONPATH=str(tmp_path))
    assert (
        told["verdict"] == "held"
        and told["sandbox"]["level"] == "landlock"
        and any("no libseccomp here" in line for line in told["sandbox"]["missing"])
    )


@pytest.mark.parametrize("layers", [1, 2], ids=["stage", "actor"])
def test_neither_the_stage_nor_an_actor_reaches_beyond_the_run(layers, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    file.chmod(0o666)
    tmp_path.chmod(0o777)
    attacks = {
        "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "write a file": lambda: os.open(file, os.O_WRONLY),
        "make a file": lambda: os.open(tmp_path / "new", os.O_CREAT | os.O_WRONLY),
        "list a directory": lambda: os.listdir("/"),
        "remove a file": lambda: os.unlink(file),
        "start a program": lambda: os.execv("/bin/true", ["true"]),
        "enter namespaces": lambda: system_call({"x86_64": 272, "aarch64": 97}[platform.machine()], 0x10000000)(),
        "make a netlink socket": making(socket.AF_NETLINK, socket.SOCK_RAW),
        "bind a port": binding,
        "trace its parent": system_call({"x86_64": 101, "aarch64": 117}[platform.machine()], 0x4206, os.getpid(), 0, 0),
    }
    with Apart(layers, lambda _: attacks) as apart:
        assert set(apart.outcomes.values()) <= {"EACCES", "EPERM"}, apart.outcomes


def test_a_stage_sees_its_actors_and_they_do_not_see_it():
    def both_ways(sandbox: confine.Sandbox | None) -> dict[str, Callable[[], Any]]:
        stage = os.getpid()
        out, into = os.pipe()
        stay, leave = os.pipe()
        actor = os.fork()
        if not actor:
            sandbox.enter()  # type: ignore[union-attr]
            os.write(into, json.dumps({name: outcome(attack) for name, attack in against(stage).items()}).encode())
            os.close(into)
            os.close(leave)
            os.read(stay, 1)
            os._exit(0)
        os.close(into)
        os.close(stay)
        with open(out) as told:
            upwards = json.load(told)

        def downwards() -> None:
            for name, attack in against(actor).items():
                assert outcome(attack) == "done", name

        def upward() -> None:
            assert set(upwards.values()) <= {"EACCES", "EPERM"}, upwards

        def leaving() -> None:
            os.close(leave)
            os.waitpid(actor, 0)

        return {"downwards": downwards, "upwards": upward, "the end": leaving}

    with Apart(1, both_ways) as apart:
        assert apart.outcomes == {"downwards": "done", "upwards": "done", "the end": "done"}


def test_two_runs_of_one_user_neither_see_nor_signal_each_other():
    name = f"lab-{os.getpid()}"

    def listen() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind("\0" + name)
        sock.listen()
        sock.detach()

    with Apart(1, lambda _: {"listen": listen}) as one:
        assert one.outcomes == {"listen": "done"}
        attacks = against(one.pid) | {"connect to its abstract name": connecting(name)}
        with Apart(0, lambda _: attacks) as free:
            assert set(free.outcomes.values()) == {"done"}, free.outcomes
        with Apart(1, lambda _: attacks) as other:
            assert set(other.outcomes.values()) <= {"EACCES", "EPERM"}, other.outcomes


def test_what_the_sandbox_promises_to_refuse_it_does_not_allow():
    actor = {name for names in confine.ALLOWED.values() for name in names}
    stage = {name for names in confine.STAGE.values() for name in names}
    assert not (actor | stage) & set(confine.DENIED)
    assert not actor & set(confine.DENIED_ACTORS)


def test_the_documents_table_of_allowed_calls_is_the_table():
    assert tables.fill(DOCUMENT, "sandbox", confine.table()) == DOCUMENT, (
        "run: python -m pairscope.lab.stage.confine docs/lab.md"
    )


def test_two_runs_with_many_descriptors_in_flight_do_not_meet():
    """The kernel counts them by user; a run that sends hundreds waits until it is alone."""
    text = gallery.text("too-many-references").encode()
    runners = [
        subprocess.Popen([sys.executable, "-m", "pairscope.lab.runner"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for runner in runners:
        runner.stdin.write(text)
        runner.stdin.close()
    for runner in runners:
        with runner:
            assert json.loads(runner.stdout.read())["verdict"] == "held"


# ---- what the language can say, played


def test_a_name_for_a_duplicate_is_the_number_that_fcntl_gave():
    held(
        "p: pipe -> r w\n"
        "p: fcntl w F_DUPFD 10 -> x => 10\n"
        'p: write x "a" => 1\n'
        'p: read r 1 => "a"\n'
        "p: fcntl x F_DUPFD_CLOEXEC 0 -> y => 5\n"
    )


def test_each_host_has_its_own_port_0():
    held(
        'p: socket AF_INET SOCK_STREAM 0 -> a\np: bind a "127.0.0.1:0" => 0\np: listen a 1 => 0\n'
        'p: socket AF_INET6 SOCK_STREAM 0 -> b\np: bind b "[::1]:0" => 0\np: listen b 1 => 0\n'
        'p: socket AF_INET SOCK_STREAM 0 -> c\np: connect c "127.0.0.1:0" => 0\np: accept a -> d => ok\n'
        'p: socket AF_INET6 SOCK_STREAM 0 -> e\np: connect e "[::1]:0" => 0\np: accept b -> f => ok\n'
        'p: write c "4" => 1\np: read d 1 => "4"\np: write e "6" => 1\np: read f 1 => "6"\n'
    )


def test_the_first_of_several_numbers_may_do():
    held(
        'p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\np: setsockopt b SOL_SOCKET SO_PASSCRED 1\np: write a "x"\n'
        'p: recvmsg b iov=[1] => "x" creds=[p]\np: getsockopt a SOL_SOCKET SO_PEERCRED => value=[p]\n'
    )


def test_credentials_that_were_not_expected_are_told_in_words():
    text = (
        "p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\np: fork -> c\np: getsockopt a SOL_SOCKET SO_PEERCRED => value=[c]\n"
    )
    assert re.search(r"expected value=\[c\], observed process p, user \d+, group \d+$", played(text)["reason"])


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("fcntl a F_GETFL => 2", "expected 2, observed 2050 (O_RDWR|O_NONBLOCK)"),
        ("fcntl a F_GETFL => EBADF", "expected EBADF, observed 2050 (O_RDWR|O_NONBLOCK)"),
        ("fcntl a F_GETFD => 1", "expected 1, observed 0"),
        (
            "getsockopt a SOL_SOCKET SO_TYPE => 0 value=SOCK_STREAM",
            "expected value=SOCK_STREAM, observed 2 (SOCK_DGRAM)",
        ),
        ("getsockopt a SOL_SOCKET SO_DOMAIN => 0 value=2", "expected value=2, observed 1 (AF_UNIX)"),
        ("getsockopt a SOL_SOCKET SO_ERROR => 0 value=EPIPE", "expected value=EPIPE, observed 0"),
        ("getsockopt a SOL_SOCKET SO_ACCEPTCONN => 0 value=1", "expected value=1, observed 0"),
        ("read e 8 3 => blocks", "expected the call to block, observed EINVAL"),
        ("read e 8 => 8 value=3", "expected value=3, observed 5"),
        ("fork -> c => 1", "(c)"),
    ],
)
def test_what_came_in_place_of_what_was_expected_is_told_with_its_name(step, words):
    text = f"p: socketpair AF_UNIX SOCK_DGRAM|SOCK_NONBLOCK 0 -> a b\np: eventfd 5 EFD_NONBLOCK -> e\np: {step}\n"
    assert played(text)["reason"].endswith(words)


def test_a_number_and_a_text_are_both_held_to_what_came():
    text = 'p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\np: write a "abcdef"\np: recv b 4 MSG_PEEK|MSG_TRUNC => %s\n'
    assert held(text % '6 "abcd"')["steps"][-1]["expected"] == {"first": '6 "abcd"', "keys": {}}
    assert played(text % '4 "abcd"')["reason"].endswith('expected 4, observed "abcd" (4 bytes; the call returned 6)')
    assert played(text % '6 "abce"')["steps"][-1]["verdict"] == "failed"


def test_a_run_by_the_runner_holds_the_canonical_text_and_counts_its_lines():
    told = run_by_runner("\n\np:  close   99 => 0\n@title X\n# said\n")
    assert told["text"] == "@title X\n\np: close 99 => 0\n# said\n"
    assert told["steps"][0]["line"] == 3 and told["reason"] == "line 3: expected 0, observed EBADF"


# ---- the probes


def seen(step: dict, process_name: str, name: str) -> dict:
    """The object behind a name, after a step."""
    return object_of(step, descriptor(step, process_name, name))


def sizes(found: dict) -> list[int]:
    return [entry["bytes"] for entry in found["contents"]]


def test_a_descriptor_in_flight_is_told_with_its_sender_and_keeps_its_description():
    steps = held(gallery.text("in-flight"))["steps"]
    will = descriptor(steps[5], "child", "will")
    for step in steps[6:9]:
        near = seen(step, "parent", "near")
        assert near["in_flight"] == 1 and near["flying"] == [will["number"]]
        assert near["carried"] == [
            {
                "description": will["description"],
                "inode": will["inode"],
                "kind": "memfd",
                "sender": "child",
                "number": will["number"],
            }
        ]
        assert (
            near["how"]["in_flight"] == near["how"]["carried"] == "observed"
            and near["how"]["sender"] == near["how"]["number"] == "derived"
        )
    heir = descriptor(steps[9], "parent", "heir")
    assert (heir["description"], heir["inode"]) == (will["description"], will["inode"])
    assert seen(steps[9], "parent", "near")["carried"] == []


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET"])
def test_descriptors_for_which_a_receiver_has_no_room_are_told_as_closed_by_the_kernel(kind):
    """By recvmsg with too little room, or without any; by read and recv, which have none; by a call that was blocked.
    Not by a peek."""
    text = f"""
        m: socketpair AF_UNIX {kind} 0 -> a b
        m: memfd_create "f" 0 -> f
        m: memfd_create "g" 0 -> g
        m: sendmsg a iov=["keymap"] fds=[f, g, f, f, g] => 6
        m: recvmsg b iov=[64] control=32 flags=MSG_PEEK => "keymap" fds=4
        m: recvmsg b iov=[64] control=32 => "keymap" flags=MSG_CTRUNC fds=4
        m: sendmsg a iov=["one"] fds=[f]
        m: recvmsg b iov=[9] => "one" fds=1
        m: sendmsg a iov=["two"] fds=[f, g]
        m: recvmsg b iov=[9] control=0 => "two" fds=0
        m: sendmsg a iov=["three"] fds=[g]
        m: read b 9 => "three"
        m: fork -> k
        k: recv b 9 0 => blocks
        m: sendmsg a iov=["four"] fds=[g, f]
        k: (recv returns) => "four"
        m: sendmsg a iov=["x"] fds=[99] => EBADF
        m: setsockopt b SOL_SOCKET SO_PASSPIDFD 1
        m: sendmsg a iov=["pid"] fds=[f]
        m: recvmsg b iov=[9] => fds=2
        """
    run = held(text)
    lost = {
        step["line"]: [(one["sender"], one["number"], one["kind"]) for one in (step["result"] or {}).get("lost", ())]
        for step in run["steps"]
    }
    f, g = ("m", 5, "memfd"), ("m", 6, "memfd")
    assert {line - 1: gone for line, gone in lost.items() if gone} == {6: [g], 10: [f, g], 12: [g], 16: [g, f]}
    assert run["steps"][14]["completed"]["k"]["lost"] == run["steps"][15]["result"]["lost"]
    assert plain(exports.load(exports.json(typed(run)))) == run


def test_the_file_of_a_socket_is_no_socket():
    before = set(os.listdir("/proc/self/fd"))
    run = held(
        "a: socket AF_UNIX SOCK_STREAM 0 -> s\n"
        'a: bind s "f"\n'
        'a: open "f" O_PATH -> p\n'
        "a: read p 1 => EBADF\n"
        "a: socketpair AF_UNIX SOCK_STREAM 0 -> x y\n"
        'a: sendmsg x iov=["x"] fds=[p] => 1\n'
        "a: close p\n"
    )
    step = run["steps"][2]
    assert object_of(step, descriptor(step, "a", "p"))["kind"] == "file of a socket"
    assert run["steps"][-1]["after"]["objects"][-1]["kind"] == "file of a socket"
    assert set(os.listdir("/proc/self/fd")) == before


def test_dup2_to_the_same_number_changes_nothing():
    """Neither the table nor what the number stands for, which may be in flight beside."""
    run = held(
        "a: socketpair AF_UNIX SOCK_STREAM 0 -> x y\n"
        "a: dup x -> z\n"
        'a: sendmsg x iov=["x"] fds=[y]\n'
        "a: dup2 y y => 4\n"
        "a: dup2 z x => 3\n"
        "a: recvmsg y iov=[1] -> w\n"
    )
    before, same, alike, after = (step["after"] for step in run["steps"][2:])
    assert before == same == alike
    numbers = {row["number"]: row["description"] for row in after["processes"][0]["descriptors"]}
    assert numbers == {3: 1, 4: 2, 5: 1, 6: 2}


@pytest.mark.parametrize(
    "take", ["recvmsg in iov=[16] -> x", "recvmsg in iov=[16] control=0", "read in 16", "read in 4\np: read in 4"]
)
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_what_is_in_flight_is_known_however_it_is_taken(kind, take):
    steps = held(
        f'p: socketpair AF_UNIX {kind} 0 -> out in\np: memfd_create "a" 0 -> a\np: memfd_create "b" 0 -> b\n'
        f'p: sendmsg out iov=["AAA"] fds=[a]\np: sendmsg out iov=["BBB"] fds=[b, a]\np: {take}\np: close 99\n'
    )["steps"]
    a, b = (descriptor(steps[4], "p", name)["description"] for name in "ab")
    flying = [one["description"] for one in seen(steps[4], "p", "in")["carried"]]
    assert flying == [a, b, a]
    left = seen(steps[-1], "p", "in")
    assert [one["description"] for one in left["carried"]] == [a, b, a][len([a, b, a]) - left["in_flight"] :]


def test_what_stands_in_raw_control_data_and_what_a_failed_call_did_not_send_is_known():
    steps = held(
        "p: socketpair AF_UNIX SOCK_SEQPACKET 0 -> out in\np: pipe -> r w\n"
        'p: sendmsg out iov=["x"] raw=x"140000000000000001000000010000000500000000000000" => 1\n'
        'p: sendmsg out iov=["y"] fds=[w] cmsg_len=7 => EINVAL\n'
        'p: sendmsg out iov=["z"] fds=[w] => 1\n'
    )["steps"]
    found = seen(steps[-1], "p", "in")
    assert found["flying"] == [5, descriptor(steps[-1], "p", "w")["number"]]
    assert [one["kind"] for one in found["carried"]] == ["pipe", "pipe"]
    assert [[one["number"] for one in entry["carried"]] for entry in found["contents"]] == [[5], [6]]


@pytest.mark.parametrize("kind", ["SOCK_DGRAM", "SOCK_SEQPACKET"])
@pytest.mark.parametrize("end", ["close 99", "close out", "shutdown out SHUT_WR"])
def test_messages_without_a_byte_are_seen_where_they_stand_at_every_look(kind, end):
    steps = held(
        f"p: socketpair AF_UNIX {kind} 0 -> out in\n"
        'p: send out "" 0 => 0\n'
        'p: send out "one" 0\n'
        'p: send out "" 0\n'
        'p: write out ""\n'
        'p: send out "four" 0\n'
        f"p: {end}\n"
        "p: close 99\n"
        'p: recv in 9 0 => ""\n'
        'p: recv in 9 MSG_PEEK => "one"\n'
        'p: recv in 9 0 => "one"\n'
        "p: read in 0\n"
        'p: recv in 9 0 => ""\n'
        "p: recv in 9 0\n"
        'p: recv in 9 0 => "four"\n'
    )["steps"]
    looks = [sizes(seen(step, "p", "in")) for step in steps]
    assert looks[5] == looks[6] == looks[7] == [0, 3, 0, 0, 4]
    assert looks[8] == looks[9] == [3, 0, 0, 4]
    assert looks[10] == looks[11] == [0, 0, 4]
    assert looks[12:] == [[0, 4], [4], []]
    assert seen(steps[6], "p", "in")["how"]["empty"] == "derived"


def test_messages_and_their_descriptors_stand_side_by_side():
    steps = held(gallery.text("scattered-and-cut"))["steps"]
    entry = seen(steps[10], "me", "in")["contents"][0]
    page = descriptor(steps[10], "me", "page")
    assert entry["bytes"] == 9 and [one["inode"] for one in entry["carried"]] == [page["inode"]] * 2


def test_connections_that_wait_are_counted_and_those_that_were_accepted_have_their_peers():
    steps = held(
        "p: socket AF_UNIX SOCK_STREAM 0 -> door\n"
        'p: bind door "door"\n'
        "p: listen door 3\n"
        "p: socket AF_UNIX SOCK_STREAM 0 -> one\n"
        'p: connect one "door"\n'
        "p: socket AF_UNIX SOCK_STREAM 0 -> two\n"
        'p: connect two "door"\n'
        "p: accept door -> first\n"
        'p: write one "x"\n'
    )["steps"]
    door = [seen(step, "p", "door") for step in steps]
    one, two, first = (descriptor(steps[-1], "p", name)["inode"] for name in ("one", "two", "first"))
    assert door[2]["listens"] and door[2]["address"] == "door" and door[2]["waiting"] == 0 and door[2]["backlog"] == 3
    assert (door[4]["waiting"], door[4]["waiting_from"]) == (1, [one])
    assert (door[6]["waiting"], door[6]["waiting_from"]) == (2, [one, two])
    assert (door[7]["waiting"], door[7]["waiting_from"]) == (1, [two])
    assert seen(steps[-1], "p", "one")["peer"] == first and seen(steps[-1], "p", "first")["peer"] == one
    assert seen(steps[-1], "p", "one")["peer_address"] == "door"
    assert sizes(seen(steps[-1], "p", "first")) == [1]


def test_the_ends_of_a_connection_over_the_loopback_know_each_other():
    steps = held(gallery.text("a-connection"))["steps"]
    connected = next(index for index, step in enumerate(steps) if step["call"] == "connect")
    assert seen(steps[connected], "server", "door")["waiting"] == 1
    accepted = steps[connected + 1]
    line, guest = descriptor(accepted, "client", "line"), descriptor(accepted, "server", "guest")
    assert (
        seen(accepted, "client", "line")["peer"] == guest["inode"]
        and seen(accepted, "server", "guest")["peer"] == line["inode"]
    )
    assert seen(accepted, "client", "line")["peer_address"] == seen(accepted, "server", "guest")["address"].replace(
        "[::1]", "127.0.0.1"
    )
    mine = next(step for step in steps if step["actor"] == "worker" and step["call"] == "recvmsg")
    assert descriptor(mine, "worker", "mine")["description"] == guest["description"]


def test_both_ends_of_a_pair_name_who_made_it():
    steps = held(gallery.text("parent-and-child"))["steps"]
    for step in steps[4:7]:
        for owner, name in (("parent", "sv0"), ("child", "sv1")):
            found = seen(step, owner, name)
            assert found["credentials"]["process"] == "parent" and found["how"]["credentials"] == "observed"
            assert found["how"]["peer"] == "observed"


def test_directions_that_were_shut_are_told():
    steps = held(gallery.text("both-directions"))["steps"]
    shut = next(step for step in steps if step["call"] == "shutdown")
    assert seen(shut, "parent", "sv0")["shut"] == ["write"] and seen(shut, "child", "sv1")["shut"] == ["read"]


def test_every_value_of_an_object_says_how_it_is_known():
    for name in gallery.names():
        for step in held(gallery.text(name))["steps"]:
            for found in step["after"]["objects"]:
                told = {
                    key
                    for key in ("contents", "queued", "in_flight", "peer", "credentials", "waiting", "seals")
                    if found.get(key)
                }
                assert told <= set(found["how"]), (name, step["line"], found)
                assert set(found["how"].values()) <= {"observed", "derived", "reported"}


def test_a_socket_whose_name_is_no_text_is_told():
    steps = held(
        "p: socket AF_UNIX SOCK_DGRAM 0 -> s\n"
        'p: bind s "\\xff a"\n'
        "p: socket AF_UNIX SOCK_DGRAM 0 -> t\n"
        'p: bind t "\\0\\x01"\n'
    )["steps"]
    assert seen(steps[-1], "p", "s")["address"] == r"\xff a" and seen(steps[-1], "p", "t")["address"] == r"\0\x01"


# ---- what a call wrote


def written(sock: socket.socket, size: int, flags: int) -> tuple[int, bytes]:
    """What recv(2) gives, and what it has written into memory: two rooms of different letters are received into, by
    MSG_PEEK."""
    libc.recv.restype = ctypes.c_ssize_t
    rooms = []
    for letter in (b"\xaa", b"\x55"):
        room = ctypes.create_string_buffer(letter * max(size, 1), max(size, 1))
        value = libc.recv(sock.fileno(), room, ctypes.c_size_t(size), flags | socket.MSG_PEEK)
        rooms.append(room.raw)
    return value, bytes(one for one, other in zip(*rooms) if one == other)


KINDS = [
    "AF_INET SOCK_STREAM",
    "AF_UNIX SOCK_STREAM",
    "AF_INET SOCK_DGRAM",
    "AF_UNIX SOCK_SEQPACKET",
    "AF_UNIX SOCK_DGRAM",
]


@pytest.mark.parametrize(
    ("kind", "flags"),
    [(kind, "MSG_TRUNC") for kind in KINDS]
    + [(kind, flags) for kind in KINDS[:2] for flags in ("MSG_OOB", "MSG_OOB|MSG_TRUNC")],
)
def test_what_a_call_is_said_to_have_read_is_what_it_wrote_into_memory(kind, flags):
    family, style = (getattr(socket, word) for word in kind.split())
    tcp = (family, style) == (socket.AF_INET, socket.SOCK_STREAM)
    if family == socket.AF_UNIX:
        text, (here, there) = f"p: socketpair {kind} 0 -> a b\n", socket.socketpair(family, style)
    else:
        text = f'p: socket {kind} 0 -> door\np: bind door "127.0.0.1:0"\n' + ("p: listen door 1\n" if tcp else "")
        text += f'p: socket {kind} 0 -> a\np: connect a "127.0.0.1:0"\np: {"accept" if tcp else "dup"} door -> b\n'
        here, there = pair_of_the_loopback(style)
    oob = "MSG_OOB" if "OOB" in flags else "0"
    text += f'p: send a "abcdef" {oob}\np: poll b POLLIN|POLLPRI 1000 => 1\n' + "".join(
        f"p: recv b {size} MSG_PEEK|{flags}\n" for size in SIZES
    )
    with here, there:
        here.send(b"abcdef", NUMBERS.get(oob, 0))
        assert any(select.select([there], [], [there], 5))
        steps = played(text)["steps"][-len(SIZES) :]
        for size, step in zip(SIZES, steps, strict=True):
            value, wrote = written(there, size, sum(NUMBERS[word] for word in flags.split("|")))
            assert step["result"]["value"] == value, (kind, flags, size)
            assert base64.b64decode(step["result"]["data"] or "") == wrote, (kind, flags, size)
            assert (step["result"]["data"] is None) == (tcp and "TRUNC" in flags and value > 0)


SIZES = (0, 1, 4, 16)


def pair_of_the_loopback(style: int) -> tuple[socket.socket, socket.socket]:
    door, here = socket.socket(socket.AF_INET, style), socket.socket(socket.AF_INET, style)
    door.bind(("127.0.0.1", 0))
    if style == socket.SOCK_DGRAM:
        here.connect(door.getsockname())
        return here, door
    with door:
        door.listen()
        here.connect(door.getsockname())
        return here, door.accept()[0]


# ---- what is in flight


PASSING = "p: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"


def by_inode(step: dict, inode: int) -> dict | None:
    return next((found for found in step["after"]["objects"] if found["inode"] == inode), None)


def texts(found: dict) -> list[str]:
    return [base64.b64decode(piece["data"]).decode() for piece in found["contents"]]


def test_an_end_that_only_a_queue_holds_is_in_flight_with_what_waits_in_it():
    steps = held(
        PASSING + "p: socketpair AF_UNIX SOCK_STREAM 0 -> c d\n"
        'p: sendmsg a iov=["x"] fds=[d]\n'
        "p: close d\n"
        'p: write c "still heard"\n'
        'p: recvmsg b iov=[1] -> e\np: read e 32 => "still heard"\n'
    )["steps"]
    d = descriptor(steps[2], "p", "d")
    assert all(seen(step, "p", "d")["held"] and "flies_in" not in seen(step, "p", "d") for step in steps[1:3])
    for step in steps[3:5]:
        found, queue = by_inode(step, d["inode"]), descriptor(step, "p", "b")["inode"]
        assert not found["held"] and found["flies_in"] == [queue] and found["descriptions"] == [d["description"]]
        assert found["how"]["flies_in"] == "observed" and found["how"]["contents"] == "observed"
        assert seen(step, "p", "c")["peer"] == d["inode"] and seen(step, "p", "c")["peer_held"] is False
        assert [one["inode"] for one in seen(step, "p", "b")["carried"]] == [d["inode"]]
    assert texts(by_inode(steps[4], d["inode"])) == ["still heard"]
    assert descriptor(steps[5], "p", "e")["description"] == d["description"] and seen(steps[5], "p", "e")["held"]


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"])
def test_what_is_in_flight_within_what_is_in_flight_is_seen(kind):
    steps = held(
        f"p: socketpair AF_UNIX {kind} 0 -> a b\n"
        f"p: socketpair AF_UNIX {kind} 0 -> c d\n"
        f"p: socketpair AF_UNIX {kind} 0 -> e f\n"
        "p: pipe -> r w\n"
        'p: memfd_create "m" 0 -> m\n'
        'p: write m "deep"\n'
        'p: write w "piped"\n'
        'p: send e "letter" 0\n'
        'p: sendmsg c iov=["1"] fds=[f, m]\n'
        'p: sendmsg a iov=["2"] fds=[d, r]\n'
        "p: close d\np: close f\np: close m\np: close r\np: close 99\n"
        "p: recvmsg b iov=[1] -> dd rr\n"
        "p: recvmsg dd iov=[1] -> ff mm\n"
        'p: recv ff 9 0 => "letter"\n'
        'p: read rr 9 => "piped"\n'
    )["steps"]
    inode = {name: descriptor(steps[7], "p", name)["inode"] for name in ("b", "d", "f", "m", "r")}
    last = steps[14]
    assert by_inode(last, inode["d"])["flies_in"] == [inode["b"]] and by_inode(last, inode["f"])[
        "flies_in"
    ] == by_inode(last, inode["m"])["flies_in"] == [inode["d"]]
    assert (
        texts(by_inode(last, inode["f"])) == ["letter"]
        and texts(by_inode(last, inode["m"])) == ["deep"]
        and texts(by_inode(last, inode["r"])) == ["piped"]
    )
    assert [one["inode"] for one in by_inode(last, inode["d"])["carried"]] == [inode["f"], inode["m"]]
    assert by_inode(last, inode["r"])["held"]  # by its other end
    numbers = {name: descriptor(steps[7], "p", name)["description"] for name in ("d", "f", "m", "r")}
    assert {name: descriptor(steps[-1], "p", 2 * name)["description"] for name in ("d", "f", "m", "r")} == numbers


def test_a_listening_socket_in_flight_still_takes_connections():
    steps = held(
        PASSING + "p: socket AF_UNIX SOCK_STREAM 0 -> door\n"
        'p: bind door "door"\n'
        "p: listen door 3\n"
        'p: sendmsg a iov=["x"] fds=[door]\n'
        "p: close door\n"
        "p: socket AF_UNIX SOCK_STREAM 0 -> c\n"
        'p: connect c "door" => 0\n'
        "p: recvmsg b iov=[1] -> again\n"
        "p: accept again -> s => ok\n"
    )["steps"]
    inode = descriptor(steps[4], "p", "door")["inode"]
    found = by_inode(steps[7], inode)
    assert not found["held"] and found["listens"] and (found["waiting"], found["backlog"]) == (1, 3)
    assert found["waiting_from"] == [descriptor(steps[7], "p", "c")["inode"]]


def test_two_ends_that_only_carry_each_other_are_there_until_the_kernel_collects_them():
    """The pair is garbage from the last close on; the close of another socket has the kernel collect it, when it gets
    round to it."""
    steps = held(
        "p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\n"
        'p: sendmsg a iov=["to b"] fds=[a]\n'
        'p: sendmsg b iov=["to a"] fds=[b]\n'
        "p: close a\np: close b\np: socketpair AF_UNIX SOCK_STREAM 0 -> x y\np: close x\np: poll y POLLIN 200\n"
    )["steps"]
    a, b = (descriptor(steps[2], "p", name)["inode"] for name in "ab")
    assert by_inode(steps[3], a)["flies_in"] == [b] and by_inode(steps[3], a)["how"]["flies_in"] == "observed"
    for step in steps[4:]:
        for one, other in ((a, b), (b, a)):
            if found := by_inode(step, one):
                assert (
                    not found["held"]
                    and found["flies_in"] == [other]
                    and found["how"]["flies_in"] == "derived"
                    and found["how"]["peer"] == "observed"
                )
    eventually(lambda: not {str(a), str(b)} & leaks.unix_sockets(), "the kernel collects them")


@pytest.mark.parametrize("kind", ["AF_UNIX SOCK_STREAM", "AF_UNIX SOCK_SEQPACKET", "AF_INET SOCK_STREAM"])
def test_what_was_sent_before_anybody_accepted_waits_at_the_listening_socket(kind):
    where, unix = ('"door"', True) if "UNIX" in kind else ('"127.0.0.1:0"', False)
    send = 'p: sendmsg c iov=["ahead"] fds=[m]' if unix else 'p: write c "ahead"'
    steps = held(
        'p: memfd_create "m" 0 -> m\n'
            'p: socketpair AF_UNIX SOCK_STREAM 0 -> x y\n'
            f'p: socket {kind} 0 -> door\n'
            f'p: bind door {where}\n'
            'p: listen door 3\n'
            f'p: socket {kind} 0 -> c\n'
        f'p: connect c {where}\n{send}\n' + ('p: sendmsg c iov=["pair"] fds=[y]\n'
            'p: close y\n' if unix else 'p: write c "pair"\np: close 99\n')
        + 'p: accept door -> s\np: close 99\np: recv s 5 0 => "ahead"\n'
    )["steps"]  # fmt: skip
    c, y, m = (descriptor(steps[7], "p", name) for name in "cym")
    found = seen(steps[9], "p", "door")
    assert texts({"contents": found["ahead"]}) == ["ahead", "pair"] and {piece["from"] for piece in found["ahead"]} == {
        c["inode"]
    }
    assert (
        found["how"]["ahead"] == "derived"
        and "ahead" not in seen(steps[6], "p", "door")
        and "ahead" not in seen(steps[10], "p", "door")
    )
    if unix:
        assert [[one["inode"] for one in piece["carried"]] for piece in found["ahead"]] == [[m["inode"]], [y["inode"]]]
        assert found["in_flight"] == 2 and [one["inode"] for one in found["carried"]] == [m["inode"], y["inode"]]
        afloat = by_inode(steps[9], y["inode"])
        assert not afloat["held"] and afloat["flies_in"] == [found["inode"]] and afloat["how"]["flies_in"] == "derived"
        flies = by_inode(steps[10], y["inode"])
        assert (
            flies["flies_in"] == [descriptor(steps[10], "p", "s")["inode"]] and flies["how"]["flies_in"] == "observed"
        )
        assert [one["sender"] for one in seen(steps[10], "p", "s")["carried"]] == ["p", "p"]
    assert "".join(texts(seen(steps[11], "p", "s"))) == "aheadpair"


def test_what_a_call_still_uses_is_told_though_no_table_holds_it():
    steps = held(
        PASSING + "p: thread -> t\n"
        "t: read b 9 => blocks\n"
        "p: close b\n"
        'p: write a "late"\n'
        't: (read returns) => "late"\n'
        "p: close 99\n"
    )["steps"]
    inode = descriptor(steps[2], "p", "b")["inode"]
    found = by_inode(steps[3], inode)
    assert not found["held"] and found["used_by"] == ["t"] and found["flies_in"] == []
    assert by_inode(steps[-1], inode) is None


def test_what_was_sent_is_what_stood_in_the_control_data():
    steps = held(
        "p: socketpair AF_UNIX SOCK_SEQPACKET 0 -> a b\n"
        + 'p: memfd_create "x" 0 -> x\np: memfd_create "y" 0 -> y\n'
        'p: sendmsg a iov=["none"] fds=[x] control=0 => 4\n'
        'p: sendmsg a iov=["one"] fds=[x, y] cmsg_len=20 => 3\n'
        'p: sendmsg a iov=["padding"] fds=[x] cmsg_len=24 => 7\n'
        'p: sendmsg a iov=["raw wins"] fds=[x] raw=x"180000000000000001000000010000000600000005000000" => 8\n'
        'p: sendmsg a iov=["shorter"] fds=[x, y] raw=x"140000000000000001000000010000000600000005000000" '
        "control=20 => 7\n"
        'p: sendmsg a iov=["empty"] fds=[x] cmsg_len=16 => 5\n'
        'p: sendmsg a iov=["both"] creds=[p UID GID] fds=[y] => 4\n'
        'p: sendmsg a iov=["two"] '
        'raw=x"1400000000000000010000000100000005000000000000001400000000000000010000000100000006000000" '
        "=> 3\n".replace("UID", str(account().pw_uid)).replace("GID", str(account().pw_gid))
    )["steps"]
    found = seen(steps[-1], "p", "b")
    assert [[one["number"] for one in piece["carried"]] for piece in found["contents"]] == [
        [],
        [5],
        [5, 0],
        [6, 5],
        [6],
        [],
        [6],
        [5, 6],
    ]
    for step in steps:
        found = seen(step, "p", "b")
        assert sum(len(piece["carried"]) for piece in found["contents"]) == len(found["carried"]) == found["in_flight"]
        assert all(one["sender"] == "p" for one in found["carried"])


def test_a_descriptor_that_no_table_of_the_run_has_is_the_same_fact_of_its_message_and_of_its_queue():
    step = held(
        "p: socketpair AF_UNIX SOCK_SEQPACKET 0 -> a b\n" + 'p: memfd_create "x" 0 -> x\n'
        'p: sendmsg a iov=["padding"] fds=[x] cmsg_len=24 => 7\n'  # the padding is descriptor 0
        'p: send a "" 0 => 0\np: close 99 => EBADF\n'  # a message without a byte is seen once
    )["steps"][-1]
    found = seen(step, "p", "b")
    assert [piece["carried"] for piece in found["contents"]] == [found["carried"], []]
    assert [one["kind"] for one in found["carried"]] == ["memfd", "character device"]


def test_a_hidden_number_that_only_the_padding_completes_is_refused():
    run = played(PASSING + 'p: sendmsg a iov=["x"] raw=x"14000000000000000100000001000000c8" control=20\n')
    assert run["verdict"] == "refused" and "the stage's own" in run["reason"]


def test_other_families_pass_no_descriptor():
    steps = held(
        "p: socket AF_INET SOCK_DGRAM 0 -> d\n"
        'p: bind d "127.0.0.1:0"\n'
        "p: socket AF_INET SOCK_DGRAM 0 -> e\n"
        'p: connect e "127.0.0.1:0"\n'
        'p: sendmsg e iov=["x"] fds=[d] => 1\np: poll d POLLIN 1000 => 1\n'
    )["steps"]
    assert all(not piece.get("carried") for piece in seen(steps[-1], "p", "d")["contents"])


def test_looking_at_what_is_in_flight_takes_and_leaves_nothing():
    """Every step is a look; a look that left a duplicate would withhold the end of the pipe, and one that took would
    leave nothing to receive."""
    held(
        PASSING + "p: setsockopt b SOL_SOCKET SO_PASSCRED 1\n"
        "p: setsockopt b SOL_SOCKET SO_PASSPIDFD 1\n"
        "p: setsockopt b SOL_SOCKET SO_PEEK_OFF 0\n"
        "p: pipe -> r w\n"
        'p: sendmsg a iov=["ab"] fds=[w]\n'
        "p: close w\n"
        'p: recv b 1 MSG_PEEK => "a"\n'
        'p: recv b 1 MSG_PEEK => "b"\n'
        "p: poll r POLLIN 0 => 0\n"
        "p: close b\n"
        "p: poll r POLLIN 100 => 1 revents=POLLHUP\n"
    )


# ---- packets of a pipe, and bytes out of band


def test_two_eventfds_are_two_objects_with_a_count_each():
    step = held("p: eventfd 3 0 -> e\np: eventfd 5 0 -> f\np: fork -> q\n")["steps"][-1]
    counts = {tuple(found["descriptions"]): found["count"] for found in step["after"]["objects"]}
    assert counts == {(descriptor(step, "q", name)["description"],): count for name, count in (("e", 3), ("f", 5))}


def test_a_pipe_of_packets_has_borders():
    steps = held(
        "p: pipe2 O_DIRECT -> r w\n"
        'p: write w "ab"\n'
        'p: write w "cd"\n'
        'p: write w "x" * 5000\n'
        'p: read r 16 => "ab"\n'
        'p: read r 1 => "c"\n'
        "p: read r 8K\n"
        "p: read r 8K\n"
    )["steps"]
    looks = [sizes(seen(step, "p", "r")) for step in steps]
    assert looks[1:] == [[2], [2, 2], [2, 2, 4096, 904], [2, 4096, 904], [4096, 904], [904], []]
    assert all(seen(step, "p", "r")["borders"] for step in steps)


def test_the_borders_of_a_pipe_are_those_that_its_reader_meets():
    """A write of packets may come behind one of bytes, or before it; the kernel joins what it can."""
    steps = held(
        "p: pipe -> r w\n"
        'p: write w "ab"\n'
        "p: fcntl w F_SETFL O_DIRECT\n"
        'p: write w "cd"\n'
        'p: write w "ef"\n'
        "p: fcntl w F_SETFL 0\n"
        'p: write w "gh"\n'
        "p: close w\n"
        "p: fork -> q\nq: close 99\np: read r 16\np: read r 16\np: read r 16\n"
    )["steps"]
    assert not seen(steps[1], "p", "r")["borders"] and seen(steps[4], "p", "r")["borders"]
    waits = texts(seen(steps[9], "p", "r"))
    assert (
        waits == [base64.b64decode(step["result"]["data"]).decode() for step in steps[10:]][: len(waits)]
        and "".join(waits) == "abcdefgh"
    )


def test_one_packet_is_known_from_bytes_though_its_writer_is_gone():
    for flags, packets in (("O_DIRECT", True), ("0", False)):
        steps = held(f'p: pipe2 {flags} -> r w\np: write w "abc"\np: close w\n')["steps"]
        assert seen(steps[-1], "p", "r")["borders"] is packets


@pytest.mark.parametrize("kind", ["AF_UNIX", "AF_INET"])
def test_a_byte_out_of_band_is_shown_at_its_place_and_marked(kind):
    pair = PASSING if kind == "AF_UNIX" else (
        'p: socket AF_INET SOCK_STREAM 0 -> door\n'
            'p: bind door "127.0.0.1:0"\n'
            'p: listen door 1\n'
            'p: socket AF_INET SOCK_STREAM 0 -> a\n'
            'p: connect a "127.0.0.1:0"\n'
            'p: accept door -> b\n'
    )  # fmt: skip
    wait = "p: poll b POLLIN|POLLPRI 1000\n"
    steps = held(
        pair + 'p: send a "ab!" MSG_OOB\n'
        f'{wait}p: send a "cd" 0\n'
        "p: poll b POLLIN 50\n"
        'p: recv b 16 0 => "ab"\n'
        'p: recv b 1 MSG_OOB|MSG_PEEK => "!"\n'
        'p: recv b 1 MSG_OOB => "!"\n'
        'p: recv b 16 0 => "cd"\n'
    )["steps"][-8:]
    looks = [
        [
            (text, piece.get("oob", False))
            for text, piece in zip(texts(seen(step, "p", "b")), seen(step, "p", "b")["contents"])
        ]
        for step in steps
    ]
    assert looks[1] == [("ab", False), ("!", True)]
    assert looks[3] == [("ab", False), ("!", True), ("cd", False)]
    assert looks[4] == looks[5] == [("!", True), ("cd", False)]
    assert looks[7] == []
    assert seen(steps[-1], "p", "b")["how"]["contents"] == "observed"


TCP = (
    "p: socket AF_INET SOCK_STREAM 0 -> door\n"
    'p: bind door "127.0.0.1:0"\n'
    "p: listen door 1\n"
    "p: socket AF_INET SOCK_STREAM 0 -> a\n"
    'p: connect a "127.0.0.1:0"\n'
    "p: accept door -> b\n"
)


@pytest.mark.parametrize("pair", [PASSING, TCP], ids=["AF_UNIX", "AF_INET"])
def test_what_stands_behind_a_byte_that_was_out_of_band_is_shown(pair):
    send = 'p: send a "ab!" MSG_OOB\np: send a "cd" 0\np: poll b POLLIN 1000\np: recv b 9 MSG_PEEK\n'
    taken = held(pair + send + 'p: recv b 1 MSG_OOB => "!"\n')["steps"][-1]
    assert "".join(texts(seen(taken, "p", "b"))) == "abcd" and not any(
        piece.get("oob") for piece in seen(taken, "p", "b")["contents"]
    )
    in_line = held(pair + "p: setsockopt b SOL_SOCKET SO_OOBINLINE 1\n" + send)["steps"][-1]
    assert "".join(texts(seen(in_line, "p", "b"))) == "ab!cd"


def test_a_byte_out_of_band_is_found_among_its_like():
    for sent, waits in (
        ('send a "xxx" MSG_OOB', [(2, False), (1, True)]),
        ('send a "x" MSG_OOB\np: send a "xxx" 0', [(1, True), (3, False)]),
    ):
        found = seen(held(PASSING + f"p: {sent}\n")["steps"][-1], "p", "b")
        assert [(piece["bytes"], piece.get("oob", False)) for piece in found["contents"]] == waits
    step = held(
        PASSING
        + 'p: sendmsg a iov=["x"] fds=[a]\np: sendmsg a iov=["xx"] fds=[b]\np: send a "xx" MSG_OOB\np: send a "x" 0\n'
    )["steps"][-1]
    assert [(piece["bytes"], piece.get("oob", False)) for piece in seen(step, "p", "b")["contents"]] == [
        (4, False),
        (1, True),
        (1, False),
    ]


def test_a_lone_byte_out_of_band_is_shown_until_it_is_passed_over():
    steps = held(PASSING + 'p: send a "!" MSG_OOB\np: recv b 16 MSG_DONTWAIT => EAGAIN\n')["steps"]
    assert seen(steps[1], "p", "b")["contents"] == [{"bytes": 1, "data": base64.b64encode(b"!").decode(), "oob": True}]
    left = seen(steps[2], "p", "b")
    assert left["contents"] == [] and (left["queued"] == 0 or "passed over" in left["why"])
