"""What a wheel holds: installed into an empty environment, outside of any checkout, it is the whole program."""

from __future__ import annotations

import email
import os
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pairscope
from tests.running import PROJECT, Server, running

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def server(installed: Path, temporary_directory: Path) -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="state", dir=temporary_directory) as state,
        running(Path(state), python=installed, cwd=Path("/")) as server,
    ):
        yield server


def test_a_wheel_holds_all_that_git_has_of_the_package_and_of_deploy(wheel: Path) -> None:
    kept = subprocess.run(["git", "ls-files", "app/pairscope", "deploy"], cwd=PROJECT, capture_output=True, text=True)
    if kept.returncode:
        pytest.skip("this checkout is no clone: git does not know what belongs to it")
    expected = {
        name.removeprefix("app/").replace("deploy/", "pairscope/deploy/", name.startswith("deploy/"))
        for name in kept.stdout.split()
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert expected and expected <= names, f"missing: {sorted(expected - names)}"
    assert {name.partition("/")[0] for name in names} == {
        "pairscope",
        f"pairscope-{wheel.name.split('-')[1]}.dist-info",
    }


def test_its_metadata_are_those_of_the_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (place,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        said = email.message_from_bytes(archive.read(f"{place}/METADATA"))
        entries = archive.read(f"{place}/entry_points.txt").decode().split("\n")
    pinned = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert (said["Name"], said["Version"]) == ("pairscope", pairscope.__version__)
    assert sorted(said.get_all("Requires-Dist", [])) == sorted(pinned)
    assert [line for line in entries if line] == ["[console_scripts]", "pairscope = pairscope.cli:main"]


def test_its_server_answers_with_a_page_a_job_and_a_run_of_the_lab(server: Server, installed: Path) -> None:
    page = server.get("/")
    assert page.status == 200 and "Pairscope" in page.text
    assert server.get("/static/pairscope.css").status == 200
    job = server.submit("digest", b"from a wheel", wait=20)
    assert job.json["result"]["sha256"]
    command = installed.parent / "pairscope"
    environment = {"PATH": os.environ["PATH"], "PAIRSCOPE_STATE": str(server.settings.state)}
    played = subprocess.run(
        [command, "lab", "run", "parent-and-child"], cwd="/", env=environment, capture_output=True, text=True
    )
    assert not played.returncode and "as expected" in played.stdout, played.stdout + played.stderr
    where = subprocess.run(
        [installed, "-c", "import pairscope; print(pairscope.__file__)"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(installed.parents[1])), "it is the wheel's code that answers, not the checkout's"
