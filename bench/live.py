"""Live: viewers whom a stock Apache hands over, while jobs run and somebody opens plain pages beside them.

A private Apache and MariaDB as script/lamp starts them. The viewers are this process's own, on the same cores. The age
of a row is told by its id, which holds the time of its message.
"""

from __future__ import annotations

import contextlib
import re
import resource
import select
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import asking, browser, visitor
from bench.contestant import ContestantFailed
from bench.figures import Check, Findings, Row
from pairscope.client.away import PoolAway
from pairscope.client.client import Client
from pairscope.config import Settings, read
from pairscope.files import SOURCE
from pairscope.ipc.identity import time_of
from pairscope.lamp.place import PlaceError, choose
from pairscope.lamp.private import Private
from pairscope.lamp.serve import free_port
from pairscope.lamp.server import ServerError
from pairscope.live import figures

JOBS = 20
"""Echoes a second: each is four messages, and most of these change once."""
SAMPLES = 20
"""Viewers whose rows are read; the bytes of the others are thrown away."""
BESIDE = 5000
"""Viewers beside whom plain pages are to be hardly slower."""
OPENED = 250
"""Connections a second."""
ROW = re.compile(rb'<tr id="m(\d+)"')


class Viewers:
    """Connections that follow the messages."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._held: dict[int, socket.socket] = {}
        self._read: dict[int, tuple[zlib._Decompress, bytearray]] = {}
        self._headless: set[int] = set()
        self.ages: list[float] = []
        self._newest: dict[int, int] = {}
        self.measuring = False
        self.failed = 0

    def open(self, count: int) -> None:
        """As many more as there are to be in all."""
        for number in range(len(self._held), count):
            sock = socket.socket()
            try:
                if number >= 25_000:
                    sock.bind(("127.0.0.2", 0))
                sock.settimeout(30)
                sock.connect(("127.0.0.1", self._port))
                sock.send(b"GET /push/messages.en HTTP/1.1\r\nHost: localhost\r\n\r\n")
            except OSError:
                self.failed += 1
                sock.close()
                continue
            sock.setblocking(False)
            self._held[sock.fileno()] = sock
            self._headless.add(sock.fileno())
            if number % max(1, count // SAMPLES) == 0:
                self._read[sock.fileno()] = (zlib.decompressobj(31), bytearray())
            self._poll.register(sock, select.EPOLLIN)
            if number % (OPENED // 10) == 0:
                self.hear(0.1)

    def __len__(self) -> int:
        return len(self._held)

    def hear(self, seconds: float) -> None:
        """Takes what comes in that time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left, 1024):
                self._take(fd)

    def _take(self, fd: int) -> None:
        try:
            data = self._held[fd].recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._held.pop(fd).close()
            self._read.pop(fd, None)
            return
        if fd in self._headless:
            head, _, data = data.partition(b"\r\n\r\n")
            self._headless.discard(fd)
            if not head.startswith(b"HTTP/1.1 200"):
                self.failed += 1
        if fd in self._read and data:
            inflate, text = self._read[fd]
            text += inflate.decompress(data)
            rows = [int(row) for row in ROW.findall(text)]
            del text[:-60]
            now = time.time()
            for row in sorted(set(rows)):
                if row > self._newest.get(fd, 0):
                    self._newest[fd] = row
                    if self.measuring:
                        self.ages.append(now - time_of(row) / 1e9)

    def close(self) -> None:
        for sock in self._held.values():
            sock.close()
        self._held.clear()


def run(directory: Path, quick: bool, say: Callable[[str], None], viewers: int = 1000) -> Findings:
    """Measures with that many viewers; state under `directory`, which is empty. Raises ContestantFailed."""
    count, seconds = (100, 4.0) if quick else (viewers, 20.0)
    findings = Findings()
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with _lamp(directory) as private:
            findings.rows += asking.polls(private, quick, say)
            _measure(private, count, seconds, say, findings)
    except (PlaceError, ServerError, PoolAway, OSError) as error:
        raise ContestantFailed(str(error)) from None
    return findings


@contextlib.contextmanager
def _lamp(directory: Path) -> Iterator[Private]:
    for place in (directory, directory.parent):
        place.chmod(0o711)
    where = choose(SOURCE, Path(sys.prefix), directory / "lamp", lambda _: None)
    choices = {"public_outputs": True, "live_viewers": 20_000, "live_each": 20_000}
    private = Private(where, lambda _: None, port=free_port("0"), settings=choices)
    try:
        private.start()
        yield private
        private.stop()
    finally:
        private.kill()
        where.leave()


def _measure(private: Private, count: int, seconds: float, say: Callable[[str], None], findings: Findings) -> None:
    made = private.installation
    settings = read(made.conf / "web.toml")
    done = threading.Event()
    fed = threading.Thread(target=_feed, args=(read(made.conf / "pool.toml"), done))
    fed.start()
    try:
        deadline = time.monotonic() + 60
        while (before := figures.read(settings)) is None:
            if time.monotonic() > deadline:
                raise ContestantFailed("live says nothing")
            time.sleep(0.1)
        asking.crowd(private, seconds, say, findings, min(count, asking.PAGES))
        if words := browser.missing():
            findings.notes.append(f"live: no browser: {words}")
        else:
            findings.rows += browser.measure(made.base_url, seconds)
        alone = visitor.visit(made.port, lambda: time.sleep(seconds))
        say(f"live: plain pages alone, p50 {_at(alone, 0.5) * 1e3:.0f} ms")
        empty = _rss(before.pid)
        held, beside = Viewers(made.port), dict[int, list[float]]()
        try:
            for many in sorted({min(BESIDE, count), count}):
                held.open(many)
                held.measuring = False
                held.hear(3.0)
                held.measuring, held.ages = True, []
                busy, begun = _said(settings).busy, time.monotonic()
                beside[many] = visitor.visit(made.port, lambda: held.hear(seconds))
                spent = (_said(settings).busy - busy) / (time.monotonic() - begun)
            ages, kept, full = held.ages, len(held), _rss(before.pid)
        finally:
            held.close()
    finally:
        done.set()
        fed.join()
    say(f"live: {kept} of {count} viewers held, {len(ages)} rows looked at, {spent:.2f} of a core")
    what = f"{count:,} viewers, {JOBS} jobs/s"
    for name, share, target in (("p50", 0.5, 300.0), ("p99", 0.99, 1000.0)):
        age = _at(ages, share) * 1e3
        findings.rows.append(
            Row("live", f"age of a row at its arrival, {name}, {what}", "ms", "lower", "", age, target=target)
        )
        findings.rows[-1].absolute, findings.rows[-1].met = True, age <= target
    for many, took in beside.items():
        for name, share, target in (("p50", 0.5, 1.15), ("p99", 0.99, 2.0)):
            ours, peer = _at(took, share) * 1e3, _at(alone, share) * 1e3
            page = f"a plain page beside {many:,} viewers, {name}"
            row = Row("live", page, "ms", "lower", "without viewers", ours, peer, ours / peer)
            if many <= BESIDE:
                row.target, row.met = target, ours / peer <= target
            findings.rows.append(row)
    memory = (full - empty) / max(1, kept) * 1000 / 1024
    row = Row("live", "memory of live for 1,000 viewers", "MB", "lower", "", memory, target=3.0, absolute=True)
    row.met = memory <= 3.0
    findings.rows += [row, Row("live", f"processor time of live, {what}", "cores", "lower", "", spent, absolute=True)]
    findings.checks.append(Check("live", f"all of {count:,} viewers were held", kept == count and not held.failed))


def _said(settings: Settings) -> figures.Figures:
    said = figures.read(settings)
    if said is None:
        raise ContestantFailed("live says nothing any more")
    return said


def _feed(settings: Settings, done: threading.Event) -> None:
    client = Client(settings, "tool")
    while not done.wait(1 / JOBS):
        with contextlib.suppress(PoolAway):
            client.submit("echo", data=b"x", want="ended")
            client.settle()
    client.close()


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def _rss(pid: int) -> int:
    """KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0
