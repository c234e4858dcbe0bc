"""Export: messages streamed as JSON Lines and as CSV by the application, beside PyMySQL's own unbuffered fetch of the
same rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pymysql
from pymysql.cursors import SSCursor
from sqlalchemy import create_engine, insert
from sqlalchemy.engine import make_url

from bench.contestant import Contestant
from bench.figures import Check, Findings, Row, compare
from bench.recorder import missing
from pairscope.config import Settings
from pairscope.ipc.identity import Issuer
from pairscope.store import migrate
from pairscope.store.models import Message
from pairscope.web.application import create_app
from tests import database

TARGET = 0.5
PEER = "PyMySQL, SSCursor"
WAYS = {
    "jsonl": "JSON Lines, to an operator",
    "csv": "CSV, to an operator",
    "withheld": "JSON Lines, to a stranger",
}


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures all ways in turn; state under `directory`, which is empty."""
    findings = Findings()
    if reason := missing():
        findings.rows = [Row("export", way, "rows/s", "higher", PEER, left_out=reason) for way in WAYS.values()]
        return findings
    count, rounds = (2_000, 2) if quick else (60_000, 5)
    say(f"export: starting a private MariaDB with {count:,} messages")
    with Contestant("export", directory / "export", count=count) as program:
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        peers: dict[str, list[float]] = {way: [] for way in WAYS}
        first = 0.0
        for number in range(rounds):
            for way in WAYS:
                peers[way].append(program.ask("fetch"))
                rate, began, rows = program.ask("export", way=way)
                rates[way].append(rate)
                first = max(first, began)
                findings.checks.append(Check("export", f"{WAYS[way]}: {rows:,} rows and the last line", rows == count))
            said = ", ".join(f"{way} {found[-1]:,.0f}/s" for way, found in rates.items())
            say(f"round {number + 1} of {rounds}: {said}, fetched {peers['jsonl'][-1]:,.0f}/s")
    for way, title in WAYS.items():
        row = Row("export", title, "rows/s", "higher", PEER, target=TARGET)
        findings.rows.append(compare(row, rates[way], peers[way]))
    findings.notes.append(f"The first bytes of an export came within {1000 * first:.0f} ms.")
    return findings


class Export:
    """The program: a private MariaDB with messages, and the application on it, asked without a server around it."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory, self._count = directory, count
        self._running = database.server()

    def __enter__(self) -> Export:
        server = self._running.__enter__()
        try:
            self._url = server.fresh()
            place = self._directory / "state"
            migrate.upgrade(Settings(state=place, run=place, history_url=self._url))
            self._fill()
            self._sites = {
                public: create_app(
                    Settings(state=place, run=place, history_url=self._url, web_state=place, public_outputs=public)
                )
                for public in (True, False)
            }
        except BaseException as error:
            self._running.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for site in self._sites.values():
            site.extensions["pairscope"].close()
        self._running.__exit__(None, None, None)

    def _fill(self) -> None:
        payload = msgspec.msgpack.encode(
            {"kind": "digest", "name": "photograph.jpg", "size": 18_403, "parameters": {"level": "6"}, "want": 3}
        )
        give, now = Issuer(1), time.time_ns()
        usual = {
            "node": 1, "epoch": 3, "kind": "task", "sender_role": "web", "sender_serial": 3, "sender_pid": 41_000,
            "receiver_role": "supervisor", "receiver_serial": 3, "receiver_pid": 4_000, "worker": None, "size": 300,
            "fds": 1, "flags": 0, "latency": 50_000, "state": "received", "reason": "", "preview": payload,
        }  # fmt: skip
        made = create_engine(self._url)
        with made.begin() as connection:
            for start in range(0, self._count, 1000):
                rows = [
                    usual | {"id": give.issue(), "job": give.last, "change": at, "sent": now + at, "received": now + at}
                    for at in range(start, min(start + 1000, self._count))
                ]
                connection.execute(insert(Message), rows)
        made.dispose()

    def fetch(self) -> float:
        """Rows per second, with every column."""
        place = make_url(self._url)
        connection = pymysql.connect(
            user=place.username,
            unix_socket=str(place.query["unix_socket"]),
            database=place.database,
            charset="utf8mb4",
            cursorclass=SSCursor,
        )
        with connection, connection.cursor() as cursor:
            start = time.perf_counter()
            cursor.execute("SELECT * FROM messages ORDER BY id DESC")
            count = sum(1 for _row in cursor)
            return count / (time.perf_counter() - start)

    def export(self, way: str) -> tuple[float, float, int]:
        """Rows per second, seconds to the first bytes, and the rows that came with a whole last line."""
        form = "csv" if way == "csv" else "jsonl"
        client = self._sites[way != "withheld"].test_client()
        start = time.perf_counter()
        answer = client.get(f"/messages/export.{form}", buffered=False)
        first, lines, last = 0.0, 0, b""
        for piece in answer.response:
            first = first or time.perf_counter() - start
            assert isinstance(piece, bytes)
            lines += piece.count(b"\n")
            last = piece
        took = time.perf_counter() - start
        answer.close()
        rows = lines - (2 if form == "csv" else 1) if b"complete" in last else -1
        return rows / took, first, rows
