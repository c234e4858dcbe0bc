"""Programs that the recorder must not fail at: bombs, namespaces, and ones that confine themselves."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import traced
from tests.traced import APP, AS_NOBODY, USERS, Run, bare, compiled, process, recorded

programs = traced.programs

MEMORY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
held = []
while True:
    try:
        held.append(bytearray(1 << 20))
    except MemoryError:
        held.append(None)
        del held[:100]
"""
DESCRIPTORS = """
import os, socket
held = []
while True:
    try:
        held += socket.socketpair()
    except OSError:
        socket.socketpair() if not held else held.clear()
"""
CHILDREN = """
import os
while True:
    if not os.fork():
        os._exit(0)
    os.wait()
"""


@process
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("program", "options", "said"), [
    (MEMORY, ("--seconds", "1"), "the bound of 1 seconds is reached"),
    (DESCRIPTORS, ("--steps", "3000"), "the bound of 3000 steps is reached"),
    (CHILDREN, (), "the bound of 64 processes is reached"),
], ids=["memory", "descriptors", "children"])  # fmt: skip
def test_a_bomb_is_ended_at_a_bound_with_a_sentence(
    programs: Path, program: str, options: tuple[str, ...], said: str, user: str
) -> None:
    run = recorded(programs, sys.executable, "-c", program, user=user, options=options)
    assert run.status == 0 and said in run.err and " still ran, and w" in run.err, run.err
    assert run.index.ended == said


MANY = """
import os, resource, socket
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
print("soft", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
here, there = socket.socketpair()
for _ in range(6):
    fds = [os.memfd_create("many") for _ in range(250)]
    socket.send_fds(here, [b"x"], fds)
    for fd in fds: os.close(fd)
print(sum(len(socket.recv_fds(there, 1, 250)[1]) for _ in range(6)))
"""


@process
def test_more_descriptors_in_flight_than_a_process_may_have_at_first_are_proved(programs: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096:
        pytest.skip("this user may have no more descriptors")
    before = ("prlimit", "--nofile=1024:4096")
    command = (sys.executable, "-c", MANY)
    done = traced.pairscope("-o", str(programs / "of.rec"), "--", *command, before=before)
    assert (done.stdout, done.returncode) == bare(*before, *command) == ("soft 1024\n1500\n", 0), done.stderr
    assert "descriptors sent 1500, received 1500, proved 1500" in done.stderr


@process
@compiled
@pytest.mark.needs("unshare")
@pytest.mark.parametrize("user", USERS)
def test_in_a_pid_namespace_passages_are_proved_too(programs: Path, user: str) -> None:
    spaces = ("unshare", "-p", "-f") if user == "root" else ("unshare", "-U", "-r", "-p", "-f")
    command = (*spaces, str(programs / "passing"))
    expected = bare(*(AS_NOBODY if user == "ordinary" and os.geteuid() == 0 else ()), *command)
    if expected[1]:
        pytest.skip("this machine lets nobody have namespaces")
    run = recorded(programs, *command, user=user)
    assert (run.out, run.status) == expected, run.err
    assert "descriptors sent 7, received 7, proved 7" in run.err


CONFINES = """
import errno, os, socket, sys, pyseccomp
refused = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
refused.add_rule(pyseccomp.ERRNO(errno.EXDEV), "memfd_create")
refused.load()
print("ready", flush=True)
sys.stdin.read()
try:
    os.memfd_create("never")
except OSError as error:
    print(error.strerror)
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [0])
print(len(socket.recv_fds(b, 1, 1)[1]))
"""


@process
@compiled
def test_what_a_programs_own_filter_refuses_stays_refused_and_is_seen_by_pid_alone(programs: Path) -> None:
    """A filter's RET_ERRNO goes before another one's RET_TRACE: seccomp(2)."""
    run = recorded(programs, sys.executable, "-c", CONFINES)
    assert run.out == f"ready\n{os.strerror(18)}\n1\n" and "proved 1" in run.err, run.err
    assert "memfd_create" not in {step.call for step in run.steps()}
    path = programs / "of.rec"
    with subprocess.Popen(
        [sys.executable, "-c", CONFINES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None and program.stdout is not None
        assert select.select([program.stdout], [], [], 30)[0] and program.stdout.readline() == "ready\n"
        with subprocess.Popen(
            [sys.executable, "-m", "pairscope", "record", "-o", str(path), "-p", str(program.pid)],
            env={**os.environ, "PYTHONPATH": str(APP)}, stderr=subprocess.PIPE, text=True,
        ) as recorder:  # fmt: skip
            try:
                assert recorder.stderr is not None and "is followed" in recorder.stderr.readline()
                program.stdin.close()
                assert program.stdout.read() == f"{os.strerror(18)}\n1\n"
                words = recorder.stderr.read()
                assert recorder.wait(30) == 0 and "proved 1" in words, words
            finally:
                recorder.kill()
                program.send_signal(signal.SIGKILL)
    steps = Run(subprocess.CompletedProcess((), 0), path).steps()
    assert [step.gave for step in steps if step.call == "memfd_create"] == [{"errno": "EXDEV"}]
