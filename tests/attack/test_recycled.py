"""A pid that is given to another process: nothing that was meant for the old one reaches the new one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "programs" / "recycled.py"


@pytest.mark.pool
@pytest.mark.needs("unshare")
def test_a_process_that_got_a_dead_ones_pid_is_neither_signalled_nor_taken_for_it(tmp_path: Path) -> None:
    """In a pid namespace of its own, where the next pid can be chosen: pid_namespaces(7), proc_sys_kernel(5)."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*inside, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode:
        pytest.skip("this process may make no pid namespace: unshare(1)")
    done = subprocess.run(
        [*inside, sys.executable, str(PROGRAM), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout.endswith("all holds\n"), done.stdout + done.stderr
