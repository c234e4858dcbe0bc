"""A wheel of the project, and an empty environment into which it is installed, for the tests of what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a stranger builds it. Skipped, or failed where CI=true, when what builds it cannot be fetched."""
    place = tmp_path_factory.mktemp("wheel")
    command: list[str | Path] = [sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", place, PROJECT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        assert os.environ.get("CI") != "true" and "No matching distribution found" in done.stderr, done.stderr
        pytest.skip("what builds a wheel is not installed and cannot be fetched")
    (made,) = place.iterdir()
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, temporary_directory: Path) -> Iterator[Path]:
    """The interpreter of an empty environment into which the wheel was installed, with what it says that it needs."""
    with tempfile.TemporaryDirectory(prefix="wheel", dir=temporary_directory) as place:
        base = os.path.realpath(sys.executable)
        subprocess.run([base, "-m", "venv", place], check=True, capture_output=True)
        python = Path(place) / "bin" / "python"
        Path(place).chmod(0o755)  # users of other servers than the embedded one read it, too
        done = subprocess.run([python, *PIP, "install", wheel], capture_output=True, text=True)
        assert not done.returncode, done.stderr
        yield python
