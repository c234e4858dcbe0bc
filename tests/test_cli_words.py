"""The command line in a language whose every letter is another one, by a real catalogue of what gettext finds: what is
still in Latin letters was never given to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo

from tests.words import extracted, wide

pytestmark = pytest.mark.process

Say = Callable[..., str]


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the language xx."""
    catalogue = Catalog("de")
    for message in extracted().values():
        told = wide(message) if isinstance(message, str) else tuple(map(wide, message))
        catalogue.add(message, told, flags=["python-format"] if "%(" in str(message) else [])
    made = tmp_path_factory.mktemp("catalogues")
    (made / "xx/LC_MESSAGES").mkdir(parents=True)
    with open(made / "xx/LC_MESSAGES/messages.mo", "wb") as file:
        write_mo(file, catalogue)
    return made


@pytest.fixture
def say(catalogues: Path, tmp_path: Path) -> Say:
    """What the command pairscope prints in the language xx, or in that of `environment`."""

    def run(*words: str, stdin: str = "", status: int = 0, **environment: str) -> str:
        program = (
            "import pathlib, sys; from pairscope import files; files.CATALOGUES = pathlib.Path(sys.argv.pop(1)); "
            "from pairscope.cli import main; main(prog_name='pairscope')"
        )
        given = {
            "PATH": os.environ["PATH"],
            "PAIRSCOPE_STATE": str(tmp_path / "state"),
            "LANGUAGE": "xx",
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-c", program, str(catalogues), *words],
            input=stdin, capture_output=True, text=True, env=given, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


KEPT = re.compile(
    r"""(?x) /[\w./-]+ | --?[a-z-]+ | [A-Z_]{3,} | '[^']*' | "[^"]*" | `[^`]*` | \.\.\. .*
    | \b(?: pairscope | script/\w+ | deploy/[\w./-]+ | (?:float|integer)\ range | embedded:\ workers ) \b
    | [a-z]+(?:,\ [a-z]+){3,}"""
)
"""Commands, options, names of variables, files and fields, and what somebody quoted."""
NOTATION = re.compile(r"\s*\d+ \w+ \w+( |:).*|\s+\d+  \w+ +\w+ +inode .*")
"""Lines of a run, as the exported programs print them, and a descriptor's row."""


def english(text: str) -> list[str]:
    """Lines in which two words in a row are in Latin letters."""
    return [
        line
        for line in text.splitlines()
        if not NOTATION.fullmatch(line)
        and not line.startswith(wide("Usage"))
        and re.search(r"[A-Za-z]{2,}[,;:]? +[a-z]{2,}", KEPT.sub("*", line))
    ]


COMMANDS = (
    "serve", "lamp", "status", "submit", "tail", "lab", "lab run", "lab show", "lab list", "lab export", "record",
    "checks", "migrate", "token", "token create", "token list", "token revoke",
)  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_each_command_is_in_the_readers_language(say: Say, command: str) -> None:
    shown = say(*command.split(), "--help")
    listed = re.compile(r"^  (?:[a-z]+|-.*?)(?:  .*)?$|^.*: pairscope.*$")
    found = [line for line in english(shown) if not listed.fullmatch(line)]
    assert found == [] and wide("Show this message and exit.") in shown


@pytest.mark.parametrize(("words", "status", "said"), [
    (("status",), 3, "the pool is away"),
    (("submit", "digest", "/etc/hostname"), 3, "no supervisor listens at"),
    (("submit", "digest", "/"), 1, "is a directory; expected a file"),
    (("submit", "digest", "--data", "a", "/"), 2, "cannot be given both"),
    (("submit", "echo", "-p", "size"), 2, "is no parameter; expected"),
    (("tail", "-q", "since:never"), 2, "is no time; expected an age such as"),
    (("tail", "-n", "x"), 2, "is not a valid"),
    (("tail",), 4, "the database does not do it"),
    (("checks",), 1, "No supervisor has said anything lately"),
    (("lab", "run", "nothing-like-it"), 2, "is neither a file nor in the gallery"),
    (("lab", "show", "/etc/passwd"), 2, "is no run"),
    (("token", "revoke"), 2, "Missing argument"),
    (("record",), 2, "there is no command to record"),
    (("record", "true"), 2, "is missing: where the recording is written"),
    (("record", "-o", "x", "--", "no-such-program"), 1, "is no program that can be run"),
    (("record", "--passages", "/etc/passwd", "--transcript", "/etc/passwd"), 2, "not two of them"),
    (("record", "--json", "-o", "x", "--", "true"), 2, "goes with --passages and with --compare alone"),
    (("record", "--passages", "/etc/passwd"), 2, "it does not begin as a recording of"),
    (("nothing",), 2, "No such command"),
    (("--nothing",), 2, "No such option"),
    (("serve", "--port", "x"), 2, "expected a number from 0 to 65535"),
])  # fmt: skip
def test_what_goes_wrong_is_told_in_the_readers_language(
    say: Say, words: tuple[str, ...], status: int, said: str
) -> None:
    shown = say(*words, status=status)
    assert (
        wide(said) in shown and [line for line in english(shown) if not re.search("unable to open|JSON is", line)] == []
    )


def test_a_recording_is_told_in_the_readers_language(say: Say) -> None:
    for words, said in (
        (("record", "-o", "x.rec", "--", "true"), "the last process has ended"),
        (("record", "--passages", "x.rec"), "No descriptor was passed."),
    ):
        shown = say(*words)
        assert wide(said) in shown and english(shown) == [], words


def test_a_wrong_setting_is_told_in_the_readers_language(say: Say) -> None:
    shown = say("status", status=2, PAIRSCOPE_WORKERS="99")
    assert wide("expected a whole number from") in shown and english(shown) == []


def test_tables_and_tokens_are_told_in_the_readers_language(say: Say) -> None:
    for words, said in (
        (("migrate",), "Applied"),
        (("migrate",), "The tables are up to date."),
        (("token", "list"), "There is no token."),
        (("token", "create", "me"), "It is not shown again."),
        (("token", "create", "me", "--once"), "This link logs in once."),
        (("token", "list"), "at its first login at the latest"),
        (("token", "revoke", "1"), "is revoked"),
    ):
        shown = say(*words)
        assert wide(said) in shown and english(shown) == [], words


RUN = 'm: pipe -> r w\nm: write w "abc" => 4\nm: read r 3\n'


def test_a_run_of_the_lab_is_told_in_the_readers_language(say: Say, tmp_path: Path) -> None:
    shown = say("lab", "run", "--here", "-", "-o", "run.json", stdin=RUN, status=1)
    assert wide("not as expected in") in shown and wide("expected") + " 4" in shown and english(shown) == []
    assert english(say("lab", "show", "run.json", "--step", "2")) == []
    shown = say("lab", "run", "--here", "--times", "2", "-", stdin=RUN, status=1)
    assert shown.startswith(f"2 {wide('of')} 2 {wide('not as expected')}") and english(shown) == []
    assert wide("not as expected") + ": " + wide("line") in shown


def test_the_last_language_that_has_no_catalogue_is_english(say: Say) -> None:
    for language in (
        {"LANGUAGE": "", "LANG": "xx"},
        {"LANGUAGE": "", "LC_ALL": "xx"},
        {"LANGUAGE": "", "LC_MESSAGES": "xx"},
    ):
        assert wide("the pool is away") in say("status", status=3, **language)
    assert "the pool is away" in say("status", status=3, LANGUAGE="yy:en")
    assert "the pool is away" in say("status", status=3, LANGUAGE="", LC_ALL="C", LANG="xx")


def test_the_answer_for_programs_is_english_in_every_language(say: Say) -> None:
    shown = say("checks", "--json", status=1)
    assert shown.isascii() and '"drift": "No supervisor has said anything lately' in shown


def test_status_imports_neither_the_web_nor_babel_nor_a_database(say: Say, tmp_path: Path) -> None:
    program = (
        "import sys; from pairscope.cli import main\ntry: main(['status'])\nexcept SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, cwd=tmp_path, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stdout.split()} | set(done.stdout.split())
    assert "pairscope.client.readiness" in loaded
    assert not loaded & {"flask", "flask_babel", "babel", "sqlalchemy", "pairscope.web", "pairscope.recorded"}
