"""A sentence is English for who does not ask, and in the reader's language for who does."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.cli import EPILOG
from pairscope.lab.language import parse
from pairscope.lab.model import ScenarioError
from pairscope.sandbox import syscalls  # noqa: F401  # finds libseccomp by a program: here, not in a test
from pairscope.sentence import listed, phrase, phrase_of
from tests.test_lab_language import MALFORMED
from tests.words import Wide, extracted, wide

KEPT = {
    EPILOG,
    *("pid %", "  %  % % inode % % % %  %%"),
    "(% returns)",
    "import sys, flask, pairscope.web; sys.exit(not pairscope.__file__.startswith(sys.argv[1]))",
    *("PAIRSCOPE_SETTINGS=% PYTHONPATH=% % -m pairscope status", "%/error.log %/mariadb.log"),
    *("bold red", "bold %", "  % fd", "process % at %\n", "pairscope web: %(message)s"),
    "Object contains unknown field `%` - at `%`",
    *("systemctl start apache2", "systemctl start mariadb"),
    *("rsync, curl, ca-certificates, iproute2, logrotate, ufw", "errno, kill_process", "web, pool, lab, migrate"),
    *("in flight", "not made yet", "seccomp only", "not said yet", "alive, ended, killed, died"),
}
"""Texts of several words that are no sentences of ours."""


def german(text: str) -> str:
    return {"%(path)s is missing": "%(path)s fehlt", "the file": "die Datei", "100% full": "100% voll"}.get(text, text)


def germans(one: str, many: str, num: int) -> str:
    return "%(num)s Datei" if num == 1 else "%(num)s Dateien"


def test_a_sentence_is_its_english_text() -> None:
    made = phrase("%(path)s is missing", path="/x")
    assert made == "/x is missing" and json.dumps([made]) == '["/x is missing"]' and type(str(made)) is str


def test_a_sentence_is_told_by_its_template_with_the_sentences_among_its_values() -> None:
    assert phrase("%(path)s is missing", path="/x").told(german, germans) == "/x fehlt"
    assert phrase("%(path)s is missing", path=phrase("the file")).told(german, germans) == "die Datei fehlt"


def test_a_sentence_without_values_may_have_a_percent_sign() -> None:
    assert phrase("100% full") == "100% full" and phrase("100% full").told(german, germans) == "100% voll"


def test_a_number_of_things_chooses_the_form() -> None:
    assert [phrase_of("%(num)s file", "%(num)s files", num) for num in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert phrase_of("%(num)s file", "%(num)s files", 2).told(german, germans) == "2 Dateien"


def test_a_copy_of_a_sentence_can_be_told_too() -> None:
    made = phrase("%(path)s is missing", path="100%")
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made and twin.told(german, germans) == "100% fehlt"


def test_sentences_in_a_row_are_told_each() -> None:
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", phrase("the file"), "b"]) == "a, the file, b"
    assert str.__str__(listed([phrase("the file"), "b"])) == "the file, b"
    assert listed([phrase("the file"), "b"]).told(german, germans) == "die Datei, b"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [text for text, *_rest in MALFORMED])
def test_what_is_wrong_with_a_scenario_is_told_in_another_language(text: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    told = caught.value.args[0].told(Wide().gettext, Wide().ngettext)
    assert wide("expected") in told
    assert not re.search(r"\b(the|that|expected|such|most|line|and|each|one of|what|makes)\b", told), told


# ---- in the source

ROOT = Path(__file__).parent.parent / "app" / "pairscope"
SPOKEN = (
    *("stack/checks", "stack/check.py", "stack/scoreboard.py", "store/cursor.py", "cli"),
    *("lab/language", "lab/model.py"),
    *(f"lamp/{name}.py" for name in ("apache", "mariadb", "place", "private", "serve", "server")),
    *("client/readiness.py", "config.py", "lab/exports/record.py"),
    *(f"store/filter/{name}.py" for name in ("conditions", "grammar", "values")),
)
"""Where each text that a person reads is a sentence with its template."""
MARKS = {"phrase", "phrase_of", "_", "gettext", "ngettext"}
OTHERS = {"check", "text", "typed", "add_argument", "compile", "match", "search", "fullmatch", "Field"}
"""Calls whose texts are commands, SQL, patterns, or (Field) told to gettext by their place."""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each text in the code that has several words and no mark, with its line; values in it are %."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in MARKS | OTHERS:
            continue
        if isinstance(node, ast.keyword) and node.arg in ("command", "help"):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "%" for part in node.values),
            )
            for part in node.values:
                yield from texts(part)
        elif isinstance(node, ast.Constant):
            yield (node.lineno, node.value) if isinstance(node.value, str) else (0, "")
        else:
            yield from texts(node)


def spoken(place: str) -> list[Path]:
    found = ROOT / place
    return sorted(found.rglob("*.py")) if found.is_dir() else [found]


@pytest.mark.parametrize("path", [path for place in SPOKEN for path in spoken(place)], ids=str)
def test_no_text_of_several_words_is_without_a_template(path: Path) -> None:
    found = [
        (line, text)
        for line, text in texts(ast.parse(path.read_text()))
        if re.search(r"[A-Za-z]{2,}[:,;]? [a-z]{2,}|[a-z]{2} %|% [a-z]{2}", text) and text not in KEPT
    ]
    assert not found


def test_each_sentence_with_a_template_is_found_by_the_command_of_docs_face() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in MARKS:
                if isinstance(node.args[0], ast.Constant) or ast.unparse(node.func).startswith("phrase"):
                    assert ast.literal_eval(node.args[0]) in extracted(), f"{path}:{node.lineno}"
