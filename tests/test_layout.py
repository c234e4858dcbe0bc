"""The code keeps to docs/layout.md: what each part may import, no circle, and what is pure touches nothing."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYOUT = (ROOT / "docs/layout.md").read_text()
MODULES = {
    ".".join(path.relative_to(ROOT / "app").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "app/pairscope").rglob("*.py"))
    if "versions" not in path.parts
}
"""Every file of the package by its name, but for the migrations, which Alembic finds by its own way."""
IMPURE = {"os", "select", "socket", "time"}
MOST_LINES = 400


def parts_in(text: str) -> dict[str, set[str]]:
    """The table of parts: each part, and what it may import."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `pairscope") and len(cells) == 3:
            rows[cells[0].strip("`")] = set(re.findall(r"`([^`]+)`", cells[2]))
    return rows


PARTS = parts_in(LAYOUT)


def part_of(module: str) -> str:
    return max((part for part in PARTS if module == part or module.startswith(part + ".")), key=len, default="")


def imports_in(text: str, module: str) -> set[str]:
    """Every module that a file imports, wherever in it: at its top, in a function, for a type checker alone, by a name
    that is put together when it runs."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            whole = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else str(node.module) for name in whole}
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called != "__import__", f"{module}: import it"
            if called.rpartition(".")[2] == "import_module":
                found |= _named(node.args[0], module)
    return found


def _named(name: ast.expr, module: str) -> set[str]:
    """The modules that an argument of import_module() can name: what is not known stands for any word."""
    pieces = name.values if isinstance(name, ast.JoinedStr) else [name]
    pattern = ""
    for piece in pieces:
        if isinstance(piece, ast.Constant):
            pattern += re.escape(str(piece.value))
        else:
            assert isinstance(piece, ast.FormattedValue), (
                f"{module}: {ast.unparse(name)} tells nothing of what it imports"
            )
            pattern += re.escape(module) if ast.unparse(piece.value) == "__name__" else r"\w+"
    return {other for other in MODULES if re.fullmatch(pattern, other)}


IMPORTS = {module: imports_in(path.read_text(), module) for module, path in MODULES.items()}
OURS = {module: {name for name in found if name in MODULES} for module, found in IMPORTS.items()}
EXCEPTIONS = re.findall(r"^- `(pairscope[\w.]*)` imports `(pairscope[\w.]*)`: (?=\S)", LAYOUT, re.MULTILINE)


def circle(arrows: dict[str, set[str]]) -> str:
    """A circle in words; empty: there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return " imports ".join(reversed(error.args[1]))
    return ""


@pytest.mark.parametrize("module", MODULES)
def test_a_part_imports_only_what_the_table_of_parts_allows(module):
    own = part_of(module)
    assert own, f"{module} belongs to no part in docs/layout.md"
    for name in IMPORTS[module]:
        if name.partition(".")[0] == "pairscope":
            other = part_of(name)
            assert other == own or other in PARTS[own], (
                f"{module} imports {name}, of {other}; {own} may import {sorted(PARTS[own])}"
            )
        else:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in PARTS[own], (
                f"{module} imports {top}; {own} may import {sorted(PARTS[own])}"
            )


def test_the_table_of_parts_allows_nothing_that_no_file_needs():
    needed: dict[str, set[str]] = {part: set() for part in PARTS}
    for module, found in IMPORTS.items():
        needed[part_of(module)] |= {part_of(name) or name.partition(".")[0] for name in found}
    surplus = {part: sorted(allowed - needed[part]) for part, allowed in PARTS.items() if allowed - needed[part]}
    assert not surplus


def test_the_parts_stand_on_floors():
    assert not circle({part: {other for other in allowed if other in PARTS} for part, allowed in PARTS.items()})


def test_no_file_imports_itself_in_a_circle():
    excepted = {(importer, imported) for importer, imported in EXCEPTIONS}
    assert all(imported in OURS.get(importer, ()) for importer, imported in excepted), "an exception of nothing"
    assert not circle(
        {module: {name for name in found if (module, name) not in excepted} for module, found in OURS.items()}
    )


@pytest.mark.parametrize(
    "text",
    [
        "import pairscope.web.words",
        "from pairscope.web import words",
        "from pairscope.web.words import size",
        "def f():\n    from pairscope.web import words",
        "if TYPE_CHECKING:\n    from pairscope.web.words import size",
        "import importlib\nimportlib.import_module('pairscope.web.words')",
        "from importlib import import_module\ndef f(name):\n    import_module(f'pairscope.web.{name}')",
        "import importlib\ndef f(name):\n    importlib.import_module(f'{__name__}.{name}')",
    ],
)
def test_an_import_is_seen_however_it_is_written(text):
    assert "pairscope.web.words" in imports_in(text, "pairscope.web")


def reached(module: str) -> dict[str, str]:
    """What a file imports of ours, itself or by another file, each with the one that imports it."""
    found: dict[str, str] = {}
    left = [module]
    while left:
        importer = left.pop()
        for name in OURS[importer] - found.keys():
            found[name] = importer
            left.append(name)
    return found


def says_pure(path: Path) -> bool:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    return re.search(r"\bPure\b", first) is not None


@pytest.mark.parametrize("module", [module for module, path in MODULES.items() if says_pure(path)])
def test_a_file_that_says_that_it_is_pure_is_so(module):
    for name, importer in {module: "", **reached(module)}.items():
        impure = {found.partition(".")[0] for found in IMPORTS[name]} & IMPURE
        assert not impure, f"{name}{f', which {importer} imports,' if importer else ''} imports {sorted(impure)}"


def test_no_part_of_web_and_no_module_of_views_is_left_out():
    """One that is not imported registers nothing, and its addresses are 404."""
    for module, path in MODULES.items():
        package = module.rpartition(".")[0]
        registers = any(
            isinstance(node, ast.FunctionDef) and node.name == "register" for node in ast.parse(path.read_text()).body
        )
        if module.startswith("pairscope.web.") and registers:
            above = "pairscope.web.application" if package == "pairscope.web" else package
            assert module in OURS[above], f"{above} does not import {module}"
        if f"{package}.routes" in OURS[module]:
            assert module in OURS[package], f"{package} does not import {module}"


@pytest.mark.parametrize("module", [module for module, path in MODULES.items() if "msgspec" in path.read_text()])
def test_what_decodes_a_type_is_made_when_its_file_is_imported(module):
    """Threads that decoded one type for the first time at once ended their process by SIGSEGV, one time in four:
    msgspec makes what it knows of a type at its first use, and another thread read what was half made."""
    for function in ast.walk(ast.parse(MODULES[module].read_text())):
        for node in ast.walk(function) if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("msgspec."):
                made = node.func.attr == "Decoder" or any(keyword.arg == "type" for keyword in node.keywords)
                assert not made, f"{module}, line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_too_long_to_be_read_in_one_go(module):
    assert len(MODULES[module].read_text().splitlines()) <= MOST_LINES
