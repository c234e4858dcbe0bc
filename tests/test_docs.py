"""The documents are true: what is derived is current, and what is linked or named exists."""

from __future__ import annotations

import re
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
