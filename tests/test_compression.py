"""What is sent compressed, and what not: by the embedded server; tests/test_lamp.py asks Apache the same."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from pairscope.web.application import create_app
from pairscope.web.compression import MOST, Compressed
from tests import plausible
from tests.plausible import History
from tests.running import PROJECT, TOKEN, Server

pytestmark = [pytest.mark.web, pytest.mark.leaves("the module shares an application, whose connections outlive a test")]

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of the application as the embedded server has it."""
    history = History(plausible.settings_in(tmp_path_factory.mktemp("site")))
    plausible.fill(history)
    app = create_app(history.settings)
    app.wsgi_app = Compressed(app.wsgi_app)  # type: ignore[method-assign, assignment]  # as Flask's documents do it
    yield app.test_client()
    app.extensions["pairscope"].close()
    history.close()


@pytest.fixture
def fresh(client: FlaskClient) -> FlaskClient:
    return client.application.test_client()


def test_a_page_is_sent_in_a_fifth_of_its_size_and_is_the_same(fresh: FlaskClient) -> None:
    plain, packed = fresh.get("/messages"), fresh.get("/messages", headers=GZIP)
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert all("Accept-Encoding" in answer.headers.getlist("Vary") for answer in (plain, packed))
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 5
    rows = re.compile(rb'<tr id="([^"]+)"')  # of what ticks, the two answers say other things
    text = gzip.decompress(packed.data)
    assert (
        len(rows.findall(text)) == 50
        and rows.findall(text) == rows.findall(plain.data)
        and text.rstrip().endswith(b"</html>")
    )


def test_whoever_takes_no_gzip_gets_none(fresh: FlaskClient) -> None:
    for taken in ("", "br", "gzip;q=0", "identity", "*;q=0"):
        assert "Content-Encoding" not in fresh.get("/messages", headers={"Accept-Encoding": taken}).headers, taken
    assert fresh.get("/messages", headers={"Accept-Encoding": "*"}).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in fresh.head("/messages", headers=GZIP).headers


def test_static_files_are_compressed_for_everybody_and_asked_for_again_without_being_sent_again(
    fresh: FlaskClient,
) -> None:
    fresh.set_cookie("pairscope-0123abcd", "a session's")
    for name in ("pairscope.css", "live.js"):
        answer = fresh.get(f"/static/{name}", headers=GZIP)
        assert answer.headers["Content-Encoding"] == "gzip" and answer.headers["ETag"].startswith("W/"), name
        assert gzip.decompress(answer.data) == (Path(fresh.application.static_folder or "") / name).read_bytes()
        again = fresh.get(f"/static/{name}", headers={**GZIP, "If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304 and not again.data
    part = fresh.get("/static/pairscope.css", headers={**GZIP, "Range": "bytes=0-999"})
    assert part.status_code == 206 and len(part.data) == 1000 and "Content-Encoding" not in part.headers


def test_what_holds_a_secret_is_not_compressed(fresh: FlaskClient) -> None:
    login = fresh.get("/login?token=x", headers=GZIP)
    assert "Content-Encoding" not in login.headers and "csrf_token" in login.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', login.text)
    assert token and fresh.post("/login", data={"token": "operator-token", "csrf_token": token[1]}).status_code == 303
    page = fresh.get("/messages?q=csrf_token", headers=GZIP)
    assert "Content-Encoding" not in page.headers and "csrf_token" in page.text
    other = fresh.application.test_client()
    assert (
        "Content-Encoding"
        not in other.get("/api/v1/messages", headers={**GZIP, "Authorization": "Bearer operator-token"}).headers
    )
    assert other.get("/api/v1/messages", headers=GZIP).headers["Content-Encoding"] == "gzip", "what everybody may read"


def test_what_is_kept_as_a_file_is_not_compressed(fresh: FlaskClient) -> None:
    for path in ("/messages/export.csv", "/messages/export.jsonl"):
        answer = fresh.get(path, headers=GZIP)
        assert "Content-Encoding" not in answer.headers and b"complete" in answer.data.splitlines()[-1], path


def test_what_is_still_being_made_is_not_held_back() -> None:
    asked: list[int] = []

    def slow() -> Iterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield b"x" * 1000

    def endless(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/html")])
        return slow()

    def large(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(MOST + 1))])
        return slow()

    for application in (endless, large):
        asked.clear()
        body, headers = _run(Compressed(application))
        assert asked == [] and "Content-Encoding" not in headers
        assert next(iter(body)) == b"x" * 1000 and asked == [0]


def _run(application: Any) -> tuple[Any, dict[str, str]]:
    begun: list[Any] = []
    body = application(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_ACCEPT_ENCODING": "gzip"},
        lambda *answer: begun.extend(answer),
    )
    return body, dict(begun[1])


def test_the_embedded_server_compresses(server: Server) -> None:
    answer = server.request("GET", "/", headers=GZIP)
    assert answer.headers["Content-Encoding"] == "gzip" and b"A descriptor goes in" in gzip.decompress(answer.body)
    assert (
        gzip.decompress(server.request("GET", "/static/live.js", headers=GZIP).body)
        == (PROJECT / "app/pairscope/web/static/live.js").read_bytes()
    )
    assert "Content-Encoding" not in server.get("/api/v1/messages", TOKEN, Accept_Encoding="gzip").headers
