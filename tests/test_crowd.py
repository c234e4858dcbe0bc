"""Who comes in a crowd, or slowly, keeps nobody else waiting: under a real Apache, and in the embedded server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pairscope.cli.bounded import PLACES
from pairscope.lamp.installation import Installation
from pairscope.web.access.places import PATIENCE, SHARES, WARM, Places, Share, late
from tests.eventually import eventually
from tests.lamp import Lamp, command
from tests.running import Server, running

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


def post_slowly(connection: socket.socket) -> None:
    connection.sendall(
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 64000\r\n\r\ntoken="
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


@pytest.mark.long  # beside other tests a job was not answered within its minute, once of two runs
@pytest.mark.lamp
def test_while_300_trickle_their_headers_health_pages_and_jobs_are_answered(lamp: Lamp) -> None:
    """Apache had 128 threads for all visitors once."""
    with held(lamp.made.port, 300, trickle_headers) as tricklers:
        still_serves(lamp.visitor)
        assert hold_on(tricklers)


@pytest.mark.long  # beside other tests a job was not answered within its minute, both times
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


@pytest.mark.lamp
def test_of_many_exports_at_once_some_are_made_and_the_others_refused_with_a_time_to_ask_again(lamp: Lamp) -> None:
    with ThreadPoolExecutor(20) as visitors:
        answers = list(visitors.map(lamp.visitor.get, ["/messages/export.csv"] * 40))
    assert {200} <= {answer.status for answer in answers} <= {200, 429, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status != 200)


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
