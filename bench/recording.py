"""The recorder of real programs beside the bare program and beside strace."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figures import Findings, Row, compare
from pairscope.trace.file import Recording
from pairscope.trace.followed import NAMES
from tests.eventually import eventually
from tests.traced import APP, NGINX, answer, tracees

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = atol(argv[2]);
	struct timespec from, to;
	struct stat status;
	char byte = 'x';
	int ends[2];

	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (long i = 0; i < count; i++)
		if (!strcmp(argv[1], "getppid"))
			syscall(SYS_getppid);
		else if (!strcmp(argv[1], "stat"))
			stat("/etc/passwd", &status);
		else
			send(ends[0], &byte, 1, 0), recv(ends[1], &byte, 1, 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("%ld\n", (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec);
	return 0;
}
"""
RECORD = [sys.executable, "-m", "pairscope", "record", "--seconds", "600", "--steps", "1000000", "--processes", "500"]
STRACE = ["strace", "-f", "-yy", "-o", "/dev/null"]
PAGE = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "data:text/html,<p>a page"]


class _Ran:
    """A program that has ended."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        began = time.monotonic()
        with subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(APP)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            self.out = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - began
        self.processor = used.ru_utime + used.ru_stime
        """Seconds of it and of all its descendants."""
        if process.returncode:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures in turn; state under `directory`, which is empty."""
    findings = Findings()
    if missing := [tool for tool in ("gcc", "strace") if not shutil.which(tool)]:
        row = Row("record", "calls", "us", "lower", "strace", left_out=f"not installed: {', '.join(missing)}")
        return Findings(rows=[row])
    program = directory / "program"
    subprocess.run(["gcc", "-O2", "-xc", "-", "-o", program], input=PROGRAM, text=True, check=True)
    record = [*RECORD, "-o", str(directory / "of.rec"), "--"]
    rounds, count = (2, 20_000) if quick else (9, 1_000_000)
    for call in "getppid", "stat":
        ours, bare = [], []
        for _ in range(rounds):
            bare.append(int(_Ran([program, call, str(count)]).out) / count)
            ours.append(int(_Ran([*record, program, call, str(count)]).out) / count)
        say(f"{call}: {ours[-1]:.0f} ns recorded, {bare[-1]:.0f} ns bare")
        row = Row("record", f"a call that is not followed, {call}", "ns", "lower", "bare", target=1.1)
        findings.rows.append(compare(row, ours, bare))
    findings.rows.append(_followed(program, record, quick, say))
    findings.rows.append(_page(record, quick, say))
    findings.rows.append(_reload(directory, say))
    findings.notes.append(
        "a followed call's processor time is everybody's; a run without calls, and the bare program, are subtracted"
    )
    return findings


def _followed(program: Path, record: list[str], quick: bool, say: Callable[[str], None]) -> Row:
    rounds, count = (2, 1_000) if quick else (9, 20_000)
    strace = [*STRACE, "--seccomp-bpf", "-e", f"trace={','.join(sorted(NAMES.values()))}"]
    ours, peer = [], []

    def spent(*before: str) -> float:
        """Seconds for all calls."""
        return _Ran([*before, program, "send", str(count)]).processor - _Ran([*before, program, "send", "0"]).processor

    for _ in range(rounds):
        bare = spent()
        peer.append((spent(*strace) - bare) / (2 * count) * 1e6)
        ours.append((spent(*record) - bare) / (2 * count) * 1e6)
        say(f"send and recv: {ours[-1]:.1f} us of processor time a call recorded, {peer[-1]:.1f} by strace")
    row = Row("record", "processor time of a followed call", "us", "lower", "strace -f -yy --seccomp-bpf", target=8)
    return compare(row, ours, peer)


def _page(record: list[str], quick: bool, say: Callable[[str], None]) -> Row:
    row = Row("record", "a page of headless Chromium", "s", "lower", "strace -f -yy", target=3)
    if quick or not shutil.which("chromium"):
        row.left_out = "not with --quick" if quick else "not installed: chromium"
        return row
    ours, peer = [], []
    for _ in range(3):
        peer.append(_Ran([*STRACE, *PAGE]).seconds)
        ours.append(_Ran([*record, *PAGE]).seconds)
        say(f"Chromium: {ours[-1]:.1f} s recorded, {peer[-1]:.1f} s by strace")
    return compare(row, ours, peer)


def _reload(directory: Path, say: Callable[[str], None]) -> Row:
    """nginx, its reload and its end: bytes of the file for each step."""
    row = Row("record", "bytes a step, nginx's start, reload and end", "B", "lower", "", target=60, absolute=True)
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        row.left_out = "not installed: nginx"
        return row
    (directory / "conf").write_text(NGINX.format(at=directory, user="" if os.geteuid() else "user root;"))
    path = directory / "nginx.rec"
    words = [*RECORD, "-o", str(path), "--", nginx, "-p", str(directory), "-c", str(directory / "conf")]
    with subprocess.Popen(
        [*words, "-g", "daemon off;"], env={**os.environ, "PYTHONPATH": str(APP)}, stderr=subprocess.DEVNULL
    ) as recorder:
        try:
            eventually(lambda: answer(directory), "nginx answers", 30)
            old = eventually(lambda: len(found := tracees(recorder.pid)) == 3 and found, "two workers are there", 30)
            master = int((directory / "pid").read_text())
            os.kill(master, signal.SIGHUP)
            eventually(lambda: answer(directory) not in old, "another worker answers", 30)
            eventually(lambda: len(tracees(recorder.pid)) == 3, "the old workers have ended", 30)
            os.kill(master, signal.SIGQUIT)
            recorder.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                recorder.kill()
    with Recording(str(path)) as found:
        size = path.stat().st_size / found.steps
    say(f"nginx: {size:.1f} bytes a step")
    return compare(row, [size], None)
