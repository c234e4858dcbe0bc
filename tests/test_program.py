"""Programs that come as their source: compiled, run in a box, and recorded. docs/programs.md"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairscope.program import request
from pairscope.program.compiling import remarks
from pairscope.program.sentences import Unrun
from pairscope.trace.recording import Remark
from pairscope.trace.sentences import Over
from tests.boxed import USERS, Boxed, before, boxed, compiled, process
from tests.traced import APP, REFUSING

PAIR = r"""
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fds[2], unused;
    char text[64], line[64];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    if (fork() == 0) {
        write(fds[1], argv[argc - 1], 5);
        return 0;
    }
    long got = read(fds[0], text, sizeof text);
    wait(NULL);
    printf("%.*s %s", (int)got, text, fgets(line, sizeof line, stdin));
    fprintf(stderr, "an error\n");
    return 3;
}
"""


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_a_program_in_c_is_compiled_run_and_recorded_with_its_streams(user: str) -> None:
    run = boxed(PAIR, "first", "hello", given="a line\n", user=user)
    told = run.index.program
    assert (told.source, told.arguments, told.input) == (PAIR, ["first", "hello"], "a line\n")
    assert (told.output, told.errors) == ("hello a line\n", "an error\n")
    assert [(one.kind, one.line) for one in told.remarks if "unused" in one.text] == [("warning", 9)]
    assert (run.index.ended, run.index.processes[0].status) == (Over.LAST, 3)
    assert [one.call for one in run.steps if one.call in ("execve", "socketpair", "clone")] == [
        "execve", "socketpair", "clone",
    ]  # fmt: skip
    assert 'write(4, "hello") = 5  line 13' in run.transcript and '"hello"  line 16' in run.transcript


@process
@compiled
@pytest.mark.parametrize("user", USERS)
def test_a_program_in_python_is_run_by_the_systems_own(user: str) -> None:
    source = (
        "import os, socket, sys\na, b = socket.socketpair()\nb.send(b'hi')\nprint(a.recv(9), sys.argv[1], input())\n"
    )
    run = boxed(source, "word", language="python", given="line\n", user=user)
    assert (run.out, run.index.program.errors) == ("b'hi' word line\n", "")
    assert "socketpair" in run.transcript
    assert [one.line for one in run.steps if one.call in ("socketpair", "sendto", "recvfrom")] == [2, 3, 4]


@process
@compiled
def test_what_is_not_compiled_gets_remarks_at_their_lines_and_no_recording() -> None:
    run = boxed("int main(void)\n{\n    return 1 +;\n}\n")
    assert run.unran is not None
    assert run.unran.error == Unrun.NOT_COMPILED
    assert [(one.kind, one.line, one.column) for one in run.unran.remarks] == [("error", 3, 15)]


@process
@compiled
def test_what_the_linker_misses_stands_at_its_line() -> None:
    run = boxed("int missing(void);\nint main(void)\n{\n    return missing();\n}\n")
    assert run.unran is not None
    assert [(one.kind, one.line, one.text) for one in run.unran.remarks] == [
        ("error", 4, "undefined reference to `missing'")
    ]


def test_a_remark_about_another_file_has_no_line_of_the_program() -> None:
    text = (
        "In file included from program.c:1:\n/usr/include/x.h:7:2: error: #error no\nprogram.c:9: warning: w\n"
        "cc1: fatal error: no memory\ncompilation terminated.\ncollect2: error: ld returned 1 exit status\n"
    )
    assert remarks(text) == [
        Remark("error", 0, 0, "/usr/include/x.h:7: #error no"), Remark("warning", 9, 0, "w"),
        Remark("error", 0, 0, "no memory"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        b"{", b"{}", b"[]", b'{"program": {}}', b'{"program": {"language": "c++", "source": ""}}',
        b'{"program": {"language": "c", "source": "", "more": 1}}', b'{"program": {"language": "c", "source": "\xff"}}',
        b'{"program": {"language": "c", "source": 1}}', b"{" * 100_000,
        b'{"program": {"language": "c", "source": "' + b"x" * 65_537 + b'"}}',
        b'{"program": {"language": "c", "source": "", "arguments": ["\\u0000"]}}',
        b'{"program": {"language": "c", "source": "", "input": "' + "é".encode() * 65_536 + b'"}}',
        b'{"program": {"language": "c", "source": "\\ud800"}}',
    ],
)  # fmt: skip
def test_a_request_that_is_no_program_gets_a_sentence(text: bytes) -> None:
    with pytest.raises(request.Wrong) as said:
        request.decoded(text)
    assert 10 < len(said.value.args[0]) < 400


@process
@compiled
def test_on_a_terminal_outputs_remarks_and_the_end_are_printed_and_the_status_is_the_programs(tmp_path: Path) -> None:
    (tmp_path / "pair.c").write_text(PAIR)
    (tmp_path / "in").write_text("line\n")
    done = subprocess.run(
        [sys.executable, "-m", "pairscope", "program", "pair.c", "-o", "pair.rec", "--input", "in", "hello"],
        capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)}, cwd=tmp_path,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("hello line\n", 3), done.stderr
    assert "pair.c:9:17: warning: unused variable" in done.stderr
    assert "an error\npairscope: the last process has ended; " in done.stderr
    assert done.stderr.endswith("pairscope: written: pair.rec\npairscope: it opens with: pairscope show pair.rec\n")
    assert (tmp_path / "pair.rec").read_bytes().startswith(b"PSREC 2\n")
    assert (tmp_path / "pair.rec").stat().st_mode & 0o777 == 0o600


@process
@compiled
def test_a_terminal_is_told_which_signal_killed_the_program_and_which_file_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import os\nos.kill(os.getpid(), 11)\n")
    (tmp_path / "long.py").write_text("#" * 65_537)
    for words, status, said in (
        (("x.py",), 139, "pairscope: the program was killed by SIGSEGV\n"),
        (("long.py",), 2, "pairscope: long.py has too many characters; expected at most 65536\n"),
        (("x.py", "--input", "long.py"), 2, "pairscope: long.py has too many characters; expected at most 65536\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pairscope", "program", *words],
            capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)}, cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr.endswith(said)) == (status, True), done.stderr


@process
@compiled
@pytest.mark.needs("gcc")
def test_a_terminal_is_told_what_was_not_compiled_or_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int main(void) { return y; }\n")
    (tmp_path / "x.txt").write_text("")
    said = []
    for name in ("x.c", "x.txt"):
        done = subprocess.run(
            [*before("root"), sys.executable, "-m", "pairscope", "program", name],
            capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)}, cwd=tmp_path,
        )  # fmt: skip
        said.append((done.returncode, done.stderr))
    assert said[0][0] == 1
    assert said[0][1].startswith("x.c:1:25: error: ")
    assert said[0][1].endswith(f"pairscope: {Unrun.NOT_COMPILED.value}\n")
    assert said[1] == (2, "pairscope: x.txt ends neither in .c nor in .py\n")


@process
@compiled
@pytest.mark.parametrize(
    "missing",
    [
        "unshare", "landlock_create_ruleset", "seccomp", "sethostname",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("mount", "mount_setattr", "pivot_root")),
    ],
)  # fmt: skip
def test_where_a_part_of_the_box_cannot_be_had_nothing_is_run_and_the_reason_is_told(missing: str) -> None:
    asked = request.encoded("c", "int main(void) { return 0; }\n", [], "")
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, missing, sys.executable, "-m", "pairscope.program.run"],
        input=asked, capture_output=True, timeout=100, env={**os.environ, "PYTHONPATH": str(APP)},
    )  # fmt: skip
    unran = Boxed(done.stdout).unran
    assert (unran is not None, done.stderr) == (True, b"")
    assert unran
    assert unran.error.startswith(Unrun.NO_BOX.value.partition("%")[0]), unran
    assert unran.error.endswith("Operation not permitted") or missing == "seccomp", unran
    assert ("a host name of its own could not be set" in unran.error) == (missing == "sethostname")
