"""The three ways in, on machines that were never used: docs/vagrant.md. Each takes some minutes: tests/conftest.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIMIT, PARTING = 1800, 120
"""Seconds that a proof may take, and that it may take to end in order when it is told to: far more than any took."""
TOGETHER = {
    "test_the_readmes_commands_and_the_provisioning_are_true_on_a_fresh_machine": ("script/fresh-test",),
    "test_vagrant_up_is_true_to_the_last_line": ("script/vagrant-test",),
}
"""Proofs that are begun together, if they are asked for: each waits for its downloads and its disk for much of its
time."""
pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def proved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """Runs a proof to its end; what it said is shown where something does not hold."""
    if os.geteuid():
        pytest.skip("needs root: it boots guests")
    if Path("/etc/pairscope-guest").exists():
        pytest.skip("this is a guest itself: guests are started from their host")
    apart = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "ip", "link", "add", "type", "veth"],
        capture_output=True,
        text=True,
    )
    if apart.returncode:
        pytest.skip(f"this machine makes no namespaces: {apart.stderr.strip()}")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PAIRSCOPE") or name == "PAIRSCOPE_GUESTS"
    }
    environment.pop("TMPDIR", None)
    begun: dict[tuple[str, ...], tuple[subprocess.Popen[bytes], Path]] = {}

    def begin(*command: str) -> None:
        said = tmp_path_factory.mktemp("proof") / "said"
        with open(said, "wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        begun[command] = process, said

    def prove(*command: str) -> None:
        if command not in begun:
            begin(*command)
        process, said = begun[command]
        status = process.wait(LIMIT)
        text = said.read_text(errors="replace")
        print(text)
        assert status == 0, "\n".join(text.splitlines()[-120:])

    for name in dict.fromkeys(item.name for item in request.session.items):
        if name in TOGETHER:
            begin(*TOGETHER[name])
    try:
        yield prove
    finally:
        for process, _ in begun.values():
            if process.poll() is None:
                process.terminate()  # it takes away what it made
                process.wait(PARTING)


def test_the_readmes_commands_and_the_provisioning_are_true_on_a_fresh_machine(proved: Callable[..., None]) -> None:
    proved("script/fresh-test")


def test_vagrant_up_is_true_to_the_last_line(proved: Callable[..., None]) -> None:
    proved("script/vagrant-test")


@pytest.mark.long
def test_the_readmes_second_command_passes_whole_on_a_fresh_machine(proved: Callable[..., None]) -> None:
    proved("script/fresh-test", "--tests")


@pytest.mark.long
def test_a_service_that_hides_proc_and_forbids_more_serves_the_same_box(proved: Callable[..., None]) -> None:
    proved("script/fresh-test", "--hardened")


@pytest.mark.long
def test_a_box_of_before_the_package_moved_is_brought_up_to_date(proved: Callable[..., None]) -> None:
    proved("script/fresh-test", "--upgrade")


@pytest.mark.long
def test_the_guide_by_hand_makes_the_same_box(proved: Callable[..., None]) -> None:
    proved("script/fresh-test", "--guide")
