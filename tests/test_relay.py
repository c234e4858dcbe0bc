"""A daemon of web that still imports the application has its requests answered by the one before."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pairscope.lamp.relay import Application, BrokenOffError, Wsgi, edition
from tests.eventually import eventually

MEBIBYTE = 1 << 20


def named(name: str) -> Wsgi:
    """An application that tells its name, the path, and how long the body is."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}".encode()]

    return application


class Importing:
    """A daemon whose import takes as long as the test likes."""

    def __init__(self, door: Path, made: Wsgi) -> None:
        self.may = threading.Event()

        def make() -> Wsgi:
            assert self.may.wait(60)
            return made

        self.application = Application(make, door)
        self.application.start()

    def imported(self) -> Application:
        self.may.set()
        eventually(lambda: self.application.made is not None, "the application is there")
        return self.application


@contextmanager
def importing(door: Path, made: Wsgi) -> Iterator[Importing]:
    daemon = Importing(door, made)
    try:
        yield daemon
    finally:
        daemon.imported()


@pytest.fixture
def before() -> Iterator[Callable[[Path, Wsgi], Callable[[], bool]]]:
    """Makes daemons that leave; each gives what tells whether it is needed."""
    leaving: list[Application] = []

    def leave(door: Path, made: Wsgi) -> Callable[[], bool]:
        leaving.append(Importing(door, made).imported())
        return leaving[-1].leave()

    yield leave
    for each in leaving:
        each.close()
        eventually(each.idle, "nobody is answered any more")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread dies of is told to nobody."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)


Before = Callable[[Path, Wsgi], Callable[[], bool]]


def ask(
    application: Wsgi, method: str = "GET", body: Any = None, length: int = 0, path: str = "/p\xe9"
) -> tuple[str, bytes]:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(length) if length else "",
        "wsgi.input": body or io.BytesIO(),
        "mod_wsgi.version": (4, 9, 4),
        "not for others": object(),
    }
    said: list[str] = []
    answer = application(environ, lambda status, headers, *_: said.append(status))
    return said[0] if said else "", b"".join(answer)


def test_who_asks_a_daemon_that_imports_is_answered_by_the_one_before_and_then_by_itself(
    tmp_path: Path, before: Before
) -> None:
    door = tmp_path / "before-web-1"
    before(door, named("older"))
    with importing(door, named("newer")) as daemon:
        assert ask(daemon.application) == ("200 OK", b"older GET /p\xc3\xa9 0")
        body = os.urandom(3 * MEBIBYTE)
        assert ask(daemon.application, "POST", io.BytesIO(body), len(body))[1].endswith(f" {len(body)}".encode())
        assert ask(daemon.imported())[1].startswith(b"newer")


def test_many_are_answered_at_a_time(tmp_path: Path, before: Before) -> None:
    door, together = tmp_path / "before-web-1", threading.Barrier(20, timeout=30)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        together.wait()
        return named("older")(environ, start_response)

    before(door, application)
    with importing(door, named("newer")) as daemon, ThreadPoolExecutor(20) as visitors:
        answers = list(visitors.map(lambda number: ask(daemon.application, path=f"/{number}"), range(20)))
    assert [said for _, said in answers] == [f"older GET /{number} 0".encode() for number in range(20)]


def test_where_there_is_no_daemon_before_a_visitor_waits_for_the_import(tmp_path: Path) -> None:
    with importing(tmp_path / "before-web-1", named("newer")) as daemon, ThreadPoolExecutor() as visitors:
        waiting = visitors.submit(ask, daemon.application)
        daemon.imported()
        assert waiting.result(30)[1].startswith(b"newer")


def test_a_daemon_before_that_opens_its_door_late_answers_those_who_wait(tmp_path: Path, before: Before) -> None:
    door = tmp_path / "before-web-1"
    with importing(door, named("newer")) as daemon, ThreadPoolExecutor() as visitors:
        waiting = visitors.submit(ask, daemon.application)
        before(door, named("older"))
        assert waiting.result(30)[1].startswith(b"older")


def test_an_answer_is_passed_on_as_it_comes(tmp_path: Path, before: Before) -> None:
    door, more, closed = tmp_path / "before-web-1", threading.Event(), threading.Event()

    class Answer:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            assert more.wait(30)
            yield b"x" * MEBIBYTE

        def close(self) -> None:
            closed.set()

    def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return Answer()

    before(door, application)
    with importing(door, named("newer")) as daemon:
        answer = iter(daemon.application({"REQUEST_METHOD": "GET"}, lambda *_: None))
        assert next(answer) == b"first"
        more.set()
        assert b"".join(answer) == b"x" * MEBIBYTE
        assert closed.wait(10)


def test_who_is_refused_before_the_body_is_there_is_told_so(tmp_path: Path, before: Before) -> None:
    door = tmp_path / "before-web-1"

    def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("503 Service Unavailable", [("Retry-After", "1")])
        return [b"full"]

    class Endless:
        def read(self, count: int) -> bytes:
            return b"x" * count

    before(door, application)
    with importing(door, named("newer")) as daemon:
        assert ask(daemon.application, "POST", Endless(), 1 << 40) == ("503 Service Unavailable", b"full")


def test_a_request_that_the_daemon_before_has_not_taken_is_answered_by_the_next_one_with_its_body(
    tmp_path: Path,
) -> None:
    door = tmp_path / "before-web-1"
    with socket.socket(socket.AF_UNIX) as ending:
        ending.bind(str(door))
        ending.listen()
        with importing(door, named("newer")) as daemon, ThreadPoolExecutor(1) as visitor:
            first, _ = ending.accept()  # that of the import
            answer = visitor.submit(ask, daemon.application, "POST", io.BytesIO(b"x" * 100), 100)
            asked, _ = ending.accept()
            assert asked.recv(4)
            door.unlink()
            asked.close()
            first.close()
            daemon.may.set()
            assert answer.result(60) == ("200 OK", "newer POST /p\xe9 100".encode())


def test_the_application_is_told_when_the_visitor_hangs_up_in_the_midst_of_a_body(
    tmp_path: Path, before: Before
) -> None:
    door = tmp_path / "before-web-1"

    class Gone:
        def read(self, _count: int) -> bytes:
            raise OSError("Apache/mod_wsgi request data read error")

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with pytest.raises(OSError, match="has gone"):
            environ["wsgi.input"].read()
        start_response("400 Bad Request", [])
        return [b"gone"]

    before(door, application)
    with importing(door, named("newer")) as daemon:
        assert ask(daemon.application, "POST", Gone(), 100) == ("400 Bad Request", b"gone")


@pytest.mark.usefixtures("quiet")
def test_an_answer_that_breaks_off_is_an_error_and_never_looks_whole(tmp_path: Path, before: Before) -> None:
    door = tmp_path / "before-web-1"

    def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"first"
        raise RuntimeError("in the midst of it")

    before(door, application)
    with importing(door, named("newer")) as daemon, pytest.raises(BrokenOffError):
        ask(daemon.application)


def test_a_daemon_before_is_needed_as_long_as_the_next_one_imports(
    tmp_path: Path, before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairscope.lamp.relay.STAYS", 0)
    door = tmp_path / "before-web-1"
    needed = before(door, named("older"))
    assert not needed()
    with importing(door, named("newer")) as daemon:
        eventually(needed, "it is needed")
        daemon.imported()
        eventually(lambda: not needed(), "it is needed no longer")


def test_a_daemon_that_leaves_before_its_import_has_ended_answers_for_nobody(tmp_path: Path) -> None:
    door = tmp_path / "before-web-1"
    with importing(door, named("older")) as daemon:
        assert not daemon.application.leave()() and not door.exists()


def test_other_settings_or_other_code_are_another_edition_whose_daemon_asks_no_older_one(
    tmp_path: Path, before: Before
) -> None:
    settings, code = tmp_path / "web.toml", tmp_path / "code"
    (code / "inner").mkdir(parents=True)
    (code / "inner" / "module.py").write_text("")
    settings.write_text("a = 1")
    editions = [edition(settings, code), edition(settings, code)]
    settings.write_text("a = 2")
    editions.append(edition(settings, code))
    os.utime(code / "inner" / "module.py", (1, 1))
    editions.append(edition(settings, code))
    (code / "inner" / "other.py").write_text("")
    editions.append(edition(settings, code))
    assert editions[0] == editions[1] and len(set(editions)) == 4
    before(tmp_path / "before-web-1", named("older"))
    with importing(tmp_path / "before-web-2", named("newer")) as daemon, ThreadPoolExecutor() as visitors:
        assert not (tmp_path / "before-web-1").exists(), "nobody asks there any more"
        waiting = visitors.submit(ask, daemon.application)
        daemon.imported()
        assert waiting.result(30)[1].startswith(b"newer")


@pytest.mark.usefixtures("quiet")
def test_an_application_that_cannot_be_imported_is_an_error_for_each_who_asks(tmp_path: Path) -> None:
    def make() -> Wsgi:
        raise ImportError("no such thing")

    application = Application(make, tmp_path / "before-web-1")
    application.start()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="could not be imported"):
            ask(application)
