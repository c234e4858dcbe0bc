"""Viewers of a page as its script is one, without a browser: they follow what is pushed, ask where it does not meet,
and count."""

from __future__ import annotations

import re
import selectors
import socket
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tests.running import Answer, Server

AGE = re.compile(r"(?<= data-ago>)[^<]*")
ROW = re.compile(r'<tr id="m(\d+)"')


class Event(NamedTuple):
    """One event of a stream."""

    name: str
    data: str
    identity: str


class Stream:
    """One connection to an address where something is pushed."""

    def __init__(self, port: int, path: str, *, source: str = "", host: str = "localhost", buffer: int = 0) -> None:
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
        self.head = self.raw = b""
        """What came: the head, and the first bytes behind it as they were sent."""
        self.status = 0
        self.ended = False
        self._inflate = zlib.decompressobj(31)
        self._text = ""
        self._untold: list[Event] = []

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def read(self) -> list[Event]:
        """The events in the next piece; none if it has ended, or is no stream."""
        try:
            piece = self.sock.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            piece = b""
        if not piece:
            self.ended = True
            return []
        if not self.status:
            self.head += piece
            head, mark, piece = self.head.partition(b"\r\n\r\n")
            if not mark:
                return []
            self.head, self.status = head, int(head[9:12])
        if self.status != 200:
            return []
        self.raw = (self.raw + piece)[: 1 << 20]
        try:
            self._text += self._inflate.decompress(piece).decode()
        except zlib.error:  # Apache's own words, behind the head of an answer that was to be another one
            self.ended = True
            return []
        *whole, self._text = self._text.split("\n\n")
        return [_event(text) for text in whole]

    def until(self, name: str) -> Event:
        """The next event of that name. AssertionError if the stream ends before."""
        deadline = time.monotonic() + 20
        while not self.ended and time.monotonic() < deadline:
            while self._untold:
                event = self._untold.pop(0)
                if event.name == name:
                    return event
            self._untold = self.read()
        raise AssertionError(f"no {name} came: {self.head.decode()}")


def _event(text: str) -> Event:
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        fields.setdefault(name, []).append(value)
    return Event("".join(fields.get("event", [])), "\n".join(fields.get("data", [])), "".join(fields.get("id", [])))


def places(text: str) -> dict[int, int]:
    """Positions by node."""
    return {int(node): int(place) for node, _, place in (part.partition(":") for part in text.split(",") if part)}


def reaches(one: str, other: str) -> bool:
    known = places(one)
    return all(known.get(node, 0) >= place for node, place in places(other).items())


class Viewer:
    """A page of messages: what it shows, and how it came to know."""

    def __init__(self, server: Server, page: Answer, query: str = "") -> None:
        self._server = server
        self._query = query
        self.path = found(r'data-push="([^"]*)"', page.text)
        self.ticket = "data-ticket" in page.text
        """Its address is good for one connection."""
        self.cursor = found(r'data-cursor="([^"]+)"', page.text)
        self.at = found(r'data-at="([^"]*)"', page.text)
        self.before = {int(row) for row in ROW.findall(page.text)}
        self.seen: list[int] = []
        """Ids of new rows in the order in which they came."""
        self.rows: dict[int, str] = {}
        """Each of them as it last was, without its age."""
        self._known = set(self.before)
        self.asked = self.joined = self.overlapping = 0
        self.stream: Stream | None = None
        self._told: list[Event] = []
        self.heard = time.monotonic()

    def connect(self) -> None:
        if self.ticket and not self.path:
            try:
                self.ask()
            except (OSError, AssertionError):  # nobody answers now, or the database is away
                return
        if not self.path:
            return  # live gave no ticket
        self.stream = Stream(self._server.port, self.path)
        if self.ticket:
            self.path = ""
        self.stream.sock.setblocking(False)
        self._told, self.joined = [], 0

    def lose(self) -> None:
        if self.stream:
            self.stream.close()
        self.stream, self.joined = None, 0

    def hear(self) -> None:
        """Takes what has come."""
        assert self.stream
        for event in self.stream.read():
            self.heard = time.monotonic()
            if event.name in ("update", "joined"):
                self._told.append(event)
            if event.name == "joined":
                self.joined += 1
            if event.name == "bye":
                self.stream.ended = True
        self._drain()
        if self.stream.ended:
            self.lose()

    def _drain(self) -> None:
        while self._told:
            event = self._told[0]
            start, _, end = event.identity.partition("/")
            if not event.identity or reaches(self.at, end):
                self._told.pop(0)
                continue
            if "data-anew" not in event.data and not reaches(self.at, start):
                if not self.joined:
                    return
                self.ask()
                continue
            self._told.pop(0)
            self.overlapping += start != self.at
            self._take(event.data)

    def ask(self) -> None:
        """Asks, as a page does where it was told of something that it cannot join."""
        wanted = {"cursor": self.cursor, **({"push": "1"} if self.ticket else {})}
        if self._query:
            wanted["q"] = self._query
        answer = self._server.get(f"/live/messages?{urllib.parse.urlencode(wanted)}")
        self.asked += 1
        self.path = answer.headers.get("Pairscope-Push", self.path)
        assert answer.status in (200, 204), answer.text
        if answer.status == 200:
            self._take(answer.text)

    def _take(self, html: str) -> None:
        if "data-cursor" not in html:
            return
        self.cursor, self.at = found(r'data-cursor="([^"]+)"', html), found(r'data-at="([^"]*)"', html)
        for whole in re.finditer(r'<tr id="m(\d+)".*?</tr>', html, re.DOTALL):
            self.rows[int(whole[1])] = AGE.sub("", whole[0])
        for row in sorted(int(row) for row in ROW.findall(html)):
            if row not in self._known:
                self._known.add(row)
                self.seen.append(row)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not in {text[:2000]}"
    return match[1]


class Crowd:
    """Many viewers, heard in one thread."""

    def __init__(self, server: Server, count: int, query: str = "") -> None:
        """With a filter each loads a page of its own, which has a ticket."""
        asked = f"/messages?{urllib.parse.urlencode({'q': query})}" if query else "/messages"
        page = server.get(asked)
        self.viewers = [Viewer(server, server.get(asked) if query else page, query) for _ in range(count)]
        self._watched = selectors.DefaultSelector()

    def connect(self) -> None:
        """Connects those who are not."""
        for viewer in self.viewers:
            if viewer.stream is None:
                viewer.connect()
                if viewer.stream:
                    self._watched.register(viewer.stream, selectors.EVENT_READ, viewer)

    def hear(self, seconds: float = 0.05) -> None:
        for key, _ in self._watched.select(seconds):
            viewer: Viewer = key.data
            stream = viewer.stream
            viewer.hear()
            if viewer.stream is None:
                self._watched.unregister(stream)  # type: ignore[arg-type]

    def until(self, done: Callable[[Viewer], object], what: str, seconds: float = 30.0) -> None:
        """Hears until all viewers are so; those who are sent away come again."""
        deadline = time.monotonic() + seconds
        while not all(done(viewer) for viewer in self.viewers):
            late = [viewer for viewer in self.viewers if not done(viewer)]
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {len(late)} of {len(self.viewers)}"
            self.hear()
            self.connect()

    def close(self) -> None:
        self._watched.close()
        for viewer in self.viewers:
            viewer.lose()


def numbers(texts: Iterable[str]) -> Iterator[int]:
    """Ids in words of the database."""
    return (int(text) for text in texts if text)
