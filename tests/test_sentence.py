"""A sentence is English for who does not ask, and in the reader's language for who does."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from pairscope import recorded
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


def texts(tree: ast.AST, others: Set[str] = OTHERS) -> Iterator[tuple[int, str]]:
    """Each text in the code that has several words and no mark, with its line; values in it are %. What calls of
    `others` are given is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in MARKS | others:
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
                yield from texts(part, others)
        elif isinstance(node, ast.Constant):
            yield (node.lineno, node.value) if isinstance(node.value, str) else (0, "")
        else:
            yield from texts(node, others)


def spoken(place: str) -> list[Path]:
    found = ROOT / place
    return sorted(found.rglob("*.py")) if found.is_dir() else [found]


SEVERAL = re.compile(r"[A-Za-z]{2,}[:,;]? [a-z]{2,}|[a-z]{2} %|% [a-z]{2}")


@pytest.mark.parametrize("path", [path for place in SPOKEN for path in spoken(place)], ids=str)
def test_no_text_of_several_words_is_without_a_template(path: Path) -> None:
    found = [
        (line, text) for line, text in texts(ast.parse(path.read_text())) if SEVERAL.search(text) and text not in KEPT
    ]
    assert not found


RECORDING = (*("pool", "work", "ipc", "journal", "trace", "recorder", "sandbox"), "lab/station.py", "lab/runner.py")
"""Where what is said of others is recorded or sent in words: each sentence is one of a list of recorded.py."""
DOCUMENTS = {"ipc/vocabulary.py", "ipc/protocol.py", "trace/lines.py", "sandbox/syscalls.py"}
"""What these say is told to gettext by web/sentences.py, stands in a document, or is written as strace does."""
UNRECORDED = {
    *("debug", "info", "warning", "error", "exception", "print"),
    *("empty", "sealed", "AssertionError", "SettingsError"),
    *("match", "search", "fullmatch", "compile", "findall", "text", "execute", "exec_driver_sql", "split"),
}
"""Calls whose texts go to a log, name a memfd, or are patterns, SQL and lists of words for the machine."""
OWN = {
    # of a log
    *("%pairscope pool: %(message)s", "%pairscope recorder: %(message)s", "an allocation failed; RLIMIT_AS is %"),
    *("of the % bytes of address space that this process may have (RLIMIT_AS) % are taken", "a client with pid %"),
    *("; % bytes of a torn tail are passed over", "the position of node % is no longer this recorder's"),
    "the supervisor is gone; what is not drained stays in the journal",
    "asked to finish while %; what is not drained stays in the journal",
    "asked to finish; everything is drained",
    "the database is at position %, these records begin at %",
    (
        "the history of node % is written for the supervisor that began at position %, and this recorder's began at "
        "%, before it: it stops; what it has not written stays in the journal"
    ),
    *("%; trying again, what comes waits in the journal", "the database is back; going on from position %"),
    *("another supervisor listens", "the supervisor has closed its end"),
    # a mistake of the program, or of whoever starts it
    *("job % has ended before", "only WNOHANG makes it so", "two jobs are named %: % and %"),
    *("node is %; expected 0 to 1023", "this system has no statx(2)", "an empty packet reads as end-of-file"),
    "the process % that started this one has ended",
    *("PAIRSCOPE_SANDBOX is %; expected one of %", "the supervisor % ended before its worker was ready"),
    "worker_user is %; there is no such user on this machine",
    "descriptor % is a standard stream; a worker's own end has a higher number",
    # names and values
    "No such process",
    *("the stop's grace", "the lab's pause", "more for the recorder", "outputs that expire", "the recorder's birth"),
    *("callers that wait", "callers at all", "clients that say nothing", "clients of whom the log did not tell"),
    *("whether tasks were taken", "% % (pid %)", "kind %", "Runs a scenario of the lab with real processes."),
}
"""Texts of several words there that no page shows as they stand."""


@pytest.mark.parametrize(
    "path",
    [path for place in RECORDING for path in spoken(place) if str(path.relative_to(ROOT)) not in DOCUMENTS],
    ids=str,
)
def test_no_reason_that_is_recorded_is_formatted_where_it_is_found(path: Path) -> None:
    found = [
        (line, text)
        for line, text in texts(_without_lists(path), UNRECORDED)
        if SEVERAL.search(text) and text not in extracted() and text not in OWN
    ]
    assert not found


def _without_lists(path: Path) -> ast.Module:
    """A file without its lists of sentences and of decisions, which are enumerations."""
    tree = ast.parse(path.read_text())
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases))
    ]
    return tree


def templates() -> dict[str, set[str]]:
    """The names of the values of each sentence, by its list and its own name."""
    return {
        f"{said.__name__}.{name}": set(re.findall(r"%\((\w+)\)", one.value))
        for said in recorded.LISTS
        for name, one in said.__members__.items()
    }


def test_each_sentence_is_given_the_values_that_it_names() -> None:
    known, filled = templates(), 0
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "say":
                names = known.get(ast.unparse(node.func.value).removeprefix("sentences."))
                given = {keyword.arg for keyword in node.keywords}
                if names is not None and None not in given:
                    filled += 1
                    assert given == names, f"{path}:{node.lineno}: {ast.unparse(node)}"
    assert filled > 100


def test_each_list_of_sentences_is_known_to_who_translates() -> None:
    found = {
        node.name
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and node.bases
        and (base := ast.unparse(node.bases[0])) in ("enum.StrEnum", "Template")
        and (base == "Template" or "%(" in ast.unparse(node))
    }
    assert found - {"Template"} == {said.__name__ for said in recorded.LISTS}


def test_each_sentence_with_a_template_is_found_by_the_command_of_docs_face() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in MARKS:
                if isinstance(node.args[0], ast.Constant) or ast.unparse(node.func).startswith("phrase"):
                    assert ast.literal_eval(node.args[0]) in extracted(), f"{path}:{node.lineno}"
