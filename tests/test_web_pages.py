"""Pages through the real application on real rows, without a pool and without a browser."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from gettext import NullTranslations
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, strategies
from hypothesis import settings as settings_of
from markupsafe import escape
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import pairscope as package
from pairscope.client.away import PoolRefused
from pairscope.config import Settings
from pairscope.ipc import payloads, vocabulary
from pairscope.ipc.identity import Issuer
from pairscope.ipc.vocabulary import REFUSALS
from pairscope.store import lines, migrate, pages, walk
from pairscope.store.filter import FIELDS
from pairscope.store.models import PACE_SECONDS
from pairscope.web import payload, problems, reach, unknown, words
from pairscope.web.access.places import SHARES
from pairscope.web.application import create_app
from pairscope.web.pages import export
from pairscope.web.shell import assets, face, listing
from pairscope.web.tables import PAGE
from pairscope.work.jobs import catalogue
from tests import hour, plausible, pools
from tests.database import MariaDB
from tests.eventually import eventually
from tests.plausible import CATALOGUE, MS, History, S
from tests.refusing import refusing_relay
from tests.words import extracted

pytestmark = pytest.mark.web
filled, settings, history = hour.filled, hour.settings, hour.history

WEB = Path(package.__file__).parent / "web"
PAGES = (
    "/",
    "/messages",
    "/transfers",
    "/workers",
    "/jobs",
    "/workers/1",
    "/lab",
    "/lab/edit",
    "/lab/program",
    "/lab/compare",
    "/lab/scenarios/parent-and-child",
    "/database",
    "/database/messages",
    "/login",
)


@pytest.fixture
def site(settings: Settings, history: History) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["pairscope"].close()


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, str] = {}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")


def rows_of(text: str) -> dict[str, str]:
    """Each row by its id, as it was sent; times that tick left out."""
    return {
        found[1]: re.sub(r">[^<]*</time>", ">T</time>", found[0])
        for found in re.finditer(r'<tr id="([^"]+)".*?</tr>', text, re.DOTALL)
    }


def attribute(text: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', text)
    assert found, f"{name} is not in {text[:2000]}"
    return found[1].replace("&amp;", "&")


def update(client: FlaskClient, page: TestResponse, **more: str) -> TestResponse:
    """Asks for what changed since a page, as its script does."""
    query = {"cursor": attribute(page.text, "data-cursor"), "seen": attribute(page.text, "data-seen"), **more}
    address = attribute(page.text, "data-live")
    return client.get(f"{address}{'&' if '?' in address else '?'}{urlencode(query)}")


def first(client: FlaskClient, path: str, pattern: str) -> str:
    found = re.search(pattern, client.get(path).text)
    assert found, path
    return found[0]


def every_page(client: FlaskClient) -> Iterator[tuple[str, TestResponse]]:
    """One of each kind of page."""
    paths = [*PAGES, "/nowhere", "/messages?q=kind:tusk"]
    paths += [
        first(client, "/messages?q=fds:>0", r"/messages/\d+"),
        first(client, "/messages?q=kind:accepted", r"/messages/\d+"),
    ]
    paths += [
        first(client, f"/transfers?q=proof:{proof}", r"/transfers/\d+-\d+") for proof in ("same", "unproved", "pending")
    ]
    paths += [
        first(client, f"/jobs?q=state:{state}", r"/jobs/\d+")
        for state in ("queued", "running", "done", "failed", "cancelled")
    ]
    for path in paths:
        yield path, client.get(path)


# ---- every page


def test_each_page_has_one_heading_landmarks_and_a_title(client: FlaskClient) -> None:
    for path, page in every_page(client):
        tags = [tag for tag, _attributes in Seen(page.text).tags]
        assert tags.count("h1") == 1, path
        assert tags.count("main") == 1 and "nav" in tags and "footer" in tags, path
        assert re.search(r"<title>[^<]+ · Pairscope</title>", page.text), path
        assert 'href="#main"' in page.text, path


def test_no_page_carries_a_style_or_a_script_of_its_own(client: FlaskClient) -> None:
    for path, page in every_page(client):
        for tag, attributes in Seen(page.text).tags:
            assert tag != "style" and not (tag == "script" and not attributes.get("src")), path
            assert not [name for name in attributes if name == "style" or name.startswith("on")], (
                path,
                tag,
                attributes,
            )


def test_no_id_stands_twice_on_a_page(client: FlaskClient) -> None:
    for path, page in every_page(client):
        ids = [attributes["id"] or "" for _tag, attributes in Seen(page.text).tags if "id" in attributes]
        assert sorted(ids) == sorted(set(ids)), path


def test_each_link_of_a_page_leads_to_a_page(client: FlaskClient) -> None:
    tried: set[str] = set()
    for path, page in every_page(client):
        for link in Seen(page.text).links:
            kind = re.sub(r"\d+", "N", link.partition("?")[0])
            if link.startswith("/") and kind not in tried and "/output" not in kind:
                tried.add(kind)
                assert client.get(link, buffered=True).status_code in (200, 302), f"{link} on {path}"


def test_each_kind_of_page_describes_itself_in_a_sentence_of_its_own(client: FlaskClient) -> None:
    said: dict[str, str] = {}
    for path, page in every_page(client):
        found = re.findall(r'<meta name="description" content="([^"]*)">', page.text)
        assert len(found) == 1 and 30 <= len(found[0]) <= 170 and found[0][-1] in ".?…", f"{path}: {found}"
        kind = re.sub(r"\d+", "N", path.partition("?")[0])
        assert said.setdefault(found[0], kind) == kind, f"{path} and {said[found[0]]}"
    assert len(said) > 10


def test_each_static_file_that_a_page_names_is_kept_until_it_changes(client: FlaskClient) -> None:
    named = {
        path for _path, page in every_page(client) for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    }
    assert {path.partition("?")[0] for path in named} >= {
        "/static/pairscope.css",
        "/static/face.js",
        "/static/live.js",
        "/static/mark.svg",
    }
    for path in named:
        assert client.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable", path
        bare = path.partition("?")[0]
        assert (
            client.get(bare).headers["Cache-Control"]
            == client.get(bare + "?v=0123").headers["Cache-Control"]
            == "no-cache"
        )
    for module in (WEB / "static").glob("*.js"):
        assert not re.search(r"""^import .*["']\./""", module.read_text(), re.MULTILINE), (
            f"{module.name} asks for another module without its version"
        )


def test_the_version_of_the_static_files_is_another_one_when_one_of_them_is(tmp_path: Path) -> None:
    shutil.copytree(WEB / "static", tmp_path / "static")
    before = assets.version(tmp_path / "static")
    with (tmp_path / "static" / "mark.svg").open("a") as file:
        file.write(" ")
    assert before == assets.version(WEB / "static") != assets.version(tmp_path / "static")


def test_each_drawing_is_described_in_words(client: FlaskClient) -> None:
    drawn = 0
    for path, page in every_page(client):
        for found in re.finditer(r'<svg class="drawing.*?</svg>', page.text, re.DOTALL):
            drawn += 1
            assert re.search(r"<title id=[^>]+>[^<]{4,}</title><desc id=[^>]+>[^<]{10,}</desc>", found[0]), path
            role = "group" if "<a " in found[0] else "img"
            assert (
                f'role="{role}"' in found[0] and "aria-labelledby=" in found[0] and "aria-describedby=" in found[0]
            ), path
    assert drawn > 10


def test_the_strip_names_linux_apache_mariadb_python_and_the_pool_with_a_word_each(client: FlaskClient) -> None:
    strip = re.search(r'<section class="strip".*?</section>', client.get("/messages").text, re.DOTALL)
    assert strip
    text = re.sub(r"<[^>]+>", "", strip[0])
    for name in ("Linux", "Apache", "MariaDB", "Python", "Pool"):
        assert name in text
    assert "SQLite" in text and "2 workers" in text and "up to date" in text


def test_a_snapshot_that_is_old_means_that_the_pool_is_not_running(client: FlaskClient, history: History) -> None:
    history.snapshot(at=time.time_ns() - 60 * S)
    page = client.get("/")
    assert page.status_code == 200
    assert "not running" in page.text and "no supervisor" in page.text
    assert "nothing can be submitted" in page.text


def test_the_drawing_is_the_same_from_whichever_web_process_it_comes(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lambda: time.time_ns() // (PACE_SECONDS * S)  # noqa: E731 the chart of the same page goes on with each
    begun = 0
    while begun != step():
        begun = step()
        page = client.get("/")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("pairscope.web.shell.strip.os.getpid", lambda: 12345)
            answer, again = update(client, page), client.get("/")
    drawn, drawn_again = (
        re.findall(r'<svg class="drawing.*?</svg>', found.text, re.DOTALL)[:2] for found in (page, again)
    )
    assert answer.status_code == 204 and drawn_again == drawn


def test_a_strangers_name_cannot_write_into_the_page(client: FlaskClient) -> None:
    for path in ("/jobs", "/messages", "/messages?q=script"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "\u202e" not in text, "a mark of writing direction turns around what follows it"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.html" in client.get("/jobs").text
    assert "\\u202egnp.exe" in client.get("/jobs").text


def test_only_an_operator_is_shown_what_changes_something(site: Flask) -> None:
    client = site.test_client()
    stranger = client.get("/jobs").text
    assert "Log in to send one" in stranger and "Drop a file here" not in stranger and 'type="file"' not in stranger
    assert "/workers/scale" not in client.get("/workers").text
    token = attribute(client.get("/login").text, 'name="csrf_token" value')
    assert client.post("/login", data={"csrf_token": token, "token": "operator-token"}).status_code == 303
    assert "Send it" in client.get("/jobs").text and "Drop a file here" in client.get("/jobs").text
    assert "/workers/scale" in client.get("/workers").text and "/workers/1/signal" in client.get("/workers").text


def test_the_appearance_is_remembered_by_the_server(client: FlaskClient) -> None:
    assert "data-theme=" not in client.get("/").text
    answer = client.post("/theme", data={"theme": "dark", "back": "/messages?q=kind:task"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/messages?q=kind:task")
    assert '<html lang="en" data-theme="dark">' in client.get("/").text
    client.post("/theme", data={"theme": "", "back": "/"})
    assert "data-theme=" not in client.get("/").text
    assert client.post("/theme", data={"theme": "dark", "back": "https://example.org/"}).headers["Location"] == "/"


def test_a_visitor_gets_no_cookie(client: FlaskClient) -> None:
    for path in ("/", "/messages", "/transfers", "/workers", "/jobs"):
        assert "Set-Cookie" not in client.get(path).headers, path


def test_where_reading_needs_a_login_a_stranger_is_told_nothing(settings: Settings, history: History) -> None:
    closed = create_app(dataclasses.replace(settings, public_read=False))
    client = closed.test_client()
    for path in ("/", "/messages", "/live/messages", "/messages/export.csv", "/nowhere"):
        answer = client.get(path, follow_redirects=True)
        assert "Log in" in answer.text, path
        for word in ("hostname", "2 workers", "kind:", "supervisor</span>"):
            assert word not in answer.text, (path, word)
    closed.extensions["pairscope"].close()


# ---- tables


@pytest.mark.parametrize("name", ["messages", "transfers", "jobs", "workers"])
def test_a_row_has_a_cell_for_each_column(client: FlaskClient, name: str) -> None:
    text = client.get(f"/{name}").text
    heads = len(
        re.findall(r"<th scope=\"col\"", re.search(rf'<table class="rows {name}">.*?</thead>', text, re.DOTALL)[0])  # type: ignore[index]
    )
    rows = rows_of(text)
    assert rows
    for row in rows.values():
        assert row.count("<td") == heads


def test_a_page_ends_and_its_links_lead_to_older_rows_and_back(client: FlaskClient) -> None:
    newest = client.get("/messages")
    assert len(rows_of(newest.text)) == PAGE
    older = client.get(
        attribute(newest.text, 'rel="next" href')
        if 'rel="next" href' in newest.text
        else re.search(r'href="(/messages\?before=[^"]+)"', newest.text)[1]  # type: ignore[index]
    )
    assert older.status_code == 200
    assert min(rows_of(newest.text)) > max(rows_of(older.text))
    assert "data-cursor=" not in older.text.partition("<main")[0] and 'data-live="/live/strip"' in older.text, (
        "an older page does not get new rows"
    )
    back = client.get(re.search(r'href="(/messages\?after=[^"]+)"', older.text)[1])  # type: ignore[index]
    assert set(rows_of(back.text)) == set(rows_of(newest.text))


def test_an_update_renders_a_row_exactly_as_the_page_does(client: FlaskClient, history: History) -> None:
    for name in ("messages", "transfers", "jobs"):
        before = client.get(f"/{name}")
        history.job("digest", "fresh.bin", 4000, at=time.time_ns())
        history.commit()
        answer = update(client, before)
        assert answer.status_code == 200
        fresh, page = rows_of(answer.text), rows_of(client.get(f"/{name}").text)
        assert fresh and not set(fresh) & set(rows_of(before.text))
        assert {id: page[id] for id in fresh} == fresh


def test_nothing_new_is_204_and_costs_no_rendering(client: FlaskClient, history: History) -> None:
    for path in (
        "/messages",
        "/transfers",
        "/workers",
        "/jobs",
        "/",
        first(client, "/jobs?q=state:done", r"/jobs/\d+"),
    ):
        page = client.get(path)
        query = {"seen": attribute(page.text, "data-seen")}
        if "data-cursor" in page.text:
            query["cursor"] = attribute(page.text, "data-cursor")
        answer = client.get(attribute(page.text, "data-live"), query_string=query)
        assert (answer.status_code, answer.data) == (204, b""), path


def test_a_completed_row_comes_again_under_its_id(client: FlaskClient, history: History) -> None:
    message = history.message(
        "task", history.supervisor, history.workers[1], {}, job=1, at=time.time_ns(), latency=None, state="sent"
    )
    history.commit()
    page = client.get("/messages")
    assert "in flight" in rows_of(page.text)[f"m{message.id}"]
    message.state, message.received, message.latency, message.change = (
        "received",
        message.sent + 3 * MS,
        3 * MS,
        history.touch(),
    )
    history.commit()
    rows = rows_of(update(client, page).text)
    assert list(rows) == [f"m{message.id}"]
    assert "received" in rows[f"m{message.id}"] and "3.0\u00a0ms" in rows[f"m{message.id}"]


def test_a_row_that_leaves_the_filter_is_named(client: FlaskClient, history: History) -> None:
    message = history.message(
        "task", history.supervisor, history.workers[1], {}, job=1, at=time.time_ns(), latency=None, state="sent"
    )
    history.commit()
    page = client.get("/messages?q=state:sent")
    moving = ",".join(re.findall(r'<tr id="([^"]+)"[^>]*data-moving', page.text))
    assert f"m{message.id}" in moving
    message.state, message.received, message.latency, message.change = (
        "received",
        message.sent + MS,
        MS,
        history.touch(),
    )
    history.commit()
    assert attribute(update(client, page, moving=moving).text, "data-gone") == f"m{message.id}"


def test_a_viewer_that_is_far_behind_gets_the_newest_page_instead(client: FlaskClient, history: History) -> None:
    page = client.get("/messages")
    for _index in range(listing.MOST_CHANGES // 5 + 2):
        history.job("digest", "many.bin", 10, at=time.time_ns())
    history.commit()
    answer = update(client, page)
    assert "data-anew" in answer.text
    assert rows_of(answer.text) == rows_of(client.get("/messages").text)


def test_a_wrong_filter_is_explained_at_its_place(client: FlaskClient) -> None:
    page = client.get("/messages?q=worker:1 kind:tusk")
    assert page.status_code == 400
    shown = re.search(r"<pre[^>]*><bdi>(.*)</bdi>\n( *)\^</pre>", page.text)
    assert shown and shown[1] == "worker:1 kind:tusk"
    assert shown[1][len(shown[2]) :] == "tusk", "the mark stands under what is wrong"
    assert "expected one of" in page.text and 'aria-describedby="q-problem"' in page.text
    assert client.get("/live/messages?q=kind:tusk&cursor=x").status_code == 400


def test_a_search_that_did_not_reach_the_end_says_how_far_it_came_and_leads_on(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "BOUND", 20)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    for path in ("/messages?q=kind:task,submit", "/messages?q=nowhere-to-be-found", "/transfers?q=fd:9999"):
        page = client.get(path).text
        assert "Searched from the newest back to" in page and "before=" in page, path
    assert "Nothing fits so far." in client.get("/messages?q=nowhere-to-be-found").text
    for path in ("/messages", "/messages?q=kind:task", "/messages?q=fds:%3E0"):
        assert "Searched from the newest back to" not in client.get(path).text, path


def test_the_help_shows_each_field_with_an_example_that_works(client: FlaskClient) -> None:
    for name in ("messages", "transfers", "jobs", "workers"):
        text = client.get(f"/{name}").text
        examples = re.findall(rf'<a class="mono" href="(/{name}\?q=[^"]+)"', text)
        assert len(examples) > 5
        for example in examples:
            assert client.get(example.replace("&amp;", "&")).status_code == 200, example


# ---- one thing


def test_the_help_of_messages_tells_each_kind_in_the_vocabularys_words(client: FlaskClient) -> None:
    text = client.get("/messages").text
    for kind in vocabulary.KINDS:
        assert f"<td>{kind.meaning}</td>" in text
        assert (f'href="/messages?q=kind:{kind.name}"' in text) is not kind.housekeeping


def test_what_is_bounded_and_what_is_only_counted_is_shown(client: FlaskClient, history: History) -> None:
    messages = " ".join(re.sub(r"<[^>]+>", " ", client.get("/messages").text).split())
    assert "History keeps the newest 1 000 000 messages" in messages
    assert "counted as housekeeping: progress 40" in messages
    jobs = client.get("/jobs").text
    assert "each for 60\u00a0min and together up to 512\u00a0MiB" in jobs and "2 are kept now" in jobs


def test_a_descriptor_tells_its_object_its_inode_and_its_access_to_whom_points_at_it(client: FlaskClient) -> None:
    job = re.search(r"/jobs/\d+", client.get("/jobs?q=kind:thumbnail+state:done").text)
    message = re.search(r"/messages/\d+", client.get("/messages?q=kind:submit+fds:1").text)
    assert job and message
    for path in ("/transfers", job[0], message[0]):
        assert re.search(
            r'<a class="crossing" href="/transfers/\d+-\d" title="[a-z ]+, inode \d+, read(-write)?">',
            client.get(path).text,
        ), path


def test_a_message_shows_its_descriptors_its_payload_and_its_bytes(client: FlaskClient) -> None:
    text = client.get(first(client, "/messages?q=kind:submit fds:>0", r"/messages/\d+")).text
    assert "SCM_RIGHTS" in text and "MSG_CMSG_CLOEXEC" in text
    assert re.search(r'<span class="key">kind</span>\s*<bdi class="mono value">digest</bdi>', text)
    assert "84 a4 6b 69 6e 64" in text, (
        "msgpack: a map of the four fields that have not their default, then the text kind"
    )
    for word in ("observed", "reported", "derived"):
        assert word in text


def test_a_message_says_which_of_its_bytes_are_its_header_and_why_it_failed_in_a_sentence(
    client: FlaskClient, history: History
) -> None:
    made = history.message(
        "cancel",
        history.web,
        history.supervisor,
        payloads.Cancel(7),
        job=7,
        at=time.time_ns(),
        latency=None,
        state="unknown",
        reason="the supervisor of epoch 3 died",
    )
    history.commit()
    text = client.get(f"/messages/{made.id}").text
    assert (
        f"The payload, {len(made.preview)} bytes, as it travelled. The other {made.size - len(made.preview)} "
        "of the message’s bytes are its header." in text
    )
    assert '<p class="reason">The supervisor of epoch 3 died.</p>' in text


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/messages", "Nothing has crossed yet."),
        ("/transfers", "No descriptor has crossed yet."),
        ("/jobs", "There is no job yet."),
    ],
)
def test_an_empty_table_says_how_to_fill_it_and_one_that_was_asked_too_much_says_so(
    tmp_path_factory: pytest.TempPathFactory, path: str, word: str
) -> None:
    settings = plausible.settings_in(tmp_path_factory.mktemp("empty"))
    History(settings).close()
    client = create_app(settings).test_client()
    assert word in client.get(path).text and word not in client.get(f"{path}?q=node:1").text


def test_the_workers_page_leads_to_the_history_of_the_other_roles(client: FlaskClient) -> None:
    text = client.get("/workers").text
    for role in ("supervisor", "recorder"):
        address = f"/workers?q=role:{role}"
        assert f'href="{address}"' in text and f'class="edge {role}"' in client.get(address).text


def test_a_transfer_shows_both_numbers_the_proof_and_the_control_message(client: FlaskClient) -> None:
    path = first(client, "/transfers?q=proof:same kind:submit", r"/transfers/\d+-0")
    text = client.get(path).text
    numbers = re.search(r"kcmp\((\d+), (\d+), KCMP_FILE, (\d+), (\d+)\) = 0", text)
    assert numbers
    assert (
        int(numbers[3]).to_bytes(4, "little").hex(" ") in text
        and int(numbers[4]).to_bytes(4, "little").hex(" ") in text
    )
    assert "14 00 00 00 00 00 00 00" in text, "cmsg_len: a header of 16 and one int"
    unproved = client.get(first(client, "/transfers?q=proof:unproved", r"/transfers/\d+-\d+")).text
    assert "killed by SIGKILL" in unproved or "was killed for it" in unproved


@pytest.mark.parametrize(
    ("proof", "words"), [("unproved", "was not asked: no number"), ("pending", "was not asked yet")]
)
def test_a_transfer_whose_receiver_reported_no_number_shows_no_call_and_no_received_bytes(
    client: FlaskClient, proof: str, words: str
) -> None:
    text = client.get(first(client, f"/transfers?q=proof:{proof}", r"/transfers/\d+-\d+")).text
    assert words in text and "KCMP_FILE" not in text and "arrived as" not in text and "both name" not in text
    table = text.partition("Receiver’s bytes")[2].partition("</table>")[0]
    received = re.findall(r'<td class="mono">([^<]*)</td></tr>', table)
    assert len(received) >= 4 and set(received) == {"–"}


def test_a_mark_stands_with_the_file_and_its_inode_and_not_with_the_description(client: FlaskClient) -> None:
    table = client.get("/transfers").text
    assert "not always the same open file description" in table
    marked: dict[tuple[str, str], set[str]] = {}
    for object, inode, mark in re.findall(
        r'title="([a-z ]+), inode (\d+), [a-z-]+">.*?<path d="([^"]+)"/></svg><span class="inode">\2</span>', table
    ):
        marked.setdefault((object, inode), set()).add(mark)
    assert len(marked) > 10 and all(len(marks) == 1 for marks in marked.values())
    text = client.get(first(client, "/transfers?q=proof:same", r"/transfers/\d+-0")).text
    for drawing in re.findall(r'<svg class="drawing.*?</svg>', text, re.DOTALL):
        marks = [float(y) for y in re.findall(r'translate\([\d.]+ ([\d.]+)\)" class="glyph"', drawing)]
        (description,), (file,) = (
            [float(y) for y in re.findall(rf'y="([\d.]+)"[^>]*>{words}', drawing)]
            for words in ("open file description", "[a-z ]+  /")
        )
        assert len(marks) == 1 and abs(marks[0] - file) < 10 < abs(marks[0] - description)


def test_a_job_shows_each_hop_with_its_latency_and_its_descriptor_on_the_way(
    client: FlaskClient, history: History
) -> None:
    job = history.job("digest", "followed.bin", 4000, at=time.time_ns(), result={"sha256": "abc", "bytes": 4000})
    history.commit()
    text = client.get(f"/jobs/{job.id}").text
    table = re.search(r'<table class="rows hops">.*?</table>', text, re.DOTALL)
    assert table
    kinds = re.findall(r'class="packet [^"]+" href="[^"]+">(\w+)</a>', table[0])
    assert kinds == ["submit", "accepted", "task", "result", "answer"]
    assert len(re.findall(r"\d\u00a0(?:µs|ms)</td>", table[0])) >= 9, "five latencies and four times kept"
    assert text.count("proved</span>") >= 3 and "memfd" in text and "followed.bin" in text
    drawing = re.search(r'<svg class="drawing wide".*?</svg>', text, re.DOTALL)
    assert drawing and drawing[0].count('class="pill web') == 1 and drawing[0].count('class="pill worker') >= 1


def test_what_followed_upon_another_has_another_label() -> None:
    assert words.after([0, 4_010_000, 4_040_000, 9_000_000]) == ["0", "+4.01\u00a0ms", "+4.04\u00a0ms", "+9.0\u00a0ms"]
    assert words.after([0, 120_000_000, 120_004_000]) == ["0", "+120.000\u00a0ms", "+120.004\u00a0ms"]
    assert words.after([0, 3_100_210_000, 3_100_390_000]) == ["0", "+3.1002\u00a0s", "+3.1003\u00a0s"]
    assert words.after([0, 0, 5_000, 5_000]) == ["0", "0", "+5.0\u00a0µs", "+5.0\u00a0µs"], (
        "what is one moment has one label"
    )
    assert words.after([0, 7_200_000_000_000, 7_200_000_000_001])[2] == "+7200.000000001\u00a0s"


def test_no_packet_of_a_jobs_drawing_lies_on_the_lane_of_another_process(client: FlaskClient, history: History) -> None:
    at = time.time_ns()
    job = history.job(
        "compress", "long.tar", 4000, at=at, state="cancelled", until="task", reason="cancelled through web 2"
    )
    history.message(
        "cancel", ("web", 2, 41870), history.supervisor, payloads.Cancel(job.id), job=job.id, at=at + S, latency=MS
    )
    history.commit()
    for layout in ("wide", "narrow"):
        found = re.search(
            rf'<svg class="drawing {layout}" [^>]*aria-labelledby="way.*?</svg>',
            client.get(f"/jobs/{job.id}").text,
            re.DOTALL,
        )
        assert found
        lanes = sorted({float(x) for x in re.findall(r'<line x1="([\d.]+)" [^>]*class="lane', found[0])})
        packets = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" [^>]*class="packet', found[0])
        assert len(lanes) == 4 and len(packets) == 5
        assert not [(x, lane) for x, width in packets for lane in lanes if float(x) <= lane <= float(x) + float(width)]


def test_bytes_that_a_job_answers_with_are_dumped_beside_the_result_the_first_256_at_once(
    client: FlaskClient, history: History
) -> None:
    data = bytes(range(256)) * 20
    job = history.job("echo", "noise.bin", len(data), at=time.time_ns(), result={"bytes": len(data), "hex": data.hex()})
    history.commit()
    text = client.get(f"/jobs/{job.id}").text
    before, _folded, after = text.partition('<details class="twin"><summary>and the 3.8\u00a0KiB after them</summary>')
    assert before.count('<th scope="row">0') == 16 and after.count('<th scope="row">0') == 240, (
        "4 KiB: nobody reads more on a page"
    )
    assert "4.0\u00a0KiB of 5.0\u00a0KiB stand here" in text and data.hex()[:64] not in text


def test_a_job_whose_worker_died_says_so(client: FlaskClient) -> None:
    text = client.get(first(client, "/jobs?q=state:failed worker:2", r"/jobs/\d+")).text
    assert "worker 2 died with the job in hand: killed by SIGKILL" in text


def test_an_output_that_has_gone_says_why_and_what_to_do(client: FlaskClient, history: History) -> None:
    job = history.job(
        "compress", "old.tar", 4000, at=time.time_ns() - 900 * S, output=900, gone="it was older than 1 h"
    )
    history.commit()
    text = client.get(f"/jobs/{job.id}").text
    assert "it was older than 1 h" in text and "Submit the job again" in text and "Download" not in text


def test_an_output_of_an_earlier_pool_is_not_offered(client: FlaskClient, history: History) -> None:
    job = history.job("thumbnail", "kept.jpg", 4000, at=time.time_ns(), output=900)
    history.commit()
    assert "Download" in client.get(f"/jobs/{job.id}").text
    history.snapshot(epoch=4)
    text = client.get(f"/jobs/{job.id}").text
    assert (
        "the pool of epoch 3, which kept it, has ended" in text
        and "Download" not in text
        and '<img src="/jobs' not in text
    )


def test_a_dead_worker_is_in_history_with_its_exit_and_not_among_the_living(client: FlaskClient) -> None:
    text = client.get("/workers").text
    alive, _, rest = text.partition("History of processes")
    assert "41702" not in alive and "41874" in alive
    assert "killed by SIGKILL, for job" in rest and "41702" in rest
    assert '<span class="state attention">killed</span>' in rest and "died</span>" not in rest


def test_a_stopped_worker_is_said_to_be_stopped_wherever_it_is_shown_and_neither_idle_nor_busy(
    client: FlaskClient, history: History
) -> None:
    one, other = history.snapshot().workers
    history.snapshot(workers=[msgspec.structs.replace(one, state="busy", kind="digest", stopped=True), other])
    for path, count in (("/", 1), ("/workers", 1), (f"/workers/{one.serial}", 1)):
        text = client.get(path).text
        assert text.count('<span class="state attention">stopped</span>') == count, path
        assert "busy" not in text and "1 stopped" in text, path
    assert "until it gets SIGCONT" in text and "takes jobs" not in text
    assert client.get("/").text.count(">stopped</text>") == 2, "in both drawings"


def test_a_client_is_never_said_to_have_died_because_only_its_pairs_end_is_seen(
    client: FlaskClient, history: History
) -> None:
    for serial, (role, exit) in enumerate(
        (
            ("web", "its pair ended with supervisor 2"),
            ("lab", "job 7 was cancelled"),
            ("tool", "the pool stopped"),
            ("supervisor", "epoch 3 found it gone"),
        ),
        70,
    ):
        history._process(role, serial, 40000 + serial, "", ended=time.time_ns(), exit=exit)
    history.commit()
    told = {
        role: client.get(f"/workers?q=role:{role}").text.partition("History of processes")[2]
        for role in ("web", "lab", "tool", "supervisor")
    }
    assert all("ended</span>" in told[role] and "died</span>" not in told[role] for role in ("web", "lab", "tool"))
    assert "its pair ended with supervisor 2" in told["web"] and "died</span>" in told["supervisor"]


def test_a_worker_of_another_node_has_a_page_of_its_own(client: FlaskClient, history: History) -> None:
    """A serial counts on one node: worker 1 is another one there."""
    own = history.settings.node
    theirs = history._process("worker", 1, 54321, "seccomp")
    theirs.node = own + 1
    history.commit()
    rows = client.get(f"/workers?q=node:{own + 1}").text
    assert f'href="/workers/1?node={own + 1}"' in rows and "not known" in rows
    page = client.get(f"/workers/1?node={own + 1}").text
    assert "54321" in page and f"of node {own + 1}" in page and "another node" in page
    here = client.get("/workers/1").text
    assert "54321" not in here and "of node" not in here
    assert "no worker 1 of node 900" in client.get("/workers/1?node=900").text
    for node in ("99999999999999999999", "-1"):
        assert client.get(f"/workers/1?node={node}").status_code == 404
    assert "41874" in here


@pytest.mark.parametrize(("word", "shape"), [("died", "failed"), ("killed", "attention")])
def test_the_filter_finds_as_died_or_killed_exactly_who_is_shown_so(
    client: FlaskClient, settings: Settings, history: History, word: str, shape: str
) -> None:
    history.commit()
    with contextlib.closing(sqlite3.connect(settings.state / "history.sqlite")) as database:
        rows = database.execute("SELECT * FROM processes WHERE role = 'worker' AND ended IS NOT NULL").fetchall()
        columns = [name for _, name, *_ in database.execute("PRAGMA table_info(processes)")]
        for serial, exit in (
            (901, "killed by SIGKILL"),
            (902, "exited 1"),
            (903, "exited 0"),
            (904, "killed by SIGKILL, to cancel job 5"),
        ):
            row = dict(zip(columns, rows[0])) | {"serial": serial, "exit": exit, "asked": 0}
            database.execute(f"INSERT INTO processes VALUES ({','.join('?' * len(columns))})", list(row.values()))
        database.commit()

    def shown(path: str) -> set[str]:
        return {
            id
            for id, row in rows_of(client.get(path).text).items()
            if f'<span class="state {shape}">{word}</span>' in row
        }

    found = rows_of(client.get(f"/workers?q=state:{word}").text)
    assert len(found) >= (2 if word == "died" else 1) and set(found) == shown("/workers?q=state:ended") == shown(
        "/workers"
    )


# ---- errors


def test_errors_are_pages_in_words_with_a_way_on(client: FlaskClient) -> None:
    for path, status, words in (
        ("/nowhere", 404, "nothing at this address"),
        ("/messages/12345", 404, "no such message"),
        ("/transfers/12345-0", 404, "no such transfer"),
        ("/workers/99999", 404, "No worker"),
        ("/messages?before=nonsense", 400, "cursor"),
        ("/jobs/12345", 503, "cannot be asked"),
    ):
        page = client.get(path)
        assert page.status_code == status, path
        assert words in page.text and "To the overview" in page.text, path
    assert client.post("/jobs").status_code == 401
    for number in ("9" * 19, "9" * 20, "9" * 5000):
        for path in (
            "/messages/{}",
            "/jobs/{}",
            "/jobs/{}/output",
            "/live/jobs/{}",
            "/transfers/{}-0",
            "/transfers/1-{}",
            "/workers/{}",
        ):
            assert client.get(path.format(number)).status_code == 404, path
    assert client.post("/messages").status_code == 405


def test_only_what_history_kept_is_said_to_be_pruned(client: FlaskClient) -> None:
    for path in ("/messages/12345", "/transfers/12345-0", "/workers/99999"):
        assert "It may have been pruned" in client.get(path).text, path
    for path, words in (
        ("/nowhere", "a slip in it"),
        ("/lab/scenarios/nope", "shows the gallery"),
        ("/lab/runs/aaaaaaaaaaaaa", "last runs"),
    ):
        text = client.get(path).text
        assert "pruned" not in text and words in text, path
    assert client.get("/nowhere").text.count("nothing at this address") == 1


def test_a_database_that_is_away_is_said_and_the_pages_recover_by_themselves(
    client: FlaskClient, settings: Settings
) -> None:
    page = client.get("/messages")
    place = settings.state / "history.sqlite"
    for made in client.application.extensions["pairscope"]._engines.values():
        made.dispose()
    place.rename(place.with_suffix(".away"))
    place.mkdir()  # a file would be made anew
    away = client.get("/messages")
    assert away.status_code == 503
    assert "The database does not answer" in away.text and "Jobs still run" in away.text
    assert "lamp failed" in away.text, "the strip says it, too"
    assert (
        '<noscript><meta http-equiv="refresh" content="5"></noscript>' in away.text
        and 'data-again="5"' in away.text
        and "loads itself again" in away.text
    )
    assert "http-equiv" not in client.get("/nowhere").text
    assert update(client, page).status_code == 503
    place.rmdir()
    place.with_suffix(".away").rename(place)
    assert client.get("/messages").status_code == 200
    assert update(client, page).status_code in (200, 204)


def test_readiness_tells_missing_tables_from_a_database_that_is_away(
    client: FlaskClient, settings: Settings, history: History
) -> None:
    history.commit()
    with contextlib.closing(sqlite3.connect(settings.state / "history.sqlite")) as database:
        database.execute("ALTER TABLE positions RENAME TO elsewhere")
        detail = client.get("/readyz").json["checks"]["database"]["detail"]  # type: ignore[index]
        assert detail.startswith("it answers, but its tables are missing") and "pairscope migrate" in detail
        database.execute("ALTER TABLE elsewhere RENAME TO positions")
    assert client.get("/readyz").json["checks"]["database"]["ok"]  # type: ignore[index]


@pytest.mark.database
def test_a_connection_that_is_lost_in_the_midst_of_a_page_is_a_database_that_is_away(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    """The session whose connection it was refuses every further query: the strip of the error page made a 500 of it."""
    settings = Settings(state=tmp_path / "state", run=tmp_path / "run", history_url=mariadb.fresh())
    migrate.upgrade(settings)
    site = create_app(settings)

    def end(connection: Connection, _cursor: object, statement: str, *_how: object) -> None:
        if "FROM " + table in statement:
            mariadb.execute(f"KILL {connection.connection.thread_id()}")

    try:
        client = site.test_client()
        live = "/live/messages?cursor=" + attribute(client.get("/messages").text, "data-cursor")
        (history,) = [made for name, made in site.extensions["pairscope"]._engines.items() if name.startswith("True")]
        event.listen(history, "before_cursor_execute", end)
        for table, path in (("positions", "/messages"), ("messages", "/messages"), ("positions", live)):  # noqa: B007 end() sees it
            page = client.get(path)
            assert page.status_code == 503, f"{path}: {page.text}"
            assert "The database does not answer" in page.text and "lamp failed" in page.text
        table = "nothing"
        assert client.get("/messages").status_code == 200
    finally:
        site.extensions["pairscope"].close()


@pytest.mark.database
def test_a_database_that_says_not_now_is_503_with_the_reason_and_one_line_of_log(
    mariadb: MariaDB, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ROLLBACK is refused, too: closing a session raised, and every page, /readyz among them, was a bare 500."""
    with refusing_relay(mariadb.port) as relay:
        direct = mariadb.fresh()
        settings = Settings(
            state=tmp_path / "state",
            run=tmp_path / "run",
            history_url=mariadb.url(str(make_url(direct).database), relay.port),
        )
        migrate.upgrade(settings)
        site = create_app(settings)
        try:
            client = site.test_client()
            cursor = attribute(client.get("/messages").text, "data-cursor")
            for number, greets, words in (
                (1047, True, "not part of the cluster"),
                (1040, False, "no room for another connection"),
                (1045, False, "refuses the login"),
                (40000, True, "cannot be used now"),
            ):
                with relay.refusing(number, greets=greets):
                    if not greets:
                        for made in site.extensions["pairscope"]._engines.values():
                            made.dispose()
                    for path in (
                        "/",
                        "/messages",
                        f"/live/messages?cursor={cursor}",
                        "/jobs",
                        "/database",
                        "/api/v1/messages",
                        "/jobs/export.csv",
                    ):
                        answer = client.get(path)
                        assert answer.status_code == 503, (number, path, answer.text)
                        assert words in answer.text and f"not now ({number})" in answer.text, (
                            number,
                            path,
                            answer.text,
                        )
                    ready = client.get("/readyz")
                    assert (
                        ready.status_code == 503 and f"not now ({number})" in ready.json["checks"]["database"]["detail"]  # type: ignore[index]
                    )
                assert client.get("/messages").status_code == 200, number
        finally:
            site.extensions["pairscope"].close()
    assert not any(record.exc_info for record in caplog.records)
    assert len([record for record in caplog.records if "not now" in record.getMessage()]) == 1, "one a minute"


def test_a_file_that_cannot_be_opened_is_not_told_as_a_database_that_is_away() -> None:
    with pytest.raises(OSError) as raised:
        open("/nonexistent")
    assert problems.of(raised.value) is None


@pytest.mark.database
def test_what_the_database_refuses_for_its_value_is_not_told_as_away(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state", run=tmp_path / "run", history_url=mariadb.fresh())
    migrate.upgrade(settings)
    site = create_app(settings)
    try:
        client = site.test_client()
        for value in ("\u00e9", "\U0001d11e", "\0", "x" * 3000):
            for path in (
                "/lab/runs/{}",
                "/lab/embed/{}",
                "/lab/runs/{}/export/c",
                "/api/v1/lab/runs/{}",
                "/lab/scenarios/{}",
                "/database/{}",
                "/api/v1/messages/{}",
            ):
                assert client.get(path.format(quote(value))).status_code == 404, path
            for path in (
                "/messages?q={}",
                "/messages?q=kind:{}",
                "/jobs?q=state:{}",
                "/workers?q=role:{}",
                "/transfers?q=object:{}",
            ):
                assert client.get(path.format(quote(value))).status_code in (200, 400), path
        with site.test_request_context():  # what is not caught before it is asked
            with pytest.raises(DBAPIError) as raised:
                reach.own().execute(text("SELECT * FROM runs WHERE id = '\u00e9'"))
            problem = problems.of(raised.value)
            assert problem is not None and problem.kind == "wrong-argument"
    finally:
        site.extensions["pairscope"].close()


# ---- rows that cannot be read


DEEP = tuple('{"a":' * depth + "1" + "}" * depth for depth in (990, 100))
ODD_TOLD = (
    *DEEP,
    "{nope",
    '{"a":NaN}',
    '{"a":1e999}',
    '{"a":"\\ud800"}',
    '{"a":' + "9" * 5000 + "}",
    "[1,2]",
    "7",
    '{"landlock":5,"seccomp":7,"limits":[1],"microseconds":"x","missing":3}',
    b"\xff\xfe",
)
"""What may stand in a column of JSON, by an older version, another hand or a fault."""
ODD = ("abc", 1e300, -5, -(2**63), 2**63 - 1, b"\xff\xfe", b"\xed\xa0\x80", "\0")
"""SQLite keeps any of them in any column."""
HELD_BY = {
    "messages": (
        "/",
        "/messages",
        "/messages/{0}",
        "/api/v1/messages",
        "/api/v1/messages/{0}",
        "/messages/export.csv",
        "/messages/export.jsonl",
    ),
    "transfers": (
        "/transfers",
        "/transfers/{0}-{1}",
        "/messages/{0}",
        "/api/v1/transfers",
        "/transfers/export.csv",
        "/transfers/export.jsonl",
    ),
    "jobs": (
        "/jobs",
        "/jobs/{0}",
        "/api/v1/jobs",
        "/api/v1/jobs/{0}",
        "/jobs/export.csv",
        "/jobs/export.jsonl",
        "/live/jobs/{0}",
    ),
    "processes": ("/workers", "/workers/{0}", "/api/v1/workers", "/workers/export.csv", "/workers/export.jsonl"),
    "rates": ("/",),
    "positions": ("/", "/messages", "/database"),
    "quarantine": ("/database/quarantine",),
}


@pytest.fixture
def odd(settings: Settings, history: History) -> Iterator[sqlite3.Connection]:
    history.commit()
    with contextlib.closing(sqlite3.connect(settings.state / "history.sqlite", isolation_level=None)) as database:
        yield database


KEYS = {
    "transfers": ("message", "position"),
    "processes": ("serial", "role", "node"),
    "rates": ("node", "at"),
    "positions": ("node",),
    "quarantine": ("node", "position"),
}


class Spoilt(NamedTuple):
    """One value of the newest row of a table, as it can be put back."""

    key: tuple[Any, ...]
    statement: str
    before: Any


def put(database: sqlite3.Connection, table: str, column: str, value: object) -> Spoilt:
    """Puts a value into the newest row of a table."""
    keys = KEYS.get(table, ("id",))
    newest = "WHERE role = 'worker' " if table == "processes" else ""
    *key, before = database.execute(
        f'SELECT {", ".join(keys)}, "{column}" FROM {table} {newest}ORDER BY {keys[0]} DESC LIMIT 1'
    ).fetchone()
    statement = f'UPDATE {table} SET "{column}" = ? WHERE {" AND ".join(f"{name} = ?" for name in keys)}'
    # text that is no UTF-8
    as_text = statement.replace("= ?", "= CAST(? AS TEXT)", 1) if isinstance(value, bytes) else statement
    assert database.execute(as_text, (value, *key)).rowcount == 1
    return Spoilt(tuple(key), statement, before)


def holds_up(client: FlaskClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code in (200, 204), f"{path}: {answer.status_code} {answer.text[:2000]}"
    if path.startswith("/api/"):
        json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return answer.text


@pytest.mark.parametrize(("table", "column"), [("jobs", "result"), ("processes", "detail")])
def test_what_was_told_and_cannot_be_shown_says_so_in_its_place(
    client: FlaskClient, settings: Settings, odd: sqlite3.Connection, table: str, column: str
) -> None:
    settings.snapshot.unlink()  # of a living worker the page shows what the supervisor knows
    for value in ODD_TOLD:
        spoilt = put(odd, table, column, value)
        shown = [holds_up(client, path.format(*spoilt.key)) for path in HELD_BY[table] if "export" not in path]
        if value in DEEP:
            assert any("cannot be shown: it is nested" in text for text in shown)
        odd.execute(spoilt.statement, (spoilt.before, *spoilt.key))


@pytest.mark.parametrize("table", HELD_BY)
def test_no_row_takes_down_what_holds_it(client: FlaskClient, odd: sqlite3.Connection, table: str) -> None:
    """One value after the other through the columns, so that each column holds one that it should not, and each value
    stands in several."""
    columns = [row[1] for row in odd.execute(f"PRAGMA table_info({table})") if row[1] not in KEYS.get(table, ("id",))]
    if not odd.execute(f"SELECT 1 FROM {table}").fetchone():
        odd.execute(f"INSERT INTO {table} VALUES (1, 1, 1, 'x', x'')")
    for number, column in enumerate(columns):
        spoilt = put(odd, table, column, ODD[number % len(ODD)])
        paths = HELD_BY[table]
        for path in {paths[number % len(paths)], paths[(number + 3) % len(paths)]}:
            holds_up(client, path.format(*spoilt.key))
        odd.execute(spoilt.statement, (spoilt.before, *spoilt.key))


def test_a_row_of_a_wrong_type_is_named_in_lists_exports_and_the_api(
    client: FlaskClient, odd: sqlite3.Connection
) -> None:
    (key,) = put(odd, "jobs", "size", "abc").key
    why = "it holds 'abc', expected a whole number"
    assert f"size: {escape(why)}" in rows_of(client.get("/jobs").text)[f"j{key}"]
    assert next(item for item in client.get("/api/v1/jobs").json["items"] if item["id"] == str(key))["unreadable"] == {  # type: ignore[index]
        "size": why
    }
    assert f"size: {escape(why)}" in client.get(f"/jobs/{key}").text
    for form in ("csv", "jsonl"):
        assert f"cannot be shown: {why}" in client.get(f"/jobs/export.{form}").text


# ---- export


def exported(client: FlaskClient, path: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of an export, and what its last line says."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith(f"attachment; filename=pairscope-{path.split('/')[1]}-")
    rows: list[dict[str, Any]]
    if ".csv" in path:
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        mark, count, end, what = list(rows.pop().values())[:4]
        assert mark == "#end"
        return rows, {"rows": int(count), "end": end, "what": what}
    rows = [json.loads(line) for line in answer.text.splitlines()]
    last = rows.pop()
    return rows, {"rows": last["rows"], "end": last["end"], "what": last.get("next", last.get("reason"))}


def test_an_export_holds_exactly_what_is_filtered_and_says_how_much_it_was(client: FlaskClient) -> None:
    shown: list[str] = []
    path = "/messages?q=kind:task"
    while path:
        text = client.get(path).text
        shown += [id[1:] for id in rows_of(text)]
        older = re.search(r'href="(/messages\?q=kind:task&amp;before=[^"]+)"', text)
        path = older[1].replace("&amp;", "&") if older else ""
    for form in ("jsonl", "csv"):
        rows, last = exported(client, f"/messages/export.{form}?q=kind:task")
        assert [row["id"] for row in rows] == shown
        assert (last["rows"], last["end"]) == (len(shown), "complete")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(1)", "'\uff20SUM(1)"),
        ("\ufe66SUM", "'\ufe66SUM"),  # small equals sign
        (" =1", "' =1"),
        ("\u00a0\u2003=1", "'\u00a0\u2003=1"),
        ("\n=1", "'\\u000a=1"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("\u2067=1", "\\u2067=1"),
        ("a=1", "a=1"),
        ("日本.txt", "日本.txt"),
        (-5, -5),
    ],
)
def test_a_cell_of_a_table_is_no_formula_and_turns_nothing_around(name: object, cell: object) -> None:
    ((written,),) = csv.reader(io.StringIO(export._csv([[name]]).decode(), newline=""))
    assert written == str(cell)


@given(
    strategies.lists(
        strategies.none() | strategies.integers() | strategies.text()
        | strategies.text("=+-@,; \t\r\n\"'a0\uff1d", max_size=4),
        min_size=2, max_size=5,
    )
)  # fmt: skip
def test_a_line_of_a_table_is_the_same_looked_at_whole_and_cell_by_cell(row: list[Any]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([export._cell(value) if isinstance(value, str) else value for value in row])
    try:
        careful = out.getvalue().encode()
    except UnicodeEncodeError:
        return
    assert export._csv([row]) == careful


@pytest.mark.parametrize("name", ["messages", "transfers", "jobs", "workers"])
def test_each_table_can_be_exported_whole(client: FlaskClient, name: str) -> None:
    lines, _last = exported(client, f"/{name}/export.jsonl")
    rows, _last = exported(client, f"/{name}/export.csv")
    assert len(lines) == len(rows) > 2
    assert list(lines[0]) == list(rows[0])


def test_an_export_writes_ids_times_and_durations_as_the_api_does(client: FlaskClient) -> None:
    for name in ("messages", "transfers"):
        row = client.get(f"/api/v1/{name}?q=state:received&limit=1").json["items"][0]  # type: ignore[index]
        line = json.loads(client.get(f"/{name}/export.jsonl?q=state:received").text.partition("\n")[0])
        same = {
            "messages": ("id", "job", "sent", "received", "latency_ns"),
            "transfers": ("message", "job", "device", "inode", "sent", "received"),
        }[name]
        assert {key: line[key] for key in same} == {key: row[key] for key in same}
        table = next(csv.DictReader(io.StringIO(client.get(f"/{name}/export.csv?q=state:received").text, newline="")))
        assert {key: table[key] for key in same} == {key: "" if row[key] is None else str(row[key]) for key in same}
    for name in ("messages", "transfers", "jobs", "workers"):
        for line in exported(client, f"/{name}/export.jsonl")[0]:
            assert not [key for key, value in line.items() if isinstance(value, int) and value >= 1 << 53], line


def test_an_export_beyond_the_bound_names_the_address_of_the_rest(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in ("jsonl", "csv"):
        path = f"/messages/export.{form}"
        everything, _last = exported(client, path)
        with monkeypatch.context() as bound:
            bound.setattr(export, "MOST", 70)
            bound.setattr(lines, "SLICE", 30)
            got: list[dict[str, Any]] = []
            while path:
                rows, last = exported(client, path)
                assert last["rows"] == len(rows) <= 70 and (last["end"] == "next") == bool(last["what"])
                got += rows
                path = last["what"]
        assert got == everything


def test_a_name_that_a_spreadsheet_would_run_is_made_harmless_in_csv_and_kept_in_json(client: FlaskClient) -> None:
    assert "'=HYPERLINK" in client.get("/jobs/export.csv").text
    names = [row["name"] for row in exported(client, "/jobs/export.jsonl")[0]]
    assert set(plausible.NASTY_NAMES) <= set(names)


def test_of_an_export_that_breaks_the_last_line_says_why_and_how_much_came_before(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table goes away after the first slice."""
    whole = lines.slices

    def breaking(begin: Callable[[], Session], *more: Any) -> Iterator[lines.Slice]:
        found = whole(begin, *more)
        yield next(found)
        with begin() as session:
            session.execute(text("SELECT nothing FROM nowhere"))

    for form in ("jsonl", "csv"):
        monkeypatch.setattr(lines, "slices", breaking)
        rows, last = exported(client, f"/messages/export.{form}")
        assert (last["rows"], last["end"]) == (len(rows), "broken") and rows, last
        assert "database" in str(last["what"]).lower()


def test_a_row_that_cannot_be_written_says_so_in_its_place(client: FlaskClient, odd: sqlite3.Connection) -> None:
    spoilt = put(odd, "jobs", "submitted", "abc")
    for form in ("jsonl", "csv"):
        rows, last = exported(client, f"/jobs/export.{form}")
        (row,) = [row for row in rows if row["id"] == str(spoilt.key[0])]
        assert row["submitted"].startswith("cannot be shown: ") and row["kind"], row
        assert last["rows"] == len(rows)
    assert export._written(export._jsonl(["a", "b"]), [["x", 1], ["\ud800", 2]]) == (
        b'{"a":"x","b":1}\n{"a":"cannot be shown: UnicodeEncodeError","b":2}\n'
    )


def test_an_export_reads_no_further_than_it_is_read(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes away ends the work, and no more than a slice is in memory."""
    read: list[int] = []
    monkeypatch.setattr(lines, "SLICE", 10)
    whole = pages.page

    def counting(*given: Any, **named: Any) -> Any:
        found = whole(*given, **named)
        read.append(len(found.rows))
        return found

    monkeypatch.setattr(lines, "page", counting)
    answer = client.get("/messages/export.jsonl", buffered=False)
    pieces = iter(answer.response)
    next(pieces)
    assert read == [lines.FIRST]
    next(pieces)
    assert read == [lines.FIRST, 10]
    answer.close()
    assert list(pieces) == [] and read == [lines.FIRST, 10]


def test_an_export_that_is_given_up_makes_room_for_the_next(client: FlaskClient) -> None:
    path = "/messages/export.csv"
    held = [client.get(path, buffered=False) for _ in range(SHARES["export"].each)]
    refused = client.get(path)
    assert refused.status_code == 429 and refused.headers["Retry-After"]
    next(iter(held[0].response))
    held[0].close()
    assert client.get(path, buffered=True).status_code == 200
    for answer in held:
        answer.close()


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v1/", "/api/v1/docs"])
def test_who_looks_for_the_api_at_its_root_is_led_to_its_description(client: FlaskClient, path: str) -> None:
    answer = client.get(path, follow_redirects=True)
    assert answer.request.path == "/api/v1/openapi.json" and (answer.json or {})["openapi"]


def test_a_browser_that_asks_for_an_icon_by_its_old_name_gets_the_mark(client: FlaskClient) -> None:
    assert client.get("/favicon.ico", follow_redirects=True).content_type.startswith("image/svg+xml")


@contextlib.contextmanager
def statements(client: FlaskClient) -> Iterator[list[str]]:
    """What the application asks its databases within."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_who_is_refused_for_want_of_a_place_is_told_in_a_line_without_asking_the_database(client: FlaskClient) -> None:
    path = "/messages/export.csv"
    held = [client.get(path, buffered=False) for _ in range(SHARES["export"].each)]
    with statements(client) as asked:
        refused = client.get(path)
    assert refused.status_code == 429 and refused.content_type.startswith("text/plain") and not asked
    assert refused.text.count("\n") == 1 and "as many as one address may" in refused.text
    for answer in held:
        answer.close()


def test_who_hangs_up_in_the_midst_of_a_body_is_made_no_page(client: FlaskClient) -> None:
    class Gone(io.BytesIO):
        def readinto(self, _into: Any) -> int:
            raise OSError("Apache/mod_wsgi request data read error")

    with statements(client) as asked:
        answer = client.post(
            "/login",
            input_stream=Gone(),
            content_type="application/x-www-form-urlencoded",
            environ_overrides={"CONTENT_LENGTH": "64000"},
        )
    assert answer.status_code == 400 and not answer.data and not asked


def test_a_search_that_finds_nothing_for_long_goes_on_to_say_so(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "BOUND", 20)
    monkeypatch.setattr(pages, "PATIENCE", 0.0)
    answer = client.get("/messages/export.jsonl?q=latency:>1s size:>9GiB", buffered=False)
    pieces: list[Any] = list(answer.response)
    assert len(pieces) > 2 and set(pieces[:-1]) == {b" "}
    assert json.loads(b"".join(pieces)) == {"end": "complete", "rows": 0}


@settings_of(max_examples=200, deadline=None)
@given(
    strategies.recursive(
        strategies.none() | strategies.booleans() | strategies.integers(-(2**63), 2**64 - 1) | strategies.text()
        | strategies.binary() | strategies.floats(allow_nan=False),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(max_size=9), inner),
        max_leaves=25,
    )
)  # fmt: skip
def test_a_gist_is_the_same_read_at_once_and_byte_by_byte(value: Any) -> None:
    data = msgspec.msgpack.encode(value)
    root = payload.tree(data)
    named = root.children if root else []
    told = [
        f"{node.key}={payload._plain(node)}"
        for node in named
        if node.value not in (None, "", 0, b"", False) or node.children
    ]
    assert payload.gist(data, 10**6) == words.visible("  ".join(told))


def test_a_wrong_export_is_refused_in_words(client: FlaskClient) -> None:
    assert client.get("/messages/export.csv?q=kind:tusk").status_code == 400
    assert client.get("/messages/export.xlsx").status_code == 404


# ---- what is not known, and what cannot be


def test_no_more_is_said_of_an_output_than_is_known(site: Flask, history: History) -> None:
    """That this pool does not keep it says nothing of another node's, nor why its own is gone."""

    def said(job: int, code: str = "unknown-job") -> tuple[str, str]:
        with site.test_request_context():
            problem = unknown.output(job, PoolRefused(code, ""))
            assert isinstance(problem, problems.Problem)
            return problem.kind, str(problem.description)

    now = time.time_ns()
    kept = history.job("thumbnail", "kept.jpg", 5000, at=now - 9 * S, output=900)
    elsewhere = history.job("thumbnail", "elsewhere.jpg", 5000, at=now - 8 * S, output=900)
    elsewhere.node = 2
    before = history.job("thumbnail", "before.jpg", 5000, at=now - 7 * S, output=900)
    before.epoch = 2
    over = history.job("thumbnail", "over.jpg", 5000, at=now - 6 * S, output=900)
    over.expires = now - S
    told = history.job("thumbnail", "told.jpg", 5000, at=now - 5 * S, output=900, gone="newer outputs needed its place")
    running = history.job("compress", "running.tar", 5000, at=now - 4 * S, until="task")
    none = history.job("digest", "none.txt", 5000, at=now - 3 * S)
    history.commit()
    assert said(kept.id, "expired")[0] == "expired" and "why is not recorded yet" in said(kept.id)[1]
    assert said(elsewhere.id)[0] == "other-node" and "node 2" in said(elsewhere.id)[1]
    assert said(before.id)[0] == "expired" and "epoch 2, which kept it, has ended" in said(before.id)[1]
    assert "kept until" in said(over.id)[1] and "newer outputs needed its place" in said(told.id)[1]
    assert said(running.id)[0] == "no-output" and "has not ended" in said(running.id)[1]
    assert said(none.id)[0] == "no-output" and "what it found is in its result" in said(none.id)[1]
    foreign = Issuer(7).issue()
    assert (
        said(foreign)[0] == "unknown-job" and "node 7" in said(foreign)[1] and "never accepted" not in said(foreign)[1]
    )
    mine = Issuer(1).issue()
    assert said(mine)[0] == "undecided" and "the pool cannot be asked" in said(mine)[1], (
        "its record may wait in the journal"
    )
    with site.test_request_context():
        assert [unknown.without_row(id).kind for id in (mine, foreign)] == ["undecided", "unknown-job"]
    page = site.test_client().get(f"/jobs/{elsewhere.id}").text
    assert (
        "only that node knows whether it still does" in page
        and "not kept any longer" not in page
        and ">Download<" not in page
    )
    page = site.test_client().get(f"/jobs/{before.id}").text
    assert "epoch 2, which kept it, has ended" in page and ">Download<" not in page


@pytest.mark.pool
def test_of_a_job_that_the_pool_has_and_that_has_no_row_yet_its_output_is_said_to_be_what_the_pool_knows(
    tmp_path: Path,
) -> None:
    """The recorder is stopped while the jobs are done, and the pool has no room for outputs."""
    path, file = tmp_path / "settings.toml", tmp_path / "a.txt"
    file.write_text("what is packed")
    path.write_text(
        f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\nweb_state = "{tmp_path}"\nresults_bytes = 0\nworkers = 1\n'
        "public_outputs = true\n"
    )
    with pools.running(tmp_path, PAIRSCOPE_SETTINGS=str(path)) as pool:
        site = create_app(pool.settings)
        try:
            client = site.test_client()

            def output(job: int) -> tuple[int, str, str]:
                said = client.get(f"/api/v1/jobs/{job}/output").get_json()
                return said["status"], said["type"].rpartition("/")[2], said["detail"]

            view = pool.ready()
            pool.drained()
            os.kill(view.recorder.pid, signal.SIGSTOP)
            try:
                with file.open("rb") as given:
                    packed = pool.client.submit("compress", given.fileno(), want="ended")
                    digest = pool.client.submit("digest", given.fileno(), want="ended").job
                    assert (
                        packed.state == "done"
                        and client.get(f"/api/v1/jobs/{packed.job}").get_json()["state"] == "recording"
                    )
                    eventually(lambda: pool.view().results.count == 0, "its output is kept no longer")
                    words = (
                        f"This pool has job {packed.job} and keeps no output of it; its row, which says why, is on "
                        "its way to history."
                    )
                    assert output(packed.job) == (410, "expired", words)
                    assert words in unescape(client.get(f"/jobs/{packed.job}/output").text)
                    assert output(digest) == (404, "no-output", "The job has no output.")
                    os.kill(view.workers[0].pid, signal.SIGSTOP)
                    under_way = pool.client.submit("digest", given.fileno()).job
                    assert output(under_way) == (404, "no-output", "It has not ended."), (
                        "the title says that it has none"
                    )
            finally:
                os.kill(view.recorder.pid, signal.SIGCONT)
                os.kill(view.workers[0].pid, signal.SIGCONT)
            why = (
                f"The output of job {packed.job} is not kept any longer: newer outputs needed its place: at most 0 "
                "bytes are kept."
            )
            eventually(lambda: output(packed.job)[2] == why, "its row says why")
        finally:
            site.extensions["pairscope"].close()


@pytest.mark.parametrize(
    "id",
    ["é", "ABCDEFGHJKMNP", "a" * 12, "a" * 14, "a" * 5000, "l" * 13, "a%00bcdefghijkm", "%F0%9F%9A%80", "1' OR '1'='1"],
)
def test_an_id_that_no_run_can_have_is_not_there_and_the_database_is_not_asked(site: Flask, id: str) -> None:
    asked: list[str] = []
    client = site.test_client()
    client.get("/lab")
    own = site.extensions["pairscope"].engine(site.extensions["pairscope"].settings.web_url, read_only=False)
    event.listen(own, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for path in (
        f"/lab/runs/{id}",
        f"/lab/embed/{id}",
        f"/lab/runs/{id}/export/c",
        f"/lab/edit?run={id}",
        f"/lab/compare?a={id}&b={id}",
        f"/api/v1/lab/runs/{id}",
        f"/api/v1/lab/runs/{id}/export/json",
    ):
        answer = client.get(path)
        assert answer.status_code == 404 and "There is no run" in answer.text, path
    assert not [text for text in asked if "FROM runs" in text]


def test_a_host_is_ours_in_whatever_letters_it_is_written(filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    made = create_app(plausible.settings_in(tmp_path, trusted_hosts=("localhost", "MyBox", "[::1]", "127.0.0.1")))
    try:
        for host in (
            "localhost",
            "LOCALHOST",
            "LocalHost:8080",
            "localhost.",
            "localhost.:8080",
            "mybox",
            "MYBOX:80",
            "[::1]",
            "[::1]:8080",
            "127.0.0.1:8080",
        ):
            assert made.test_client().get("/jobs", headers={"Host": host}).status_code == 200, host
        for host in ("elsewhere", "localhost.evil", "localhost..", "local host", ".", "xlocalhost"):
            assert made.test_client().get("/jobs", headers={"Host": host}).status_code == 400, host
    finally:
        made.extensions["pairscope"].close()


def test_every_example_of_the_apis_description_is_taken(site: Flask, client: FlaskClient) -> None:
    """Without a pool what is asked for cannot be done, and is understood."""
    described = client.get("/api/v1/openapi.json").get_json()
    schemas = described["components"]["schemas"]
    bearer = {"Authorization": "Bearer operator-token"}
    tried = []
    for path, methods in described["paths"].items():
        for method, operation in ((name, one) for name, one in methods.items() if name != "parameters"):
            address = re.sub(r"\{\w+\}", "1", path)
            for parameter in operation.get("parameters", []):
                if (example := parameter.get("example", parameter.get("schema", {}).get("example"))) is not None:
                    answer = client.open(
                        f"{address}?{urlencode({parameter['name']: example})}", method=method, headers=bearer
                    )
                    assert answer.status_code == 200, f"{method} {path} {parameter['name']}={example}: {answer.text}"
                    tried.append((path, parameter["name"]))
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
                examples = {name: one["example"] for name, one in schema["properties"].items() if "example" in one}
                needed = {name: examples[name] for name in schema.get("required", [])}
                for name, example in examples.items():
                    body = {**needed, name: example}
                    sent = {"json": body} if media == "application/json" else {"data": body, "content_type": media}
                    answer = client.open(address, method=method, headers=bearer, **sent)
                    assert answer.status_code in (404, 503), (
                        f"{method} {path} {body}: {answer.status_code} {answer.text}"
                    )
                    tried.append((path, name))
    assert {
        ("/api/v1/workers", "q"),
        ("/api/v1/jobs", "q"),
        ("/api/v1/jobs", "kind"),
        ("/api/v1/jobs", "data"),
        ("/api/v1/lab/runs", "text"),
    } <= set(tried)


def test_a_duration_of_a_result_is_told_as_a_duration(site: Flask) -> None:
    with site.test_request_context():
        found = dict(
            face.facts_of(
                {
                    "took_ns": 77_031_522,
                    "wait_ms": 12.5,
                    "idle_seconds": 90,
                    "steps": 11,
                    "verdict": "held",
                    "inner": {"lag_us": 1500},
                }
            )
        )
    assert found == {
        "took": "77\u00a0ms",
        "wait": "12\u00a0ms",
        "idle": "90\u00a0s",
        "steps": "11",
        "verdict": "as expected",
        "inner · lag": "1.5\u00a0ms",
    }


# ---- the style sheet and the words


def colours(theme: int) -> dict[str, tuple[float, ...]]:
    """The variables of the style sheet as linear RGB; `theme` 0 light, 1 dark."""
    text = (WEB / "static" / "pairscope.css").read_text()
    found: dict[str, tuple[float, ...]] = {}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\);", text):
        digits = (light, dark)[theme][1:]
        digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
        channels = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
        found[name] = tuple(
            channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
        )
    return found


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.2, contrast ratio."""
    first, second = (0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (one, other))
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_each_colour_of_a_role_or_a_state_can_be_read_on_every_ground(theme: int) -> None:
    found = colours(theme)
    for name in (
        "ink",
        "soft",
        "slate",
        "accent",
        "web",
        "supervisor",
        "worker",
        "recorder",
        "live",
        "lab",
        "good",
        "attention",
        "failed",
    ):
        for ground in ("paper", "sheet", "well"):
            assert contrast(found[name], found[ground]) >= 4.5, (
                f"{name} on {ground}: {contrast(found[name], found[ground]):.2f}"
            )
    assert contrast(found["on-accent"], found["accent"]) >= 4.5


def test_what_other_processes_say_of_themselves_is_known_to_gettext() -> None:
    """As pybabel reads it, by babel.cfg."""
    known = extracted().keys()
    assert set(REFUSALS.values()) | {kind.meaning for kind in vocabulary.KINDS} <= known
    specs = [job.spec() for job in catalogue().values()]
    assert {spec.summary for spec in specs} <= known and len(specs) >= 5
    assert {meaning for spec in specs for meaning in spec.parameters.values()} <= known
    assert {kind.title for kind in problems.KINDS.values()} <= known
    assert {field.explanation for fields in FIELDS.values() for field in fields} <= known
    assert "Correct the filter above: nothing was looked for." in known and "Drop a file here" in known


def test_what_other_processes_say_of_themselves_is_translated_where_it_is_shown(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Marked(NullTranslations):
        def gettext(self, message: str) -> str:
            return f"«{message}»"

        def ngettext(self, one: str, many: str, count: int) -> str:
            return self.gettext(one if count == 1 else many)

        ugettext, ungettext = gettext, ngettext

    monkeypatch.setattr("flask_babel.Domain.get_translations", lambda _domain: Marked())
    jobs = client.get("/jobs").text
    for spec in CATALOGUE:
        assert f"«{escape(spec.summary)}»" in jobs
        assert all(f"«{escape(meaning)}»" in jobs for meaning in spec.parameters.values())
    assert "«What is to be done.»" in jobs
    assert (
        "<h1>«There is no such message, or history does not keep it any more.»</h1>"
        in client.get("/messages/12345").text
    )
    message = re.search(r"/messages/\d+", client.get("/messages?q=kind:submit").text)
    assert message and "«A client asks for a job.»" in client.get(message[0]).text


def test_every_word_of_the_templates_goes_through_gettext() -> None:
    plain = {
        "Pairscope",
        "pid",
        "p50",
        "p99",
        "msghdr",
        "msg_iov",
        "kind",
        "job",
        "payload",
        "nil",
        "inode",
        "worker",
        "CSV",
        "JSON Lines",
    }
    plain |= {"kcmp(", ", KCMP_FILE,", "· inode", "→", "←", "@"}
    for template in (WEB / "templates").rglob("*.html"):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "\n", template.read_text(), flags=re.DOTALL)
        text = re.sub(r"\{\{.*?\}\}", "\n", text, flags=re.DOTALL)
        text = re.sub(r"<!doctype html>|</?[a-z][^>]*>", "\n", text, flags=re.DOTALL)
        for words in filter(None, (unescape(line.strip()) for line in text.splitlines())):
            assert (
                not re.search(r"[A-Za-z]{2}", words) or words in plain or re.sub(r"[^\w ]", "", words).strip() in plain
            ), f"{template.name}: {words!r}"
