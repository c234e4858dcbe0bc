"""The stage: real processes carry scenarios out, and what the kernel held is what the run holds."""

from __future__ import annotations

import json
import subprocess
import sys


from app.lab.language import parse
from app.lab.stage import manager
from tests.test_lab_language import documented


def played(text: str) -> dict:
    """The run of a scenario, as JSON gives it back."""
    return json.loads(json.dumps(manager.run(parse(text))))


def held(text: str) -> dict:
    run = played(text)
    assert run["verdict"] == "held", run["reason"]
    return run


def process(step: dict, name: str) -> dict:
    return next(process for process in step["after"]["processes"] if process["name"] == name)


def descriptor(step: dict, process_name: str, name: str) -> dict:
    return next(row for row in process(step, process_name)["descriptors"] if name in row["names"])


def object_of(step: dict, row: dict) -> dict:
    return next(found for found in step["after"]["objects"] if found["inode"] == row["inode"])


def test_the_documents_example_holds_and_its_last_step_ends_the_childs_wait():
    run = held(documented())
    assert [step["verdict"] for step in run["steps"]] == ["none"] * 4 + ["held", "held", "held", "none", "held"]
    assert run["steps"][7]["completed"]["child"]["value"] == 0
    assert run["steps"][7]["completed"]["child"]["of"] == 6


def test_a_blocked_call_is_the_kernels_word():
    step = held(documented())["steps"][6]
    blocked = process(step, "child")["blocked"]
    assert step["result"]["blocked"] and blocked["call"] == "read" and blocked["state"] == "S"
    assert int(blocked["arguments"][0], 16) == step["arguments"][0]
    assert blocked["wchan"].startswith("unix_stream")


def test_the_runner_is_a_command():
    done = subprocess.run([sys.executable, "-m", "app.lab.runner"], input=documented().encode(), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["verdict"] == "held"
    done = subprocess.run([sys.executable, "-m", "app.lab.runner"], input=b"p: pipe => 1\n", capture_output=True, timeout=30)
    assert done.returncode == 1 and "expected 1, observed 0" in json.loads(done.stdout)["reason"]
    done = subprocess.run([sys.executable, "-m", "app.lab.runner"], input=b"p: pip\n", capture_output=True, timeout=30)
    assert done.returncode == 2 and json.loads(done.stdout)["line"] == 1
