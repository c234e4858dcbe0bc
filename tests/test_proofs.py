"""The three ways in, on machines that were never used: docs/vagrant.md. They come last: each takes some minutes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.guest


def proved(*command: str) -> None:
    """Runs a proof to its end; what it said is shown where something does not hold."""
    if os.geteuid():
        pytest.skip("needs root: it boots guests")
    if Path("/etc/pairscope-guest").exists():
        pytest.skip("this is a guest itself: guests are started from their host")
    apart = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "ip", "link", "add", "type", "veth"], capture_output=True, text=True)
    if apart.returncode:
        pytest.skip(f"this machine makes no namespaces: {apart.stderr.strip()}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAIRSCOPE") or name == "PAIRSCOPE_GUESTS"}
    environment.pop("TMPDIR", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_readmes_commands_and_the_provisioning_are_true_on_a_fresh_machine():
    proved("script/fresh-test")


def test_vagrant_up_is_true_to_the_last_line():
    proved("script/vagrant-test")


@pytest.mark.long
def test_the_readmes_second_command_passes_whole_on_a_fresh_machine():
    proved("script/fresh-test", "--tests")


@pytest.mark.long
def test_the_guide_by_hand_makes_the_same_box():
    proved("script/fresh-test", "--guide")
