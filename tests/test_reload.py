"""A graceful restart of Apache, as logrotate does daily: whatever it meets on its way is answered."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pairscope.pool.view import stopped
from tests.eventually import eventually
from tests.lamp import Lamp, Visitor, command
from tests.leaks import runs
from tests.running import TOKEN, Answer
from tests.test_lamp import children

pytestmark = pytest.mark.lamp

SLOWEST = 90.0
"""Seconds that a visitor waits here, on a machine where web's start takes long."""


def doors(lamp: Lamp) -> set[Path]:
    """The sockets of web's daemons that listen now."""
    return set(lamp.made.run.glob("wsgi.*.sock"))


def restart(lamp: Lamp) -> None:
    """Returns when the next daemons have been started: they do not answer yet."""
    before = doors(lamp)
    lamp.apache.restart()
    eventually(lambda: len(doors(lamp) - before) == len(before), "the next daemons have sockets", 30)


def settle(lamp: Lamp) -> None:
    """Returns when the last supervisor is alone, and all is ready."""

    def alone() -> bool:
        (supervisor,) = lamp.supervisors() or [0]
        return f"supervisor pid {supervisor}" in str(lamp.checks()["pool"]["detail"])

    eventually(lambda: len(lamp.supervisors()) == 1 and alone(), "one supervisor is left, and says so", SLOWEST)
    lamp.ready()


def begin(lamp: Lamp, text: str) -> socket.socket:
    """A connection on which the beginning of a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", lamp.made.port), timeout=SLOWEST)
    connection.sendall(text.replace("\n", "\r\n").encode())
    ends = f":{lamp.made.port:04X}", f":{connection.getsockname()[1]:04X}"

    def accepted() -> bool:
        """One that nobody has accepted has no inode. /proc/net/tcp, proc_net_tcp(5)."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(ends[0]) and row[2].endswith(ends[1]) and row[9] != "0" for row in rows)

    eventually(accepted, "a process of Apache has the connection", 30)
    return connection


def finish(connection: socket.socket, text: str) -> Answer:
    """The answer, after the rest of its request has been sent."""
    with connection:
        connection.sendall(re.sub("(?<!\r)\n", "\r\n", text).encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, response.headers, response.read())


def form(content: str) -> str:
    """The body of a job on a file, whose parts are divided by ``b``."""
    return (
        "--b\n"
        'Content-Disposition: form-data; name="kind"\n\ndigest\n--b\n'
        f'Content-Disposition: form-data; name="file"; filename="in hand.txt"\n\n{content}\n--b--\n'
    ).replace("\n", "\r\n")


TAKEN, WAITING = "03", "02"


def there(lamp: Lamp, *states: str) -> int:
    """How many connections in these states a socket of web's daemons has. /proc/net/unix, unix(7)."""
    names = {str(door) for door in doors(lamp)}
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sum(row[5] in states and row[-1] in names for row in rows)


@pytest.mark.parametrize("path", ["/healthz", "/login?next=/jobs%3Fq%3Da%2526b%2Bc"])
def test_a_page_that_an_older_process_of_apache_still_has_to_get_comes_from_the_newer_ones(
    lamp: Lamp, path: str
) -> None:
    """Its daemons have lost their socket, and the newer ones would not believe it."""
    expected = lamp.visitor.get(path)
    connection = begin(lamp, f"GET {path} HTTP/1.1\nHost: localhost:{lamp.made.port}\n")
    restart(lamp)
    answer = finish(connection, "Connection: close\n\n")
    assert answer.status == expected.status == 200, answer.text
    assert answer.text.count("q%3Da%2526b%2Bc") == expected.text.count("q%3Da%2526b%2Bc")
    assert answer.headers["Content-Type"] == expected.headers["Content-Type"]
    settle(lamp)


def test_what_is_to_be_done_and_did_not_reach_the_older_daemons_is_done_once_by_the_newer_ones(lamp: Lamp) -> None:
    """Apache makes a GET of what it asks again."""
    jobs = int(lamp.ask("SELECT COUNT(*) FROM jobs"))
    body = form("a" * 300_000)
    head = (
        f"POST /api/v1/jobs?wait=60 HTTP/1.1\nHost: localhost\nAuthorization: Bearer {TOKEN}\nConnection: close\n"
        f"Content-Type: multipart/form-data; boundary=b\nContent-Length: {len(body)}\n"
    )
    connection = begin(lamp, head)
    restart(lamp)
    answer = finish(connection, f"\n{body}")
    assert answer.status == 201 and answer.json["state"] == "done" and answer.json["size"] == 300_000, answer.text
    settle(lamp)
    eventually(lambda: int(lamp.ask("SELECT COUNT(*) FROM jobs")) == jobs + 1, "it was done once")


def test_the_method_of_a_request_is_what_it_says_whoever_claims_that_apache_asks_again(lamp: Lamp) -> None:
    """Only Apache itself comes from its own address."""
    connection = socket.create_connection(
        ("127.0.0.1", lamp.made.port), timeout=SLOWEST, source_address=("127.0.0.2", 0)
    )
    words = f"GET /healthz HTTP/1.1\nHost: localhost:{lamp.made.port}\nPairscope-Method: POST\nConnection: close\n\n"
    assert finish(connection, words).status == 200


def test_what_a_daemon_that_dies_was_to_do_gets_503_and_the_words_that_nobody_knows_whether_it_is_done(
    lamp: Lamp,
) -> None:
    def asked() -> int:
        return (lamp.made.log / "access.log").read_text().count('"GET /.unknown ')

    connection = begin(lamp, "POST /login HTTP/1.1\nHost: localhost\nConnection: close\nContent-Length: 9\n\ntoken")
    eventually(lambda: there(lamp, TAKEN), "a daemon has it")
    before = asked()
    (bulk,) = [pid for pid in lamp.processes() if command(pid).startswith("wsgi:bulk")]
    os.kill(bulk, signal.SIGKILL)
    answer = finish(connection, "=abc")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1") and "is not known" in answer.text
    eventually(lambda: asked() - before == 1, "Apache has asked itself for these words, once")
    assert lamp.visitor.submit("digest", b"the next one answers").status == 201


def test_a_request_in_hand_is_read_to_its_end_and_answered_by_the_older_daemon(lamp: Lamp) -> None:
    """Apache gives daemons three seconds, and starts the next ones when they have ended."""
    body = form("in hand")
    size = len(body)
    head = (
        f"POST /api/v1/jobs?wait=60 HTTP/1.1\nHost: localhost\nAuthorization: Bearer {TOKEN}\nConnection: close\n"
        f"Content-Type: multipart/form-data; boundary=b\nContent-Length: {size}\n\n"
    )
    connection = begin(lamp, head + body[:40])
    eventually(lambda: there(lamp, TAKEN), "a daemon has it")
    restart(lamp)
    answer = finish(connection, body[40:])
    assert answer.status == 201 and answer.json["state"] == "done", answer.text
    settle(lamp)


def maker(lamp: Lamp) -> int:
    """The process of web by which a job comes now."""
    answer = lamp.visitor.submit("digest", b"who?", "who.txt")
    assert answer.status == 201, answer.text
    return int(answer.json["client"]["pid"])


def test_until_web_has_started_anew_the_daemons_before_answer(lamp: Lamp) -> None:
    """Not at each try: a machine may be quick to start, and slow to ask."""

    def the_one_before_answered() -> bool:
        before = maker(lamp)
        restart(lamp)
        answered = maker(lamp)
        settle(lamp)
        return answered == before

    assert any(the_one_before_answered() for _ in range(5))


def test_a_restart_that_brings_other_settings_is_answered_with_these_alone(lamp: Lamp) -> None:
    settings = lamp.made.conf / "web.toml"
    text, before = settings.read_text(), maker(lamp)
    settings.write_text(f"{text}# another edition\n")
    try:
        restart(lamp)
        assert maker(lamp) != before
    finally:
        settings.write_text(text)
    settle(lamp)


def test_a_daemon_that_is_told_to_end_before_its_first_line_of_python_is_gone(lamp: Lamp) -> None:
    """It had the signal before it could block it, and Apache waits for it no longer."""

    def daemons() -> set[int]:
        return {pid for pid in children(lamp.apache.pid) if command(pid).startswith("wsgi:health")}

    def goes_on_behind_a_restart() -> int:
        """A daemon that stood still from its beginning until Apache had restarted; 0: it had made its brother already,
        or Apache waited for it and killed it, as it does where it has seen that it stands still."""
        before = set(children(lamp.apache.pid))
        lamp.apache.restart()
        pid = min(eventually(lambda: daemons() - before, "the next daemon is made", 30))
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: stopped(pid), "it stands still")
        try:
            if daemons() - before != {pid}:
                return 0
            before = set(children(lamp.apache.pid))
            lamp.apache.restart()
            eventually(lambda: daemons() - before, "the one behind it is made", 30)
            return pid if stopped(pid) else 0
        finally:
            if stopped(pid):
                os.kill(pid, signal.SIGCONT)
            settle(lamp)

    early = next(filter(None, (goes_on_behind_a_restart() for _ in range(20))))
    eventually(lambda: not runs(early), "it has ended", 30)
    eventually(lambda: len(daemons()) == 1, "and left nobody behind", 30)


def test_restarts_that_come_before_web_has_started_cut_nobody_off(lamp: Lamp) -> None:
    """What waits in a socket for the start of a daemon gets its answer from that one, though it is to end."""
    answers: list[Answer] = []
    asked = [threading.Event() for _ in range(4)]

    def ask(number: int) -> None:
        visitor = Visitor(lamp.made.base_url)
        visitor.timeout = SLOWEST
        asked[number].set()
        answers.append(visitor.get("/"))

    with ThreadPoolExecutor() as visitors:
        for number in range(len(asked)):
            restart(lamp)
            visitors.submit(ask, number)
            eventually(
                lambda: asked[number].is_set() and (there(lamp, TAKEN, WAITING) or len(answers) > number),
                "it waits in a socket",
            )
    assert [answer.status for answer in answers] == [200] * len(asked)
    settle(lamp)


@pytest.mark.long
@pytest.mark.alone
def test_of_ten_restarts_in_a_minute_under_load_no_request_fails_and_no_job_is_lost(lamp: Lamp) -> None:
    answers: list[tuple[str, float, float, Answer]] = []
    jobs: list[str] = []
    done = threading.Event()

    def visit(what: str, ask: Callable[[Visitor], Answer]) -> None:
        visitor = Visitor(lamp.made.base_url)
        visitor.timeout = SLOWEST
        while not done.is_set():
            begun = time.monotonic()
            answer = ask(visitor)
            answers.append((what, begun, time.monotonic(), answer))
            if what == "job" and answer.status == 201:
                jobs.append(answer.json["id"])

    def submit(visitor: Visitor) -> Answer:
        return visitor.submit("digest", b"some bytes" * 1000, "load.txt", wait=20)

    load: list[tuple[str, Callable[[Visitor], Answer]]] = [
        ("health", lambda visitor: visitor.get("/healthz")),
        ("page", lambda visitor: visitor.get("/")),
        ("page", lambda visitor: visitor.get("/jobs")),
        ("export", lambda visitor: visitor.get("/messages/export.csv")),
        ("job", submit),
        ("job", submit),
    ]
    restarts = []
    with ThreadPoolExecutor(len(load)) as others:
        visiting = [others.submit(visit, *one) for one in load]
        try:
            for _restart in range(10):
                restarts.append(time.monotonic())
                lamp.apache.restart()
                done.wait(6)
        finally:
            done.set()
        for one in visiting:
            one.result(2 * SLOWEST)
    settle(lamp)
    counted = Counter((what, answer.status) for what, _begun, _ended, answer in answers)
    for what in ("health", "page", "export", "job"):
        times = sorted(ended - begun for name, begun, ended, _answer in answers if name == what)
        print(f"{what}: {len(times)} in {times[len(times) // 2]:.2f} s, {times[-1]:.1f} s at most")
    print(f"{dict(counted)}; {len(jobs)} jobs")
    failed = [(what, answer.status, answer.text) for what, *_when, answer in answers if answer.status not in (200, 201)]
    assert not failed
    for job in jobs:
        eventually(lambda: lamp.ask(f"SELECT state FROM jobs WHERE id = {job}") == "done", f"job {job} is done", 20)
