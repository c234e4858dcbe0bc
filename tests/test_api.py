"""The API over real HTTP, with a real server, a real pool and the record of what it does."""

from __future__ import annotations

import base64
import contextlib
import datetime
import gzip
import hashlib
import http.client
import io
import json
import os
import signal
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pairscope.ipc.identity import time_of
from pairscope.ipc.vocabulary import REFUSALS
from pairscope.lab.language import TEXT_MAX
from pairscope.web.api.jobs import LONG_WAITS
from pairscope.web.problems import KINDS
from pairscope.web.upload import FIELD_MAX
from tests.eventually import eventually
from tests.running import TOKEN, Answer, Server, multipart, running

pytestmark = [pytest.mark.pool, pytest.mark.web]

TEXT = b"one\ntwo words\nthree\n"


def recorded(server: Server, job: str) -> dict[str, Any]:
    """The job once its row stands and says how it ended."""
    return eventually(
        lambda: (
            (row := server.get(f"/api/v1/jobs/{job}").json)["state"] not in ("recording", "queued", "running") and row
        ),
        f"job {job} is recorded",
    )


def all_of(server: Server, table: str, query: str, limit: int = 2) -> list[dict[str, Any]]:
    """Every row that fits, page by page."""
    rows: list[dict[str, Any]] = []
    before = ""
    while True:
        page = server.get(f"/api/v1/{table}?{urllib.parse.urlencode({'q': query, 'limit': limit})}{before}").json
        rows += page["items"]
        if page["next"] is None:
            return rows
        before = "&before=" + urllib.parse.quote(page["next"])


# ---- jobs


def test_a_file_is_worked_on_and_its_job_is_recorded(server: Server) -> None:
    answer = server.submit("digest", TEXT, "words.txt")
    assert answer.status == 201, answer.text
    job = answer.json
    assert answer.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert job["state"] == "done" and job["result"]["sha256"] == hashlib.sha256(TEXT).hexdigest()
    row = recorded(server, job["id"])
    assert (
        row["state"] == "done"
        and row["result"] == job["result"]
        and row["name"] == "words.txt"
        and row["size"] == len(TEXT)
    )
    assert row["submitted"] <= row["started"] <= row["ended"]


def test_a_job_is_never_unknown_from_its_acceptance_on(server: Server) -> None:
    for _ in range(20):
        answer = server.submit("digest", TEXT, wait=None)
        assert answer.status == 201 and answer.json["state"] == "recording"
        seen = server.get(answer.headers["Location"])
        assert seen.status == 200, seen.text
        assert seen.json["id"] == answer.json["id"] and seen.json["state"] in ("recording", "queued", "running", "done")


def test_a_job_that_ended_before_its_row_stands_says_what_is_known(server: Server) -> None:
    for wait in (10, None):
        job = server.submit("digest", TEXT, wait=wait).json
        row = recorded(server, job["id"])
        assert job["node"] == row["node"] and job["client"] == row["client"]
        submitted = datetime.datetime.fromisoformat(job["submitted"][:23] + "+00:00")
        assert round(submitted.timestamp() * 1000) * 1_000_000 == time_of(int(job["id"]))


def test_a_querys_column_is_the_character_that_its_detail_names(server: Server) -> None:
    problem = server.get("/api/v1/messages?q=kind:nonsense").json
    assert problem["column"] == 6 and problem["detail"].endswith("(at character 6 of q)")


def test_waiting_ends_when_the_time_is_over_and_the_job_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_WORKERS="1") as server:
        worker = server.get("/api/v1/workers").json["items"][0]
        server.post(f"/api/v1/workers/{worker['serial']}/signal", {"signal": "STOP"}, TOKEN)
        answer = server.submit("digest", TEXT, wait=0.2)
        assert answer.status == 201 and answer.json["state"] == "recording"
        server.post(f"/api/v1/workers/{worker['serial']}/signal", {"signal": "CONT"}, TOKEN)
        job = answer.json["id"]
        assert recorded(server, job)["state"] == "done"
        kinds = {message["kind"] for message in server.get(f"/api/v1/messages?q=job:{job}").json["items"]}
        assert kinds == {"submit", "accepted", "task", "result"}, (
            "an answer that nobody takes would be in flight for ever"
        )


def test_many_who_wait_leave_threads_for_others(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_WORKERS="1") as server:
        worker = server.get("/api/v1/workers").json["items"][0]
        server.post(f"/api/v1/workers/{worker['serial']}/signal", {"signal": "STOP"}, TOKEN)
        answers: list[Answer] = []
        waiting = [
            threading.Thread(target=lambda: answers.append(server.submit("digest", TEXT, wait=30))) for _ in range(16)
        ]
        for thread in waiting:
            thread.start()
        eventually(lambda: len(answers) == len(waiting) - LONG_WAITS, "all but some are answered after a second")
        assert server.get("/healthz").status == 200
        server.post(f"/api/v1/workers/{worker['serial']}/signal", {"signal": "CONT"}, TOKEN)
        for thread in waiting:
            thread.join(30)
        assert [answer.status for answer in answers] == [201] * 16
        assert [answer.json["state"] for answer in answers[-LONG_WAITS:]] == ["done"] * LONG_WAITS


def test_a_job_without_a_file_takes_text(server: Server) -> None:
    assert server.submit("echo", data="h\u00e9llo").json["result"]["text"] == "h\u00e9llo"


def test_a_plain_form_will_do_where_no_file_is_needed(server: Server) -> None:
    answer = server.request(
        "POST",
        "/api/v1/jobs?wait=20",
        b"kind=echo&data=hello",
        {"Content-Type": "application/x-www-form-urlencoded"},
        token=TOKEN,
    )
    assert answer.status == 201 and answer.json["result"]["text"] == "hello"


def test_a_parameter_reaches_the_job(server: Server) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (400, 200), "red").save(picture, "PNG")
    job = server.submit("thumbnail", picture.getvalue(), "red.png", size="64").json
    assert job["state"] == "done", job
    small = Image.open(io.BytesIO(server.get(job["output"]["address"]).body))
    assert small.size == (64, 32)


@pytest.mark.parametrize("size", [1, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
def test_uploads_of_every_size_arrive_whole(server: Server, size: int) -> None:
    data = os.urandom(1000) * (size // 1000) + os.urandom(size % 1000)
    job = server.submit("digest", data).json
    assert job["result"] == {"bytes": size, "sha256": hashlib.sha256(data).hexdigest()}


def test_a_name_is_kept_as_it_was_given(server: Server) -> None:
    job = server.submit("digest", TEXT, "\u4e2d\u6587 na\u00efve.txt").json
    assert recorded(server, job["id"])["name"] == "\u4e2d\u6587 na\u00efve.txt"


def test_an_image_that_is_none_fails_in_words(server: Server) -> None:
    job = server.submit("thumbnail", TEXT).json
    assert job["state"] == "failed" and "expected an image" in job["reason"]
    assert recorded(server, job["id"])["reason"] == job["reason"]


def test_cancelling_a_job_that_ended_says_so(server: Server) -> None:
    job = server.submit("digest", TEXT).json["id"]
    recorded(server, job)
    answer = server.post(f"/api/v1/jobs/{job}/cancel", token=TOKEN)
    assert answer.status == 200 and answer.json["done"] == "The job had ended before: done."


# ---- output


@pytest.fixture
def compressed(server: Server) -> dict[str, Any]:
    return server.submit("compress", TEXT * 500, 'w\u00f6rter "x".txt').json


def test_an_output_is_named_at_once_as_the_record_will_name_it(server: Server, compressed: dict[str, Any]) -> None:
    row = recorded(server, compressed["id"])
    assert compressed["output"]["media"] == "application/gzip" and compressed["output"]["name"].endswith(".gz")
    assert {name: compressed["output"][name] for name in ("media", "name", "size")} == {
        name: row["output"][name] for name in ("media", "name", "size")
    }


def test_an_output_is_downloaded_whole_and_as_an_attachment(server: Server, compressed: dict[str, Any]) -> None:
    answer = server.get(compressed["output"]["address"])
    assert answer.status == 200 and gzip.decompress(answer.body) == TEXT * 500
    assert int(answer.headers["Content-Length"]) == len(answer.body) == compressed["output"]["size"]
    assert answer.headers["Content-Type"] == "application/gzip"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment") and "filename*=UTF-8''w%C3%B6rter" in disposition
    assert (
        answer.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in answer.headers["Content-Security-Policy"]
    )


def test_a_part_of_an_output_is_downloaded(server: Server, compressed: dict[str, Any]) -> None:
    address = compressed["output"]["address"]
    whole = server.get(address).body
    answer = server.get(address, Range="bytes=2-5")
    assert answer.status == 206 and answer.body == whole[2:6]
    assert answer.headers["Content-Range"] == f"bytes 2-5/{len(whole)}"
    assert server.get(address, Range="bytes=-3").body == whole[-3:]
    assert server.get(address, Range="bytes=999999-").status == 416


def test_a_head_request_tells_the_size(server: Server, compressed: dict[str, Any]) -> None:
    answer = server.request("HEAD", compressed["output"]["address"])
    assert (
        answer.status == 200
        and int(answer.headers["Content-Length"]) == compressed["output"]["size"]
        and answer.body == b""
    )


def fds(server: Server) -> list[str]:
    """What the server's descriptors are; sockets and the threads' own connections aside."""
    found = []
    for name in os.listdir(f"/proc/{server.process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{server.process.pid}/fd/{name}"))
    return sorted(link for link in found if "memfd" in link or "spool" in link or "(deleted)" in link)


def test_no_descriptor_is_left_behind_on_any_path(server: Server, compressed: dict[str, Any]) -> None:
    address = compressed["output"]["address"]
    large = server.submit("compress", os.urandom(4_000_000)).json["output"]["address"]
    for _ in range(3):
        for api in ("/api/v1", ""):  # the page of a job has its download, too
            output = address.replace("/api/v1", api)
            assert server.get(output).status == 200
            assert server.get(output, Range="bytes=2-5").status == 206
            assert server.get(output, Range="bytes=999999-").status == 416
            assert server.request("HEAD", output).status == 200
            hang_up(server, large.replace("/api/v1", api))
        server.submit("digest", TEXT)
        server.submit("digest", os.urandom(2_000_000))
        server.submit("nothing", TEXT)
        server.submit("digest", b"")
        server.submit("digest", TEXT, unknown="x")
        server.submit("digest", TEXT, token="")
    eventually(lambda: fds(server) == [], "the server holds no memfd and no spooled file")


def hang_up(server: Server, address: str) -> None:
    """Asks for an output, and goes after its first bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", address)
    connection.getresponse().read(10)
    connection.close()


def test_a_job_without_output_says_so(server: Server) -> None:
    job = server.submit("digest", TEXT).json["id"]
    for _ in range(2):  # while the supervisor knows it, and by the record
        answer = server.get(f"/api/v1/jobs/{job}/output")
        assert answer.status == 404 and "no output" in answer.detail
        recorded(server, job)


# ---- the record


def test_the_messages_and_transfers_of_a_job_are_listed(server: Server) -> None:
    job = server.submit("compress", TEXT).json["id"]
    messages = eventually(
        lambda: (
            len(rows := all_of(server, "messages", f"job:{job}")) == 5
            and all(row["state"] == "received" for row in rows)
            and rows
        ),
        "five messages are recorded as received",
    )
    assert [row["kind"] for row in messages] == ["answer", "result", "task", "accepted", "submit"]
    ids = [int(row["id"]) for row in messages]
    assert ids == sorted(ids, reverse=True)
    task = messages[2]
    assert task["receiver"]["role"] == "worker" and task["fds"] == 2 and task["latency_ns"] > 0
    answer = server.get(f"/api/v1/messages/{task['id']}")
    assert answer.status == 200, answer.text
    whole = answer.json
    assert [transfer["position"] for transfer in whole["transfers"]] == [0, 1]
    assert base64.b64decode(whole["preview"])
    transfers = all_of(server, "transfers", f"job:{job}", limit=1)
    assert len(transfers) == 3
    one = server.get(f"/api/v1/transfers/{transfers[0]['id']}").json
    assert one["id"] == transfers[0]["id"] and one["object"] == "memfd" and isinstance(one["inode"], str)


def test_ids_are_strings_and_times_are_utc_with_nanoseconds(server: Server) -> None:
    server.submit("digest", TEXT)
    row = eventually(lambda: server.get("/api/v1/messages?limit=1").json["items"], "a message is recorded")[0]
    assert isinstance(row["id"], str) and isinstance(row["change"], str)
    assert len(row["sent"]) == len("2026-01-01T00:00:00.123456789Z") and row["sent"].endswith("Z")


def test_what_follows_a_live_cursor_is_told_once_and_nothing_is_left_out(server: Server) -> None:
    live = server.get("/api/v1/jobs?limit=1").json["live"]
    wanted = {server.submit("digest", TEXT).json["id"] for _ in range(5)}
    seen: dict[str, str] = {}

    def follow() -> bool:
        nonlocal live
        answer = server.get(f"/api/v1/jobs?limit=2&after={urllib.parse.quote(live)}").json
        live = answer["next"]
        seen.update({row["id"]: row["state"] for row in answer["items"]})
        return {job for job, state in seen.items() if state == "done"} >= wanted

    eventually(follow, "all five are told as done")


def test_workers_are_listed_with_what_they_do_now(server: Server) -> None:
    workers = server.get("/api/v1/workers").json["items"]
    assert len(workers) == 2
    for worker in workers:
        assert worker["ended"] is None and worker["now"]["state"] in ("idle", "busy") and worker["sandbox"]


# ---- wrong requests: (path, status, kind, words)


@pytest.mark.parametrize(
    ("path", "status", "kind", "words"),
    [
        ("messages?q=foo:1", 400, "wrong-query", "expected one of kind"),
        ("messages?q=kind:nonsense", 400, "wrong-query", "expected one of hello"),
        ("messages?q=" + "x" * 2000, 400, "wrong-query", "character"),
        ("messages?before=nonsense", 400, "wrong-cursor", "not a cursor"),
        ("messages?after=", 400, "wrong-argument", "not a cursor"),
        ("messages?limit=0", 400, "wrong-argument", "whole number from 1 to"),
        ("messages?limit=x", 400, "wrong-argument", "whole number from 1 to"),
        ("messages?limit=100000", 400, "wrong-argument", "whole number from 1 to"),
        ("messages?before=a&after=b", 400, "bad-request", "one of them"),
        ("messages?page=2", 400, "wrong-argument", "expected before, after, limit, q"),
        ("messages/1", 404, "unknown-message", "no message 1"),
        ("messages/x", 404, "unknown-message", "expected a whole number"),
        ("messages/99999999999999999999", 404, "unknown-message", "expected a whole number"),
        ("messages/-1", 404, "unknown-message", "expected a whole number"),
        ("transfers/1-0", 404, "unknown-transfer", "no transfer 1-0"),
        ("transfers/1", 404, "unknown-transfer", "message-position"),
        ("transfers/1-x", 404, "unknown-transfer", "message-position"),
        ("jobs/1", 404, "unknown-job", "no job 1"),
        ("jobs/x", 404, "unknown-job", "expected a whole number"),
        ("jobs/1/output", 404, "unknown-job", "no job 1"),
        ("nothing", 404, "not-found", "openapi.json"),
        ("problems/nothing", 404, "not-found", "Known:"),
    ],
)
def test_a_wrong_question_gets_its_status_and_the_words(
    server: Server, path: str, status: int, kind: str, words: str
) -> None:
    answer = server.get("/api/v1/" + path)
    assert (answer.status, answer.json["type"]) == (status, f"/api/v1/problems/{kind}"), answer.text
    assert words in answer.detail


def test_a_cursor_of_another_table_is_refused(server: Server) -> None:
    server.submit("digest", TEXT)
    cursor = eventually(lambda: server.get("/api/v1/messages?limit=1").json["next"], "there are two messages")
    answer = server.get(f"/api/v1/transfers?before={urllib.parse.quote(cursor)}")
    assert answer.status == 400 and "transfers" in answer.detail


@pytest.mark.parametrize(
    ("fields", "file", "status", "kind", "words"),
    [
        ({"kind": "nothing"}, TEXT, 400, "unknown-kind", "expected one of compress, digest"),
        ({"kind": "digest"}, b"", 400, "empty-input", "nothing to work on"),
        ({"kind": "digest"}, None, 400, "needs-input", "expected one in the field file"),
        ({"kind": "digest", "size": "1"}, TEXT, 400, "bad-request", "it takes none"),
        ({"kind": "thumbnail", "colour": "1"}, TEXT, 400, "bad-request", "it takes size"),
        ({"kind": "echo", "data": "x"}, TEXT, 400, "bad-request", "one of them"),
        ({"kind": "lab"}, TEXT, 400, "unknown-kind", "/api/v1/lab/runs"),
        ({"kind": "digest", "name": "x" * 140_000}, TEXT, 413, "too-large", "a field of more than 128\u00a0KiB"),
        ({}, TEXT, 400, "wrong-argument", "kind: Missing; expected the name of a job"),
        ({"kind": "x" * 100}, TEXT, 400, "wrong-argument", "kind: Expected the name of a job"),
    ],
)
def test_a_wrong_submission_gets_its_status_and_the_words(
    server: Server, fields: dict[str, Any], file: bytes | None, status: int, kind: str, words: str
) -> None:
    answer = server.submit(file=file, **fields)
    assert (answer.status, answer.json["type"]) == (status, f"/api/v1/problems/{kind}"), answer.text
    assert words in answer.detail


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", "inf"])
def test_a_wrong_wait_is_refused(server: Server, wait: str) -> None:
    body, media = multipart({"kind": "echo", "data": "x"}, {})
    answer = server.request("POST", f"/api/v1/jobs?wait={wait}", body, {"Content-Type": media}, TOKEN)
    assert answer.status == 400 and "wait: Expected seconds from 0 to 60." in answer.detail


@pytest.mark.parametrize("broken", ["no boundary", "another boundary", "cut off"])
def test_a_form_that_cannot_be_read_is_no_empty_form(server: Server, broken: str) -> None:
    body, media = multipart({"kind": "digest"}, {"file": ("a", TEXT)})
    if broken == "cut off":
        body = body[:-60]
    else:
        media = "multipart/form-data" + ("; boundary=other" if broken == "another boundary" else "")
    answer = server.request("POST", "/api/v1/jobs", body, {"Content-Type": media}, TOKEN)
    assert answer.status == 400 and "no multipart/form-data that can be read" in answer.detail
    server.log_in()
    answer = server.request("POST", "/jobs", body, {"Content-Type": media})
    assert answer.status == 400 and "no multipart/form-data that can be read" in answer.text
    assert fds(server) == []


def test_two_files_for_one_job_are_refused(server: Server) -> None:
    body, media = multipart({"kind": "digest"}, {"file": ("a", TEXT)})
    boundary = body.split(b"\r\n", 1)[0]
    second = boundary + b'\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\nmore\r\n'
    answer = server.request("POST", "/api/v1/jobs", second + body, {"Content-Type": media}, TOKEN)
    assert answer.status == 400 and "2 files came" in answer.detail
    assert fds(server) == []


def test_a_body_of_another_media_type_is_refused(server: Server) -> None:
    answer = server.post("/api/v1/jobs", {"kind": "echo"}, TOKEN)
    assert answer.status == 415 and "multipart/form-data" in answer.detail
    answer = server.request(
        "POST", "/api/v1/pool/scale", b"workers=2", {"Content-Type": "application/x-www-form-urlencoded"}, TOKEN
    )
    assert answer.status == 415 and "application/json" in answer.detail


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[1]",
        b'"text"',
        b"null",
        b'{"workers": "2"}',
        b'{"workers": 2.5}',
        b'{"workers": true}',
        b"{}",
        b"[" * 60_000,
    ],
)
def test_json_that_does_not_fit_is_refused(server: Server, body: bytes) -> None:
    answer = server.request("POST", "/api/v1/pool/scale", body, {"Content-Type": "application/json"}, TOKEN)
    assert answer.status == 400 and ("JSON" in answer.detail or "whole number" in answer.detail)
    assert "_schema" not in answer.detail


@pytest.mark.parametrize(
    ("workers", "words"),
    [(0, "1 to 32"), (-1, "1 to 32"), (33, "1 to 32"), (10**12, "whole number"), (10**30, "whole number")],
)
def test_a_number_of_workers_out_of_range_is_refused(server: Server, workers: int, words: str) -> None:
    answer = server.post("/api/v1/pool/scale", {"workers": workers}, TOKEN)
    assert answer.status == 400 and words in answer.detail


@pytest.mark.parametrize(
    ("serial", "signal_name", "status", "words"),
    [("999", "KILL", 404, "Alive:"), ("x", "KILL", 404, "whole number"), ("1", "SEGV", 400, "TERM")],
)
def test_a_wrong_signal_is_refused(server: Server, serial: str, signal_name: str, status: int, words: str) -> None:
    answer = server.post(f"/api/v1/workers/{serial}/signal", {"signal": signal_name}, TOKEN)
    assert answer.status == status and words in answer.detail
    assert answer.json["title"] not in answer.detail, "the detail says what the title does not"


def test_a_missing_token_is_asked_for(server: Server) -> None:
    for answer in (
        server.submit("digest", TEXT, token=""),
        server.post("/api/v1/pool/scale", {"workers": 2}),
        server.post("/api/v1/jobs/1/cancel"),
    ):
        assert answer.status == 401 and "bearer token" in answer.detail
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_wrong_method_is_refused_with_the_right_ones(server: Server) -> None:
    answer = server.request("DELETE", "/api/v1/jobs", token=TOKEN)
    assert answer.status == 405 and "POST" in answer.headers["Allow"] and answer.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"a":' * 20 + "1" + "}" * 20, "nested deeper than 16"),
        ("[" * 100_000, "nested too deeply"),
        ('{"\\ud800": 1}', "surrogate"),
        ('{"text": NaN}', "no number in JSON"),
        ('{"text": ' + "9" * 5000 + "}", "thousands of digits"),
    ],
)
def test_a_body_that_cannot_be_recorded_is_refused_in_words(server: Server, body: str, words: str) -> None:
    answer = server.request(
        "POST", "/api/v1/lab/runs", body.encode(), token=TOKEN, headers={"Content-Type": "application/json"}
    )
    assert answer.status == 400 and words in answer.detail


def test_a_host_that_is_not_ours_gets_a_problem_too(server: Server) -> None:
    answer = server.get("/api/v1/jobs", Host="elsewhere.example")
    assert answer.status == 400 and answer.json["type"] == "/api/v1/problems/wrong-host"
    assert "elsewhere.example" in answer.detail and "trusted_hosts" in answer.detail


def test_every_kind_of_problem_is_explained_at_its_type(server: Server) -> None:
    for kind in KINDS:
        found = server.get(f"/api/v1/problems/{kind}")
        assert found.status == 200 and found.json["title"] == KINDS[kind].title
    assert set(REFUSALS) <= set(KINDS)


# ---- bodies that are too large


def oversized(server: Server, chunked: bool) -> Answer:
    """An upload of 257 MiB that is sent to its end, as a browser sends it."""
    head, media = multipart({"kind": "digest"}, {"file": ("large", b"")})
    before, after = head.split(b"application/octet-stream\r\n\r\n")
    before += b"application/octet-stream\r\n\r\n"
    block, count = bytes(1 << 20), 257

    def body() -> Iterator[bytes]:
        yield before
        for _ in range(count):
            yield block
        yield after

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": media, "Authorization": f"Bearer {TOKEN}"}
    if not chunked:
        headers["Content-Length"] = str(len(before) + len(block) * count + len(after))
    connection.request("POST", "/api/v1/jobs", body(), headers, encode_chunked=chunked)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_upload_is_refused_in_words_and_nothing_is_kept(server: Server, chunked: bool) -> None:
    answer = oversized(server, chunked)
    assert answer.status == 413 and "256\u00a0MiB" in answer.detail
    assert list(server.settings.spool.iterdir()) == []
    assert fds(server) == []
    assert server.submit("digest", TEXT).json["state"] == "done"


def test_a_large_body_where_no_upload_belongs_is_refused(server: Server) -> None:
    answer = server.post("/api/v1/pool/scale", {"workers": 2, "more": "x" * 100_000}, TOKEN)
    assert answer.status == 413 and "the bound of 64\u00a0KiB" in answer.detail


def test_a_large_body_that_is_no_upload_is_not_taken_for_one(server: Server) -> None:
    body = b"kind=echo&data=" + b"x" * 100_000
    answer = server.request("POST", "/api/v1/jobs", body, {"Content-Type": "application/x-www-form-urlencoded"}, TOKEN)
    assert answer.status == 413 and "the bound of 64\u00a0KiB" in answer.detail


# ---- what changes the pool: each with a server of its own


def test_the_pool_is_scaled_and_a_worker_is_signalled(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_WORKERS="1") as server:
        assert (
            server.post("/api/v1/pool/scale", {"workers": 2}, TOKEN).json["done"]
            == "The pool goes from 1 to 2 workers, until it is started again."
        )

        def alive() -> list[dict[str, Any]]:
            return [row for row in server.get("/api/v1/workers").json["items"] if row["ended"] is None and row["ready"]]

        first = eventually(lambda: len(rows := alive()) == 2 and rows, "two workers are ready")[0]
        answer = server.post(f"/api/v1/workers/{first['serial']}/signal", {"signal": "KILL"}, TOKEN)
        assert answer.status == 200 and f"worker {first['serial']}" in answer.json["done"]
        dead = eventually(
            lambda: next(
                (
                    row
                    for row in server.get("/api/v1/workers").json["items"]
                    if row["serial"] == first["serial"] and row["ended"]
                ),
                None,
            ),
            "its death is recorded",
        )
        assert dead["exit"] == "killed by SIGKILL" and dead["now"] is None
        eventually(lambda: len(alive()) == 2, "it is replaced")


def test_a_worker_that_dies_in_a_job_fails_it_once_and_the_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_WORKERS="1") as server:
        worker = server.get("/api/v1/workers").json["items"][0]["serial"]
        server.post(f"/api/v1/workers/{worker}/signal", {"signal": "STOP"}, TOKEN)
        answers: list[Answer] = []
        waiting = threading.Thread(target=lambda: answers.append(server.submit("digest", TEXT)))
        waiting.start()
        eventually(lambda: server.get("/api/v1/jobs?q=state:running").json["items"], "the job runs")
        server.post(f"/api/v1/workers/{worker}/signal", {"signal": "KILL"}, TOKEN)
        waiting.join(20)
        (answer,) = answers
        assert answer.status == 201 and answer.json["state"] == "failed"
        assert "died with the job in hand: killed by SIGKILL" in answer.json["reason"]
        assert recorded(server, answer.json["id"])["state"] == "failed"
        assert server.submit("digest", TEXT).json["state"] == "done"


def test_a_running_job_is_cancelled(tmp_path: Path) -> None:
    with running(tmp_path / "state", PAIRSCOPE_WORKERS="1") as server:
        worker = server.get("/api/v1/workers").json["items"][0]["serial"]
        server.post(f"/api/v1/workers/{worker}/signal", {"signal": "STOP"}, TOKEN)
        job = server.submit("digest", TEXT, wait=None).json["id"]
        eventually(lambda: server.get("/api/v1/jobs?q=state:running").json["items"], "the job runs")
        assert server.post(f"/api/v1/jobs/{job}/cancel", token=TOKEN).status == 200
        row = recorded(server, job)
        assert (
            row["state"] == "cancelled"
            and row["reason"].startswith("through web ")
            and "cancelled" not in row["reason"]
        )


@pytest.mark.long
def test_the_pool_away_is_said_in_words_and_what_is_recorded_stays_readable(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        job = server.submit("digest", TEXT).json["id"]
        recorded(server, job)
        pool = server.settings.snapshot
        supervisor = json.loads(pool.read_bytes())["supervisor"]["pid"]
        os.kill(supervisor, signal.SIGSTOP)  # it answers nobody, and says nothing more
        server.timeout = 60
        try:
            answer = server.submit("digest", TEXT, wait=None)
            assert answer.status == 503 and answer.headers["Retry-After"] and "did not" in answer.detail
            assert server.get(f"/api/v1/jobs/{job}").json["state"] == "done"
        finally:
            os.kill(supervisor, signal.SIGCONT)
        eventually(lambda: server.submit("digest", TEXT).status == 201, "jobs are taken again", 20)


def test_jobs_run_and_are_told_while_the_database_is_away_and_recorded_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        history = server.settings.state / "history.sqlite"
        elsewhere = server.settings.state / "elsewhere"
        elsewhere.mkdir()
        for path in server.settings.state.glob("history.sqlite*"):
            path.rename(elsewhere / path.name)
        history.mkdir()  # nobody can open it
        recorder = json.loads(server.settings.snapshot.read_bytes())["recorder"]["pid"]
        os.kill(recorder, signal.SIGKILL)  # the next one finds what web finds

        def away() -> bool:
            return (
                server.get("/readyz").status == 503
                and json.loads(server.settings.snapshot.read_bytes())["recorder"]["state"] == "away"
            )

        eventually(away, "the database is said to be away", 20)
        ready = server.get("/readyz").json["checks"]
        assert ready["database"]["detail"] == "it does not answer: unable to open database file"
        assert not ready["database"]["ok"] and ready["pool"]["ok"] and ready["journal"]["ok"]
        listed = server.get("/api/v1/messages")
        assert listed.status == 503 and "Jobs still run" in listed.detail
        answer = server.submit("digest", TEXT)
        assert answer.status == 201 and answer.json["state"] == "done"
        seen = server.get(answer.headers["Location"])
        assert seen.status == 200 and seen.json["state"] == "recording" and seen.json["pool_state"] == "done"
        unknown = server.get(f"/api/v1/jobs/{int(answer.json['id']) + 1}/output")
        assert (
            unknown.status == 503
            and unknown.json["type"].endswith("undecided")
            and "Whether there was one stands in history" in unknown.detail
        )
        history.rmdir()
        for path in elsewhere.iterdir():
            path.rename(server.settings.state / path.name)
        eventually(lambda: server.get(answer.headers["Location"]).json["state"] == "done", "it is recorded", 30)


# ---- health


def test_health_says_that_the_process_lives(server: Server) -> None:
    assert server.get("/healthz").text == "alive\n"


def test_readiness_names_pool_journal_and_database(server: Server) -> None:
    answer = server.get("/readyz")
    assert answer.status == 200 and answer.json["ready"]
    assert set(answer.json["checks"]) == {"pool", "journal", "database"}
    assert all(check["ok"] and check["detail"] for check in answer.json["checks"].values())


def test_metrics_are_prometheus_text_and_count_what_happens(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def figures() -> dict[str, float]:
        answer = server.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        return {
            sample.name + "".join(sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    before = figures()
    assert before["pairscope_up"] == 1 and before["pairscope_workers_wanted"] == 2
    assert before["pairscope_results_limit"] == 512 and before["pairscope_connections_user_limit"] >= 16
    assert 1 <= before[f"pairscope_connections{os.getuid()}"] <= before["pairscope_connections_user_limit"]
    server.submit("digest", TEXT)
    eventually(
        lambda: (
            figures()["pairscope_jobs_totaldone"] > before["pairscope_jobs_totaldone"]
            and figures()["pairscope_transfers_total"] >= before["pairscope_transfers_total"] + 2
        ),
        "the job is counted",
    )


# ---- the description


def test_the_description_has_every_route_and_what_each_takes_and_gives(server: Server) -> None:
    described = server.get("/api/v1/openapi.json").json
    assert described["openapi"].startswith("3.")
    assert set(described["paths"]) == {
        "/api/v1/jobs",
        "/api/v1/jobs/{job}",
        "/api/v1/jobs/{job}/cancel",
        "/api/v1/jobs/{job}/output",
        "/api/v1/checks",
        "/api/v1/lab/runs",
        "/api/v1/lab/runs/{run}",
        "/api/v1/lab/runs/{run}/export/{form}",
        "/api/v1/lab/scenarios",
        "/api/v1/lab/scenarios/{name}",
        "/api/v1/messages",
        "/api/v1/messages/{message}",
        "/api/v1/openapi.json",
        "/api/v1/pool/scale",
        "/api/v1/problems/{kind}",
        "/api/v1/transfers",
        "/api/v1/transfers/{transfer}",
        "/api/v1/workers",
        "/api/v1/workers/{serial}/signal",
    }
    submission = described["paths"]["/api/v1/jobs"]["post"]
    fields = submission["requestBody"]["content"]["multipart/form-data"]["schema"]
    name = fields["$ref"].rpartition("/")[2]
    assert described["components"]["schemas"][name]["properties"]["file"][
        "contentMediaType" if "contentMediaType" in str(described) else "format"
    ]
    assert "201" in submission["responses"] and submission["security"] == [{"operator": []}]
    assert {parameter["name"] for parameter in described["paths"]["/api/v1/messages"]["get"]["parameters"]} == {
        "before",
        "after",
        "limit",
        "q",
    }
    problem = described["components"]["responses"]["DEFAULT_ERROR"]["content"]
    assert list(problem) == ["application/problem+json"]


def test_the_document_has_every_address_and_every_kind_of_problem(server: Server) -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    for path, methods in server.get("/api/v1/openapi.json").json["paths"].items():
        for method in set(methods) - {"parameters"}:
            assert f"`{method.upper()} {path}`" in page
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


def test_the_description_has_the_bounds_of_what_is_sent_and_of_every_id(server: Server) -> None:
    described = server.get("/api/v1/openapi.json").json
    shapes = described["components"]["schemas"]
    assert shapes["JobArguments"]["properties"]["file"]["maxLength"] == server.settings.upload_max
    assert shapes["JobArguments"]["properties"]["data"]["maxLength"] == FIELD_MAX
    assert shapes["RunArguments"]["properties"]["text"]["maxLength"] == TEXT_MAX
    workers = shapes["ScaleArguments"]["properties"]["workers"]
    assert (workers["minimum"], workers["maximum"]) == (1, server.settings.workers_max)
    for path, methods in described["paths"].items():
        for parameter in methods.get("parameters", ()):
            assert {"maxLength", "enum"} & set(parameter["schema"]), f"{path} has an unbounded {parameter['name']}"
        for method in set(methods) & {"get", "post"}:
            for status in ("429", "503"):
                assert "Retry-After" in methods[method]["responses"][status]["headers"], f"{method} {path}"


def test_every_reference_of_the_description_leads_somewhere(server: Server) -> None:
    described = server.get("/api/v1/openapi.json").json

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                yield reference
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(described)):
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_what_is_answered_has_exactly_the_described_members(server: Server) -> None:
    described = server.get("/api/v1/openapi.json").json["components"]["schemas"]
    job = server.submit("compress", TEXT).json["id"]
    recorded(server, job)
    pairs = [
        ("Job", server.get(f"/api/v1/jobs/{job}").json),
        ("Worker", server.get("/api/v1/workers").json["items"][0]),
    ]
    pairs += [
        ("Message", server.get("/api/v1/messages").json["items"][0]),
        ("Transfer", server.get("/api/v1/transfers").json["items"][0]),
    ]
    for name, value in pairs:
        schema = next(
            schema
            for key, schema in described.items()
            if key.startswith(name) and set(schema["properties"]) >= set(value)
        )
        # these are there only where something cannot be shown, or not to everybody
        assert set(value) == set(schema["properties"]) - {"unreadable", "withheld"}, name
