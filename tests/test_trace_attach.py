"""The recorder of real programs, of one that runs already: docs/recorder.md, "A program that runs already"."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import traced
from tests.conftest import PLACES
from tests.eventually import eventually
from tests.traced import (
    APP,
    AS_NOBODY,
    NGINX,
    REFUSING,
    USERS,
    Run,
    answer,
    compiled,
    pairscope,
    process,
)

programs = traced.programs

TALKS = """
import os, select, signal, socket, sys, threading
here, there = socket.socketpair()
old = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
old.bind(b"\\0passed-here-%d" % os.getpid())
if not os.fork():
    here.close()
    while fds := socket.recv_fds(there, 8, 1)[1]:
        there.send(os.pread(fds[0], 8, 0))
        os.close(fds[0])
    os._exit(0)
there.close()
signal.signal(signal.SIGHUP, lambda *_: print("hup", flush=True))
quiet, waits = os.pipe()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])  # of the thread: Python's handlers run in the first one
threading.Thread(target=os.read, args=(quiet, 1)).start()
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
polled = select.epoll()
polled.register(0, select.EPOLLIN)
print("ready", flush=True)
while polled.poll():
    word = os.read(0, 8)
    if not word:
        break
    fd = os.memfd_create("word")
    os.write(fd, word)
    socket.send_fds(here, [b"."], [fd])
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg(
        [b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fd.to_bytes(4, "little"))], 0, old.getsockname())
    os.close(fd)
    os.close(socket.recv_fds(old, 8, 1)[1][0])
    print(here.recv(8).decode().strip(), flush=True)
os.close(waits)
here.close()
print("child", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


class Talker:
    """A program that passes what one writes to it: to its child and to itself."""

    def __init__(self, user: str) -> None:
        before = AS_NOBODY if user == "ordinary" and os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", TALKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.heard() == "ready"
        self.pid = self.process.pid

    def heard(self) -> str:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 30)[0], "it says nothing"
        return self.process.stdout.readline().strip()

    def is_silent(self) -> bool:
        """Whether it says nothing for as long as an answer takes many times over."""
        assert self.process.stdout is not None
        return not select.select([self.process.stdout], [], [], 0.3)[0]

    def told(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")

    def passes(self, word: str) -> bool:
        self.told(word)
        return self.heard() == word

    def ends(self) -> str:
        out, _ = self.process.communicate(timeout=20)
        return out.strip() if self.process.returncode == 0 else f"status {self.process.returncode}"


@contextlib.contextmanager
def talker(user: str = "root") -> Iterator[Talker]:
    made = Talker(user)
    try:
        yield made
    finally:
        for pid in [made.pid, *traced.children(made.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        made.process.communicate()


@contextlib.contextmanager
def attached(path: Path, pid: int, *options: str, user: str = "root") -> Iterator[subprocess.Popen[str]]:
    """A recorder that follows a process, and all its tasks."""
    before = AS_NOBODY if user == "ordinary" and os.geteuid() == 0 else []
    path.unlink(missing_ok=True)
    with subprocess.Popen(
        [*before, sys.executable, "-m", "pairscope", "record", "-o", str(path), *options, "-p", str(pid)],
        env={**os.environ, "PYTHONPATH": str(APP)}, stderr=subprocess.PIPE, text=True,
    ) as recorder:  # fmt: skip
        try:
            assert recorder.stderr is not None
            assert f"process {pid} is followed with its descendants" in recorder.stderr.readline()
            yield recorder
        finally:
            recorder.kill()


def said(recorder: subprocess.Popen[str]) -> str:
    assert recorder.stderr is not None
    return recorder.stderr.read()


def untraced(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/status").read_text().count("TracerPid:\t0") == 0 for pid in pids)


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_a_running_program_is_followed_with_its_child_and_its_threads_and_lives_on(programs: Path, user: str) -> None:
    with talker(user) as program:
        assert program.passes("before")
        (child,) = traced.children(program.pid)
        with attached(programs / "of.rec", program.pid, user=user) as recorder:
            assert program.passes("one") and program.passes("two")
            recorder.send_signal(signal.SIGINT)
            assert "descriptors sent 4, received 4, proved 4" in (words := said(recorder)), words
            assert "2 processes run on, and are not followed any more" in words and recorder.wait(20) == 130
        assert program.passes("after") and untraced([program.pid, child])
        assert program.ends() == "child 0"
    run = Run(subprocess.CompletedProcess((), 0), programs / "of.rec")
    told = {(one["from"]["process"], one["to"]["process"], one["end"]) for one in run.passages()}
    names = [one.name for one in run.index.processes]
    assert told == {(names[0], names[1], "received"), (names[0], names[0], "received")}
    assert pairscope("--transcript", str(run.path)).stdout.count(" --- attached ---\n") == 2
    first = [step for step in run.steps() if step.call == "attached"]
    assert [step.process for step in first] == [1, 2] and all(step.changed.tables for step in first)


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_it_lives_on_when_its_recorder_is_killed(programs: Path, user: str) -> None:
    with talker(user) as program:
        pids = [program.pid, *traced.children(program.pid)]
        with attached(programs / "of.rec", program.pid, user=user) as recorder:
            assert program.passes("one")
            recorder.kill()
            recorder.wait()
        eventually(lambda: untraced(pids), "nobody traces them")
        assert program.passes("two") and program.ends() == "child 0"


@process
@compiled
def test_it_lives_on_at_a_bound_and_its_signals_reach_it(programs: Path) -> None:
    with talker() as program:
        with attached(programs / "of.rec", program.pid, "--steps", "12") as recorder:
            os.kill(program.pid, signal.SIGHUP)
            assert program.heard() == "hup" and program.passes("one") and program.passes("two")
            assert "the bound of 12 steps is reached" in said(recorder) and recorder.wait(20) == 0
        os.kill(program.pid, signal.SIGHUP)
        assert program.heard() == "hup" and program.passes("three") and program.ends() == "child 0"


@process
@compiled
def test_one_that_ends_while_it_is_followed_ends_the_recording(programs: Path) -> None:
    with talker() as program, attached(programs / "of.rec", program.pid) as recorder:
        assert program.passes("one") and program.ends() == "child 0"
        assert "the last process has ended" in said(recorder) and recorder.wait(20) == 0
    run = Run(subprocess.CompletedProcess((), 0), programs / "of.rec")
    assert [one.status for one in run.index.processes] == [0, 0]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@process
@compiled
def test_one_that_was_stopped_stays_stopped_and_can_be_continued(programs: Path) -> None:
    with talker() as program:
        os.kill(program.pid, signal.SIGSTOP)
        eventually(lambda: state(program.pid) == "T", "it is stopped")
        with attached(programs / "of.rec", program.pid) as recorder:
            assert state(program.pid) == "t", "it does not go on"
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(20) == 130
        eventually(lambda: state(program.pid) == "T", "it is stopped still, by its signal")
        os.kill(program.pid, signal.SIGCONT)
        assert program.passes("one") and program.ends() == "child 0"


@process
@compiled
def test_one_that_was_stopped_goes_on_at_sigcont_while_it_is_followed_and_can_be_stopped_anew(programs: Path) -> None:
    """PTRACE_LISTEN: it stands still as any stopped process does, and neither runs on nor is held by its tracer."""
    with talker() as program:
        os.kill(program.pid, signal.SIGSTOP)
        eventually(lambda: state(program.pid) == "T", "it is stopped")
        with attached(programs / "of.rec", program.pid) as recorder:
            for word in ("one", "two"):
                program.told(word)
                assert program.is_silent(), "it is stopped"
                os.kill(program.pid, signal.SIGCONT)
                assert program.heard() == word
                os.kill(program.pid, signal.SIGSTOP)
                eventually(lambda: state(program.pid) == "t", "it is stopped again")
            os.kill(program.pid, signal.SIGCONT)
            assert program.passes("three")
            recorder.send_signal(signal.SIGINT)
            assert "descriptors sent 6, received 6, proved 6" in (words := said(recorder)), words
        assert program.passes("after") and program.ends() == "child 0"


@process
@pytest.mark.needs("nginx")
def test_nginx_serves_and_reloads_on_after_its_recorder_was_killed(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(NGINX.format(at=tmp_path, user="" if os.geteuid() else "user root;"))
    nginx = shutil.which("nginx", os.F_OK, PLACES)
    with subprocess.Popen([str(nginx), "-p", tmp_path, "-c", tmp_path / "conf", "-g", "daemon off;"]) as master:
        try:
            eventually(lambda: answer(tmp_path), "nginx answers")
            eventually(lambda: len(traced.children(master.pid)) == 2, "two workers are there")
            for ended in "killed", "asked":
                old = traced.children(master.pid)
                with attached(tmp_path / "of.rec", master.pid) as recorder:
                    master.send_signal(signal.SIGHUP)
                    eventually(lambda: answer(tmp_path) not in old, "another worker answers", timeout=30)
                    if ended == "asked":
                        eventually(lambda: len(traced.children(master.pid)) == 2, "the old workers have ended", 30)
                        recorder.send_signal(signal.SIGINT)
                        words = said(recorder)
                        assert " received 0" not in words and "3 processes run on" in words, words
                    recorder.kill()
                eventually(lambda: len(traced.children(master.pid)) == 2, "the old workers have ended", timeout=30)
                assert answer(tmp_path) and untraced([master.pid, *traced.children(master.pid)])
            master.send_signal(signal.SIGQUIT)
            assert master.wait(20) == 0
        finally:
            for pid in [master.pid, *traced.children(master.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    shown = pairscope("--passages", str(tmp_path / "of.rec"), "--json")
    assert '"proof": ""' not in shown.stdout and '"proof": "both"' in shown.stdout


# ---- who cannot be followed


@process
def test_who_cannot_be_followed_is_told_why_and_an_older_recording_is_kept(programs: Path) -> None:
    path = programs / "kept.rec"
    path.write_bytes(b"an older one")
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid, words in (gone.pid, f"there is no process {gone.pid}"), (2, "it is a part of the kernel"):
        if Path(f"/proc/{pid}/exe").exists():
            continue  # in a container another one has this number
        done = pairscope("-o", str(path), "-p", str(pid))
        assert done.returncode == 1 and (words in done.stderr or "there is no process" in done.stderr), done.stderr
    assert path.read_bytes() == b"an older one"


@process
@compiled
def test_one_that_is_traced_already_names_its_tracer(programs: Path) -> None:
    with talker() as program, attached(programs / "of.rec", program.pid):
        done = pairscope("-o", str(programs / "other.rec"), "-p", str(program.pid))
        assert done.returncode == 1 and f"process {program.pid} is traced already, by process" in done.stderr
        assert program.passes("one") and not (programs / "other.rec").exists()


@process
@compiled
def test_a_thread_is_no_process(programs: Path) -> None:
    with talker() as program:
        thread = max(map(int, os.listdir(f"/proc/{program.pid}/task")))
        done = pairscope("-o", str(programs / "of.rec"), "-p", str(thread))
        assert f"{thread} is a thread of process {program.pid}; expected the process" in done.stderr


def as_if(scope: str | None, programs: Path, pid: int) -> str:
    """What an ordinary user is told whom the kernel refuses ptrace, where Yama says so."""
    place = programs / "ptrace_scope"
    place.write_text(scope or "")
    program = (
        "import sys\nfrom pairscope.trace import launch\nlaunch.SCOPE = sys.argv.pop(1)\n"
        "from pairscope.cli import main\nmain()"
    )
    before = AS_NOBODY if os.geteuid() == 0 else []
    (programs / "of.rec").unlink(missing_ok=True)
    done = subprocess.run(
        [*before, sys.executable, "-c", REFUSING, "ptrace", sys.executable, "-c", program,
         str(place) if scope else "/nowhere", "record", "-o", str(programs / "of.rec"), "-p", str(pid)],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stderr


@process
@compiled
def test_what_yama_a_container_and_another_user_forbid_is_told(programs: Path) -> None:
    with talker("ordinary") as program:
        assert "kernel.yama.ptrace_scope is 1: an ordinary user may follow only" in as_if("1\n", programs, program.pid)
        assert "kernel.yama.ptrace_scope is 2; expected 0 or 1" in as_if("2\n", programs, program.pid)
        assert "kernel.yama.ptrace_scope is 3; expected 0 or 1" in as_if("3\n", programs, program.pid)
        assert "(a container) does not allow ptrace" in as_if(None, programs, program.pid)
    if os.geteuid() == 0:
        assert f"process {os.getpid()} belongs to root; expected one of your own" in as_if("0", programs, os.getpid())


HIDES = "import ctypes, sys\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nprint('ready', flush=True)\nsys.stdin.read()"


@process
@compiled
def test_one_that_hides_itself_from_its_user_is_told_so(programs: Path) -> None:
    before = AS_NOBODY if os.geteuid() == 0 else []
    (programs / "of.rec").unlink(missing_ok=True)
    with subprocess.Popen(
        [*before, sys.executable, "-c", HIDES], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None and program.stdout.readline() == b"ready\n"
        done = pairscope("-o", str(programs / "of.rec"), "-p", str(program.pid), before=tuple(before))
        assert f"process {program.pid} hides itself from other processes of its user" in done.stderr
