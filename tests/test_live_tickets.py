"""Tickets: what is one's own is pushed to who has one, once, and to nobody else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from pairscope.client.client import Client
from pairscope.files import SOURCE
from pairscope.lamp.place import choose
from pairscope.lamp.private import Private
from pairscope.lamp.serve import free_port
from pairscope.live import register
from pairscope.live.register import Register, Wanted
from pairscope.live.subject import Subject
from pairscope.live.tickets import ALL, EACH, LIFE, Tickets
from tests import leaks
from tests.browser import chromium, text_of
from tests.eventually import eventually
from tests.following import Crowd, Stream, Viewer, found
from tests.lamp import Lamp
from tests.running import TOKEN
from tests.test_live import echo, live_of, newest, told

MOVING = " data-moving"
ROWS = Subject("messages", "en", "kind:result")


@pytest.fixture
def pool(lamp: Lamp) -> Iterator[Client]:
    """A client of the pool."""
    live_of(lamp)
    client = Client(lamp.pool, "tool")
    yield client
    client.close()


def wanted(text: str = "kind:result", view: str = "messages", who: str = "a test") -> Wanted:
    return Wanted(view, "en", text, False, who, [])


def ticket_of(page: str) -> str:
    return found(r'data-push="(/push/[0-9a-f]{32})" data-ticket', page)


def rows_of(lamp: Lamp, where: str, after: int) -> list[int]:
    told = lamp.ask(f"SELECT id FROM messages WHERE {where} AND id > {after} ORDER BY id")  # the test's own
    return [int(line) for line in told.split()]


# ---- behind Apache


@pytest.mark.lamp
def test_a_page_with_a_filter_is_pushed_the_rows_that_fit_each_once_and_in_order(lamp: Lamp, pool: Client) -> None:
    crowds = {
        "kind = 'result'": Crowd(lamp.visitor, 5, "kind:result"),
        "kind <> 'result'": Crowd(lamp.visitor, 5, "-kind:result"),
    }
    before = newest(lamp)
    try:
        for crowd in crowds.values():
            crowd.connect()
            crowd.until(lambda viewer: viewer.joined, "all have joined")
        for where, crowd in crowds.items():
            echo(pool, 10)
            last = eventually(lambda where=where: len(rows := rows_of(lamp, where, before)) >= 10 and rows[-1], "rows")  # type: ignore[misc]
            crowd.until(lambda viewer, last=last: viewer.seen and viewer.seen[-1] >= last, "they came")  # type: ignore[misc]
        for where, crowd in crowds.items():
            due = rows_of(lamp, where, before)
            for viewer in crowd.viewers:
                fresh = [row for row in viewer.seen if row > before]
                assert fresh == sorted(fresh) and set(fresh) <= set(due) and len(fresh) >= 10
                assert {row for row in due if row <= fresh[-1]} <= set(fresh), "nothing is missed"
                assert viewer.asked <= 2, "to join, at most"
        eventually(lambda: told(lamp).streams["own"].viewers == 10, "the figures tell them apart")
    finally:
        for crowd in crowds.values():
            crowd.close()


@pytest.mark.lamp
def test_who_is_pushed_to_who_has_a_ticket_and_who_asks_find_the_same_rows(lamp: Lamp, pool: Client) -> None:
    """Rows that come and rows that change; a filter that every message fits is one's own all the same."""
    every = "fds:>=0"
    pushed, ticket = Crowd(lamp.visitor, 2), Crowd(lamp.visitor, 2, every)
    asking = [viewer for query in ("", every) for viewer in Crowd(lamp.visitor, 2, query).viewers]
    before = newest(lamp)
    try:
        for crowd in (pushed, ticket):
            crowd.connect()
            crowd.until(lambda viewer: viewer.joined, "all have joined")
        for _ in range(6):
            echo(pool, 5)
            for viewer in asking[1:]:
                viewer.ask()  # the first one asks at the end only
            for crowd in (pushed, ticket):
                crowd.hear(0)
        due = eventually(
            lambda: len(rows := rows_of(lamp, "state <> 'sent'", before)) >= 120 and rows, "they are recorded"
        )

        def whole(viewer: Viewer) -> bool:
            return set(due) <= viewer.rows.keys() and not any(MOVING in viewer.rows[row] for row in due)

        for crowd in (pushed, ticket):
            crowd.until(whole, "they came, and all have changed")
        for viewer in asking:
            eventually(lambda viewer=viewer: (viewer.ask(), whole(viewer))[1], "who asks finds them")  # type: ignore[misc]
        all_of_them = [*pushed.viewers, *ticket.viewers, *asking]
        assert {viewer.ticket for viewer in pushed.viewers} == {False} and all(
            viewer.ticket for viewer in ticket.viewers
        )
        for viewer in all_of_them:
            assert {row: viewer.rows[row] for row in due} == {row: all_of_them[0].rows[row] for row in due}
    finally:
        pushed.close()
        ticket.close()


@pytest.mark.lamp
def test_a_row_that_fits_no_more_is_named_to_whoever_follows_by_that_filter(lamp: Lamp, pool: Client) -> None:
    def three() -> str:
        page = lamp.visitor.get("/workers?q=state:alive").text
        return page if page.count('<tr id="w1-worker-') == 3 else ""

    pool.scale(3)
    page = eventually(three, "three workers are recorded")
    held = set(re.findall(r'<tr id="(w1-worker-\d+)"', page))
    stream = Stream(lamp.visitor.port, ticket_of(page))
    try:
        assert stream.until("joined")
        pool.scale(2)
        gone = set[str]()
        while not gone:
            gone |= set(re.findall(r'data-gone="([^"]+)"', stream.until("update").data))
        assert gone <= held
    finally:
        stream.close()
        pool.scale(2)


@pytest.mark.lamp
def test_a_ticket_that_was_used_is_guessed_or_has_expired_leads_nowhere_and_is_told_so(
    lamp: Lamp, pool: Client
) -> None:
    late = ticket_of(lamp.visitor.get("/messages?q=kind:task").text)
    used = ticket_of(lamp.visitor.get("/messages?q=kind:result").text)
    stream = Stream(lamp.visitor.port, used)
    try:
        assert stream.until("joined")
        again = Stream(lamp.visitor.port, used)
        again.read()
        again.close()
        assert again.status == 410
        for path in (used, "/push/" + "0" * 32):
            answer = lamp.visitor.get(path)
            assert answer.status == 410 and "ticket" in answer.text and "Content-Encoding" not in answer.headers
        eventually(lambda: lamp.visitor.get(f"{late}x").status == 404, "no ticket at all", 1)
        tickets = lamp.made.live_run / "tickets"
        eventually(lambda: not list(tickets.iterdir()), "its time is over", 2 * LIFE)
        assert lamp.visitor.get(late).status == 410
        assert told(lamp).tickets.counts["expired"] >= 1
    finally:
        stream.close()


@pytest.mark.lamp
def test_of_two_that_come_with_one_ticket_at_once_one_is_let_in_and_the_other_gets_no_event(
    lamp: Lamp, pool: Client
) -> None:
    for _ in range(5):
        path = ticket_of(lamp.visitor.get("/messages?q=kind:result").text)
        both = [Stream(lamp.visitor.port, path) for _ in range(2)]
        said: list[list[str]] = [[], []]

        def follow(number: int, both: list[Stream] = both, said: list[list[str]] = said) -> None:
            while not both[number].ended and "joined" not in said[number]:
                said[number] += [event.name for event in both[number].read()]
                if both[number].status >= 400:
                    return

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for stream in both:
            stream.close()
        assert sorted("joined" in each for each in said) == [False, True], said
        assert [] in said, "the other one heard nothing"


@pytest.mark.lamp
def test_an_answer_to_who_asks_brings_the_next_ticket_if_it_is_wanted(lamp: Lamp, pool: Client) -> None:
    cursor = found(r'data-cursor="([^"]+)"', lamp.visitor.get("/messages?q=kind:result").text)
    asked = f"/live/messages?q=kind:result&cursor={cursor}"
    assert "Pairscope-Push" not in lamp.visitor.get(asked).headers
    answer = lamp.visitor.get(f"{asked}&push=1")
    stream = Stream(lamp.visitor.port, answer.headers["Pairscope-Push"])
    assert stream.until("joined")
    stream.close()
    assert "Pairscope-Push" not in lamp.visitor.get("/live/messages?q=nothing:at-all&push=1").headers


@pytest.mark.lamp
def test_an_operator_is_pushed_to_by_a_ticket_uncompressed_and_not_where_forms_are_signed(
    lamp: Lamp, pool: Client
) -> None:
    lamp.visitor.log_in()
    assert "data-push" not in lamp.visitor.get("/workers").text
    stream = Stream(lamp.visitor.port, ticket_of(lamp.visitor.get("/messages").text))
    try:
        assert stream.until("joined")
        echo(pool, 2)
        while 'id="m' not in stream.until("update").data:
            pass  # how far the record has come is told, too
        assert b"<tr id=" in stream.raw, "no length tells what stands beside a stranger's text"
    finally:
        stream.close()


@pytest.mark.lamp
def test_nobody_but_web_reaches_the_register_and_what_cannot_be_followed_gets_no_ticket(
    lamp: Lamp, pool: Client
) -> None:
    place = register.path(lamp.made.live_run)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert lamp.visitor.get("/push/register").status == 404
    web = Register(lamp.made.live_run)
    assert not web.ticket(wanted(view="positions")) and not web.ticket(wanted("colour:red"))
    for rubbish in (b"\0", b"x" * 1000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(10)
            sock.connect(str(place))
            sock.send(rubbish)
            assert b"wrong" in sock.recv(1000)
    given = [web.ticket(wanted()) for _ in range(EACH + 1)]
    assert all(given[:-1]) and not given[-1], "of one address"
    assert web.ticket(wanted(who="another"))


@pytest.mark.lamp
@pytest.mark.browser
def test_a_browser_with_a_filter_asks_when_live_is_killed_and_is_pushed_to_again_by_another_ticket(
    lamp: Lamp, pool: Client
) -> None:
    def asked() -> int:
        return len(re.findall(r"GET /live/messages", (lamp.made.log / "access.log").read_text()))

    def fed(browser: Chrome) -> bool:
        return "descriptor" in text_of(browser, "[data-fed]")

    def kinds(browser: Chrome) -> set[str]:
        script = "return [...document.querySelectorAll('tbody[data-rows] > tr .what')].map((cell) => cell.innerText)"
        return {text.split()[0] for text in browser.execute_script(script)}

    with chromium(1440, 900) as browser:
        browser.get(f"{lamp.made.base_url}/messages?q=kind:result")
        eventually(lambda: fed(browser), "it is pushed to, and says by whom", 20)
        first, before = live_of(lamp), asked()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: asked() > before, "it asks", 20)
        live_of(lamp, unlike=first)
        eventually(lambda: fed(browser), "it is pushed to again", 60)
        before, last = asked(), newest(lamp)
        echo(pool, 3)
        script = "return [...document.querySelectorAll('tbody[data-rows] > tr')].map((row) => row.id)"
        eventually(lambda: any(int(row[1:]) > last for row in browser.execute_script(script)), "a row came")
        assert asked() == before and kinds(browser) == {"result"}


# ---- without Apache


@pytest.fixture
def tickets(tmp_path: Path) -> Iterator[Tickets]:
    made = Tickets(tmp_path, 3)
    yield made
    for ticket in list(made.waiting.values()):
        made.end(ticket, "expired")
    made.register.close()


def test_tickets_are_bounded_in_all_and_a_place_is_free_when_one_ends(tickets: Tickets, tmp_path: Path) -> None:
    given = [tickets.give(ROWS, str(number), 0.0) for number in range(4)]
    assert [said.why for said, _ in given] == ["", "", "", "full"] and given[3][1] is None
    assert len({said.ticket for said, _ in given[:3]}) == 3 and all(len(said.ticket) == 32 for said, _ in given[:3])
    first = given[0][1]
    assert first and first.until == LIFE and tickets.subjects() == {ROWS}
    tickets.end(first, "used")
    tickets.end(first, "expired")
    assert not (tmp_path / "tickets" / f"{given[0][0].ticket}.sock").exists()
    assert tickets.give(ROWS, "0", 0.0)[1] is not None
    assert tickets.counts == {"given": 4, "full": 1, "used": 1}


def test_web_waits_for_no_live_that_is_away_or_stands_still(tmp_path: Path) -> None:
    away = Register(tmp_path)
    assert away.ticket(wanted()) == ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(register.path(tmp_path)))
        silent.listen()
        assert away.ticket(wanted()) == "", "a moment ago nobody was there"
        silent.settimeout(0.01)
        with pytest.raises(TimeoutError):
            silent.accept()
        assert Register(tmp_path).ticket(wanted()) == "", "it waits a moment, and no more"


def test_what_a_live_before_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "0.sock").touch()
    made = Tickets(tmp_path, ALL)
    assert not list((tmp_path / "tickets").iterdir())
    made.register.close()


@pytest.mark.lamp
@pytest.mark.long
def test_where_reading_needs_a_login_an_operator_is_pushed_to_and_a_stranger_finds_no_door() -> None:
    directory = Path(tempfile.mkdtemp(prefix="closed"))
    directory.chmod(0o711)  # as root the instance's users pass through it
    umask = os.umask(0o022)
    place = choose(SOURCE, Path(sys.prefix), directory / "lamp", lambda _: None)
    choices = {"public_read": False}
    private = Private(place, lambda _: None, port=free_port("0"), operator_token=TOKEN, settings=choices)
    closed = Lamp(private)
    leaks.kept.append(closed.processes)
    try:
        private.start()
        closed.ready()
        live_of(closed)
        assert sorted(each.name for each in closed.made.live_run.glob("*.sock")) == []
        for path in ("/push/messages.en", "/push/" + "0" * 32, "/messages"):
            answer = closed.visitor.get(path)
            assert answer.status in (303, 302, 401, 404, 410) and "<tr" not in answer.text, path
        asked = closed.visitor.get("/live/messages?push=1")
        assert asked.status != 200 and "Pairscope-Push" not in asked.headers
        closed.visitor.log_in()
        stream = Stream(closed.visitor.port, ticket_of(closed.visitor.get("/messages").text))
        assert stream.until("joined")
        client = Client(closed.pool, "tool")
        echo(client, 2)
        while 'id="m' not in stream.until("update").data:
            pass
        stream.close()
        client.close()
        private.stop()
    finally:
        private.kill()
        place.leave()
        shutil.rmtree(directory)
        os.umask(umask)
        leaks.kept.remove(closed.processes)
