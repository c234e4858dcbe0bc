"""An upload becomes a descriptor that nobody can change, within its bounds, and none stays behind."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from pairscope.config import KIB, Settings
from pairscope.ipc import memfd
from pairscope.web import upload
from pairscope.web.access import open_to_all
from pairscope.web.application import create_app
from tests import plausible

pytestmark = pytest.mark.web


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return plausible.settings_in(tmp_path, memfd_max=64 * KIB, upload_max=256 * KIB)


@pytest.fixture
def taken() -> dict[str, Any]:
    """What the view below found."""
    return {}


@pytest.fixture
def client(settings: Settings, taken: dict[str, Any]) -> Iterator[FlaskClient]:
    app: Flask = create_app(settings)

    @app.post("/take")
    @open_to_all
    @upload.takes_upload
    def take() -> str:
        with upload.receive(request) as received:
            if received is None:
                return "nothing"
            taken.update(received._asdict(), look=_look(received.fd))
            if request.form.get("fail"):
                raise RuntimeError("while the descriptor is held")
        return "taken"

    @app.post("/form")
    @open_to_all
    def form() -> str:
        return str(len(request.form))

    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app.test_client()
    app.extensions["pairscope"].close()


def _look(fd: int) -> dict[str, Any]:
    return {
        "link": os.readlink(f"/proc/self/fd/{fd}"),
        "access": fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE,
        "sealed": memfd.is_sealed(fd),
        "bytes": os.pread(fd, 1 << 20, 0),
        "links": os.fstat(fd).st_nlink,
        "cloexec": not os.get_inheritable(fd),
    }


def send(client: FlaskClient, data: bytes, name: str = "a file.bin", **fields: str) -> Any:
    return client.post("/take", data={**fields, "file": (io.BytesIO(data), name)})


def test_a_small_file_becomes_a_memfd_that_nobody_can_change(client: FlaskClient, taken: dict[str, Any]) -> None:
    data = os.urandom(64 * KIB)
    assert send(client, data).text == "taken"
    assert taken["look"]["link"] == "/memfd:upload (deleted)" and taken["look"]["sealed"]
    assert (taken["look"]["bytes"], taken["size"], taken["name"]) == (data, len(data), "a file.bin")
    assert taken["look"]["cloexec"]


def test_a_larger_file_becomes_an_unlinked_one_that_is_open_for_reading_only(
    client: FlaskClient, taken: dict[str, Any], settings: Settings
) -> None:
    data = os.urandom(64 * KIB + 1)
    assert send(client, data).text == "taken"
    assert taken["look"]["link"].startswith(str(settings.spool)) and taken["look"]["links"] == 0
    assert taken["look"]["access"] == os.O_RDONLY
    assert taken["look"]["bytes"] == data
    assert list(settings.spool.iterdir()) == []


def test_an_empty_file_is_refused_in_words(client: FlaskClient) -> None:
    answer = send(client, b"")
    assert answer.status_code == 400
    assert "There is nothing to work on" in answer.text


def test_a_file_beyond_the_bound_is_refused_with_the_bound(client: FlaskClient) -> None:
    for size in (256 * KIB + 1, 1024 * KIB):
        answer = send(client, bytes(size))
        assert answer.status_code == 413
        assert "256\u00a0KiB" in answer.text
    assert send(client, bytes(256 * KIB)).text == "taken"


def test_a_form_without_a_file_is_none(client: FlaskClient) -> None:
    assert client.post("/take", data={"kind": "echo"}).text == "nothing"
    assert (
        client.post("/take", data={"file": (io.BytesIO(b""), "")}, content_type="multipart/form-data").text == "nothing"
    )


def test_a_body_that_carries_no_upload_is_bounded_more_tightly(client: FlaskClient) -> None:
    assert client.post("/form", data={"a": "x" * 60 * KIB}).status_code == 200
    assert client.post("/form", data={"a": "x" * 70 * KIB}).status_code == 413


def test_a_view_that_fails_leaves_no_descriptor(client: FlaskClient, taken: dict[str, Any]) -> None:
    assert send(client, b"first", fail="yes").status_code == 500  # opens the database for the strip of its page
    before = len(os.listdir("/proc/self/fd"))
    for size in (100, 200 * KIB):
        assert send(client, bytes(size), fail="yes").status_code == 500
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_is_full_is_said(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(memfd, "write_all", full)
    answer = send(client, b"some")
    assert answer.status_code == 503
    assert "No space left on device" in answer.text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\b.doc", "b.doc"),
        ("a\x00b\nc.txt", "abc.txt"),
        ("", "upload"),
        ("é" * 300, "é" * 255),
    ],
)
def test_a_name_is_kept_without_its_path_and_controls(given: str, kept: str) -> None:
    assert upload.plain_name(given) == kept
