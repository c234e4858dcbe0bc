"""Namespaces of one's own, in real processes: what they keep apart, what they leave, and where there are none."""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.sandbox import namespaces
from tests.confinement import AS_ROOT, ROOT, USER

pytestmark = pytest.mark.process

INSIDE = """
import ctypes, json, os, socket, sys
from pairscope.sandbox import namespaces

def told(do):
    try:
        return do()
    except OSError as error:
        return error.strerror

def status(name):
    return next(line.split()[1:] for line in open("/proc/self/status") if line.startswith(name + ":"))

uid, gid, port, name, shm = json.loads(sys.argv[1])
if os.geteuid() != uid:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
if len(sys.argv) > 2:
    # A user namespace whose own bound is none at all: user_namespaces(7), /proc/sys/user.
    namespaces._unshare(0x10000000)
    namespaces._map(uid, gid)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
before = os.readlink("/proc/self/ns/net")
try:
    got, why = namespaces.enter(), ""
except namespaces.Unavailable as error:
    got, why = [], str(error)
libc = ctypes.CDLL(None, use_errno=True)
mine = socket.socket()
mine.bind(("127.0.0.1", 0))
mine.listen()
print(json.dumps({
    "got": got,
    "why": why,
    "moved": os.readlink("/proc/self/ns/net") != before,
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid()],
    "capabilities": [status("Cap" + which) for which in ("Prm", "Eff", "Inh", "Amb", "Bnd")],
    "own loopback": told(lambda: socket.create_connection(mine.getsockname()) and "reached"),
    "a port of others": told(lambda: socket.create_connection(("127.0.0.1", port)) and "reached"),
    "an abstract name of others": told(lambda: socket.socket(socket.AF_UNIX).connect("\\0" + name) or "reached"),
    "their shared memory": libc.shmat(shm, None, 0) != -1,
    "another network": not libc.unshare(0x40000000),
}), flush=True)
sys.stdin.read()
"""


class Inside:
    """A process in namespaces of its own, which waits to be ended."""

    def __init__(self, user: str, port: int, name: str, shm: int, *more: str) -> None:
        account = pwd.getpwnam(user) if user else None
        ids = (account.pw_uid, account.pw_gid) if account else (os.getuid(), os.getgid())
        self.uid = ids[0]
        self.process = subprocess.Popen(
            [sys.executable, "-c", INSIDE, json.dumps([*ids, port, name, shm]), *more],
            env={**os.environ, "PYTHONPATH": str(ROOT / "app")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def others() -> Iterator[tuple[int, str, int]]:
    """A port, an abstract name and a piece of System V shared memory that are not the process's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    shm = libc.shmget(0, 4096, 0o1666)  # IPC_PRIVATE, IPC_CREAT
    assert shm >= 0
    name = f"others-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        yield server.getsockname()[1], name, shm
    libc.shmctl(shm, 0, None)  # IPC_RMID


@pytest.fixture(scope="module")
def ordinary(others: tuple[int, str, int]) -> Iterator[Inside]:
    inside = Inside(USER, *others)
    if inside.told.get("why"):
        inside.end()
        pytest.skip(f"this machine gives an ordinary user no namespaces: {inside.told['why']}")
    yield inside
    inside.end()


def test_an_ordinary_user_reaches_nobody_outside_and_himself_as_before(ordinary: Inside) -> None:
    told = ordinary.told
    assert told["got"] == [namespaces.USER, namespaces.NETWORK, namespaces.IPC] and told["moved"]
    assert told["own loopback"] == "reached"
    assert told["a port of others"] == told["an abstract name of others"] == "Connection refused"
    assert not told["their shared memory"]


def test_the_same_without_namespaces_reaches_all_of_them(others: tuple[int, str, int]) -> None:
    inside = Inside(USER, *others, "none to be had")
    inside.end()
    told = inside.told
    assert told["a port of others"] == told["an abstract name of others"] == "reached" and told["their shared memory"]


def test_ids_are_those_of_before_and_no_capability_is_left(ordinary: Inside) -> None:
    assert set(ordinary.told["ids"][:2]) == {ordinary.uid}
    assert {int(word, 16) for (word,) in ordinary.told["capabilities"]} == {0}
    assert not ordinary.told["another network"]


def test_who_may_make_none_is_told_why_and_stays_where_he_was(others: tuple[int, str, int]) -> None:
    inside = Inside(USER, *others, "none to be had")
    inside.end()
    assert inside.told["got"] == [] and not inside.told["moved"]
    assert "an ordinary user may not make a user namespace here: No space left on device" in inside.told["why"]


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_root_gets_a_network_without_a_user_namespace(others: tuple[int, str, int]) -> None:
    inside = Inside("", *others)
    inside.end()
    told = inside.told
    assert told["got"] == [namespaces.NETWORK, namespaces.IPC] and told["moved"]
    assert told["own loopback"] == "reached" and not told["their shared memory"]
    assert told["a port of others"] == told["an abstract name of others"] == "Connection refused"


def test_kcmp_from_outside_still_proves_what_a_descriptor_refers_to(ordinary: Inside) -> None:
    """ptrace(2), "Ptrace access mode checking": who made a user namespace has every right over it."""
    asking = "import ctypes, sys; print(ctypes.CDLL(None).syscall({}, *map(int, sys.argv[1:]), 0, 0, 0))"
    number = {"x86_64": 312, "aarch64": 272}[os.uname().machine]
    account = pwd.getpwnam(USER) if USER else None
    answer = subprocess.run(
        [sys.executable, "-c", asking.format(number), str(ordinary.process.pid), str(ordinary.process.pid)],
        capture_output=True,
        text=True,
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=[] if account else None,
        cwd=Path("/"),
    )
    assert answer.stdout.strip() == "0", answer
