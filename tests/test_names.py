"""The package is `pairscope`, below app/. Nothing names it as it was once imported; what is named of it is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from script.guests import older
from script.guests.place import GuestError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "app" / "pairscope"
PARTS = "|".join(sorted(path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"))
FORMER = re.compile(
    # Flask calls an application app, and what it is set up with app.config.
    rf"\bapp\.(?!config(?:\[|\.\w+\())(?:{PARTS})\b"
    r"|(?:\bfrom|\bimport|-m) app\b"
    r"|\bapp:\w"
    r"|\bapp/(?!pairscope\b)\w[\w./]*"
)
TELLING = ("CHANGELOG.md", "script/guests/older.py", "tests/test_names.py")
"""Files that tell of the former name as such."""


def texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this checkout is no clone: git does not know what belongs to it")
    found = {}
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if path.is_file() and "static/vendor" not in name and b"\0" not in (content := path.read_bytes()):
            found[name] = content.decode()
    return found


@pytest.mark.process
def test_nothing_names_the_package_as_it_was_imported_before_it_moved() -> None:
    said = [
        f"{name}: {found[0]}"
        for name, text in texts().items()
        if name not in TELLING
        for found in FORMER.finditer(text)
    ]
    assert not said, said


@pytest.mark.parametrize(
    "text",
    ["from app.ipc import x", "import app", "python -m app serve", "-m app.pool", "app/ipc/ids.py", "app:create_app"],
)
def test_each_way_of_naming_it_so_would_be_found(text: str) -> None:
    assert FORMER.search(text)


@pytest.mark.process
def test_what_is_named_of_the_package_is_there() -> None:
    lost = []
    for name, text in texts().items():
        for path in re.findall(r"\bapp/pairscope/[\w./-]*\w(?![*\w])", text):
            if not (ROOT / path).exists() and not re.search(r"/[A-Z]{3,}\.py$", path):  # a recipe's NAME.py
                lost.append(f"{name}: {path}")
        for dotted in re.findall(rf"\bpairscope\.((?:{PARTS})(?:\.\w+)*)", text):
            words = dotted.split(".")
            place = PACKAGE
            while words and (place / words[0]).is_dir():
                place /= words.pop(0)
            if words and (place / f"{words[0]}.py").exists():
                place /= f"{words.pop(0)}.py"
            module = place / "__init__.py" if place.is_dir() else place
            if words and not re.search(rf"\b{words[0]}\b", module.read_text()) and not words[0].startswith("__"):
                lost.append(f"{name}: pairscope.{dotted}")
    assert not lost, lost


@pytest.mark.process
def test_a_clone_that_does_not_hold_the_state_of_before_says_so(tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    made = subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", shallow], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip("this checkout is no clone")
    for place in (shallow, tmp_path):
        with pytest.raises(GuestError, match="does not hold the last commit before the package moved"):
            older.commit(place)
