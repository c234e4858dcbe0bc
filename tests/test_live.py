"""Live behind a real Apache: what is pushed, to whom, and what becomes of those who misbehave."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome

from pairscope.client.client import Client
from pairscope.ipc.slices import SLICE
from pairscope.live import figures
from tests.browser import chromium, text_of
from tests.database import standing_still
from tests.eventually import eventually
from tests.following import ROW, Crowd, Stream, found
from tests.lamp import Lamp, command
from tests.leaks import parent
from tests.slices import slice_of

pytestmark = pytest.mark.lamp


def live_of(lamp: Lamp, unlike: int = 0) -> int:
    """The process of live, once it says that it is there."""

    def there() -> int:
        said = figures.read(lamp.web)
        return said.pid if said is not None and said.pid != unlike and said.pid in lives(lamp) else 0

    return eventually(there, "live is there", 30)


def lives(lamp: Lamp) -> list[int]:
    """Living processes of live: one, but for the moments of a restart."""
    return [pid for pid in lamp.processes() if command(pid).endswith("-m pairscope.live")]


@pytest.fixture
def pool(lamp: Lamp) -> Iterator[Client]:
    """A client of the pool."""
    live_of(lamp)
    client = Client(lamp.pool, "tool")
    yield client
    client.close()


def told(lamp: Lamp) -> figures.Figures:
    """What live says of itself."""
    said = figures.read(lamp.web)
    assert said is not None
    return said


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def echo(pool: Client, count: int) -> None:
    for _ in range(count):
        pool.submit("echo", data=b"x", want="ended")
    pool.settle()


def newest(lamp: Lamp) -> int:
    return int(lamp.ask("SELECT COALESCE(MAX(id), 0) FROM messages"))


def ids(lamp: Lamp, after: int) -> list[int]:
    return [int(line) for line in lamp.ask(f"SELECT id FROM messages WHERE id > {after} ORDER BY id").split()]


def test_rows_are_pushed_to_whoever_follows_each_once_and_in_order(lamp: Lamp, pool: Client) -> None:
    before = newest(lamp)
    crowd = Crowd(lamp.visitor, 20)
    try:
        crowd.connect()
        crowd.until(lambda viewer: viewer.joined, "all have joined")
        echo(pool, 25)
        crowd.until(lambda viewer: len(viewer.seen) >= 100, "a hundred rows came")
        wanted = eventually(lambda: (rows := ids(lamp, before)) and len(rows) >= 100 and rows, "they are in the record")
        for viewer in crowd.viewers:
            assert viewer.seen == sorted(viewer.seen) and set(viewer.seen) <= set(wanted)
            assert viewer.asked <= 1, "to join, at most"
    finally:
        crowd.close()


def test_who_wakes_on_lives_core_goes_first(lamp: Lamp, pool: Client) -> None:
    if not slice_of(0):
        pytest.skip("this kernel knows no slices")
    threads = [int(name) for name in os.listdir(f"/proc/{live_of(lamp)}/task")]
    assert len(threads) >= 2 and {slice_of(thread) for thread in threads} == {SLICE}


def results(lamp: Lamp, after: int) -> list[int]:
    told_rows = lamp.ask(f"SELECT id FROM messages WHERE kind = 'result' AND id > {after} ORDER BY id")
    return [int(line) for line in told_rows.split()]


def in_order(rows: list[int]) -> bool:
    return rows == sorted(set(rows))


def restarted(lamp: Lamp) -> None:
    supervisor, live = lamp.supervisor(), live_of(lamp)
    lamp.apache.restart()
    lamp.supervisor(unlike=supervisor)
    live_of(lamp, unlike=live)


def test_every_row_comes_once_and_in_order_over_a_reload_and_a_restart_of_mariadb(lamp: Lamp, pool: Client) -> None:
    before = newest(lamp)
    crowd, filtered = Crowd(lamp.visitor, 300), Crowd(lamp.visitor, 20, "kind:result")
    try:
        for each in (crowd, filtered):
            each.connect()
            each.until(lambda viewer: viewer.joined, "all have joined", 90)

        def meanwhile(what: str, step: Callable[[], None]) -> None:
            recorded = len(results(lamp, before))
            step()
            for each in (crowd, filtered):
                each.hear(0)
            echo(pool, 5)
            eventually(lambda: len(results(lamp, before)) >= recorded + 5, "they are in the record", 60)
            last = results(lamp, before)[-1]
            for each in (crowd, filtered):
                each.until(lambda viewer: viewer.seen and viewer.seen[-1] >= last, what, 90)

        def database() -> None:
            lamp.mariadb.stop()
            lamp.mariadb.start()
            lamp.ready()

        meanwhile("rows came after a reload", lambda: restarted(lamp))
        meanwhile("rows came after a restart of MariaDB", database)
        wanted = ids(lamp, before)
        for viewer in crowd.viewers:
            assert in_order(viewer.seen), "each once"
            assert {row for row in wanted if row <= viewer.seen[-1]} <= set(viewer.seen), "nothing is missed"
        wanted = results(lamp, before)
        for viewer in filtered.viewers:
            fresh = [row for row in viewer.seen if row > before]
            assert in_order(fresh) and set(fresh) <= set(wanted), "what does not fit does not come"
            assert {row for row in wanted if row <= fresh[-1]} <= set(fresh), "nothing is missed"
    finally:
        for each in (crowd, filtered):
            each.close()


def test_at_a_restart_live_takes_viewers_until_the_next_one_does_and_then_sends_them_there(
    lamp: Lamp, pool: Client
) -> None:
    """The next one stands still here, as soon as it has begun, for as long as this test likes."""
    old = live_of(lamp)
    supervisor = lamp.supervisor()
    early = Stream(lamp.visitor.port, "/push/messages.en")
    early.until("joined")
    lamp.apache.restart()
    (new,) = eventually(lambda: [pid for pid in lives(lamp) if pid != old], "the next one has begun", 30)
    os.kill(new, signal.SIGSTOP)
    try:
        lamp.supervisor(unlike=supervisor)
        late = Stream(lamp.visitor.port, "/push/messages.en")
        assert late.until("joined").data.split()[0] == str(old), "the one before feeds it"
        assert not early.ended and lives(lamp) in ([old, new], [new, old])
    finally:
        os.kill(new, signal.SIGCONT)
    for stream in (early, late):
        assert stream.until("bye").data == "restart"
        stream.close()
    live_of(lamp, unlike=old)
    eventually(lambda: lives(lamp) == [new], "the one before has left", 30)
    last = Stream(lamp.visitor.port, "/push/messages.en")
    assert last.until("joined").data.split()[0] == str(new)
    last.close()
    assert set(os.listdir(lamp.web.live_run or "")) >= {"messages.en.sock", "register", "tickets"}


def test_a_stranger_is_pushed_what_a_stranger_may_see_and_a_foreign_host_nothing(lamp: Lamp, pool: Client) -> None:
    for path in ("/messages", "/", "/jobs", "/workers", "/transfers", "/stack"):
        assert 'data-push="/push/' in lamp.visitor.get(path).text, path
    assert 'data-push="/push/messages' not in lamp.visitor.get("/messages?q=kind:task").text, "a filter is one's own"
    for name in ("messages", "overview", "jobs", "workers", "transfers", "strip"):
        stream = Stream(lamp.visitor.port, f"/push/{name}.en")
        while 'data-part="strip"' not in stream.until("update").data:
            pass  # updates of the last seconds come first
        assert stream.until("joined"), name
        stream.close()
    foreign = Stream(lamp.visitor.port, "/push/messages.en", host="example.org")
    foreign.read()
    assert foreign.status == 403
    foreign.close()
    lamp.visitor.log_in()
    assert 'data-push="/push/messages' not in lamp.visitor.get("/messages").text, "an operator's rows are others"


def test_an_address_behind_which_nobody_listens_is_an_error_that_claims_no_compression(
    lamp: Lamp, pool: Client
) -> None:
    answer = lamp.visitor.get("/push/nobody.en")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1") and "Content-Encoding" not in answer.headers
    assert answer.text.startswith("Nobody takes connections here now: live is away."), "in words of ours"
    assert lamp.visitor.get("/push/../messages.en").status in (400, 404)


def test_viewers_that_send_rubbish_or_never_read_cost_nobody_else_anything(lamp: Lamp, pool: Client) -> None:
    port = lamp.visitor.port
    ends = told(lamp).ends
    rude = [Stream(port, "/push/messages.en") for _ in range(200)]
    deaf = [Stream(port, "/push/messages.en", buffer=2048) for _ in range(200)]
    crowd = Crowd(lamp.visitor, 3)
    try:
        for stream in rude:
            stream.until("joined")
            stream.sock.sendall(b"GET / HTTP/1.1\r\n\0\xff" * 20)
        crowd.connect()
        crowd.until(lambda viewer: viewer.joined, "who reads has joined")
        echo(pool, 10)
        crowd.until(lambda viewer: len(viewer.seen) >= 40, "who reads is told")
        eventually(lambda: told(lamp).ends.get("spoke", 0) >= ends.get("spoke", 0) + 200, "who speaks is let go", 30)
        for stream in rude:
            eventually(lambda stream=stream: (stream.read(), stream.ended)[1], "its connection has ended")  # type: ignore[misc]
    finally:
        crowd.close()
        for stream in (*rude, *deaf):
            stream.close()
    eventually(lambda: told(lamp).viewers == 0, "all are gone")


def test_who_hands_something_else_over_at_a_door_is_sent_away(lamp: Lamp, pool: Client) -> None:
    pid = live_of(lamp)
    held = descriptors(pid)
    one, other = socket.socketpair()
    try:
        for fds in ([one.fileno()], [one.fileno(), other.fileno()], [0]):
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(10)
                door.connect(str(lamp.made.live_run / "messages.en.sock"))
                socket.send_fds(door, [b"\0"], fds)
                assert door.recv(1) == b""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(20)
            door.connect(str(lamp.made.live_run / "messages.en.sock"))
            assert door.recv(1) == b"", "who hands nothing over is not waited for"
    finally:
        one.close()
        other.close()
    eventually(lambda: descriptors(pid) <= held, "it keeps nothing of it")


def test_live_is_in_the_figures_and_on_the_overview(lamp: Lamp, pool: Client) -> None:
    stream = Stream(lamp.visitor.port, "/push/messages.en")
    fed = stream.until("joined").data.split()
    try:
        assert int(fed[0]) == live_of(lamp)
        assert os.readlink(f"/proc/{fed[0]}/fd/{fed[1]}").startswith("socket:")
        assert parent(int(fed[2])) == lamp.apache.pid, "it came from a child of Apache's"
        eventually(lambda: told(lamp).viewers == 1, "it says so")
        assert 'pairscope_live_viewers{stream="messages.en"} 1.0' in lamp.visitor.get("/metrics").text
        assert "1 viewer" in lamp.visitor.get("/").text
        checks = {row["title"]: row for row in lamp.visitor.get("/api/v1/checks").json["items"]}
        assert checks["Managed process live"]["verdict"] == "good"
    finally:
        stream.close()


def test_a_database_that_stands_still_holds_up_nobody_who_follows_or_comes(lamp: Lamp, pool: Client) -> None:
    port = lamp.visitor.port
    stream = Stream(port, "/push/messages.en")
    others: list[Stream] = []
    try:
        stream.until("joined")
        with standing_still(lamp.mariadb.pid):
            beats = [stream.until("beat").data]
            while "refused" not in beats:
                beats.append(stream.until("beat").data)
            others = [Stream(port, f"/push/{name}.en") for name in ("jobs", "strip", "messages")]
            for other in others:
                heard = [event.name for event in other.read()]
                while not {"beat", "bye"} & set(heard):
                    assert not other.ended, "it is let in, and hears something"
                    heard += [event.name for event in other.read()]
        lamp.ready()
        last = newest(lamp)
        echo(pool, 3)
        seen = 0
        while seen <= last:
            seen = max([seen, *map(int, ROW.findall(stream.until("update").data))])
    finally:
        for each in (stream, *others):
            each.close()


def test_pages_come_at_once_and_ask_while_live_stands_still(lamp: Lamp, pool: Client) -> None:
    pid = live_of(lamp)
    os.kill(pid, signal.SIGSTOP)
    try:
        for path in ("/messages?q=kind:result", "/messages", "/messages?q=kind:task"):
            page = lamp.visitor.get(path)
            assert page.status == 200 and "tickets/" not in page.text
        cursor = found(r'data-cursor="([^"]+)"', page.text)
        assert 'data-push="" data-ticket' in page.text, "it will ask for a ticket"
        answer = lamp.visitor.get(f"/live/messages?q=kind:task&cursor={cursor}&push=1")
        assert answer.status in (200, 204) and "Pairscope-Push" not in answer.headers
    finally:
        os.kill(pid, signal.SIGCONT)
    asked = f"/live/messages?q=kind:task&cursor={cursor}&push=1"
    eventually(lambda: "Pairscope-Push" in lamp.visitor.get(asked).headers, "it gets one", 20)


@pytest.mark.browser
def test_a_browser_is_pushed_to_asks_while_live_is_away_and_is_pushed_to_again(lamp: Lamp, pool: Client) -> None:
    def asked() -> int:
        log = (lamp.made.log / "access.log").read_text()
        return len(re.findall(r"GET /live/messages", log))

    def shown(browser: Chrome, after: int) -> bool:
        script = "return [...document.querySelectorAll('tbody[data-rows] > tr')].map((row) => row.id)"
        return any(int(name[1:]) > after for name in browser.execute_script(script))

    with chromium(1440, 900) as browser:
        browser.get(f"{lamp.made.base_url}/messages")
        eventually(lambda: "descriptor" in text_of(browser, "[data-fed]"), "it is pushed to, and says by whom", 20)
        last = newest(lamp)
        echo(pool, 3)  # where the page and the stream do not meet yet, the page asks once
        eventually(lambda: shown(browser, last), "a row came")
        before, last = asked(), newest(lamp)
        echo(pool, 3)
        eventually(lambda: shown(browser, last), "a row came")
        assert asked() == before, "nobody asked"
        first = live_of(lamp)
        os.kill(first, signal.SIGSTOP)
        try:
            last = newest(lamp)
            echo(pool, 3)
            eventually(lambda: asked() > before, "it asks", 10)
            eventually(lambda: shown(browser, last), "a row came all the same")
        finally:
            os.kill(first, signal.SIGKILL)
        live_of(lamp, unlike=first)
        eventually(lambda: "descriptor" in text_of(browser, "[data-fed]"), "it is pushed to again", 40)
        last = newest(lamp)
        echo(pool, 3)
        eventually(lambda: shown(browser, last), "a row came")
        before, last = asked(), newest(lamp)
        echo(pool, 3)
        eventually(lambda: shown(browser, last), "a row came")
        assert asked() == before
        assert not [entry for entry in browser.get_log("browser") if "Uncaught" in entry["message"]]


def test_each_connection_that_apache_hands_over_is_a_transfer_in_the_record_or_counted(
    lamp: Lamp, pool: Client
) -> None:
    def rows(what: str) -> str:
        return lamp.ask(f"SELECT {what} FROM transfers WHERE kind = 'viewer' ORDER BY message DESC LIMIT 1")

    stream = Stream(lamp.visitor.port, "/push/messages.en")
    try:
        fed, fd, apache = map(int, stream.until("joined").data.split())
        inode = os.readlink(f"/proc/{fed}/fd/{fd}")[len("socket:[") : -1]
        told_of = f"{apache}\tapache\t{fed}\tlive\t-1\t{fd}\t{inode}\treceived\tunproved"
        columns = "sender_pid, sender_role, receiver_pid, receiver_role, sender_fd, receiver_fd, inode, state, proof"
        eventually(lambda: rows(columns) == told_of, "it is recorded")
        message = rows("message")
        assert lamp.ask(f"SELECT kind, fds, size FROM messages WHERE id = {message}") == "viewer\t1\t1"
        for path in (f"/transfers/{message}-0", f"/messages/{message}", "/transfers?q=role:apache+kind:viewer"):
            answer = lamp.visitor.get(path)
            assert answer.status == 200 and "apache" in answer.text and ">-1<" not in answer.text, path
        assert lamp.visitor.get(f"/api/v1/transfers/{message}-0").json["sender_fd"] == -1
    finally:
        stream.close()

    def counted() -> int:
        return int(lamp.ask("SELECT COUNT(*) FROM transfers WHERE kind = 'viewer'"))

    recorded = time.time_ns()
    eventually(lambda: told(lamp).at > recorded, "it says what is recorded by now")
    before, count = told(lamp), counted()
    crowd = [Stream(lamp.visitor.port, "/push/strip.en") for _ in range(150)]
    try:
        for stream in crowd:
            stream.until("joined")
        eventually(lambda: told(lamp).handed >= before.handed + 150, "it counts all")
        eventually(
            lambda: 0 < told(lamp).recorded - before.recorded == counted() - count,
            "as many are recorded as it says",
            30,
        )
        figures_told = lamp.visitor.get("/metrics").text
        assert "pairscope_live_handed_recorded_total" in figures_told
        assert "of which" in lamp.visitor.get("/").text
    finally:
        for stream in crowd:
            stream.close()
