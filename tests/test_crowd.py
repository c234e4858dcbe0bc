"""Who comes in a crowd, or slowly, keeps nobody else waiting: under a real Apache, and in the embedded server."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pairscope.cli.bounded import PLACES
from pairscope.config import embedded
from pairscope.lamp.installation import Installation
from pairscope.web.access.places import PATIENCE, SHARES, WARM, Places, Share, late
from pairscope.web.application import create_app
from pairscope.web.turns import MANY, Turns
from tests.eventually import eventually
from tests.lamp import Lamp, Visitor, command
from tests.running import TOKEN, Server, running

# ---- places, without a server


def test_one_address_has_no_more_places_than_its_share_and_all_together_no_more_than_there_are() -> None:
    places = Places(Share(3, 2))
    assert [places.take("a"), places.take("a"), places.take("a")] == ["", "", "each"]
    assert [places.take("b"), places.take("b"), places.take("c")] == ["", "all", "all"]
    places.leave("a")
    assert places.take("c") == "" and places.held() == 3
    for who in ("a", "b", "c"):
        places.leave(who)
    assert places.held() == 0 and not places._held, "nothing is remembered of who has left"


def test_there_are_more_threads_for_what_takes_long_than_places() -> None:
    assert sum(share.all for share in SHARES.values()) < Installation.bulk_threads
    assert all(share.each < share.all for share in SHARES.values())


@pytest.mark.parametrize(
    ("waited", "lived", "refused"),
    [(PATIENCE - 0.1, WARM + 1, False), (PATIENCE + 0.1, WARM + 1, True), (PATIENCE + 0.1, WARM - 1, False)],
)
def test_a_page_that_waited_too_long_is_refused_unless_its_process_has_just_begun(
    waited: float, lived: float, refused: bool
) -> None:
    now = 1_000_000.0
    assert late(str(int((now - waited) * 1e6)), now, now - lived) == refused
    assert not late("", now, now - lived), "another server does not say"


# ---- turns, without a server


def together(many: int, what: Callable[[int], None]) -> None:
    """Does it in as many threads, and waits for all."""
    with ThreadPoolExecutor(many) as threads:
        list(threads.map(what, range(many)))


def test_no_more_threads_than_there_are_turns_work_at_a_time_and_each_gets_one() -> None:
    turns, lock = Turns(3), threading.Lock()
    working, most, done = 0, 0, 0

    def work(_number: int) -> None:
        nonlocal working, most, done
        for _ in range(20):
            with turns.taken():
                with lock:
                    working += 1
                    most = max(most, working)
                os.sched_yield()
                with lock:
                    working, done = working - 1, done + 1

    together(20, work)
    assert most == 3 and done == 400
    assert turns._free == 3 and not turns.waiting(), "each was given back"


def test_a_turn_goes_to_who_has_waited_longest() -> None:
    turns = Turns(1)
    order: list[int] = []

    def come(number: int) -> None:
        with turns.taken():
            order.append(number)

    with ThreadPoolExecutor(5) as threads, turns.taken():
        for number in range(5):
            threads.submit(come, number)
            eventually(lambda: turns.waiting() == len(threads._threads), "it waits")
    assert order == [0, 1, 2, 3, 4]


def test_who_waits_for_others_lays_its_turn_aside_and_gets_one_again() -> None:
    turns, over = Turns(1), threading.Event()

    def hold() -> None:
        with turns.taken():
            assert over.wait(20)

    with ThreadPoolExecutor(1) as threads, turns.taken():
        other = threads.submit(hold)
        eventually(lambda: turns.waiting() == 1, "it waits for the only one")
        with turns.aside(), turns.aside():
            eventually(lambda: not turns.waiting(), "it has it")
            over.set()
        other.result(20)
        with turns.taken():
            pass
        assert turns._free == 0, "this one has it again, and keeps what it had already"
    assert turns._free == 1


def test_nobody_stands_still_for_want_of_a_turn() -> None:
    turns = Turns(1, patience=0.05)
    with turns.taken(), ThreadPoolExecutor(1) as other:

        def come() -> str:
            with turns.taken(), turns.aside():
                return "went on"

        assert other.submit(come).result(20) == "went on"
    assert turns._free == 1 and not turns.waiting(), "nothing was given back that it did not have"


def test_a_request_lays_its_turn_aside_while_its_body_comes() -> None:
    turns, come = Turns(1), threading.Event()

    class Sender(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert come.wait(20)
            return super().read(size)

    def application(environ: dict[str, Any], _start: Callable[..., Any]) -> list[bytes]:
        return [environ["wsgi.input"].read()]

    serve = turns.serve(application)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(serve, {"wsgi.input": Sender(b"slow")}, lambda *_: None)
        come_not = {"wsgi.input": io.BytesIO(b"quick")}
        assert list(serve(come_not, lambda *_: None)) == [b"quick"], "though the slow one came first"
        come.set()
        assert slow.result(20) == [b"slow"]


@pytest.mark.process
def test_where_hundreds_of_threads_serve_no_more_answers_are_made_at_a_time_than_there_are_turns(
    tmp_path: Path,
) -> None:
    site = create_app(embedded({"PAIRSCOPE_STATE": str(tmp_path)}), crowd=True)
    lock = threading.Lock()
    making, most = 0, 0

    @site.before_request
    def count() -> None:
        nonlocal making, most
        with lock:
            making += 1
            most = max(most, making)

    @site.teardown_request
    def end(_error: BaseException | None) -> None:
        nonlocal making
        with lock:
            making -= 1

    def ask(_number: int) -> None:
        for _ in range(5):
            site.test_client().get("/login").close()

    together(5 * MANY, ask)
    assert 1 <= most <= MANY and not making
    site.extensions["pairscope"].close()


# ---- slow visitors


@contextlib.contextmanager
def held(
    port: int, many: int, begin: Callable[[socket.socket], None], source: str = ""
) -> Iterator[list[socket.socket]]:
    """As many connections, on each of which `begin` has sent what it sends."""
    with contextlib.ExitStack() as stack:
        made = []
        for _number in range(many):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if source:
                connection.bind((source, 0))
            connection.settimeout(20)
            connection.connect(("127.0.0.1", port))
            begin(connection)
            made.append(connection)
        yield made


def post_slowly(connection: socket.socket, length: int = 64000) -> None:
    connection.sendall(
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\ntoken=" % length
    )


def trickle_headers(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-One: 1\r\n")


def get_slowly(path: str) -> Callable[[socket.socket], None]:
    def begin(connection: socket.socket) -> None:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    return begin


def answered(connections: list[socket.socket]) -> list[bytes]:
    """What has come on those on which something has."""
    found = []
    for connection in connections:
        with contextlib.suppress(BlockingIOError):
            connection.setblocking(False)
            found.append(connection.recv(4096))
    return found


def hold_on(connections: list[socket.socket]) -> bool:
    """Whether nobody has been told anything, but that his time is over where this machine was slow."""
    return all(b" 408 " in told for told in answered(connections))


def still_serves(server: Server) -> None:
    """Health, a page and a request with a body, each in a moment: a visitor's patience is thirty seconds."""
    assert server.get("/healthz").status == 200
    assert server.get("/").status == 200
    assert server.submit("digest", b"meanwhile", "meanwhile.txt").status == 201


@pytest.mark.lamp
def test_while_200_post_slowly_health_pages_and_jobs_are_answered(lamp: Lamp) -> None:
    """Eleven of them held all ten threads of the site once."""
    with held(lamp.made.port, 200, post_slowly) as posters:
        still_serves(lamp.visitor)
        lamp.visitor.log_in()
        assert hold_on(posters)


@pytest.mark.lamp
def test_while_300_trickle_their_headers_health_pages_and_jobs_are_answered(lamp: Lamp) -> None:
    """Apache had 128 threads for all visitors once."""
    with held(lamp.made.port, 300, trickle_headers) as tricklers:
        still_serves(lamp.visitor)
        assert hold_on(tricklers)


@pytest.mark.lamp
def test_while_outputs_are_read_slowly_all_else_is_answered_and_who_asks_for_more_is_refused_at_once(
    lamp: Lamp,
) -> None:
    job = lamp.visitor.submit("compress", os.urandom(4 << 20), "incompressible.bin").json["id"]
    path = f"/api/v1/jobs/{job}/output"
    with held(lamp.made.port, SHARES["output"].each, get_slowly(path)) as readers:
        for reader in readers:
            assert reader.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        refused = lamp.visitor.get(path)
        assert (
            refused.status == 429 and refused.headers["Retry-After"] and "as many as one address may" in refused.detail
        )
        still_serves(lamp.visitor)
    eventually(lambda: lamp.visitor.get(path).status == 200, "the places are free again", 60)


@pytest.mark.long  # it counts what the scheduler does
@pytest.mark.lamp
def test_a_request_of_200_waits_no_more_often_for_the_interpreter_than_one_of_a_few(lamp: Lamp) -> None:
    """Without turns each of 200 threads woke 650 to 3,000 times until it had answered, and 50 to 90 times with them."""

    def switches() -> int:
        (bulk,) = [pid for pid in lamp.processes() if command(pid).startswith("wsgi:bulk")]
        told = [path.read_text() for path in Path(f"/proc/{bulk}/task").glob("*/status")]
        return sum(int(line.split()[1]) for text in told for line in text.splitlines() if "_ctxt_switches" in line)

    def begin(connection: socket.socket) -> None:
        post_slowly(connection, length=9)

    def each(many: int) -> float:
        """How often a thread that answers one of so many at once was awake."""
        with held(lamp.made.port, many, begin) as posters:
            lamp.visitor.submit("digest", b"all of them are there", "all.txt")
            before = switches()
            for poster in posters:
                poster.sendall(b"xyz")
            assert {poster.recv(12) for poster in posters} == {b"HTTP/1.1 403"}
            return (switches() - before) / many

    few = sum(each(MANY) for _ in range(10)) / 10
    assert each(200) < 5 * few


@pytest.mark.lamp
def test_of_many_exports_at_once_some_are_made_and_the_others_refused_with_a_time_to_ask_again(lamp: Lamp) -> None:
    with ThreadPoolExecutor(20) as visitors:
        answers = list(visitors.map(lamp.visitor.get, ["/messages/export.csv"] * 40))
    assert {200} <= {answer.status for answer in answers} <= {200, 429, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status != 200)


@pytest.mark.lamp
def test_while_many_runs_wait_for_a_station_others_have_connections_of_the_database(lamp: Lamp) -> None:
    """Each held one of fifteen from its beginning to its end."""
    many, visitor = 20, Visitor(lamp.made.base_url)
    visitor.source = "127.0.0.3"  # a stranger's runs are counted for each address
    stations = [pid for pid in lamp.processes() if command(pid).endswith("-m pairscope.lab.station")]
    run = {"scenario": "parent-and-child"}
    with ThreadPoolExecutor(many) as visitors:
        for pid in stations:
            os.kill(pid, signal.SIGSTOP)
        try:
            answers = [visitors.submit(visitor.post, "/api/v1/lab/runs", run) for _ in range(many)]
            eventually(lambda: lamp.queued() >= many - len(stations), "all others wait for a station", 30)
            assert lamp.visitor.get("/api/v1/lab/runs?limit=1").status == 200
        finally:
            for pid in stations:
                os.kill(pid, signal.SIGCONT)
    assert {201} <= {answer.result().status for answer in answers} <= {201, 503}


@pytest.mark.lamp
def test_of_many_runs_at_once_some_are_made_and_the_others_refused_with_a_time_to_ask_again(lamp: Lamp) -> None:
    with ThreadPoolExecutor(2 * SHARES["run"].each) as visitors:
        run = ("/api/v1/lab/runs", {"scenario": "parent-and-child"}, TOKEN)
        answers = list(visitors.map(lambda _number: lamp.visitor.post(*run), range(2 * SHARES["run"].each)))
    assert {201} <= {answer.status for answer in answers} <= {201, 429, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status != 201)


@pytest.mark.lamp
@pytest.mark.needs("mod_security2.so")
def test_no_address_has_all_of_apaches_threads(lamp: Lamp) -> None:
    with held(lamp.made.port, lamp.made.reading_each + 20, trickle_headers, source="127.0.0.2") as tricklers:
        eventually(lambda: b"" in answered(tricklers), "the connections beyond the bound are closed")
        still_serves(lamp.visitor)


@pytest.mark.lamp
def test_health_is_said_by_a_process_that_has_not_imported_the_application(lamp: Lamp) -> None:
    def libraries(title: str) -> set[str]:
        (first, *_more) = [pid for pid in lamp.processes() if command(pid).startswith(title)]
        maps = Path(f"/proc/{first}/maps").read_text()
        return {line.rpartition("/")[2] for line in maps.splitlines() if "site-packages" in line}

    assert lamp.visitor.post("/healthz").status == 405
    assert libraries("wsgi:web") and not libraries("wsgi:health")
    web = [pid for pid in lamp.processes() if command(pid).startswith(("wsgi:web", "wsgi:bulk"))]
    try:
        for pid in web:
            os.kill(pid, signal.SIGSTOP)
        assert lamp.visitor.get("/healthz").text == "alive\n", "though all of web stands still"
    finally:
        for pid in web:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.lamp
@pytest.mark.skipif(os.geteuid() != 0, reason="not root: the memory of other users' processes is not to be seen")
def test_all_processes_of_the_instance_together_take_less_than_700_mb(lamp: Lamp) -> None:
    def share(pid: int) -> int:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))

    assert sum(share(pid) for pid in lamp.processes()) < 700_000


@pytest.mark.lamp
def test_who_is_refused_in_the_midst_of_a_body_is_read_no_further(lamp: Lamp) -> None:
    """Apache would read the rest of the body, at the sender's pace, to keep the connection."""
    with socket.create_connection(("127.0.0.1", lamp.made.port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/v1/pool/scale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        answer = connection.recv(65536)
        assert b" 401 " in answer.split(b"\r\n")[0] and b"\r\nConnection: close\r\n" in answer


# ---- the embedded server


@pytest.mark.web
def test_when_the_embedded_servers_places_are_taken_the_quietest_connections_make_room(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server, held(server.port, 2 * PLACES, trickle_headers) as tricklers:
        still_serves(server)
        assert answered(tricklers).count(b"") >= PLACES, "the first ones were dropped"
        assert not answered(tricklers[-PLACES // 2 :]), "the last ones hold on"


@pytest.mark.web
def test_bound_elsewhere_than_to_the_loopback_the_embedded_server_says_what_it_is_not_for(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_HOST="0.0.0.0") as server:
        assert "it listens on 0.0.0.0" in (said := server.log.read_text()) and "For a network, use Apache" in said
        assert server.get("/").status == 200


@pytest.mark.process
@pytest.mark.parametrize("host", ["everywhere", "192.0.2.77"])
def test_an_address_that_is_none_of_this_machine_is_refused_in_a_sentence(host: str, tmp_path: Path) -> None:
    with running(tmp_path / "state", ready=False, PAIRSCOPE_HOST=host) as server:
        assert server.process.wait(30) == 2
        assert f"PAIRSCOPE_HOST is {host}" in server.log.read_text().replace("'", "")
