"""The documents are true: what is derived is current, and what is linked or named exists."""

from __future__ import annotations

import ast
import os
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


FILE = re.compile(
    r"\.?[\w*-]+(?:\.[\w*-]+)*(?:/[\w.*-]+)+"
    r"|[\w*.-]+\.(?:c|cfg|conf|css|html|ini|j2|js|json|md|py|scenario|sh|sql|svg|toml|txt|woff2|wsgi|ya?ml)"
)
"""What is written as a file, by its folder or by its ending."""
ELSEWHERE = re.compile(
    r"var/.*"  # the state of the embedded run
    r"|(?:web|pool|migrate)\.toml|conf-available/.*"  # an installation's
    r"|lab\.c"  # a visitor's
    r"|\.venv/bin/.*"  # of the environment
    r"|multipart/form-data|80/tcp|(?:bento|debian)/.*"  # a media type, a port, Vagrant's boxes
)
"""What is written as a file and is none of the project."""
SKIPPED = {".git", ".venv", "var", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}


def _endings() -> set[str]:
    """Every file and folder of the project by its path, and by each ending of that."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = set(folders) - SKIPPED
        for name in [*folders, *files]:
            parts = (Path(folder) / name).relative_to(ROOT).parts
            found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return found


ENDINGS = _endings()
MODULES = {
    ".".join(path.relative_to(ROOT / "app").with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "app/pairscope").rglob("*.py")
}
TABLES = {"pairscope.tokens", "pairscope.rights"}
"""A table and a view of the database, which has our name."""
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
KNOWN = "\n".join(path.read_text() for path in TEXTS if path != Path(__file__))
"""All that is code, and what it is installed by."""


def quoted(page: Path) -> list[str]:
    """What stands in backticks, but for blocks of code."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def is_there(name: str) -> bool:
    """Whether the project has a file of that path or of that ending of a path, or the template of it.

    ``*`` stands for any letters, and so does a word in capitals, as in ``rows/NAME.html``.
    """
    name = re.sub(r"[A-Z]{3,}(?!\w*\.md)", "*", name)
    if "*" in name:
        pattern = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        return any(pattern.fullmatch(ending) for ending in ENDINGS)
    return name in ENDINGS or f"{name}.j2" in ENDINGS


def is_defined(name: str) -> bool:
    """Whether a name with dots is a module of ours, or something that one of them defines."""
    module = max((one for one in MODULES if f"{name}.".startswith(f"{one}.")), key=len)
    body: list[ast.stmt] = ast.parse(MODULES[module].read_text()).body
    for word in name[len(module) :].split(".")[1:]:
        found = [statement for statement in body if word in defined_by(statement)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def defined_by(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {name.asname or name.name for name in statement.names}
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page):
    words = {word.rstrip("/.") for name in quoted(page) for word in re.split(r"""[\s()=,;:"'|&<>{}\[\]]+""", name)}
    lost = [word for word in words if FILE.fullmatch(word) and not ELSEWHERE.fullmatch(word) and not is_there(word)]
    assert not lost, f"{page.name} names {lost}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_name_of_our_code_that_a_page_names_is_defined(page):
    names = {name for text in quoted(page) for name in re.findall(r"(?<![\w/.-])pairscope(?:\.\w+)+", text)}
    lost = [name for name in names if not is_defined(name) and name not in ENDINGS and name not in TABLES]
    assert not lost, f"{page.name} names {lost}"
    tests = {name for text in quoted(page) for name in re.findall(r"\btest_\w+(?![\w.*])", text)}
    lost = [name for name in tests if not re.search(rf"\bdef {name}\(", KNOWN)]
    assert not lost, f"{page.name} names {lost}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_that_a_page_names_is_read_somewhere(page):
    variables = set(re.findall(r"\bPAIRSCOPE_[A-Z_]+\b", page.read_text()))
    assert not (lost := [name for name in variables if not re.search(rf"\b{name}\b", KNOWN)]), (
        f"{page.name} names {lost}"
    )
