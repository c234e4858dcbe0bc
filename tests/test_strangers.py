"""What a stranger sees where outputs are not public: rows, sizes, control messages and proofs, and of payloads, names
of files and outputs only that they are there."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pairscope.client.client import Client
from pairscope.config import Settings
from pairscope.ipc.identity import Issuer
from pairscope.ipc.payloads import Known
from pairscope.store import queries, withheld
from pairscope.store.engine import engine
from pairscope.store.filter import FilterError, parse
from pairscope.store.migrate import upgrade
from pairscope.store.models import Job, Message, Position, Process, Quarantine, Transfer
from pairscope.web.application import create_app
from tests import plausible
from tests.running import csrf_token

pytestmark = pytest.mark.web

TOKEN = "an operator's token"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
SECRET = re.compile(r"s3cret", re.IGNORECASE)
"""Stands in every value that a stranger is not shown."""
HOW = {
    "payload": "S3CRET-payload",
    "file": "S3CRET-name.txt",
    "path": "/home/somebody/S3CRET-link",
    "found": "S3CRET-result",
    "made": "S3CRET-made.gz",
    "why": "it is no image: S3CRET-reason",
    "aside": "Data too long: S3CRET-aside",
}


class Ids:
    """Of the rows that hold secrets."""

    message: int
    job: int
    failed: int
    lab: int
    killed: int


def of(model: type, **given: Any) -> Any:
    """A row with a value in every column."""
    usual: dict[str, Any] = {"int": 1, "str": "", "bytes": b"", "bool": False}
    values = {
        column.key: None if column.nullable else usual[column.type.python_type.__name__]
        for column in model.__table__.columns  # type: ignore[attr-defined]
    }
    return model(**values | given)


@pytest.fixture
def ids() -> Ids:
    return Ids()


@pytest.fixture
def settings(tmp_path: Path, ids: Ids) -> Settings:
    made = plausible.settings_in(tmp_path, operator_token=TOKEN, public_outputs=False)
    upgrade(made)
    give = Issuer(1)
    now = time.time_ns()
    ids.job, ids.failed, ids.lab, ids.killed, ids.message = (give.issue() for _ in range(5))
    parties = {"sender_role": "web", "receiver_role": "supervisor", "sender_pid": 7, "receiver_pid": 8}
    payload = msgspec.msgpack.encode({"name": HOW["payload"], "size": 4})
    job: dict[str, Any] = {"kind": "digest", "client_role": "web", "submitted": now, "started": now, "ended": now}
    store = engine(made.recorder_url)
    with Session(store) as session:
        session.add(of(Position, node=1, node_name="here", at=now, position=9, rows=1, jobs=4, transfers=1))
        session.add(of(Process, role="worker", serial=1, born=now, node=1))
        session.add(
            of(
                Message, id=ids.message, job=ids.job, kind="task", **parties, size=900, fds=1, sent=now, received=now,
                state="received", preview=payload,
            )
        )  # fmt: skip
        session.add(
            of(
                Transfer, message=ids.message, job=ids.job, kind="task", **parties, sent=now, state="received",
                position=0, object="regular file", access="read", proof="same", link=HOW["path"],
            )
        )  # fmt: skip
        session.add(
            of(
                Job, id=ids.job, **job, name=HOW["file"], size=4096, state="done", output=77,
                result=json.dumps({"text": HOW["found"]}), output_name=HOW["made"], output_media="application/gzip",
            )
        )  # fmt: skip
        session.add(of(Job, id=ids.failed, **job, name=HOW["file"], state="failed", reason=HOW["why"]))
        session.add(
            of(
                Job,
                id=ids.killed,
                **job,
                state="failed",
                reason="worker 1 died with the job in hand: killed by SIGKILL",
            )
        )
        session.add(
            of(Job, id=ids.lab, **job | {"kind": "lab"}, name="a scenario", state="done", result='{"verdict":"held"}')
        )
        session.add(of(Quarantine, node=1, position=5, at=now, reason=HOW["aside"], record=payload))
        session.commit()
    store.dispose()
    return made


@pytest.fixture
def site(settings: Settings) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["pairscope"].close()


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


def addresses(site: Flask, ids: Ids) -> list[str]:
    """Every address that is read, with the rows that hold secrets; without runs of the lab, which are open."""
    values = {
        "name": "messages", "form": "csv", "id": str(ids.message), "message": str(ids.message), "position": "0",
        "transfer": f"{ids.message}-0", "job": str(ids.job), "serial": "1", "kind": "not-found", "chapter": "linux",
        "filename": "mark.svg", "step": "1", "run": "x", "scenario": "parent-and-child",
    }  # fmt: skip
    found = []
    for rule in site.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or "/lab/" in rule.rule:
            continue
        found.append(re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", lambda part: values.get(part[1], "x"), rule.rule))
    for name in ("messages", "transfers", "jobs", "workers"):
        found += [f"/{name}", f"/api/v1/{name}", f"/{name}/export.csv", f"/{name}/export.jsonl", f"/live/{name}"]
        found += [f"/live/{name}?cursor=gaFukA", f"/api/v1/{name}?after=gaFukA"]
    for job in (ids.job, ids.failed, ids.killed, ids.lab):
        found += [f"/jobs/{job}", f"/live/jobs/{job}?seen=", f"/api/v1/jobs/{job}", f"/api/v1/jobs/{job}/output"]
        found += [f"/jobs/{job}/output", f"/jobs/{job}/output?inline=1"]
    return sorted({*found, *(f"/database/{table}" for table in (*withheld.COLUMNS, "runs", "positions"))})


def said(answer: Any) -> str:
    """Everything that an answer tells, payloads in base64 and hexadecimal included."""
    text = answer.get_data(as_text=True)
    for found in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text):
        text += base64.b64decode(found + "==", validate=False).decode("latin-1") if len(found) % 4 != 1 else ""
    for found in re.findall(r"(?:[0-9a-f]{2}\s+){6,}", text):
        text += bytes.fromhex(found).decode("latin-1")
    return f"{text}\n{answer.headers}"


def api(client: FlaskClient, path: str) -> Any:
    answer: Any = client.get(path).get_json()
    return answer


def test_no_address_tells_a_stranger_what_an_operator_is_told(site: Flask, client: FlaskClient, ids: Ids) -> None:
    told = 0
    for path in addresses(site, ids):
        found = SECRET.search(said(client.get(path)))
        assert not found, f"{path} tells {found and found[0]}"
        told += bool(SECRET.search(said(client.get(path, headers=OPERATOR))))
    assert told >= 20, "or nobody has looked at anything"


def test_what_is_public_is_told_to_everybody(settings: Settings, ids: Ids) -> None:
    site = create_app(plausible.settings_in(settings.state, public_outputs=True))
    try:
        client = site.test_client()
        for path in ("/messages", f"/jobs/{ids.job}", f"/api/v1/jobs/{ids.failed}", "/transfers/export.csv"):
            assert SECRET.search(said(client.get(path))), path
    finally:
        site.extensions["pairscope"].close()


@pytest.mark.parametrize("table", ["messages", "transfers", "jobs"])
def test_a_search_in_hidden_values_is_refused_alike_whether_they_fit_or_not(
    site: Flask, client: FlaskClient, table: str
) -> None:
    for sign in ("", "-"):
        for path in (f"/{table}?q=", f"/api/v1/{table}?q=", f"/live/{table}?q=", f"/{table}/export.csv?q="):
            answers = [client.get(path + sign + word) for word in ("S3CRET", "nowhere", "s3cret-zz")]
            assert {answer.status_code for answer in answers} == {400}, path
            texts = {SECRET.sub("", re.sub(r"nowhere|-zz", "", answer.text)) for answer in answers}
            assert all("after a login only" in text for text in texts), path
    found = client.get(f"/api/v1/{table}?q=S3CRET", headers=OPERATOR)
    assert found.status_code == 200 and found.get_json()["items"], "an operator finds it"


def test_every_query_refuses_a_filter_that_looks_into_what_its_session_withholds(settings: Settings, ids: Ids) -> None:
    """A live page would tell by the rows that stay on it, too."""
    chosen = parse("S3CRET", "messages")
    store = engine(settings.history_url, read_only=True)
    with Session(store) as session:
        cursor = queries.live_cursor(session)
        assert queries.still(session, "messages", chosen, [(ids.message,)]) == {(ids.message,)}
        withheld.withhold(session)
        for ask in (
            lambda: queries.page(session, "messages", chosen),
            lambda: queries.changes(session, "messages", chosen, cursor),
            lambda: queries.still(session, "messages", chosen, [(ids.message,)]),
            lambda: list(queries.every(session, "messages", chosen, most=9)),
        ):
            with pytest.raises(FilterError, match="after a login only"):
                ask()
    store.dispose()


def test_an_output_is_refused_before_anybody_looks_for_it(client: FlaskClient, ids: Ids) -> None:
    for job in (ids.job, ids.failed, 1):
        answer = client.get(f"/api/v1/jobs/{job}/output")
        assert answer.status_code == 401 and answer.get_json()["type"].endswith("login-needed")
        assert client.get(f"/jobs/{job}/output?inline=1").status_code == 302
        assert client.get(f"/api/v1/jobs/{job}/output", headers=OPERATOR).status_code == 503, "there is no pool here"


def test_what_is_no_secret_stays_open(client: FlaskClient, ids: Ids) -> None:
    row = api(client, f"/api/v1/messages/{ids.message}")
    assert row["size"] == 900 and row["fds"] == 1 and row["withheld"] == ["preview"] and "preview" not in row
    (transfer,) = row["transfers"]
    assert transfer["proof"] == "same" and transfer["withheld"] == ["link"] and "link" not in transfer
    job = api(client, f"/api/v1/jobs/{ids.job}")
    assert job["size"] == 4096 and job["output"]["size"] == 77 and "name" not in job["output"]
    assert job["withheld"] == ["name", "output.name", "result"] and not {"name", "result"} & set(job)
    lab = api(client, f"/api/v1/jobs/{ids.lab}")
    assert lab["result"] == {"verdict": "held"} and lab["name"] == "a scenario" and "withheld" not in lab
    killed = api(client, f"/api/v1/jobs/{ids.killed}")
    assert killed["reason"].endswith("killed by SIGKILL"), "the pool's own words"
    assert client.get(f"/transfers/{ids.message}-0").status_code == 200
    assert client.get("/messages?q=kind:task fds:>0 since:1d").status_code == 200


def test_a_page_says_where_to_log_in_and_comes_back(site: Flask, client: FlaskClient, ids: Ids) -> None:
    for path in (f"/messages/{ids.message}", f"/jobs/{ids.job}", f"/transfers/{ids.message}-0"):
        page = client.get(path).text
        assert f'<a class="withheld" href="/login?next={path}">log in to see</a>' in page, path
    for path in ("/", "/messages", "/transfers", "/jobs", "/database/jobs"):
        assert '<span class="withheld">log in to see</span>' in client.get(path).text, path
    assert client.get(f"/jobs/{ids.job}/output").headers["Location"] == f"/login?next=/jobs/{ids.job}/output"
    form = client.get(f"/login?next=/jobs/{ids.job}").text
    client.post("/login", data={"token": TOKEN, "csrf_token": csrf_token(form)})
    assert HOW["file"] in client.get(f"/jobs/{ids.job}").text, "a session sees it"


def test_an_export_says_in_its_place_what_it_withholds(client: FlaskClient, ids: Ids) -> None:
    row = next(csv.DictReader(io.StringIO(client.get("/messages/export.csv").text)))
    assert row["preview"] == "withheld: log in to see" and row["size"] == "900"
    line = json.loads(client.get("/transfers/export.jsonl").text.partition("\n")[0])
    assert line["link"] == "withheld: log in to see" and line["proof"] == "same"


def test_a_value_that_cannot_be_shown_is_not_quoted_either(settings: Settings, client: FlaskClient, ids: Ids) -> None:
    with sqlite3.connect(settings.state / "history.sqlite") as database:
        database.execute("UPDATE jobs SET name = CAST('S3CRET' AS BLOB) WHERE id = ?", (ids.job,))
    database.close()
    for path in ("/jobs", f"/jobs/{ids.job}", f"/api/v1/jobs/{ids.job}", "/jobs/export.jsonl"):
        answer = client.get(path)
        assert answer.status_code == 200 and not SECRET.search(answer.text), path
    assert SECRET.search(client.get(f"/api/v1/jobs/{ids.job}", headers=OPERATOR).text)


def test_a_row_that_is_read_anew_stays_withheld(settings: Settings, ids: Ids) -> None:
    store = engine(settings.history_url, read_only=True)
    with Session(store) as session:
        withheld.withhold(session)
        row = session.get(Job, ids.job)
        assert row is not None and row.name == ""
        session.rollback()
        session.refresh(row)
        assert (row.name, row.size, sorted(row.withheld)) == ("", 4096, ["name", "output_name", "result"])
    store.dispose()


def test_what_the_pool_says_of_a_job_without_a_row_is_withheld_too(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Issuer(1).issue()
    known = Known(identity, True, "failed", "digest", {"text": HOW["found"]}, HOW["why"], 0)
    monkeypatch.setattr(Client, "lookup", lambda _client, _job: known)
    for path in (f"/api/v1/jobs/{identity}", f"/jobs/{identity}"):
        answer = client.get(path)
        assert answer.status_code == 200 and not SECRET.search(answer.text), answer.text
        assert SECRET.search(client.get(path, headers=OPERATOR).text), path
    assert api(client, f"/api/v1/jobs/{identity}")["withheld"] == ["reason", "result"]


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("/memfd:upload (deleted)", True),
        ("pipe:[4711]", True),
        ("socket:[4711]", True),
        ("anon_inode:[eventfd]", True),
        ("/memfd:taxes.pdf (deleted)", False),
        ("/home/somebody/taxes.pdf", False),
        ("/memfd:upload (deleted) of taxes", False),
    ],
)
def test_a_descriptor_without_a_name_of_somebodys_shows_what_it_is(
    settings: Settings, client: FlaskClient, link: str, shown: bool
) -> None:
    with sqlite3.connect(settings.state / "history.sqlite") as database:
        database.execute("UPDATE transfers SET link = ?", (link,))
    database.close()
    (row,) = api(client, "/api/v1/transfers")["items"]
    assert row.get("link") == (link if shown else None) and ("withheld" not in row) == shown


def test_an_answer_for_an_operator_is_kept_by_nobody_else(client: FlaskClient, ids: Ids) -> None:
    live = f"/live/jobs/{ids.job}?seen=" + re.findall(r'data-seen="([^"]+)"', client.get(f"/jobs/{ids.job}").text)[0]
    for path in ("/messages", f"/jobs/{ids.job}", "/messages/export.csv", f"/api/v1/jobs/{ids.job}", live):
        answer = client.get(path, headers=OPERATOR)
        kept = answer.headers.get("Cache-Control", "")
        assert answer.status_code in (200, 204) and ("no-store" in kept or "private" in kept), path
