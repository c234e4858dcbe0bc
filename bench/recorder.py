"""Recorder: rows drained from a journal into MariaDB, beside the ways that others have of putting the same rows into
the same tables.

Each way gets a server's thread of its own, empty tables with all their indexes, transactions of about the same size,
and the recorder's own niceness. The peers get their rows ready-made, the recorder reads, checks, decodes and folds the
journal.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table, create_engine, insert, select

from bench.contestant import START, Contestant
from bench.figures import Check, Findings, Row, compare
from pairscope.config import read
from pairscope.ipc.channel import ChannelClosed
from pairscope.ipc.identity import Issuer
from pairscope.ipc.passing import PACKET_MAX
from pairscope.ipc.payloads import Answer, Result, Submit, Task
from pairscope.ipc.vocabulary import BY_NAME
from pairscope.journal.records import JobEnded, JobSubmitted, Message, Outcome, Record
from pairscope.journal.writer import Writer
from pairscope.pool import children
from pairscope.recorder.__main__ import NICE
from pairscope.recorder.follower import BATCH
from pairscope.store import migrate, models
from tests import database

ABSOLUTE, OVER_CORE = 60_000.0, 1.8
"""Rows per second, and times SQLAlchemy Core's executemany."""
WAYS = {"core": "SQLAlchemy Core, executemany", "load": "LOAD DATA from memory"}
TABLES: tuple[Table, ...] = (models.Message.__table__, models.Job.__table__)
FRAME = 64
"""Records of one frame of the journal: what a busy supervisor writes at a time."""

_encode = msgspec.msgpack.Encoder().encode


def missing() -> str:
    """Why this cannot be measured here; empty if it can."""
    lacking = [name for name in ("mariadbd", "mariadb-install-db") if shutil.which(name, path=database.PLACES) is None]
    return f"{', '.join(lacking)} not installed (apt-get install mariadb-server-core)" if lacking else ""


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures all ways in turn; state under `directory`, which is empty."""
    findings = Findings()
    if reason := missing():
        findings.rows = [
            Row("recorder", "messages", "rows/s", "higher", title, left_out=reason) for title in WAYS.values()
        ]
        return findings
    messages, rounds = (4_000, 2) if quick else (30_000, 7)
    for what, jobs in (("messages", False), ("messages and jobs of echo traffic", True)):
        place = "with-jobs" if jobs else "messages"
        say(f"recorder, {what}: starting a private MariaDB, writing a journal")
        with Contestant("recorder", directory / place, messages=messages, jobs=jobs) as ours:
            url, journaled = ours.ask("prepared")
            with Contestant("sql", directory / f"{place}-sql", url=url) as peers:
                rates: dict[str, list[float]] = {"recorder": [], **{way: [] for way in WAYS}}
                ours.ask("drain")  # warms the server up
                stored = peers.ask("fetch")
                said = f"{what}: {journaled:,} were journaled, {stored:,} rows stand in MariaDB"
                findings.checks.append(Check("recorder", said, journaled == stored))
                for number in range(rounds):
                    ours.ask("empty")
                    rates["recorder"].append(ours.ask("drain"))
                    for way in WAYS:
                        ours.ask("empty")
                        rates[way].append(peers.ask(way))
                    said = ", ".join(f"{way} {found[-1]:,.0f}/s" for way, found in rates.items())
                    say(f"round {number + 1} of {rounds}, {what}: {said}")
        if not jobs:
            row = Row("recorder", what, "rows/s", "higher", "", target=ABSOLUTE, absolute=True)
            findings.rows.append(compare(row, rates["recorder"], None))
        for way, title in WAYS.items():
            row = Row(
                "recorder", what, "rows/s", "higher", title, target=OVER_CORE if way == "core" and not jobs else None
            )
            findings.rows.append(compare(row, rates["recorder"], rates[way]))
    return findings


class Recorder:
    """The program: a private MariaDB, a prepared journal, and the real recorder, started anew for each drain."""

    def __init__(self, directory: Path, messages: int, jobs: bool) -> None:
        self._directory = directory
        self._jobs = jobs
        self._messages = messages
        # Loading from the client is switched on in this server only, for the peer that needs it.
        self._running = database.server("--local-infile=1", "--innodb-flush-log-at-trx-commit=1")

    def __enter__(self) -> Recorder:
        self._server = self._running.__enter__()
        try:
            self._url = self._server.fresh()
            state = self._directory / "state"
            file = self._directory / "recorder.toml"
            settings = {"state": str(state), "run": f"{state}/run", "history_url": self._url, "history_rows": 10**8}
            file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
            self._settings = read(file)
            migrate.upgrade(self._settings)
            self._engine = create_engine(self._url)
            self._write_journal()
        except BaseException as error:
            self._running.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()
        self._running.__exit__(None, None, None)

    def prepared(self) -> tuple[str, int]:
        """Where the database is, and how many messages and jobs the journal holds."""
        return self._url, self._messages + (self._messages // 4 if self._jobs else 0)

    def drain(self) -> float:
        """Rows per second, from when the recorder has its database to when everything is committed."""
        child = children.spawn(
            "pairscope.recorder",
            "recorder",
            [],
            children.recorder_environment(self._settings, 1),
            memoryview(bytearray(PACKET_MAX)),
        )
        started = 0
        try:
            while True:
                arrivals = child.channel.wait(START)
                if not arrivals:
                    raise TimeoutError(f"the recorder said nothing for {START:.0f} s")
                for arrival in arrivals:
                    if not started and arrival.payload.database == "ok":
                        started = arrival.envelope.sent
                last = arrivals[-1]
                if last.payload.position >= self._last:
                    break
            took = (last.envelope.sent - started) / 1e9
            child.channel.post("finish", timeout=START)
            while True:
                child.channel.wait(START)
        except ChannelClosed:
            pass
        finally:
            child.channel.close()
            words = children.reap(child)
        if words != "exited 0":
            raise RuntimeError(f"the recorder {words}")
        return self._stored() / took

    def empty(self) -> None:
        """Empties every table of history."""
        with self._engine.begin() as connection:
            for table in models.History.metadata.tables.values():
                connection.exec_driver_sql(f"TRUNCATE `{table.name}`")

    def _stored(self) -> int:
        with self._engine.connect() as connection:
            return sum(
                connection.exec_driver_sql(f"SELECT COUNT(*) FROM `{table.name}`").scalar_one() for table in TABLES
            )

    def _write_journal(self) -> None:
        writer = Writer(
            self._settings.journal, node=self._settings.node, node_name="bench", segment_bytes=1 << 30, limit=1 << 34
        )
        records = list(traffic(self._messages // 4, self._jobs))
        for start in range(0, len(records), FRAME):
            self._last = writer.append(records[start : start + FRAME])
        writer.close()


class Sql:
    """The peers: the rows that the recorder wrote, put there by others."""

    def __init__(self, directory: Path, url: str) -> None:
        os.nice(NICE)
        self._engine = create_engine(url, connect_args={"local_infile": True})
        self._rows: dict[Table, list[Any]] = {}

    def __enter__(self) -> Sql:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def fetch(self) -> int:
        """Takes the rows that stand there as those to write; how many."""
        with self._engine.connect() as connection:
            self._rows = {table: list(connection.execute(select(table).order_by(table.c.id))) for table in TABLES}
        return self._count()

    def core(self) -> float:
        """Rows per second by SQLAlchemy Core: one insert, a list of dictionaries."""
        ready = {table: [dict(row._mapping) for row in rows] for table, rows in self._rows.items()}
        start = time.perf_counter()
        for table, rows in ready.items():
            for some in _batches(rows):
                with self._engine.begin() as connection:
                    connection.execute(insert(table), some)
        return self._count() / (time.perf_counter() - start)

    def load(self) -> float:
        """Rows per second by LOAD DATA LOCAL INFILE from a memfd; making the lines is part of it."""
        start = time.perf_counter()
        for table, rows in self._rows.items():
            columns = ", ".join(f"`{column.name}`" for column in table.columns)
            for some in _batches(rows):
                fd = os.memfd_create("rows")
                try:
                    os.write(fd, b"".join(map(_line, some)))
                    statement = (
                        f"LOAD DATA LOCAL INFILE '/proc/self/fd/{fd}' INTO TABLE `{table.name}` CHARACTER SET "
                        f"binary ({columns})"
                    )
                    with self._engine.begin() as connection:
                        connection.exec_driver_sql(statement, None, {"no_parameters": True})
                finally:
                    os.close(fd)
        return self._count() / (time.perf_counter() - start)

    def _count(self) -> int:
        return sum(map(len, self._rows.values()))


def _batches(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _line(row: Sequence[Any]) -> bytes:
    return b"\t".join(map(_field, row)) + b"\n"


def _field(value: Any) -> bytes:
    if value is None:
        return b"\\N"
    if isinstance(value, bytes):
        return value.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\0", b"\\0")
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").encode()
    return b"%d" % value


def traffic(jobs: int, with_jobs: bool) -> Iterator[Record]:
    """What a supervisor journals of echo jobs of 64 B: four messages each, and the outcomes of the two that it
    sends."""
    issuer = Issuer(1)
    text = "e" * 64
    result = {"bytes": 64, "text": text}
    submit = _encode(Submit("echo", "", 64, {}, text.encode()))
    task = _encode(Task("echo", "", {}, text.encode(), False, False))
    done = _encode(Result(True, result))
    shown = msgspec.json.encode(result)
    for number in range(jobs):
        at = time.time_ns()
        job = issuer.issue()
        worker = 1 + number % 2
        yield Message(job, job, BY_NAME["submit"].code, True, "web", 1, 100, 150, 0, 0, at, at + 40_000, submit)
        if with_jobs:
            yield JobSubmitted(job, "echo", "", 64, at + 50_000, "web", 1, 100)
        given = issuer.issue()
        yield Message(given, job, BY_NAME["task"].code, False, "worker", worker, 101, 160, 0, 0, at + 60_000, 0, task)
        yield Outcome(given, "received", at + 100_000, 0, [])
        yield Message(
            issuer.issue(),
            job,
            BY_NAME["result"].code,
            True,
            "worker",
            worker,
            101,
            140,
            0,
            0,
            at + 110_000,
            at + 150_000,
            done,
        )
        if with_jobs:
            yield JobEnded(job, "done", at + 160_000, "", shown)
        told = issuer.issue()
        answer = _encode(Answer(job, "done", result, "", worker, 0))
        yield Message(told, job, BY_NAME["answer"].code, False, "web", 1, 100, 170, 0, 0, at + 170_000, 0, answer)
        yield Outcome(told, "received", at + 210_000, 0, [])
