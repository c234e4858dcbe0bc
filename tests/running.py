"""A real embedded server for tests: ``pairscope serve`` on a free port, spoken to over HTTP as a stranger
would."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pairscope.config import Settings, embedded
from tests import leaks

TOKEN = "the-operator's-token-of-the-tests"
PROJECT = Path(__file__).parents[1]


@dataclasses.dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def detail(self) -> str:
        """The words of a problem, of which the form is checked on the way."""
        assert self.headers["Content-Type"] == "application/problem+json", self.text
        problem = self.json
        assert problem["status"] == self.status and problem["type"] and problem["title"], problem
        return problem["detail"]


class Server:
    """A running server, its pool, and a client of it. It keeps cookies as a browser does."""

    def __init__(self, process: subprocess.Popen[str], state: Path, log: Path) -> None:
        self.process = process
        self.log = log
        self.settings: Settings = embedded({"PAIRSCOPE_STATE": str(state)})
        self.address = ""
        self.link = ""
        self.cookies: dict[str, str] = {}
        self.timeout = 30.0
        self.source = ""

    @property
    def port(self) -> int:
        port = urllib.parse.urlsplit(self.address).port
        assert port
        return port

    def wait_until_ready(self) -> None:
        """Reads what it prints up to the login link."""
        assert self.process.stdout
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"(http://\S+/)login\?token=\S+", line):
                self.address, self.link = found[1], found[0]
                break
        else:
            raise AssertionError(f"it ended with {self.process.wait()}: {''.join(said)} {self.log.read_text()}")
        assert any(line.startswith("Ready:") for line in said), f"{''.join(said)} {self.log.read_text()}"

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Answer:
        """One request on a connection of its own. `token` goes as a bearer token."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        source = (self.source, 0) if self.source else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout, source_address=source)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, token: str = "", **headers: str) -> Answer:
        return self.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}, token=token
        )

    def post(self, path: str, value: Any = None, token: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Sends JSON."""
        body = json.dumps(value).encode() if value is not None else b""
        return self.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, token)

    def form(self, path: str, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """Sends a form as a page does."""
        body = urllib.parse.urlencode(fields).encode()
        return self.request(
            "POST", path, body, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        )

    def submit(
        self,
        kind: str = "",
        file: bytes | None = None,
        name: str = "a file.bin",
        wait: float | None = 20,
        token: str = TOKEN,
        **fields: str,
    ) -> Answer:
        """Submits a job, by default waiting for its end."""
        fields = {"kind": kind, **fields} if kind else fields
        body, media = multipart(fields, {"file": (name, file)} if file is not None else {})
        path = "/api/v1/jobs" if wait is None else f"/api/v1/jobs?wait={wait}"
        return self.request("POST", path, body, {"Content-Type": media}, token)

    def log_in(self) -> None:
        """As a person does: opens the login link, presses its button."""
        self.cookies.clear()
        page = self.get(self.link.removeprefix(self.address.rstrip("/")))
        answer = self.form("/login", token=TOKEN, csrf_token=csrf_token(page.text))
        assert answer.status == 303, answer.text

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stops it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


def csrf_token(page: str) -> str:
    """The token in a page's form."""
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="csrf_token"', page)
    assert found, page
    return found[1] or found[2]


def multipart(fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A body and its media type. RFC 7578."""
    boundary = uuid.uuid4().hex
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts += [
        f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n"
        "\r\n".encode()
        + data
        for field, (name, data) in files.items()
    ]
    body = (
        b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
        + b"--"
        + boundary.encode()
        + b"--\r\n"
    )
    return body, f"multipart/form-data; boundary={boundary}"


def environment(state: Path, **more: str) -> dict[str, str]:
    """That of a process of the installation under `state`."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("PAIRSCOPE_") or name == leaks.MARK
    }
    return {**kept, "PAIRSCOPE_STATE": str(state), "PORT": "0", "PAIRSCOPE_OPERATOR_TOKEN": TOKEN, **more}


@contextlib.contextmanager
def running(
    state: Path, *, ready: bool = True, python: str | Path = sys.executable, cwd: Path = PROJECT, **more: str
) -> Iterator[Server]:
    """A server with its state under `state` and `more` in its environment; stopped at the end, however that comes.
    `python`: of the environment that it is installed in."""
    state.mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [python, "-m", "pairscope", "serve"],
            cwd=cwd,
            env=environment(state, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    server = Server(process, state, log)
    try:
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stdout
            process.stdout.close()


@pytest.fixture(scope="session")
def running_server(temporary_directory: Path) -> Iterator[Server]:
    """One server for all tests that leave it as it is: no signals to its workers, no other number of them."""
    before = leaks.look(temporary_directory)
    state = Path(tempfile.mkdtemp(prefix="server"))
    with running(state) as server:
        yield server
    shutil.rmtree(state)
    left = before.left(temporary_directory, patience=2.0)
    assert not left, f"the server left behind: {left}"


@pytest.fixture
def server(running_server: Server) -> Iterator[Server]:
    """The session's server with a fresh client."""
    running_server.cookies = {}
    yield running_server
    running_server.cookies = {}
