"""Two observers that share no mechanism agree: what the lab saw of a scenario of the gallery, and the recorder
of its exported program in C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab import exports, gallery
from pairscope.lab.exports.lines import result_lines
from pairscope.lab.language import parse
from pairscope.lab.stage import manager
from tests import traced
from tests.runs import plain, typed
from tests.test_lab_exports import COMPILE, account
from tests.traced import APP, Run, compiled, process

programs = traced.programs

IN_CI = {"a-file-handed-over", "in-flight", "nginx-channel", "room-for-one", "a-look-that-takes"}
"""The others run with --long."""


EACH = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.long]) for name in gallery.names()]


@process
@compiled
@pytest.mark.parametrize("name", EACH)
def test_the_recorder_sees_of_an_exported_program_what_the_lab_saw(programs: Path, name: str) -> None:
    scenario = parse(gallery.text(name))
    lab: dict[str, Any] = plain(manager.run(scenario))
    source = programs / f"{name}.c"
    source.write_text(exports.c(scenario).replace('"/tmp/lab.XXXXXX"', f'"{programs}/lab.XXXXXX"'))
    subprocess.run([*COMPILE, "-o", programs / name, source], check=True)
    become: dict[str, Any] = (
        {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    )
    path = programs / f"{name}.rec"
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "record", "-o", path, "--", programs / name],
        env={**os.environ, "PYTHONPATH": str(APP)}, capture_output=True, text=True, timeout=60, **become,
    )  # fmt: skip
    assert done.stdout.splitlines() == result_lines(typed(lab)), done.stderr
    came = [one for one in Run(done, path).passages() if one["end"] in ("received", "peeked")]
    told = [step["result"] for step in lab["steps"] if step["call"] == "recvmsg"]
    numbers = [number for result in told for number in result.get("fds") or ()]
    assert [one["to"]["number"] for one in sorted(came, key=lambda one: one["to"]["step"])] == numbers, done.stderr
    assert all(one["proof"] for one in came), came
