"""Programs that a test has run in a box: docs/programs.md."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pairscope.program import request
from pairscope.program.request import Unran
from pairscope.trace.file import MAGIC, Recording
from pairscope.trace.lines import transcript
from tests.traced import APP, AS_NOBODY

USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
process = pytest.mark.process
compiled = pytest.mark.needs("gcc", "setpriv")
_told = msgspec.json.Decoder(Unran).decode


class Boxed:
    """What came of a program."""

    def __init__(self, data: bytes) -> None:
        self.unran: Unran | None = None if data.startswith(MAGIC) else _told(data)
        self.index: Any = None
        self.steps: list[Any] = []
        self.transcript = ""
        if self.unran is None:
            fd = os.memfd_create("recording")
            try:
                os.pwrite(fd, data, 0)
                with Recording(f"/proc/self/fd/{fd}") as recording:
                    self.index, self.steps = recording.index, list(recording.all())
                    self.transcript = "".join(transcript(recording))
            finally:
                os.close(fd)

    @property
    def out(self) -> str:
        assert self.unran is None, self.unran
        return str(self.index.program.output)


def before(user: str) -> list[str]:
    """Words by which this user has a command run. Root has a group that a program must not have."""
    if os.geteuid():
        return []
    return AS_NOBODY if user == "ordinary" else ["setpriv", "--groups=4", "--"]


def boxed(
    source: str, *arguments: str, language: str = "c", given: str = "", user: str = "root", **bounds: float
) -> Boxed:
    """Runs it as a station does. As root it is `nobody` who runs it."""
    inherited = os.memfd_create("not for a program")
    other = [f"{name}={value}" for name, value in bounds.items()]
    done = subprocess.run(
        [*before(user), sys.executable, "-m", "pairscope.program.run", *other],
        input=request.encoded(language, source, list(arguments), given),
        capture_output=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)}, pass_fds=[inherited],
    )  # fmt: skip
    os.close(inherited)
    assert done.returncode == 0, done.stderr
    return Boxed(done.stdout)


def below(pid: int) -> dict[int, str]:
    """Who descends from a process, with their names: of a station also what is in its boxes."""
    parents: dict[int, int] = {}
    for found in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(found.parent.name)] = int(found.read_text().rpartition(") ")[2].split()[1])
    seen, names = [pid], {}
    for one in seen:
        for child in (child for child, parent in parents.items() if parent == one):
            with contextlib.suppress(OSError):
                names[child] = Path(f"/proc/{child}/comm").read_text().strip()
            seen.append(child)
    return names
