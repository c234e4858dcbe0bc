"""Pages that ask: what is shared among them, and what is not."""

from __future__ import annotations

import dataclasses
import gzip
import heapq
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session
from waitress import wasyncore

from bench.asking import Crowd
from pairscope.cli import bounded
from pairscope.config import Settings
from pairscope.live.source import Source
from pairscope.live.tail import Tail
from pairscope.store import changes, migrate, recent
from pairscope.store.engine import engine
from pairscope.store.places import Places
from pairscope.store.recent import Window
from pairscope.store.withheld import withhold
from pairscope.web.access.pace import ADDRESSES, AGAIN_MOST, REFUSED, Pace, Rate, Told
from pairscope.web.access.places import ARRIVED, ASKING, WARM
from pairscope.web.application import create_app
from pairscope.web.shell.moment import MOST_ANSWERS, Answer, Moment, Moments
from pairscope.web.shell.rendered import Kept, made
from pairscope.web.shell.unchanged import ALWAYS_NEW, LONGEST, MOST, Unchanged
from pairscope.web.words import Ages
from tests import hour, plausible
from tests.database import MariaDB
from tests.eventually import eventually
from tests.lamp import Lamp
from tests.plausible import MS, History, S
from tests.running import csrf_token

pytestmark = pytest.mark.web
filled, history = hour.filled, hour.history

TOKEN = "an operator's token"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "S3CRET-name.txt"


@pytest.fixture
def settings(tmp_path: Path, filled: Path) -> Settings:
    made: Settings = hour.settings.__wrapped__(tmp_path, filled)  # type: ignore[attr-defined]
    return dataclasses.replace(made, operator_token=TOKEN, public_outputs=False)


@pytest.fixture
def site(settings: Settings, history: History) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["pairscope"].close()


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


def cursor_of(client: FlaskClient, table: str = "messages") -> str:
    found = re.search(r'data-cursor="([^"]+)"', client.get(f"/{table}").text)
    assert found
    return found[1]


def message(history: History, **more: Any) -> Any:
    """One more message, committed."""
    given: dict[str, Any] = {"job": 1, "at": time.time_ns(), "latency": 80_000} | more
    row = history.message("cancel", history.web, history.supervisor, {"job": 1}, **given)
    history.commit()
    return row


def poll(client: FlaskClient, cursor: str, table: str = "messages", **headers: str) -> str:
    answer = client.get(
        f"/live/{table}?cursor={cursor}", headers={name.replace("_", "-"): headers[name] for name in headers}
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_row_is_made_once_whoever_asks_and_the_page_takes_the_same(
    site: Flask, client: FlaskClient, history: History
) -> None:
    kept: Kept = site.extensions["pairscope.rows"]
    cursor = cursor_of(client)
    row = message(history)
    first = poll(client, cursor)
    missed, found = kept.missed, kept.found
    assert f'id="m{row.id}"' in first
    assert poll(client, cursor, Accept_Language="en") == first and f'id="m{row.id}"' in client.get("/messages").text
    assert kept.missed == missed and kept.found > found
    row.state, row.latency, row.change = "failed", None, history.touch()
    history.commit()
    assert "failed" in poll(client, cursor) and kept.missed == missed + 1, "a row that changes is another one"


def test_what_an_operator_is_shown_a_stranger_does_not_get_whoever_asks_first(
    client: FlaskClient, history: History
) -> None:
    """Rows are kept for all: those of a stranger are others."""
    for stranger_first in (True, False):
        cursors = {table: cursor_of(client, table) for table in ("jobs", "messages", "transfers")}
        history.job("digest", SECRET, 900, at=time.time_ns(), result={"sha256": "S3CRET"})
        history.commit()
        for table, cursor in cursors.items():
            for stranger in (stranger_first, not stranger_first, stranger_first):
                told = poll(client, cursor, table, **({} if stranger else OPERATOR))
                assert "<tr " in told, table
                assert not (stranger and "S3CRET" in told), (table, stranger_first)
                if not stranger and table == "jobs":
                    assert SECRET in told
        assert SECRET in client.get("/jobs", headers=OPERATOR).text and SECRET not in client.get("/jobs").text


def test_a_part_with_the_token_of_somebodys_forms_is_nobody_elses(site: Flask, history: History) -> None:
    """All at one moment: each is said to have come before it."""
    people = [site.test_client() for _ in range(3)]
    for person in people[:2]:
        token = csrf_token(person.get("/login").text)
        assert person.post("/login", data={"token": TOKEN, "csrf_token": token}).status_code == 303
    early = {"mod_wsgi.queue_start": str(int((time.time() - 5) * 1e6))}
    site.extensions["born"] = time.time()  # so it refuses nobody for having waited
    told = [person.get("/live/workers?only=parts", environ_overrides=early).text for person in people]
    assert all('data-part="pool"' in text for text in told)
    assert csrf_token(told[0]) != csrf_token(told[1]) and "csrf_token" not in told[2]


def test_who_asks_is_told_what_was_read_after_he_asked(site: Flask, client: FlaskClient, history: History) -> None:
    moments: Moments = site.extensions["pairscope.moments"]
    cursor = cursor_of(client)
    asked = str(int(time.time() * 1e6))
    assert client.get(f"/live/messages?cursor={cursor}&only=rows").status_code == 204
    read = moments.read
    row = message(history)
    for key in ("mod_wsgi.queue_start", ARRIVED):
        waited = client.get(f"/live/messages?cursor={cursor}&only=rows", environ_overrides={key: asked})
        assert waited.status_code == 204 and moments.read == read, "it waited for a thread meanwhile, and shares"
    assert f'id="m{row.id}"' in poll(client, cursor) and moments.read == read + 1


def test_who_shares_an_answer_is_known_to_show_its_rows(site: Flask, history: History) -> None:
    """By which the next ticket is made: tests/test_live_tickets.py."""
    people = [site.test_client() for _ in range(2)]
    cursor = cursor_of(people[0])
    row = message(history)
    early: dict[str, Any] = {ARRIVED: str(int(time.time() * 1e6))}
    for person in people:
        with person:
            answer = person.get(f"/live/messages?cursor={cursor}&q=kind:cancel&moving=m7", environ_overrides=early)
            assert answer.status_code == 200, answer.text
            assert g.shown == ("m7", f"m{row.id}")
    assert site.extensions["pairscope.moments"]._last.made == 1


def test_those_who_ask_at_the_same_moment_share_one_reading() -> None:
    moments, begun, go_on = Moments(), threading.Event(), threading.Event()

    def read(began: float) -> Moment:
        begun.set()
        assert go_on.wait(20)
        return Moment(began, (), None)

    seen: list[Moment] = []
    asking = [threading.Thread(target=lambda at=time.time(): seen.append(moments.since(at, read))) for _ in range(8)]
    for thread in asking:
        thread.start()
    assert begun.wait(20)
    go_on.set()
    for thread in asking:
        thread.join()
    assert moments.read == 1 and len({id(moment) for moment in seen}) == 1
    assert moments.since(time.time() + 1, read) is not seen[0], "who comes later is told of later"


def test_an_answer_is_made_once_and_again_after_a_failure() -> None:
    moment, begun, go_on = Moment(0.0, (), None), threading.Event(), threading.Event()

    def fail() -> Answer:
        raise OSError("away")

    def make() -> Answer:
        begun.set()
        assert go_on.wait(20)
        return Answer(200, {}, b"rows", b"")

    with pytest.raises(OSError):
        moment.once("messages", fail)
    told: list[Answer] = []
    asking = [threading.Thread(target=lambda: told.append(moment.once("messages", make))) for _ in range(8)]
    for thread in asking:
        thread.start()
    assert begun.wait(20)
    go_on.set()
    for thread in asking:
        thread.join()
    assert len(told) == 8 and moment.made == 2, "one failed, and one is shared"
    for number in range(2 * MOST_ANSWERS):
        moment.once(number, make)
    assert len(moment._answers) == MOST_ANSWERS


def test_rows_that_are_kept_are_bounded_by_bytes() -> None:
    kept = Kept(most=1000)
    for number in range(50):
        kept.put(number, made("x" * 100))
        assert kept.get(0), "who is asked for stays"
    assert kept.bytes <= 1000 and len(kept) == 10 and kept.get(1) is None


def test_an_age_is_that_of_the_showing(site: Flask, client: FlaskClient, history: History) -> None:
    row = message(history, at=time.time_ns() - 30 * S)
    client.get("/messages")
    found = site.extensions["pairscope.rows"].found
    with site.test_request_context("/messages"):
        g.ages = Ages(row.sent + 2 * 3600 * S + 5 * MS)
        page: Any = site.view_functions["pages.messages"]()
    shown = re.search(rf'<tr id="m{row.id}".*?</time>', page[0], re.DOTALL)
    assert shown and ">2\u00a0h ago</time>" in shown[0]
    assert site.extensions["pairscope.rows"].found > found, "it is the row that was kept"


def test_what_is_sent_compressed_is_the_same_and_no_secret_of_anybodys(client: FlaskClient, history: History) -> None:
    cursor = cursor_of(client)
    for _ in range(5):
        message(history)
    path = f"/live/messages?cursor={cursor}&only=rows"
    plain, packed = client.get(path), client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data and len(packed.data) < len(plain.data) / 3
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in packed.headers["Vary"]
    client.set_cookie("pairscope-session", "of somebody")
    assert "Content-Encoding" not in client.get(path, headers={"Accept-Encoding": "gzip"}).headers, "BREACH"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hidden", [False, True])
def test_rows_from_memory_are_those_that_the_database_tells(
    settings: Settings, history: History, seed: int, hidden: bool
) -> None:
    """Over rows that come and rows that change, for viewers who are behind by more or less."""
    chance = random.Random(seed)
    made = engine(settings.history_url, read_only=True)
    window, told = Window("messages", most=40), 0
    rows: list[Any] = []
    with Session(made) as session:
        if hidden:
            withhold(session)
        cursors = [changes.live_cursor(session)]
        for _ in range(60):
            for _ in range(chance.randrange(0, 5)):
                if rows and chance.random() < 0.4:
                    row = chance.choice(rows)
                    row.state, row.change = chance.choice(("received", "failed")), history.touch()
                else:
                    rows.append(
                        history.message(
                            "cancel",
                            history.web,
                            history.supervisor,
                            {"secret": "S3CRET"},
                            job=1,
                            at=history.now + 1000,
                            latency=None,
                            state="sent",
                        )
                    )
            history.commit()
            committed = {place.node: place.position for place in changes.committed(session)}
            for cursor in chance.sample(cursors, min(3, len(cursors))):
                limit = chance.choice((5, 200))
                found = window.since(session, committed, cursor, limit)
                with Session(made) as other:
                    wanted = changes.changes(other, "messages", None, cursor, limit)
                if found is None:
                    continue
                told += 1
                assert found.more == wanted.more
                if not found.more:
                    assert found.cursor == wanted.cursor
                    assert {(row.id, row.change, row.state) for row in found.rows} == {
                        (row.id, row.change, row.state) for row in wanted.rows
                    }
                assert not (hidden and any(row.preview for row in found.rows))
                assert len(window._rows) <= 40
            cursors.append(changes.live_cursor(session))
    made.dispose()
    assert told > 20, "it is told from memory"


def test_a_change_is_read_once_for_all_who_follow(site: Flask, client: FlaskClient, history: History) -> None:
    """Also for those who are at another place, and for the overview beside the table."""
    windows: recent.Windows = site.extensions["pairscope.recent"]
    cursors = []
    for _ in range(5):
        cursors.append(cursor_of(client))
        poll(client, cursors[0])
        message(history)
    poll(client, cursors[0])
    with Session(engine(history.settings.history_url)) as session:
        withhold(session)
        window = windows.of("messages", session)
    reads = window.reads
    for number, cursor in enumerate(cursors):
        assert poll(client, cursor).count("<tr ") == 5 - number
        assert 'data-rows="messages"' in poll(client, cursor, "overview")
    assert window.reads == reads


def test_a_record_that_begins_anew_is_not_told_from_memory(settings: Settings, history: History) -> None:
    window = Window("messages")
    made = engine(settings.history_url, read_only=True)
    with Session(made) as session:
        begin = changes.live_cursor(session)
        window.since(session, {1: history.change}, begin, 200)
        message(history)
        found = window.since(session, {1: history.change}, begin, 200)
        assert found and len(found.rows) == 1
        assert window.since(session, {1: 3}, begin, 200) is not None and not window._rows, "it begins there"
    made.dispose()


def test_a_row_that_is_touched_while_live_reads_is_not_told_behind_those_that_came_after_it(
    site: Flask, history: History
) -> None:
    """What reads up to a position does not see a row that has moved beyond it meanwhile."""
    tail = Tail("messages", False, Source(site))
    tail.begin()
    first, second = message(history), message(history)
    touched = list[int]()

    def touch(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "FROM messages" in statement and not touched:
            touched.append(first.id)
            first.state, first.change = "failed", history.touch()
            history.commit()

    made = site.extensions["pairscope"].engine(history.settings.history_url, read_only=True)
    event.listen(made, "before_cursor_execute", touch)
    try:
        tail.read(0.0)
    finally:
        event.remove(made, "before_cursor_execute", touch)
    (batch,) = list(tail.behind(0) or ())
    assert touched and {row.id for row in batch.rows} == {first.id, second.id}


@pytest.mark.database
def test_a_connection_that_was_kept_and_has_ended_is_replaced_once(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = plausible.settings_in(tmp_path, history_url=mariadb.fresh())
    migrate.upgrade(settings)
    made = engine(settings.history_url, read_only=True)
    places = Places(made)
    try:
        assert places.look() == ()
        held: Any = places._held
        mariadb.execute(f"KILL {held.connection.dbapi_connection.thread_id()}")
        assert places.look() == ()
    finally:
        places.close()
        made.dispose()


# ---- what nothing has happened to


def test_a_poll_of_a_page_on_which_nothing_changes_is_answered_as_before_and_each_change_is_told(
    site: Flask, client: FlaskClient, history: History
) -> None:
    unchanged: Unchanged = site.extensions["pairscope.unchanged"]
    cursor = cursor_of(client)
    seen = client.get(f"/live/messages?cursor={cursor}").headers["Pairscope-Seen"]
    new = set(ALWAYS_NEW)
    for path in (f"/live/messages?cursor={cursor}&only=rows", f"/live/messages?cursor={cursor}&seen={seen}"):
        first = client.get(path)
        before = unchanged.answered
        again = client.get(path)
        assert (first.status_code, again.status_code, unchanged.answered) == (204, 204, before + 1)
        assert [pair for pair in first.headers if pair[0] not in new] == [
            pair for pair in again.headers if pair[0] not in new
        ]
        assert abs(int(again.headers["Pairscope-Clock"]) / 1000 - time.time()) < 60
    row = message(history)
    for only in ("&only=rows", f"&seen={seen}"):
        assert f'id="m{row.id}"' in client.get(f"/live/messages?cursor={cursor}{only}").text


def test_what_the_pool_says_is_told_to_who_follows_it_and_is_nothing_to_rows(
    site: Flask, client: FlaskClient, settings: Settings, history: History
) -> None:
    unchanged: Unchanged = site.extensions["pairscope.unchanged"]
    cursor = cursor_of(client)
    seen = client.get(f"/live/messages?cursor={cursor}").headers["Pairscope-Seen"]
    rows, whole = f"/live/messages?cursor={cursor}&only=rows", f"/live/messages?cursor={cursor}&seen={seen}"
    for path in (rows, rows, whole, whole):
        assert client.get(path).status_code == 204
    before = unchanged.answered
    settings.snapshot.unlink()
    assert client.get(rows).status_code == 204 and unchanged.answered == before + 1
    assert 'data-part="strip"' in client.get(whole).text and unchanged.answered == before + 1


def test_who_is_known_or_brings_a_body_or_asks_for_what_is_his_own_is_answered_by_the_view(
    site: Flask, client: FlaskClient, history: History
) -> None:
    unchanged: Unchanged = site.extensions["pairscope.unchanged"]
    cursor = cursor_of(client)
    path = f"/live/messages?cursor={cursor}&only=rows"
    for _ in range(2):
        assert client.get(path).status_code == 204
        assert client.get(f"{path}&q=since:5m").status_code == 204
        assert client.get(f"{path}&push=1").status_code == 204
    assert unchanged.answered == 1
    assert client.get(path, headers=OPERATOR).status_code == 204
    assert client.get(path, headers={"Authorization": "Bearer of nobody"}).status_code == 204
    assert client.get(path, data=b"body").status_code == 204
    assert client.post(path).status_code == 405
    assert client.get(path, headers={"Host": "elsewhere.example"}).status_code == 400
    client.set_cookie("pairscope-session", "of somebody")
    assert client.get(path).status_code == 204
    assert unchanged.answered == 1
    client.delete_cookie("pairscope-session")
    client.set_cookie("theme", "dark")
    assert client.get(path).status_code == 204 and unchanged.answered == 2


def test_questions_that_are_kept_are_bounded(site: Flask, client: FlaskClient, history: History) -> None:
    unchanged: Unchanged = site.extensions["pairscope.unchanged"]
    site.extensions["pace"] = Pace(each=Rate(1e6, 1e6), all=Rate(1e6, 1e6))
    cursor = cursor_of(client)
    for number in range(MOST + 2):
        assert client.get(f"/live/messages?cursor={cursor}&only=rows&x={number}").status_code == 204
        assert len(unchanged._kept) <= MOST
    assert client.get(f"/live/messages?cursor={cursor}&only=rows&x={'x' * LONGEST}").status_code == 204
    assert not any("xxx" in str(question) for question in unchanged._kept)


# ---- too many


def test_pages_that_heed_are_never_refused_and_a_hundred_of_one_address_are_never_told_to_wait() -> None:
    """For five minutes of a clock of its own."""
    chance = random.Random(1)
    for many, patient in ((100, False), (500, True), (1000, True)):
        pace, refused, waits = Pace(), [0, 0], 0
        asking = [(chance.random(), number) for number in range(many)]
        heapq.heapify(asking)
        while asking[0][0] < 300:
            now, number = heapq.heappop(asking)
            told = pace.take("192.0.2.1", now)
            refused[now > 60] += bool(told.refused)
            waits += told.again > 0
            heapq.heappush(asking, (now + max(1.0, told.again * (0.8 + 0.4 * chance.random())), number))
        assert bool(waits) == patient, many
        assert refused[1] == 0 and (many > 500 or not refused[0]), (many, refused)


def test_who_does_not_heed_is_refused_and_others_are_answered() -> None:
    pace = Pace()
    for step in range(20_000):
        rude = pace.take("192.0.2.1", step / 1000)
    assert rude.refused == "each" and rude.again >= REFUSED
    assert pace.take("192.0.2.2", 20.0) == Told("", 0.0)
    assert pace.take("192.0.2.2", 20.0, waited=0.5) == Told("", 5.0), "who had to wait is told to ask less often"
    assert pace.take("192.0.2.2", 20.0, waited=60.0) == Told("", AGAIN_MOST)
    for number in range(20_000):
        crowd = pace.take(f"198.51.100.{number}", 20.0)
    assert crowd.refused == "all" and crowd.again >= REFUSED and len(pace._of) <= ADDRESSES
    assert not pace.take("192.0.2.3", 30.0).refused, "it passes"


def test_who_is_refused_costs_no_look_at_the_database(site: Flask, client: FlaskClient) -> None:
    cursor = cursor_of(client)
    path = f"/live/messages?cursor={cursor}&only=rows"
    moments: Moments = site.extensions["pairscope.moments"]
    site.extensions["pace"] = Pace(each=Rate(0.1, 2.5), all=Rate(0.1, 3.5))
    assert "Pairscope-Again" not in client.get(path).headers
    assert 1 < float(client.get(path).headers["Pairscope-Again"]) < 7
    read = moments.read
    for address, status in (("127.0.0.1", 429), ("192.0.2.2", 204), ("192.0.2.3", 503)):
        answer = client.get(path, environ_overrides={"REMOTE_ADDR": address})
        assert answer.status_code == status
        if status > 400:
            assert answer.headers["Retry-After"] in answer.text and "Ask again in" in answer.text
    assert moments.read == read + 1
    assert client.get("/messages").status_code == 200, "a page is no poll"


def test_a_poll_that_waited_too_long_is_refused_before_it_is_worked_on(site: Flask, client: FlaskClient) -> None:
    moments: Moments = site.extensions["pairscope.moments"]
    cursor, read = cursor_of(client), moments.read
    site.extensions["born"] -= WARM + 1
    for key in ("mod_wsgi.queue_start", ARRIVED):
        for waited, status in ((ASKING + 1, 503), (ASKING - 1, 204)):
            asked = {key: str(int((time.time() - waited) * 1e6))}
            answer = client.get(f"/live/messages?cursor={cursor}&only=rows", environ_overrides=asked)
            assert answer.status_code == status
            assert status == 204 or answer.headers["Retry-After"]
    assert moments.read <= read + 2


def test_what_nobody_waits_for_any_longer_is_not_begun_in_the_embedded_server() -> None:
    begun, go_on, over, seen = threading.Event(), threading.Event(), threading.Event(), list[str]()

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        assert abs(int(environ[ARRIVED]) / 1e6 - time.time()) < 60
        begun.set()
        assert go_on.wait(20)
        start("204 No Content", [])
        return []

    poll: dict[int, Any] = {}
    listener = socket.create_server(("127.0.0.1", 0))
    made = bounded.server(application, listener, 1000, 1, poll)

    def loop() -> None:
        while not over.is_set():
            wasyncore.loop(timeout=0.02, use_poll=True, map=poll, count=1)

    thread = threading.Thread(target=loop)
    thread.start()
    callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    try:
        callers[0].sendall(b"GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.wait(20)
        for number in (1, 2):
            callers[number].sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
        queued = made.task_dispatcher.queue
        eventually(lambda: len(queued) == 2, "two wait for the one thread")
        left: Any = queued[0]
        callers[1].close()
        eventually(lambda: not left.connected, "the server sees that one has left")
        go_on.set()
        for caller in (callers[0], callers[2]):
            caller.settimeout(20)
            assert caller.recv(100).startswith(b"HTTP/1.1 204")
        assert seen == ["/first", "/2"]
    finally:
        go_on.set()
        for caller in callers:
            caller.close()
        over.set()
        thread.join()
        made.task_dispatcher.shutdown(timeout=5)
        wasyncore.close_all(poll)


@pytest.mark.long  # it measures what the machine bears
@pytest.mark.lamp
def test_of_500_pages_of_one_address_that_ask_none_fails(lamp: Lamp) -> None:
    crowd = Crowd(lamp.made.port, 500)
    crowd.run(20.0)
    assert not crowd.failed and crowd.answered >= 500, (crowd.answered, crowd.refused, set(crowd.failed))
    assert lamp.visitor.get("/healthz").status == 200
