"""The collection of programs: each one compiles, ends by itself, and says what it should. docs/programs.md"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope.program import collection
from pairscope.program.collection import ENTRIES, SUFFIXES, Entry, Language

ROOT = Path(collection.__file__).parent
FLAGS = ("-g", "-Wall", "-Wextra", "-Werror", "-pthread")

SAYS: dict[str, tuple[str, int]] = {
    "pair": ("read 16 bytes: hello, other end\nread 0: the other end is closed\n", 0),
    "parent-and-child": (
        "child: hello, child\nchild: nobody can write to me any more\nparent: it ended with 7\n",
        0,
    ),
    "both-directions": ("one -> ONE\ntwo -> TWO\nthree -> THREE\n", 0),
    "gather-and-scatter": ('sent 12 bytes in 3 pieces\nreceived 12: "it is a " and "test"\n', 0),
    "passed-descriptor": (": written by the child\n", 0),
    "passed-listener": ("the child says: at your service\n", 0),
    "preforked": ("6 of 6 were served\n", 0),
    "poll": ("2 clients had their echo\n", 0),
    "epoll": ("2 clients had their echo\n", 0),
    "shell-pipe": ("3\n", 0),
    "self-pipe": ("signal 10 came through the pipe\n", 0),
    "sigchld": ("3 ends, at most as many signals: yes\n", 0),
    "fifo": ("from somebody who knows the name\nthe last writer has closed it\n", 0),
    "shared-memory": ("counted to ", 0),
    "sealed": ("sealed, to map for writing: Operation not permitted\nit holds: This will stay\n", 0),
    "worker-pool": ("the squares of 1 to 9 are 285 together\n", 0),
    "deadlock": ("a deadlock: nobody speaks for a second\n", 1),
}
"""What each prints (the end of it, or a part), and its exit status."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A working directory; a short one, for the name of a socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="program") as made:
        yield Path(made)


def test_each_program_is_there_in_both_languages_with_a_title_and_what_to_look_at() -> None:
    assert [entry.number for entry in ENTRIES] == list(range(1, len(ENTRIES) + 1))
    assert [entry.name for entry in ENTRIES] == list(SAYS)
    files = {f"{entry.number:02}-{entry.name}{suffix}" for entry in ENTRIES for suffix in SUFFIXES.values()}
    assert files == {path.name for path in ROOT.glob("[0-9]*")}
    for entry in ENTRIES:
        assert entry.title and entry.look and entry.man
        assert collection.find(entry.name) is entry
        for language in SUFFIXES:
            lines = entry.source(language).splitlines()
            assert len(lines) <= 71 and max(map(len, lines)) <= 72, "it is read on a phone, too"
    assert collection.find("../pair") is None


@pytest.mark.process
@pytest.mark.needs("gcc", "python3")
@pytest.mark.parametrize("language", SUFFIXES)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_it_compiles_without_a_warning_and_ends_by_itself_as_it_should(
    entry: Entry, language: Language, place: Path
) -> None:
    source = place / f"program{SUFFIXES[language]}"
    source.write_text(entry.source(language))
    command = ["python3", str(source)]
    if language == "c":
        subprocess.run(["gcc", *FLAGS, "-o", place / "program", source], check=True)
        (place / "program").rename(place / "run")
        command = [str(place / "run")]
    kept = set(os.listdir(place))
    done = subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    said, status = SAYS[entry.name]
    assert said in done.stdout and (done.stderr, done.returncode) == ("", status), done
    assert set(os.listdir(place)) == kept, "what it makes it removes"
