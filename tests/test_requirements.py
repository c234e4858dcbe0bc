"""What is installed is what was meant: each library in one version, and each of its files by a checksum."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
FILES = sorted([*PROJECT.glob("requirements*.txt"), PROJECT / "deploy/apache/requirements.txt"])
PROJECT_TOML = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def requirements(file: Path) -> dict[str, list[str]]:
    """Of each requirement of a file its checksums, by ``name==version``."""
    text = re.sub(r"#.*", "", file.read_text()).replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {first: [word.removeprefix("--hash=sha256:") for word in more] for first, *more in lines}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_each_requirement_has_one_version_and_the_checksums_of_its_files(file: Path) -> None:
    wanted = requirements(file)
    assert wanted
    for name, sums in wanted.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", name), name
        assert sums and all(re.fullmatch(r"[0-9a-f]{64}", one) for one in sums), name


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (None, "requirements.txt"),
        ("build", "requirements-build.txt"),
        ("test", "requirements-test.txt"),
        ("bench", "requirements-bench.txt"),
        ("tools", "requirements-tools.txt"),
    ],
)
def test_the_requirements_files_were_made_of_what_pyproject_says_today(name: str | None, file: str) -> None:
    groups = PROJECT_TOML["dependency-groups"]
    stated = PROJECT_TOML["project"]["dependencies"] if name is None else groups[name]
    direct = {one for one in stated if isinstance(one, str)}
    assert direct and not direct - set(requirements(PROJECT / file)), "run: script/lock"


def test_what_is_built_with_is_what_the_build_asks_for() -> None:
    asked = set(PROJECT_TOML["build-system"]["requires"])
    assert asked <= set(requirements(PROJECT / "requirements-build.txt"))


def test_the_tests_and_the_benchmarks_run_with_the_versions_that_a_box_has() -> None:
    box = set(requirements(PROJECT / "requirements.txt"))
    for file in ("requirements-test.txt", "requirements-bench.txt"):
        assert not box - set(requirements(PROJECT / file)), f"{file}: run script/lock"


@pytest.mark.process
def test_a_file_with_another_checksum_is_not_installed(tmp_path: Path) -> None:
    shop, venv = tmp_path / "shop", tmp_path / "venv"
    shop.mkdir()
    wheel = shop / "genuine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("genuine.py", "")
        archive.writestr("genuine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: genuine\nVersion: 1.0\n")
        archive.writestr(
            "genuine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("genuine-1.0.dist-info/RECORD", "")
    sum_ = hashlib.sha256(wheel.read_bytes()).hexdigest()
    environment = {
        **os.environ,
        "VENV": str(venv),
        "PYTHON": sys.executable,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(shop),
        "PIP_CONFIG_FILE": os.devnull,
    }

    def install(line: str) -> subprocess.CompletedProcess:
        (tmp_path / "wanted.txt").write_text(f"{line}\n")
        command = [PROJECT / "script/environment", tmp_path / "wanted.txt"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    changed = install(f"genuine==1.0 --hash=sha256:{'0' * 64}")
    assert changed.returncode and "DO NOT MATCH THE HASHES" in changed.stderr, changed.stderr
    assert not list(venv.rglob("genuine.py"))
    # With the right one it goes on to this checkout, whose builder is not in this shop.
    assert "Successfully installed genuine-1.0" in install(f"genuine==1.0 --hash=sha256:{sum_}").stderr


@pytest.mark.long  # it fetches what writes it
@pytest.mark.process
def test_the_bill_of_materials_names_each_library_of_a_box_in_its_version() -> None:
    told = subprocess.run([PROJECT / "script/sbom"], capture_output=True, text=True)
    assert not told.returncode, told.stderr
    bill = json.loads(told.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    listed = {re.sub(r"[-_.]+", "-", one["name"]).lower() + "==" + one["version"] for one in bill["components"]}
    assert not set(requirements(PROJECT / "requirements.txt")) - listed
