"""The runner: one process for one run. Reads a scenario's text from standard input and writes the run as JSON to standard output.

The exit status is 0 where everything held, 1 where it did not, 2 where the text is no scenario.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from app.lab.language import TEXT_MAX, parse
from app.lab.model import Scenario, ScenarioError
from app.lab.stage.manager import run

HELD, FAILED, NO_SCENARIO = 0, 1, 2
USER = "nobody"
"""Whom the runner and its actors become when it was started by root."""
LIMITS = {
    "AS": 1 << 30,
    "CORE": 0,
    "FSIZE": 1 << 20,
    "MEMLOCK": 0,
    "MSGQUEUE": 0,
}
"""Of the runner and, inherited, of each actor; the stage sets NOFILE for the actors."""
NPROC = 256
"""Processes of the user whom the runner becomes: of all runs together."""
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """The command. What it writes is one run, or one error as ``{"error": …, "line": …, "column": …}``."""
    text = sys.stdin.buffer.read(4 * TEXT_MAX + 1)
    try:
        scenario = parse(text.decode())
    except ScenarioError as error:
        _write({"error": str(error), "line": error.place.line, "column": error.place.column})
        return NO_SCENARIO
    except UnicodeDecodeError as error:
        _write({"error": f"the text is not UTF-8: {error.reason} at byte {error.start}", "line": 1, "column": 1})
        return NO_SCENARIO
    return _as_root(scenario) if os.geteuid() == 0 else _confined(scenario, None)


def _as_root(scenario: Scenario) -> int:
    """Has a child that is not root do it: the scratch directory is made and removed by the one who may do so anywhere."""
    account = pwd.getpwnam(os.environ.get("PAIRSCOPE_LAB_USER") or USER)
    scratch = Path(tempfile.mkdtemp(prefix="lab"))
    try:
        os.chown(scratch, account.pw_uid, account.pw_gid)
        here = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            status = 70
            try:
                os.fchdir(here)  # its path may lead through what only root may enter
                os.close(here)
                os.setgroups([])
                os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
                os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
                _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() == parent:
                    status = _confined(scenario, Path("."))
            finally:
                os._exit(status)
        os.close(here)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _confined(scenario: Scenario, directory: Path | None) -> int:
    confine()
    result = run(scenario, directory)
    _write(result)
    return HELD if result["verdict"] == "held" else FAILED


def confine() -> None:
    """Takes from this process, and so from all that it will fork, what no scenario needs. There is no way back."""
    # A change of user makes a process undumpable, and then not even its own parent of the same user may look at it.
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = LIMITS | ({"NPROC": NPROC} if os.geteuid() == pwd.getpwnam(USER).pw_uid else {})
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def _write(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
