"""Pages that ask, at a real Apache with a real MariaDB: what a poll takes of processor time, and how many pages it
bears. The pages are this process's own, all of one address, on the same cores; each does as a page's script does: it
asks once at a time, each second or as late as it is told.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import random
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.contestant import ContestantFailed
from bench.figures import Check, Findings, Row
from pairscope.client.client import Client
from pairscope.config import read
from pairscope.lamp.private import Private
from tests import leaks

PAGES = 500
PATIENCE = 10.0
"""Seconds for which a page waits for an answer."""
ROWS = 13
"""Echoes, each of four messages."""
NOTHING, FIFTY, HEALTH = 2.0, 6.0, 0.5
"""What is to be reached: ms of processor time of a poll, and seconds until /healthz is answered."""


class Site:
    """One kept connection, as of a browser without a login."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def begin(self) -> tuple[str, str]:
        """Where the table of messages is, as its page says: cursor and what was seen."""
        text = self.get("/messages")[2]
        found = re.search(r'data-seen="([^"]*)" data-cursor="([^"]*)"', text)
        if found is None:
            raise ContestantFailed("the page of messages has no cursor")
        return found[2], found[1]

    def close(self) -> None:
        self._connection.close()


def processes(private: Private, name: str = "wsgi:web") -> list[int]:
    """The processes of Apache's that serve pages."""
    found = []
    for pid in leaks.pids():
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{pid}/cmdline").read_bytes()
            if told.strip(b"( )\0").startswith(name.encode()) and _parent(pid) == private.apache.pid:
                found.append(pid)
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def spent(pids: list[int]) -> float:
    """Seconds of processor time of all threads of processes. proc_pid_schedstat: ns on a core."""
    return (
        sum(int(task.read_text().split()[0]) for pid in pids for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        / 1e9
    )


def polls(private: Private, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """What a poll takes, when nothing has changed and with fifty rows; nothing else goes on."""
    made, many = private.installation, 50 if quick else 400
    site, client = Site(made.port), Client(read(made.conf / "pool.toml"), "tool")
    web, rows = processes(private), []
    try:
        cursor, seen = site.begin()
        for _ in range(20):  # each process has begun to keep what changes
            site.get(f"/live/messages?cursor={cursor}&seen={seen}")
        for _ in range(ROWS):
            client.submit("echo", data=b"x", want="ended")
        client.settle()
        deadline = time.monotonic() + 30
        while (answer := site.get(f"/live/messages?cursor={cursor}&only=rows"))[2].count("<tr ") < 4 * ROWS:
            if time.monotonic() > deadline:
                raise ContestantFailed("the rows do not come")
        time.sleep(3.0)  # the supervisor says no more of it
        for what, begin, target in (
            ("nothing has changed", answer[1]["Pairscope-Cursor"], NOTHING),
            ("50 rows", cursor, FIFTY),
        ):
            path = f"/live/messages?cursor={begin}&only=rows"
            for _ in range(10):
                status = site.get(path)[0]
            before = spent(web)
            for _ in range(many):
                status = site.get(path)[0]
            took = (spent(web) - before) / many * 1e3
            say(f"live: a poll, {what}: {status}, {took:.2f} ms of processor time")
            row = Row(
                "live", f"processor time of a poll, {what}", "ms", "lower", "", took, target=target, absolute=True
            )
            row.met = took <= target
            rows.append(row)
    finally:
        site.close()
        client.close()
    return rows


class Stale(Exception):
    """A kept connection has ended."""


class Page:
    """One page that asks, without a browser."""

    def __init__(self, port: int, cursor: str, seen: str) -> None:
        self._port, self._cursor, self._seen = port, cursor, seen
        self.sock: socket.socket | None = None
        self.begun = 0.0
        self._text = b""

    def ask(self) -> socket.socket:
        """Sends its question; on a kept connection, where that still lives."""
        path = f"/live/messages?cursor={self._cursor}&seen={self._seen}"
        question = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        self.begun, self._text = time.monotonic(), b""
        self._kept = self.sock is not None
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if not self.sock.recv(1, socket.MSG_PEEK):
                        raise OSError
                self.sock.send(question)
                return self.sock
            self.sock.close()
        self.sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self.sock.send(question)
        self.sock.setblocking(False)
        return self.sock

    def hear(self) -> tuple[int, float] | None:
        """Status, and in how many seconds it asks again; None: the answer is not whole yet. Raises OSError."""
        assert self.sock
        piece = self.sock.recv(1 << 18)
        if not piece and self._kept and not self._text:
            raise Stale  # the server ended a quiet connection at this very moment: a browser asks over another
        if not piece:
            raise OSError("it ended without an answer")
        self._text += piece
        head, mark, body = self._text.partition(b"\r\n\r\n")
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        }
        chunked = "chunked" in fields.get("transfer-encoding", "")  # what Apache itself answers
        if (
            not mark
            or len(body) < int(fields.get("content-length", 0))
            or (chunked and not body.endswith(b"0\r\n\r\n"))
        ):
            return None
        status = int(head[9:12])
        self._cursor = fields.get("pairscope-cursor", self._cursor)
        self._seen = fields.get("pairscope-seen", self._seen)
        return status, float(fields.get("retry-after") or fields.get("pairscope-again") or 0)

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()


class Crowd:
    """Pages that ask, in one thread."""

    def __init__(self, port: int, many: int) -> None:
        site = Site(port)
        begin = site.begin()
        site.close()
        self._pages = [Page(port, *begin) for _ in range(many)]
        self._chance = random.Random(1)  # noqa: S311  # pages come at random moments
        self.answered = self.refused = 0
        self.failed: list[str] = []
        self.took: list[float] = []

    def run(self, seconds: float) -> None:
        """All begin within a second."""
        selector = selectors.DefaultSelector()
        begin = time.monotonic()
        due = [(begin + self._chance.random(), number) for number in range(len(self._pages))]
        heapq.heapify(due)
        waiting: dict[int, int] = {}
        while (now := time.monotonic()) < begin + seconds:
            while due and due[0][0] <= now:
                number = heapq.heappop(due)[1]
                try:
                    sock = self._pages[number].ask()
                except OSError as error:
                    self._again(due, number, str(error), 0.0)
                    continue
                waiting[sock.fileno()] = number
                selector.register(sock, selectors.EVENT_READ, number)
            for key, _ in selector.select(max(0.0, min(0.1, (due[0][0] if due else now) - now))):
                self._hear(selector, waiting, due, key)
            for fd, number in list(waiting.items()):
                if now > self._pages[number].begun + PATIENCE:
                    waiting.pop(fd)
                    selector.unregister(fd)
                    self._pages[number].close()
                    self._again(due, number, "no answer within 10 s", 0.0)
        for page in self._pages:
            page.close()
        selector.close()

    def _hear(
        self,
        selector: selectors.BaseSelector,
        waiting: dict[int, int],
        due: list[tuple[float, int]],
        key: selectors.SelectorKey,
    ) -> None:
        page = self._pages[key.data]
        try:
            told = page.hear()
        except BlockingIOError:
            return
        except Stale:
            selector.unregister(key.fileobj)
            waiting.pop(key.fd, None)
            page.close()
            page.sock = None
            heapq.heappush(due, (time.monotonic(), key.data))
            return
        except OSError as error:
            told, words = (0, 0.0), str(error)
        else:
            words = ""
        if told is None:
            return
        selector.unregister(key.fileobj)
        waiting.pop(key.fd, None)
        status, again = told
        self.took.append(time.monotonic() - page.begun)
        if status in (429, 503) and again:
            self.refused += 1
        elif status not in (200, 204):
            words = words or f"status {status}"
            page.close()
        else:
            self.answered += 1
        self._again(due, key.data, words, again)

    def _again(self, due: list[tuple[float, int]], number: int, failed: str, seconds: float) -> None:
        if failed:
            self.failed.append(failed)
        heapq.heappush(due, (time.monotonic() + max(1.0, seconds * (0.8 + 0.4 * self._chance.random())), number))


def crowd(private: Private, seconds: float, say: Callable[[str], None], findings: Findings, many: int = PAGES) -> None:
    """Pages that ask while jobs run, and /healthz beside them."""
    port, web = private.installation.port, processes(private)
    asking, done, health = Crowd(port, many), threading.Event(), list[float]()

    def look() -> None:
        while not done.wait(0.25):
            begun = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            health.append(time.monotonic() - begun)
            connection.close()

    looking = threading.Thread(target=look)
    looking.start()
    before = spent(web)
    try:
        asking.run(seconds)
    finally:
        done.set()
        looking.join()
    used, slowest = (spent(web) - before) / seconds, max(health, default=float("inf"))
    rate, took = asking.answered / seconds, sorted(asking.took)
    say(
        f"live: {many} pages asked: {rate:.0f} polls/s answered, {asking.refused} told to come later, p50 "
        f"{took[len(took) // 2] * 1e3:.0f} ms, "
        f"{len(asking.failed)} failed {sorted(set(asking.failed))}, {used:.2f} of a core, "
        f"/healthz {slowest:.2f} s at most"
    )
    what = f"{many} pages that ask, {rate:.0f} polls/s"
    findings.rows += [
        Row(
            "live",
            f"until a poll is answered, p99, {what}",
            "ms",
            "lower",
            "",
            took[int(len(took) * 0.99)] * 1e3,
            absolute=True,
        ),
        Row(
            "live",
            f"/healthz beside them, at most, {what}",
            "s",
            "lower",
            "",
            slowest,
            target=HEALTH,
            absolute=True,
            met=slowest <= HEALTH,
        ),
        Row("live", f"processor time of web, {what}", "cores", "lower", "", used, absolute=True),
    ]
    findings.checks.append(Check("live", f"of {what} none failed", not asking.failed))
