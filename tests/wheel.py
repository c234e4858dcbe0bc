"""A wheel of the project, and an empty environment into which it is installed, for the tests of what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import once

PROJECT = Path(__file__).parents[1]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


@pytest.fixture(scope="session")
def wheel() -> Path:
    """Built as a stranger builds it. Skipped, or failed where CI=true, when what builds it cannot be fetched."""
    (made,) = once.made("wheel", _build).iterdir()
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path) -> Path:
    """The interpreter of an empty environment into which the wheel was installed, with what it says that it needs."""
    return once.made("installed", lambda place: _install(wheel, place)) / "bin" / "python"


def _build(place: Path) -> None:
    command: list[str | Path] = [sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", place, PROJECT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        assert os.environ.get("CI") != "true" and "No matching distribution found" in done.stderr, done.stderr
        pytest.skip("what builds a wheel is not installed and cannot be fetched")


def _install(wheel: Path, place: Path) -> None:
    base = os.path.realpath(sys.executable)
    subprocess.run([base, "-m", "venv", place], check=True, capture_output=True)
    done = subprocess.run([place / "bin" / "python", *PIP, "install", wheel], capture_output=True, text=True)
    assert not done.returncode, done.stderr
