"""The documents are true: what is derived is current, what is linked exists, and the code keeps to the table of its
parts."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from pairscope.ipc import protocol

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])


def test_the_tables_of_the_protocol_are_those_of_the_vocabulary():
    page = (ROOT / "docs/protocol.md").read_text()
    assert protocol.fill(page) == page, "run: python -m pairscope.ipc.protocol docs/protocol.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


WRITTEN = re.compile(
    r"(?:app|bench|deploy|docs|script|tests)/[\w./*-]*\w|(?:README|CHANGELOG)\.md|requirements[\w-]*\.txt"
)
"""A file of the project as a page names it in backticks, alone or at the beginning of a command."""
TEXTS = sorted(
    path
    for pattern in (
        "app/pairscope/**/*.py",
        "app/pairscope/**/*.html",
        "app/pairscope/**/*.js",
        "deploy/*",
        "deploy/*/*",
        "script/*",
        "script/*/*",
        "tests/*.py",
        "bench/*.py",
        "Vagrantfile",
        ".ci/*",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".pyc", ".md")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_every_variable_that_a_page_names_is_there(page):
    quoted = re.findall(r"`([^`\n]+)`", page.read_text())
    files = {
        found[0]
        for name in quoted
        if (found := WRITTEN.match(name)) and not re.search(r"[A-Z]{3,}\b(?!\.md)", found[0])
    }
    lost = [
        name
        for name in files
        if not any(ROOT.glob(name))
        and not any(
            (place / name).exists() for place in (page.parent, ROOT / "app/pairscope", ROOT / "app/pairscope/web")
        )
    ]
    assert not lost, f"{page.name} names {lost}"
    known = "\n".join(path.read_text() for path in TEXTS if path != Path(__file__))
    variables = set(re.findall(r"\bPAIRSCOPE_[A-Z_]+\b", page.read_text()))
    assert not (lost := [name for name in variables if not re.search(rf"\b{name}\b", known)]), (
        f"{page.name} names {lost}"
    )


def layout() -> dict[str, set[str]]:
    """From the table in docs/layout.md: each part, and what it may import."""
    rows = {}
    for line in (ROOT / "docs/layout.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `pairscope") and len(cells) == 3:
            rows[cells[0].strip("`")] = set(re.findall(r"`([^`]+)`", cells[2]))
    return rows


def part_of(module: str, parts: dict[str, set[str]]) -> str:
    return max((part for part in parts if module == part or module.startswith(part + ".")), key=len, default="")


def imports_of(path: Path, module: str) -> set[str]:
    """Every module that the file imports, wherever in it; those for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            found |= {
                f"{node.module}.{name.name}" if node.module.startswith("pairscope") else node.module
                for name in node.names
            }
    return found


FILES = sorted(path for path in (ROOT / "app/pairscope").rglob("*.py") if "versions" not in path.parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_what_the_table_of_parts_allows(path):
    parts = layout()
    module = ".".join(path.relative_to(ROOT / "app").with_suffix("").parts).removesuffix(".__init__")
    own = part_of(module, parts)
    assert own, f"{module} belongs to no part in docs/layout.md"
    for name in imports_of(path, module):
        if name.startswith("pairscope"):
            other = part_of(name, parts)
            assert other == own or other in parts[own], (
                f"{module} imports {name}, of {other}; {own} may import {sorted(parts[own])}"
            )
        else:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in parts[own], (
                f"{module} imports {top}; {own} may import {sorted(parts[own])}"
            )
