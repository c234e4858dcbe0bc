"""A recording as a scenario: run in the lab it gives what was recorded. docs/recorder.md, "As a scenario"."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab import exports, gallery
from pairscope.lab.exports.lines import result_lines
from pairscope.lab.language import format as written
from pairscope.lab.language import parse
from pairscope.lab.stage import manager
from pairscope.trace.file import Recording
from pairscope.trace.scenario import Made, NoScenario, scenario
from tests import traced
from tests.test_lab_exports import COMPILE, account
from tests.traced import APP, Run, compiled, process

programs = traced.programs

IN_CI = {"parent-and-child", "nginx-channel"}
"""The others run with --long."""
UNSEEN = ("open", "lseek", "signal", "ioctl", "isatty", "fcntl", "thread")
"""Calls of the gallery that a recording has not, or that are the lab's own."""
ONE_NAME = {"waitpid": "wait", "pipe": "pipe2"}
HIDDEN = {
    "errors": {"p1 read = -1 EBADF", "p1 send = -1 ENOTSOCK"},
    "two-threads": {"p2 read = -1 EBADF"},
    "a-file-handed-over": {"p1 write = 10", 'p1 read = 4 "4567"', 'p1 read = 2 "89"'},
}
"""Steps of the gallery that no recording has: on numbers that lead to nothing, or to a file that nobody has passed or
received there."""
EACH = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.long]) for name in gallery.names()]


def made_of(run: Run, name: str = "of.rec") -> tuple[Made, Any]:
    """The scenario of a recording, and its run."""
    with Recording(str(run.path)) as recording:
        found = scenario(recording, name)
    assert written(parse(found.text)) == found.text
    return found, manager.run(parse(found.text))


def exported(programs: Path, name: str, kept: int) -> Run:
    """A scenario of the gallery as its program in C, recorded."""
    binary = programs / name
    if not binary.exists():
        source = programs / f"{name}.c"
        text = exports.c(parse(gallery.text(name))).replace('"/tmp/lab.XXXXXX"', f'"{programs}/lab.XXXXXX"')
        source.write_text(text)
        subprocess.run([*COMPILE, "-o", binary, source], check=True)
    become: dict[str, Any] = (
        {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    )
    path = programs / f"{name}.{kept}.rec"
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "record", "-o", path, "--bytes", str(kept), "--", binary],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60, **become,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Run(done, path)


def told(run: Any, text: str, first: int = 0) -> list[str]:
    """What its steps gave, without their numbers; actors are counted as they come."""
    names = {name: f"p{place}" for place, name in enumerate(dict.fromkeys(births(text)), first)}
    found = []
    for line in result_lines(run):
        _, actor, rest = line.split(" ", 2)
        call, _, rest = rest.partition(" ")
        for name, place in names.items():
            rest = re.sub(rf'(?<![\w"]){name}(?![\w"])', place, rest)
        found.append(f"{names[actor]} {ONE_NAME.get(call, call)} {rest}")
    return found


def births(text: str) -> Iterator[str]:
    """The actors in the order in which they come."""
    for step in parse(text).steps:
        yield step.actor
        if step.call in ("fork", "thread"):
            yield from step.binds


def passages(run: Any, text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Each descriptor that was sent and that came: which process, as which number."""
    place = {name: at for at, name in enumerate(dict.fromkeys(births(text)), 1)}
    sent, came = [], []
    for step in run.steps:
        if step.result is None or step.result.errno or step.result.blocked:
            continue
        parts = step.result.message.parts if step.result.message else []
        if step.call == "sendmsg" and not step.returned:
            sent += [(place[step.actor], one) for part in parts for one in part.fds or ()]
        if step.call == "recvmsg":
            came += [(place[step.actor], one) for one in step.result.fds or ()]
    return sent, came


def held(run: Any, text: str) -> str:
    """Why it has not held; empty: it has."""
    wrong = [f"{step.actor} {step.call}: {step.reason}" for step in run.steps if step.verdict == "failed"]
    return "" if run.verdict == "held" else "\n".join([run.verdict, *wrong, text])


@process
@compiled
@pytest.mark.parametrize("kept", [4096, 0])
@pytest.mark.parametrize("name", EACH)
def test_a_scenario_of_the_gallery_comes_back_from_a_recording_of_its_program(
    programs: Path, name: str, kept: int
) -> None:
    recorded = exported(programs, name, kept)
    found, run = made_of(recorded)
    assert not held(run, found.text)
    index = recorded.index
    came = sorted((one for one in index.passages if one.end in ("received", "peeked")), key=lambda one: one.received_at)
    sent = [(one.sender, one.sent_as) for one in sorted(index.passages, key=lambda one: one.sent_at)]
    run_sent, run_came = passages(run, found.text)
    assert run_came == [(one.receiver, one.received_as) for one in came]
    assert sorted(set(run_sent)) == sorted(set(sent)) and len(run_sent) == index.counts.sent
    if kept:
        own = told(manager.run(parse(gallery.text(name))), gallery.text(name), 1)
        expected = [line for line in own if line.split(" ")[1] not in UNSEEN and line not in HIDDEN.get(name, ())]
        lines = iter(told(run, found.text))
        assert not [line for line in expected if line not in lines], found.text  # all of them, in order


COLLECTION = APP / "pairscope/program/collection"
SAMPLES_IN_CI = {"05-passed-descriptor.py", "17-deadlock.c"}
SAMPLES = [
    pytest.param(path, id=path.name, marks=[] if path.name in SAMPLES_IN_CI else [pytest.mark.long])
    for path in sorted(COLLECTION.glob("[0-9]*.*"))
    if path.suffix in (".c", ".py")
]
HANDLE = """
import multiprocessing, socket
from multiprocessing import reduction

def serve(channel):
    with socket.socket(fileno=reduction.recv_handle(channel)) as handed:
        handed.sendall(b"by the child")

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    here, there = multiprocessing.Pipe()
    child = multiprocessing.Process(target=serve, args=(there,))
    child.start()
    mine, its = socket.socketpair()
    with its:
        reduction.send_handle(here, its.fileno(), child.pid)
    print(mine.recv(100).decode(), flush=True)
    child.join()
"""
NOISE = """
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int ends[2], status;
    char text[64];
    setvbuf(stdout, NULL, _IONBF, 0);
    if (pipe(ends) < 0)
        return 1;
    printf("parent\\n");
    if (!fork()) {
        close(ends[0]);
        printf("child\\n");
        dprintf(ends[1], "%d lines", 3);
        return 4;
    }
    close(ends[1]);
    printf("%d bytes\\n", (int)read(ends[0], text, sizeof(text)));
    wait(&status);
    printf("%d\\n", WEXITSTATUS(status));
    return 0;
}
"""


def sampled(programs: Path, path: Path) -> Run:
    """A program by its source, recorded."""
    if path.suffix == ".py":
        return traced.recorded(programs, os.path.realpath(sys.executable), str(path), options=("--bytes", "256"))
    binary = programs / path.stem
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-pthread", "-o", binary, path], check=True)
    return traced.recorded(programs, str(binary), options=("--bytes", "256"))


@process
@compiled
@pytest.mark.parametrize("path", SAMPLES)
def test_a_classic_program_comes_back_as_a_scenario_that_holds(programs: Path, path: Path) -> None:
    recorded = sampled(programs, path)
    found, run = made_of(recorded)
    assert not held(run, found.text)
    sent, came = passages(run, found.text)
    counts = recorded.index.counts
    assert (len(sent), len(came)) == (counts.sent, counts.received + counts.peeked)


@process
@compiled
def test_what_a_program_prints_is_left_out_and_named_and_the_rest_holds(programs: Path, tmp_path: Path) -> None:
    source = tmp_path / "noise.c"
    source.write_text(NOISE)
    found, run = made_of(sampled(programs, source))
    assert not held(run, found.text)
    outside = r"# Left out: \d+ write: on descriptors that were not made here, such as standard output"
    assert re.search(outside, found.text)
    assert '"3 lines"' in found.text and "status=4" in found.text


@process
def test_a_handle_that_multiprocessing_sends_is_sent_in_the_scenario(programs: Path, tmp_path: Path) -> None:
    source = tmp_path / "handle.py"
    source.write_text(HANDLE)
    recorded = sampled(programs, source)
    assert recorded.index.counts.received == 1
    found, run = made_of(recorded)
    assert not held(run, found.text)
    sent, came = passages(run, found.text)
    assert len(sent) == len(came) == 1 and '"by the child"' in found.text


@process
@compiled
def test_the_command_writes_a_scenario_and_says_why_there_is_none(programs: Path, tmp_path: Path) -> None:
    recorded = exported(programs, "one-process", 16)
    told_so = traced.pairscope("--scenario", str(recorded.path))
    assert told_so.returncode == 0 and not held(manager.run(parse(told_so.stdout)), told_so.stdout)
    assert "# From the recording one-process.16.rec of: " in told_so.stdout
    assert "dup2: on descriptors that were not made here, such as standard output" in told_so.stdout
    written_to = tmp_path / "made"
    said = traced.pairscope("--scenario", str(recorded.path), "-o", str(written_to))
    assert said.returncode == 0 and written_to.read_text() == told_so.stdout and str(written_to) in said.stderr
    assert written_to.stat().st_mode & 0o777 == 0o600
    for words, why in (
        (("--from", "900"), "the recording has steps 1 to"),
        (("-p", "1"), "--scenario reads a recording"),
    ):
        refused = traced.pairscope("--scenario", str(recorded.path), *words)
        assert refused.returncode and why in refused.stderr and "Traceback" not in refused.stderr, refused.stderr
    alone = traced.pairscope("--from", "3", "--", "true")
    assert alone.returncode == 2 and "--scenario FILE is missing" in alone.stderr


@process
@compiled
def test_a_stretch_begins_where_what_it_touches_is_made(programs: Path) -> None:
    recorded = exported(programs, "nginx-channel", 4096)
    first = next(one.sent_at for one in recorded.index.passages)
    with Recording(str(recorded.path)) as recording:
        found = scenario(recording, "of.rec", first, first + 12)
        calls = [step.call for step in recording.all()]
        begun = calls.index("socketpair") + 1
        assert f"# Steps {begun} to {first + 12} of " in found.text
        assert f"# It begins before step {first}: there is made what these steps touch." in found.text
        assert "kill" not in found.text and "recvmsg" in found.text
        assert not held(manager.run(parse(found.text)), found.text)
        with pytest.raises(NoScenario, match="was made before the recording began"):
            at = calls.index("write") + 1  # what the program's own first process prints
            scenario(recording, "of.rec", at, at)


POLLING = """
import socket, sys
mine, other = socket.socketpair()
mine.setblocking(False)  # which Python does by ioctl(2), so no recording has it
for attempt in range(3):
    try:
        mine.recv(100)
    except BlockingIOError:
        pass
other.send(b"at last")
print(mine.recv(100).decode())
"""


@process
def test_a_socket_that_was_made_not_to_wait_out_of_sight_does_not_wait_in_the_scenario(
    programs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "polling.py"
    source.write_text(POLLING)
    found, run = made_of(sampled(programs, source))
    assert not held(run, found.text)
    assert "F_SETFL O_NONBLOCK" in found.text and "=> EAGAIN  # 3 times" in found.text


ENDED = """
import os, signal, socket
mine, other = socket.socketpair()
if os.fork() == 0:
    mine.close()
    other.recv(1)
    os._exit(0)
other.close()
signal.setitimer(signal.ITIMER_REAL, 0.3)
mine.recv(1)
"""


@process
def test_who_is_ended_by_a_signal_of_nobody_here_is_ended_in_the_scenario_though_all_others_wait(
    programs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "ended.py"
    source.write_text(ENDED)
    found, run = made_of(sampled(programs, source))
    assert not held(run, found.text)
    assert "kill python SIGALRM" in found.text and "# ended from outside" in found.text


LEFT = ENDED.replace("signal.setitimer", "signal.signal(signal.SIGALRM, lambda *_: os._exit(3))\nsignal.setitimer")


@process
def test_who_leaves_out_of_a_call_that_a_signal_interrupted_leaves_by_its_own_exit(
    programs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "left.py"
    source.write_text(LEFT)
    found, run = made_of(sampled(programs, source))
    assert not held(run, found.text)
    assert "python:  exit 3" in found.text and "kill" not in found.text
