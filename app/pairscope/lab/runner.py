"""The runner: one process for one run. Reads a scenario's text from standard input and writes the run as JSON to
standard output.

The exit status is 0 where everything held, 1 where it did not, 2 where the text is no scenario, 3 where nobody read
what was written. Started by root it becomes ``PAIRSCOPE_LAB_USER``, or else ``nobody``. However it ends, SIGKILL
included, nothing of the run remains: its actors hang on lifelines, and a process of its own waits for its end to remove
the scratch directory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pairscope.lab.language import TEXT_MAX, format, parse
from pairscope.lab.model import Scenario, ScenarioError
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Failed, encode
from pairscope.lab.stage import confine
from pairscope.lab.stage.apart import apart
from pairscope.lab.stage.manager import USER, run, unplayed, uses_files
from pairscope.sandbox import namespaces
from pairscope.sandbox.sentences import Missing

HELD, FAILED, NO_SCENARIO, UNREAD = 0, 1, 2, 3
SECONDS = 150
"""After which, more than the stage's WALL, the runner ends by SIGALRM: it should have ended by itself long ago, but its
output may find no reader."""


def main() -> int:
    """The command. What it writes is one run, or one error as ``{"error": …, "line": …, "column": …}``."""
    text = sys.stdin.buffer.read(4 * TEXT_MAX + 1)
    try:
        scenario = parse(text.decode())
        if len(canonical := format(scenario)) <= TEXT_MAX:
            scenario = parse(canonical)  # the run holds this text, and counts its lines
    except ScenarioError as error:
        _write(msgspec.json.encode(Failed(str(error), error.place.line, error.place.column)))
        return NO_SCENARIO
    except UnicodeDecodeError as error:
        said = Reason.NO_UTF_8.say(fault=error.reason, bytes=error.start)
        _write(msgspec.json.encode(Failed(said)))
        return NO_SCENARIO
    account = pwd.getpwnam(os.environ.get("PAIRSCOPE_LAB_USER") or USER) if os.geteuid() == 0 else None
    with apart(scenario), _scratch(scenario, account) as scratch:
        signal.alarm(SECONDS)
        try:
            entered, shared = _apart(account)
            files = uses_files(scenario)
            sandbox = confine.enter(scenario, files, own_user=bool(account), entered=entered, shared=shared)
            result = run(scenario, scratch, sandbox=sandbox)
        except (confine.Unconfined, namespaces.Lost) as error:
            result = unplayed(scenario, str(error))
    try:
        _write(encode(result))
    except BrokenPipeError:
        return UNREAD
    return HELD if result.verdict == "held" else FAILED


def _apart(account: pwd.struct_passwd | None) -> tuple[list[str], str]:
    """Becomes the `account`, in namespaces of the run's own: which those are, or why there are none. Root takes them
    before: he needs no user namespace, which a machine may refuse to ordinary users."""
    entered: list[str] = []
    shared = ""
    if os.environ.get("PAIRSCOPE_NAMESPACES") == "none":
        shared = Missing.SHARED.value
    elif account:
        entered, shared = _entered()
    if account:
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    if not entered and os.environ.get("PAIRSCOPE_NAMESPACES") != "none":
        entered, shared = _entered()
    return entered, shared


def _entered() -> tuple[list[str], str]:
    try:
        return namespaces.enter(), ""
    except namespaces.Unavailable as error:
        return [], str(error)


@contextlib.contextmanager
def _scratch(scenario: Scenario, account: pwd.struct_passwd | None) -> Iterator[Path]:
    """The working directory of the run, which this process enters: one that is new, or ``/`` where no call names a
    file.

    A process of its own session, with the rights of who started the runner, removes it when this one has gone or has
    left here.
    """
    if not uses_files(scenario):
        os.chdir("/")
        yield Path(".")
        return
    path = tempfile.mkdtemp(prefix="lab")
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        _remove_after(path, read)
    os.close(read)
    if account:
        os.chown(path, account.pw_uid, account.pw_gid)
    os.chdir(path)  # the way to it may lead through what only root may enter
    try:
        yield Path(".")
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def _remove_after(path: str, end: int) -> None:
    """In a child: waits for the end of the runner, and removes the directory. Never returns."""
    try:
        os.setsid()
        os.closerange(0, end)
        os.closerange(end + 1, os.sysconf("SC_OPEN_MAX"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.read(end, 1)
        for _ in range(100):  # an actor that is being killed may finish making a file
            shutil.rmtree(path, ignore_errors=True)
            if not os.path.exists(path):
                break
    finally:
        os._exit(0)


def _write(text: bytes) -> None:
    """All of it. Raises BrokenPipeError if nobody reads."""
    data = memoryview(text + b"\n")
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main())
