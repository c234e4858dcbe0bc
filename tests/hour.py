"""Fixtures: a state directory with an hour of history (tests/plausible.py), and a snapshot of its pool."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.config import Settings
from tests import plausible
from tests.plausible import History


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory, made once for a module: each test gets a copy. With ``NASTY = False`` the module has no rows that
    nobody would write."""
    directory = tmp_path_factory.mktemp("filled")
    made = History(plausible.settings_in(directory))
    plausible.fill(made, nasty=getattr(request.module, "NASTY", True))
    made.close()
    return directory


@pytest.fixture
def settings(tmp_path: Path, filled: Path) -> Settings:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return plausible.settings_in(tmp_path)


@pytest.fixture
def history(settings: Settings) -> Iterator[History]:
    made = History(settings)
    made.snapshot()
    yield made
    made.close()
