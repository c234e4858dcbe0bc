"""What a program in a box must not do, tried by one: docs/programs.md, "What was tried against it"."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairscope import files
from pairscope.program import request
from tests.boxed import USERS, Boxed, before, below, boxed, compiled, process
from tests.eventually import eventually
from tests.traced import APP, AS_NOBODY

pytestmark = [process, compiled]

ATTEMPTS = (Path(__file__).parent / "programs/boxed/attempts.c").read_text()
DOCUMENT = (Path(__file__).parents[1] / "docs/programs.md").read_text()
ANSWERS = dict(re.findall(r"^\| ([^|]+) \| ([A-Z]+|Bad system call) \| [^|]+ \|$", DOCUMENT, re.MULTILINE))
THEIRS = [name for name in ANSWERS if "their" in name] + ["signal them", "look at them"]
OUTSIDE = ["/etc/passwd", "/etc/hostname", str(files.PACKAGE / "config.py"), str(Path(__file__))]


@contextlib.contextmanager
def others() -> Iterator[list[str]]:
    """A server with a socket, a port and an abstract name, and a process of the user of boxes: as the arguments that
    the attempts take."""
    with contextlib.ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="others")))
        directory.chmod(0o755)
        unix, tcp, abstract = (opened.enter_context(socket.socket(f)) for f in (socket.AF_UNIX, socket.AF_INET, 1))
        unix.bind(str(directory / "s"))
        (directory / "s").chmod(0o777)
        tcp.bind(("127.0.0.1", 0))
        name = f"theirs-{os.getpid()}"
        abstract.bind(f"\0{name}")
        for one in (unix, tcp, abstract):
            one.listen()
        alive = subprocess.Popen(
            [*(AS_NOBODY if os.geteuid() == 0 else []), "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        opened.enter_context(alive)
        assert alive.stdin
        opened.callback(alive.stdin.close)
        comm = Path(f"/proc/{alive.pid}/comm")
        eventually(lambda: comm.read_text() == "cat\n", "it has become a process of that user", 30)
        yield [str(directory / "s"), str(tcp.getsockname()[1]), name, str(alive.pid)]


def answers(out: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)


@pytest.fixture(scope="module")
def tried() -> dict[str, Boxed]:
    with others() as them:
        return {user: boxed(ATTEMPTS, *them, *OUTSIDE, user=user) for user in USERS}


@pytest.mark.parametrize("user", USERS)
def test_every_attempt_is_answered_as_the_document_says(tried: dict[str, Boxed], user: str) -> None:
    found = answers(tried[user].out)
    assert len(ANSWERS) > 45
    assert {name: found.get(name) for name in ANSWERS} == ANSWERS


@pytest.mark.parametrize("user", USERS)
def test_no_file_of_the_installation_or_of_the_machine_is_there(tried: dict[str, Boxed], user: str) -> None:
    found = answers(tried[user].out)
    assert {path: found[path] for path in OUTSIDE} == dict.fromkeys(OUTSIDE, "ENOENT")


def test_outside_of_a_box_the_same_program_reaches_all_of_that(tmp_path: Path) -> None:
    made = tmp_path / "attempts"
    subprocess.run(["gcc", "-w", "-DOUTSIDE", "-x", "c", "-o", made, "-"], input=ATTEMPTS.encode(), check=True)
    with others() as them, open(made, "rb") as program:
        # by its descriptor: an ordinary user need not find the way to it
        done = subprocess.run(
            [*before("ordinary"), f"/proc/self/fd/{program.fileno()}", *them, *OUTSIDE],
            capture_output=True, text=True, timeout=60, pass_fds=[program.fileno()], cwd="/",
        )  # fmt: skip
    found = answers(done.stdout)
    assert {name: found[name] for name in [*THEIRS, *OUTSIDE]} == dict.fromkeys([*THEIRS, *OUTSIDE], "done")


@pytest.mark.parametrize("user", USERS)
def test_a_program_is_nobody_has_no_right_and_inherits_nothing(tried: dict[str, Boxed], user: str) -> None:
    lines = tried[user].out.splitlines()
    said = answers(tried[user].out)
    assert set(said["Uid"].split()) == set(said["Gid"].split()) == {str(os.getuid() or 65534)}
    assert (said["CapEff"], said["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
    assert os.geteuid() or "Groups:" in lines, "an ordinary user keeps his own"
    assert [line for line in lines if line.startswith("fd ")] == ["fd 0", "fd 1", "fd 2"]
    assert [line.partition("=")[0] for line in lines if line.startswith("export ")] == [
        f"export {name}" for name in ("HOME", "LANG", "PATH", "PWD", "TMPDIR")
    ]
    mounts = {line.split()[2]: line.split()[4] for line in lines if line.startswith("mount ")}
    assert {place for place, options in mounts.items() if options.startswith("rw")} == {
        "/", "/proc", "/kept", *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")),
    }  # fmt: skip
    assert set(mounts) >= {"/usr", "/usr/local"}


def test_what_its_own_filter_refuses_is_a_step_with_its_errno(tried: dict[str, Boxed]) -> None:
    seen = tried[USERS[0]].transcript
    for call in ("io_uring_setup", "unshare", "clone3"):
        assert re.search(rf"{call}\(.*\) = (EPERM|ENOSPC|-1 E)", seen), call
    assert re.search(r"kill\(1, SIGTERM\) = .*EPERM", seen)


@pytest.mark.parametrize("user", USERS)
def test_one_run_reaches_nothing_of_another(user: str) -> None:
    waits = """
import os, socket, time
abstract, tcp = socket.socket(socket.AF_UNIX), socket.socket()
abstract.bind("\\0another"), tcp.bind(("127.0.0.1", 7777)), abstract.listen(), tcp.listen()
path = socket.socket(socket.AF_UNIX)
path.bind("/tmp/another"), path.listen()
while os.read(0, 1): time.sleep(0.05), os.dup(0)
"""
    asked = request.encoded("python", waits, [], "x" * 60_000)
    with subprocess.Popen(
        [*before(user), sys.executable, "-m", "pairscope.program.run"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(APP)},
    ) as runs:  # fmt: skip
        try:
            assert runs.stdin
            runs.stdin.write(asked)
            runs.stdin.close()

            def look() -> int | None:
                return next((pid for pid in below(runs.pid) if listens(pid)), None)

            pid = eventually(look, "the other run listens", 30)
            found = answers(boxed(ATTEMPTS, "/tmp/another", "7777", "another", str(pid), user=user).out)
        finally:
            runs.kill()
    theirs = [name for name in ANSWERS if "their" in name or name.endswith(" them")]
    assert {name: found[name] for name in theirs} == {name: ANSWERS[name] for name in theirs}


def listens(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "@another" in Path(f"/proc/{pid}/net/unix").read_text()
    return False


@pytest.mark.parametrize("user", USERS)
def test_neither_include_nor_incbin_reaches_a_file_outside(user: str) -> None:
    source = "".join(f'#if __has_include("{path}")\n#error "{path} is there"\n#endif\n' for path in OUTSIDE)
    paths = [*OUTSIDE, "/proc/self/environ", "/proc/1/environ", "/kept/recording"]
    source += "".join(f'__asm__(".incbin \\"{path}\\"");\n' for path in paths)
    found = boxed(source, user=user).unran
    assert found is not None
    assert [one.text.partition(": ")[2] for one in found.remarks] == [f"file not found: {path}" for path in paths]
    found = boxed(f'#include "{OUTSIDE[0]}"\n', user=user).unran
    assert found is not None
    assert [(one.line, one.text) for one in found.remarks] == [(1, "/etc/passwd: No such file or directory")]
