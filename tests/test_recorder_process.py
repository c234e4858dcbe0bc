"""The recorder as a process: killed, cut off, fenced, without a database; each record becomes exactly one row in the
end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.err import OperationalError
from sqlalchemy import create_engine, exc, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from pairscope import config
from pairscope.config import Settings
from pairscope.ipc.payloads import More, Progress
from pairscope.ipc.slices import SLICE
from pairscope.journal import segment
from pairscope.journal.records import JobSubmitted, Message, Record
from pairscope.journal.writer import Writer as Journal
from pairscope.pool import children
from pairscope.recorder.__main__ import LET_GO, NICE
from pairscope.recorder.trouble import Trouble, judge
from pairscope.store import migrate
from pairscope.store.engine import engine
from tests import leaks, pools, power
from tests.database import MariaDB, both, server
from tests.eventually import eventually
from tests.refusing import EXECUTE, Refusing, is_work, refusing_relay
from tests.slices import slice_of
from tests.story import RECORDS_OF_A_JOB, Story

pytestmark = pytest.mark.process


class Recorder:
    """A recorder, seen from where its supervisor is."""

    def __init__(self, settings: Settings, begin: int = 1) -> None:
        environment = children.recorder_environment(settings, begin)
        self._child = children.spawn("pairscope.recorder", "recorder", [], environment, memoryview(bytearray(1 << 20)))
        self.pid = self._child.pid
        self.channel = self._child.channel
        self.progress: list[Progress] = []
        self.exit = ""

    def hear(self, enough: Callable[[Progress], object], what: str, timeout: float = 60) -> Progress:
        """Listens until a progress is what is waited for."""

        def heard() -> Progress | None:
            for arrival in self.channel.wait(0.2):
                self.progress.append(arrival.payload)
                if enough(arrival.payload):
                    return arrival.payload
            return None

        return eventually(heard, what, timeout)

    def drained(self, position: int) -> Progress:
        return self.hear(
            lambda progress: progress.idle and progress.position >= position, f"the recorder is idle behind {position}"
        )

    def say(self, kind: str, payload: Any = None) -> None:
        self.channel.post(kind, payload)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self) -> str:
        """Waits for its end and says how it was."""
        if not self.exit:
            eventually(self._ended, "the recorder ends", 30)
            self.exit = children.reap(self._child)
        return self.exit

    def _ended(self) -> bool:
        return os.waitid(os.P_PIDFD, self._child.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def close(self) -> None:
        if not self.exit:
            self.kill()
        self.channel.close()


@contextmanager
def recorder(settings: Settings, begin: int = 1) -> Iterator[Recorder]:
    made = Recorder(settings, begin)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def journal(settings: Settings, **options: Any) -> Iterator[Journal]:
    made = Journal(settings.journal, node=settings.node, node_name="here", **options)
    try:
        yield made
    finally:
        made.close()


def filed(settings: Settings, **changes: Any) -> Settings:
    """The settings as a file, for a process of its own."""
    path = settings.state / "settings.toml"
    settings.state.mkdir(parents=True, exist_ok=True)
    values = {"state": str(settings.state), "run": str(settings.run), "history_url": settings.history_url} | changes
    path.write_text(
        "".join(
            f"{name} = {value}\n" if isinstance(value, int) else f'{name} = "{value}"\n'
            for name, value in values.items()
        )
    )
    return config.read(path)


def written(journal: Journal, story: Story, jobs: int) -> list[Record]:
    told: list[Record] = []
    for some in story.jobs(jobs):
        journal.append(some)
        told += some
    return told


def ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with create_engine(settings.history_url, poolclass=NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def is_exactly_once(settings: Settings, told: list[Record]) -> None:
    """Each message and each job stands once, complete, and is counted once."""
    messages = {record.id: record for record in told if type(record) is Message}
    rows = ask(settings, "SELECT id, state, preview FROM messages ORDER BY id")
    assert [row[0] for row in rows] == sorted(messages)
    assert all(row[1] == "received" and row[2] == messages[row[0]].preview for row in rows)
    assert ask(settings, "SELECT COUNT(*) FROM transfers WHERE proof = 'same'") == [
        (sum(record.fds for record in messages.values()),)
    ]
    assert ask(settings, "SELECT id FROM jobs WHERE state = 'done' ORDER BY id") == sorted(
        (record.id,) for record in told if type(record) is JobSubmitted
    )
    assert (
        ask(settings, "SELECT SUM(messages) FROM rates")
        == ask(settings, "SELECT SUM(`rows`) FROM positions")
        == [(len(messages),)]
    )


@both
def test_a_recorder_killed_again_and_again_in_mid_drain_writes_each_record_once(
    history: Settings, database: str
) -> None:
    settings = filed(history)
    with journal(settings) as log:
        told = written(log, Story(begin=time.time_ns()), 1500)
        for _ in range(4):
            with recorder(settings) as victim:
                begun = victim.hear(lambda progress: progress.database == "ok", "it has opened the database").position
                victim.hear(lambda progress: progress.position > begun, "it has committed something more")
                victim.kill()
        with recorder(settings) as last:
            last.drained(log.position)
    is_exactly_once(settings, told)


@both
def test_what_comes_while_it_drains_is_drained_too(history: Settings, database: str) -> None:
    settings = filed(history)
    with journal(settings) as log, recorder(settings) as running:
        story, told = Story(begin=time.time_ns()), []
        running.drained(log.position)
        for _ in range(20):
            told += written(log, story, 5)
            running.say("more", More(log.position))
            running.drained(log.position)
        is_exactly_once(settings, told)


@both
def test_asked_to_finish_it_drains_what_is_there_and_exits(history: Settings, database: str) -> None:
    settings = filed(history)
    with journal(settings) as log, recorder(settings) as running:
        told = written(log, Story(begin=time.time_ns()), 500)
        running.say("finish")
        assert running.end() == "exited 0"
        is_exactly_once(settings, told)


def test_it_ends_when_its_supervisor_is_gone(history: Settings) -> None:
    settings = filed(history)
    with journal(settings), recorder(settings) as running:
        running.hear(lambda progress: progress.idle, "it is idle")
        running.channel.close()
        assert running.end() == "exited 0"


def test_it_says_which_kind_of_message_it_has_no_handler_for_and_does_not_start(tmp_path: Path) -> None:
    program = (
        "import sys; from pairscope.ipc import payloads, vocabulary as v; v.BY_CODE[90] = v.Kind(90, 'ping', v.SUP, "
        "'recorder', payloads.Nothing, '', 0, '', False, ''); from pairscope.recorder.__main__ import main; "
        "sys.exit(main())"
    )
    environment = {
        **os.environ,
        "PAIRSCOPE_STATE": str(tmp_path),
        "PAIRSCOPE_SUPERVISOR": str(os.getpid()),
        "PAIRSCOPE_BEGIN": "1",
    }
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2 and ended.stderr.endswith(
        "pairscope recorder: the vocabulary has ping for the recorder, which has no handler for it\n"
    ), ended.stderr
    assert list(tmp_path.iterdir()) == [], "it had touched nothing"


def test_it_steps_behind_the_pool(history: Settings) -> None:
    settings = filed(history)
    with recorder(settings) as running:
        running.hear(lambda progress: progress.idle, "it is idle")
        assert os.getpriority(os.PRIO_PROCESS, running.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_large_backlog_does_not_fill_its_memory(history: Settings) -> None:
    """The rows of a batch were part of a cycle: half a KB of each record stayed until the collector came, and it came
    seldom."""
    settings = filed(history)
    with journal(settings) as log:
        written(log, Story(begin=time.time_ns()), 3500)
        with recorder(settings) as running:
            begun = running.hear(lambda progress: progress.position > log.position - 36_000, "it is under way")
            before = resident(running.pid)
            running.drained(log.position)
            records, grown = log.position - begun.position, resident(running.pid) - before
    assert records > 25_000 and grown < 8 << 20, f"{grown / (1 << 20):.0f} MiB more after {records} records"


@pytest.mark.long
def test_many_small_batches_do_not_fill_its_memory(history: Settings) -> None:
    settings = filed(history)
    with journal(settings) as log, recorder(settings) as running:
        story = Story(begin=time.time_ns())
        running.drained(log.position)
        before = resident(running.pid)
        for _ in range(5000):
            written(log, story, 1)
            running.say("more", More(log.position))
            running.drained(log.position)
        grown = resident(running.pid) - before
        assert grown < 40 << 20, f"{grown / (1 << 20):.0f} MiB more after 5000 batches"


@both
def test_tables_that_are_not_there_yet_are_waited_for(database: str, mariadb: MariaDB, tmp_path: Path) -> None:
    url = mariadb.fresh() if database == "mariadb" else f"sqlite:///{tmp_path}/history.sqlite"
    settings = filed(Settings(state=tmp_path, run=tmp_path, history_url=url))
    with journal(settings) as log, recorder(settings) as running:
        told = written(log, Story(begin=time.time_ns()), 10)
        said = running.hear(lambda progress: "migrate" in progress.database, "it says what is missing").database
        assert said.startswith("the tables are not as expected (pairscope migrate makes them): ")
        migrate.upgrade(settings)
        running.drained(log.position)
        is_exactly_once(settings, told)


@both
def test_a_record_that_the_database_refuses_is_put_aside_alone(history: Settings, database: str) -> None:
    settings = filed(history)
    with journal(settings) as log, recorder(settings) as running:
        story = Story(begin=time.time_ns())
        told = written(log, story, 20)
        odd = story.message("task")
        odd.size = 2**64 - 1
        bad = log.append([odd])
        log.append([story.outcome(odd)])
        told += written(log, story, 20)
        running.say("more", More(log.position))
        assert running.drained(log.position).quarantined == 1
        is_exactly_once(settings, told)
        [(position, reason)] = ask(settings, "SELECT position, reason FROM quarantine")
        assert position == bad
        assert (
            "too large" if database == "sqlite" else "18446744073709551615 does not fit the column size of messages"
        ) in reason


@both
def test_the_recorder_of_an_older_supervisor_stops_and_says_why(
    history: Settings, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = filed(history)
    with journal(settings) as log:
        with recorder(settings, begin=1) as older:
            older.drained(log.position)
            with recorder(settings, begin=2) as newer:
                newer.drained(log.position)
                told = written(log, Story(begin=time.time_ns()), 5)
                older.say("more", More(log.position))
                assert older.end() == "exited 1"
                newer.say("more", More(log.position))
                newer.drained(log.position)
        is_exactly_once(settings, told)
    assert (
        "written for the supervisor that began at position 2, and this recorder's began at 1, before it: it stops"
        in capfd.readouterr().err
    )


def test_a_journal_that_cannot_be_read_on_is_said_and_gone_on_with_when_it_can(history: Settings) -> None:
    """A frame of a newer version; and what is damaged, where it cannot be set aside."""
    settings = filed(history)
    story = Story(begin=time.time_ns())
    with journal(settings) as log:
        told = written(log, story, 5)
        path, size = segment.listed(settings.journal)[-1][1], log.bytes
        newer = segment.frame(log.position + 1, 1, segment.encode([[99, "unknown"]]))
        with path.open("ab") as file:
            file.write(newer)
        with recorder(settings) as running:
            running.say("more", More(log.position + 1))
            said = running.hear(lambda progress: progress.stalled, "it says why", 20)
            assert said.database == "ok" and said.stalled.startswith(
                f"the journal holds what this version cannot read behind position {log.position}: "
            )
            os.truncate(path, size)
            told += written(log, story, 2)
            running.say("more", More(log.position))
            assert running.drained(log.position).stalled == ""
            begin = log.bytes
            lost = log.append([story.message("stop")])
            with path.open("r+b") as file:
                file.seek(begin + 30)
                file.write(b"\0\0\0")
            blocked = settings.journal / f".{path.stem}-{begin}-{log.bytes - begin}.damaged.{running.pid}"
            blocked.mkdir()
            running.say("more", More(log.position))
            assert (
                running.hear(lambda progress: progress.stalled, "it says why", 20).stalled
                == "what the journal has damaged cannot be set aside: Is a directory"
            )
            blocked.rmdir()
            assert running.drained(lost).gaps == 1
    is_exactly_once(settings, told)


@pytest.mark.parametrize(
    "damaged", ["its own record", "its own record, and the clock was set back", "the beginning of its segment"]
)
@both
def test_what_follows_an_epoch_that_is_damaged_is_recorded_as_of_that_epoch(
    history: Settings, database: str, damaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the one before left open is decided, each job stands once, and the epoch after that has its own number."""
    settings = filed(history)
    story = Story(begin=time.time_ns())
    told: list[list[Record]] = []
    with monkeypatch.context() as clock, contextlib.ExitStack() as opened:
        if "clock" in damaged:
            clock.setattr("pairscope.journal.writer.time.time_ns", lambda ahead=time.time_ns() + 3600 * 10**9: ahead)
        log = opened.enter_context(journal(settings))
        told.append(written(log, story, 5))
        log.append(left := story.job()[:3])
    [open_job] = [record.id for record in left if type(record) is JobSubmitted]
    with journal(settings) as log:
        told.append(written(log, story, 5))
        first, path = segment.listed(settings.journal)[-1]
        head, own, *_ = segment.pieces(path.read_bytes(), first)
        assert head.count == 0 and own.count == 1
        with path.open("r+b") as file:
            file.seek(0 if damaged == "the beginning of its segment" else own.offset)
            file.write(bytes(own.offset + 40 - file.tell()))
        with recorder(settings) as running:
            assert running.drained(log.position).gaps == 1
        assert ask(settings, "SELECT journal_epoch, supervisor FROM positions") == [(2, 2)]
    with journal(settings) as log, recorder(settings) as running:
        told.append(written(log, story, 5))
        running.drained(log.position)
    for number, records in enumerate(told, 1):
        jobs = [record.id for record in records if type(record) is JobSubmitted]
        assert ask(settings, f"SELECT id, epoch FROM jobs WHERE state = 'done' AND epoch = {number} ORDER BY id") == [
            (id, number) for id in jobs
        ]
    assert ask(settings, f"SELECT epoch, state, reason FROM jobs WHERE id = {open_job}") == [
        (1, "failed", "the supervisor of epoch 1 died while the job was queued")
    ]
    ended = ask(settings, "SELECT serial, epoch, `exit` FROM processes WHERE role = 'supervisor' ORDER BY serial")
    assert ended == [(1, 1, "epoch 2 found it gone"), (2, 2, "epoch 3 found it gone"), (3, 3, "")]


@both
def test_records_that_the_journal_has_lost_are_told_and_passed(history: Settings, database: str) -> None:
    settings = filed(history)
    story = Story(begin=time.time_ns())
    with journal(settings, segment_bytes=8000) as log:
        told = written(log, story, 10)
        with recorder(settings) as running:
            running.drained(log.position)
        done = log.position
        lost = written(log, story, 30)
        for _first, path in segment.listed(settings.journal)[:-1]:
            path.unlink()
        [(first, _path)] = segment.listed(settings.journal)
        with recorder(settings) as running:
            assert running.drained(log.position).quarantined == 1
    assert ask(settings, "SELECT position, record FROM quarantine") == [(done + 1, b"")]
    kept = {record.id for record in lost[first - log.position - 1 :] if type(record) is Message}
    assert {row[0] for row in ask(settings, "SELECT id FROM messages")} == kept | {
        record.id for record in told if type(record) is Message
    }


@both
@pytest.mark.parametrize(
    ("drained", "saved", "clock"),
    [(30, 0, "goes on"), (20, 10, "goes on"), (20, 10, "set back"), (20, 20, "goes on"), (10, 20, "goes on")],
)
def test_after_a_power_failure_each_message_acknowledged_is_one_row_and_what_may_be_lost_is_told(
    history: Settings, database: str, drained: int, saved: int, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 30 jobs some are in the database, and of the journal the power leaves some."""
    settings = filed(history)
    story = Story(begin=time.time_ns())
    with journal(settings, segment_bytes=8000) as log:
        told, ends = [], [log.position]
        for number in range(30):
            told += written(log, story, 1)
            ends.append(log.position)
            if number == drained - 1:
                with recorder(settings, log.begin) as running:
                    running.drained(log.position)
    power.fail(settings.journal, ends[saved], torn=50)
    kept = told[: RECORDS_OF_A_JOB * max(drained, saved)]
    if clock == "set back":
        monkeypatch.setattr("pairscope.journal.writer.time.time_ns", lambda: 10**18)
    with journal(settings) as log:
        before = log.behind(0)
        with recorder(settings, log.begin) as running:
            kept += written(log, story, 30)
            running.say("more", More(log.position))
            assert running.drained(log.position).quarantined == 1
        assert before == 1 + RECORDS_OF_A_JOB * saved + 1
    is_exactly_once(settings, kept)
    [(position, reason)] = ask(settings, "SELECT position, reason FROM quarantine")
    assert position == ends[max(drained, saved)] + 1
    assert (
        reason == f"epoch 2 found the journal's end at position {ends[saved]}: what was appended behind {position - 1} "
        "may be lost"
    )


@both
def test_a_journal_that_was_away_and_comes_back_is_gone_on_with(history: Settings, database: str) -> None:
    """A disk that was not mounted for a while: an empty directory stood in its place, and saw more epochs than the
    journal had."""
    settings = filed(history)
    story, told, away = Story(begin=time.time_ns()), [], settings.state / "away"
    for epochs in (2, 4, 1):
        for _ in range(epochs):
            with journal(settings) as log, recorder(settings, log.begin) as running:
                told += written(log, story, 5)
                running.say("more", More(log.position))
                running.drained(log.position)
        if away.exists():
            shutil.rmtree(settings.journal)
            away.rename(settings.journal)
        elif epochs == 2:
            settings.journal.rename(away)
    is_exactly_once(settings, told)
    assert ask(settings, "SELECT journal_epoch FROM positions") == [(3,)]
    lost, back = [reason for (reason,) in ask(settings, "SELECT reason FROM quarantine ORDER BY position")]
    assert "what lies between is lost" in lost and "epoch 3 found the journal's end" in back


def test_a_lost_journal_under_a_clock_set_back_stops_the_recorder_until_the_nodes_position_is_deleted(
    history: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = filed(history)
    story = Story(begin=time.time_ns())
    with journal(settings) as log, recorder(settings, log.begin) as running:
        told = written(log, story, 5)
        running.say("more", More(log.position))
        running.drained(log.position)
    shutil.rmtree(settings.journal)
    monkeypatch.setattr("pairscope.journal.writer.time.time_ns", lambda: 10**18)
    with journal(settings) as log:
        told += written(log, story, 5)
        with recorder(settings, log.begin) as stopped:
            assert stopped.end() == "exited 1"
        assert "this recorder's began at 1000000000000000, before it: it stops" in capfd.readouterr().err
        with create_engine(settings.history_url, poolclass=NullPool).begin() as connection:
            connection.execute(text("DELETE FROM positions WHERE node = 1"))
        with recorder(settings, log.begin) as running:
            running.drained(log.position)
    assert [row[0] for row in ask(settings, "SELECT id FROM messages ORDER BY id")] == [
        record.id for record in told if type(record) is Message
    ]


@both
def test_history_is_bounded_and_says_so(history: Settings, database: str) -> None:
    settings = filed(history, history_rows=1000)
    with journal(settings) as log, recorder(settings) as running:
        written(log, Story(begin=time.time_ns()), 700)
        running.say("more", More(log.position))
        progress = running.drained(log.position)
        assert (progress.history, progress.bound) == (1000, 1000)
        assert ask(settings, "SELECT COUNT(*) FROM messages") == [(1000,)]
        assert max(progress.history for progress in running.progress) <= 1000 + 5000


@pytest.mark.database
def test_two_nodes_write_into_one_history_and_keep_its_bound_together(mariadb: MariaDB, tmp_path: Path) -> None:
    url = mariadb.fresh()
    migrate.upgrade(Settings(state=tmp_path, run=tmp_path, history_url=url))
    nodes = [
        filed(Settings(state=tmp_path / str(node), run=tmp_path, history_url=url), node=node, history_rows=2000)
        for node in (1, 2)
    ]
    told: dict[int, list[Record]] = {}
    with journal(nodes[0]) as one, journal(nodes[1]) as two:
        for log, node in ((one, 1), (two, 2)):
            told[node] = written(log, Story(node, begin=time.time_ns()), 1000)
        with recorder(nodes[0]) as first, recorder(nodes[1]) as second:
            first.drained(one.position)
            second.drained(two.position)
            for running, log in ((first, one), (second, two)):
                running.say(
                    "more", More(log.append([Story(node=1 + (log is two), begin=time.time_ns()).message("stop")]))
                )
            first.drained(one.position)
            second.drained(two.position)
    assert ask(nodes[0], "SELECT node, `rows` FROM positions ORDER BY node") == [(1, 5001), (2, 5001)]
    [(kept,)] = ask(nodes[0], "SELECT COUNT(*) FROM messages")
    assert kept == 2000 == ask(nodes[0], "SELECT SUM(`rows` - pruned_messages) FROM positions")[0][0]


# ---- a database that goes away ----------------------------------------------------------------------------------


@pytest.mark.database
def test_a_database_killed_in_mid_drain_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    with server() as mine:
        settings = filed(Settings(state=tmp_path, run=tmp_path, history_url=mine.fresh()))
        migrate.upgrade(settings)
        with journal(settings) as log, recorder(settings) as running:
            story = Story(begin=time.time_ns())
            told = written(log, story, 1000)
            running.say("more", More(log.position))
            begun = running.hear(lambda progress: progress.rows > 0, "it has begun").position
            mine.kill()
            away = running.hear(lambda progress: progress.database != "ok", "it says that the database is away")
            assert away.database.startswith(
                ("the database cannot be used: ", "the connection to the database is lost: ")
            )
            assert log.position > away.position >= begun and not away.idle
            told += written(log, story, 100)
            mine.start()
            running.hear(lambda progress: progress.database == "ok", "it says that the database is back")
            running.drained(log.position)
        is_exactly_once(settings, told)


@pytest.mark.database
def test_a_database_that_is_away_from_the_start_is_waited_for(tmp_path: Path) -> None:
    with server() as mine:
        settings = filed(Settings(state=tmp_path, run=tmp_path, history_url=mine.fresh()))
        migrate.upgrade(settings)
        mine.stop()
        with journal(settings) as log, recorder(settings) as running:
            told = written(log, Story(begin=time.time_ns()), 10)
            away = running.hear(lambda progress: "Can't connect" in progress.database, "it says that nobody answers")
            assert away.position == log.first - 1, (
                "it knows no more than that the journal has let go of what was before"
            )
            mine.start()
            running.drained(log.position)
        is_exactly_once(settings, told)


@pytest.mark.database
def test_asked_to_finish_without_a_database_it_leaves_the_rest_in_the_journal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = filed(Settings(state=tmp_path, run=tmp_path, history_url="mysql+pymysql://nobody@127.0.0.1:1/none"))
    with journal(settings) as log, recorder(settings) as running:
        written(log, Story(begin=time.time_ns()), 10)
        running.hear(lambda progress: "Can't connect" in progress.database, "it says that nobody answers")
        running.say("finish")
        assert running.end() == "exited 0"
    assert "what is not drained stays in the journal" in capfd.readouterr().err


@pytest.mark.database
@pytest.mark.parametrize("silent", ["between two statements", "in the midst of a packet"])
def test_a_client_that_stands_still_in_a_transaction_holds_no_lock_for_long(
    mariadb: MariaDB, tmp_path: Path, silent: str
) -> None:
    """As a recorder does that a signal has stopped. The next one waits for the row that it has locked."""
    url = mariadb.fresh()
    migrate.upgrade(Settings(state=tmp_path, run=tmp_path, history_url=url))
    made = engine(url, let_go=1)
    lock = text("SELECT * FROM positions WHERE node = 1 FOR UPDATE")
    with made.begin() as connection:
        connection.execute(text(ROW))
    with made.connect() as still, made.connect() as other:
        still.execute(lock)
        if silent == "in the midst of a packet":
            driver: Any = still.connection.driver_connection
            driver._sock.sendall(b"\x64\0\0\0\x03SELECT")  # a hundred bytes are announced

        def locked() -> bool:
            try:
                return other.execute(lock).first() is not None
            except exc.OperationalError as error:
                assert judge(error)[0] is Trouble.BUSY
                other.rollback()
                raise AssertionError(error) from None

        eventually(locked, "the other has the lock", LET_GO + 2)
        other.rollback()
        still.invalidate()
    made.dispose()
    assert LET_GO + 2 <= SOON


ROW = ("INSERT INTO positions (node, node_name, epoch, position, at, supervisor, supervisor_pid, journal_epoch, "
    "`rows`, transfers, jobs, processes, pruned_messages, pruned_transfers, pruned_jobs, pruned_processes) VALUES "
    "(1, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")  # fmt: skip


SOON = 5
"""Seconds within which a successor records."""


def waits_for_the_row(mariadb: MariaDB, pid: int) -> None:
    """Stops a recorder that waits for its row's lock: whoever has it lets go then, and the recorder has it without
    knowing."""
    waits = text("SELECT 1 FROM information_schema.innodb_lock_waits")
    made = create_engine(mariadb.url("mysql"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with made.connect() as looking:

        def stopped() -> bool:
            assert looking.execute(waits).first(), "nobody waits"
            os.kill(pid, signal.SIGSTOP)
            if looking.execute(waits).first():
                return True
            os.kill(pid, signal.SIGCONT)  # it had just given up waiting, and tries again
            return False

        eventually(stopped, "the recorder is stopped while it waits for the row", 20)


@pytest.mark.database
def test_a_successor_records_within_seconds_of_its_predecessors_death_although_the_recorder_was_stopped_with_the_lock(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    """The supervisor is killed, and the next one started as soon as it is gone. What was acknowledged stands within 5 s
    of the kill."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'state = "{tmp_path}"\nrun = "{tmp_path}/run"\nhistory_url = "{mariadb.fresh()}"\nworkers = 1\n'
    )
    with pools.running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)) as pool:
        recorder = pool.ready().recorder.pid
        pool.drained()
        made = create_engine(pool.settings.history_url, poolclass=NullPool)
        with made.connect() as held:
            held.execute(text("SELECT * FROM positions FOR UPDATE"))
            jobs = {pool.client.submit("echo", data=b"x", want="ended").job for _ in range(5)}
            waits_for_the_row(mariadb, recorder)
        pool.process.kill()
        begun = time.monotonic()
        pool.process.wait()
        with pools.running(tmp_path, PAIRSCOPE_SETTINGS=str(settings)), made.connect() as looking:

            def all_stand() -> bool:
                looking.rollback()
                return jobs <= set(looking.scalars(text("SELECT id FROM jobs")))

            eventually(
                all_stand,
                "every job stands",
                SOON,
            )
            took = time.monotonic() - begun
            assert took < SOON, f"{took:.1f} s"
        assert not leaks.runs(recorder), "the stopped one died with its supervisor"


@pytest.mark.database
def test_a_recorder_that_somebody_elses_lock_keeps_waiting_says_so_within_seconds(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    """The server's own patience would be 50 s."""
    settings = filed(Settings(state=tmp_path, run=tmp_path, history_url=mariadb.fresh()))
    migrate.upgrade(settings)
    with create_engine(settings.history_url, poolclass=NullPool).connect() as held, journal(settings) as log:
        held.execute(text(ROW))
        told = written(log, Story(begin=time.time_ns()), 10)
        with recorder(settings) as running:
            begun = time.monotonic()
            running.hear(
                lambda progress: progress.database.startswith("the database is busy: Lock wait timeout exceeded"),
                "it says that it waits",
                SOON,
            )
            assert time.monotonic() - begun > LET_GO, "and has waited as long as it takes another one's lock to end"
            held.rollback()
            running.drained(log.position)
    is_exactly_once(settings, told)


@pytest.mark.long
@pytest.mark.database
@pytest.mark.parametrize("freed_by", ["the kernel", "the server"])
def test_a_successor_records_within_seconds_although_a_recorder_was_stopped_with_the_lock(
    mariadb: MariaDB, tmp_path: Path, freed_by: str
) -> None:
    """With the supervisor's death the kernel ends the stopped one. Where its supervisor lives, the server takes the
    lock from it."""
    settings = filed(Settings(state=tmp_path, run=tmp_path, history_url=mariadb.fresh()))
    migrate.upgrade(settings)
    supervisor = """
import sys
from pairscope.config import load
from pairscope.pool import children
room = memoryview(bytearray(1 << 20))
child = children.spawn("pairscope.recorder", "recorder", [], children.recorder_environment(load(), 1), room)
print(child.pid, flush=True)
sys.stdin.read()
"""
    with journal(settings) as log:
        told = written(log, Story(begin=time.time_ns()), 10)
        held = create_engine(settings.history_url, poolclass=NullPool).connect()
        held.execute(text(ROW))
        environment = {**os.environ, "PAIRSCOPE_SETTINGS": str(settings.state / "settings.toml")}
        parent = subprocess.Popen(
            [sys.executable, "-c", supervisor],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout
        pid = int(parent.stdout.readline())
        try:
            waits_for_the_row(mariadb, pid)
            held.commit()  # from now on the recorder has the lock, and cannot know it
            held.close()
            begun = time.monotonic()
            if freed_by == "the kernel":
                parent.kill()
            with recorder(settings) as successor:
                successor.drained(log.position)
                took = time.monotonic() - begun
                assert took < SOON, f"{took:.1f} s"
            parent.kill()
            parent.wait()
            eventually(lambda: not leaks.runs(pid), "the stopped one dies with its supervisor", 5)
        finally:
            parent.kill()
            if leaks.runs(pid):
                os.kill(pid, signal.SIGKILL)
            parent.communicate()
    is_exactly_once(settings, told)


class Relay:
    """Stands between a client and MariaDB, and cuts both off after a COMMIT, before its answer is passed on."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.to_cut = 0
        """Commits whose answers are still to be lost."""
        self.cut = 0
        self._threads: list[threading.Thread] = [threading.Thread(target=self._serve)]
        self._open: set[socket.socket] = set()
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            self._shut(one)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._target))
            self._open |= {client, upstream}
            committing = threading.Event()
            for pump in (self._requests, self._answers):
                thread = threading.Thread(target=pump, args=(client, upstream, committing))
                self._threads.append(thread)
                thread.start()

    def _requests(self, client: socket.socket, upstream: socket.socket, committing: threading.Event) -> None:
        try:
            while data := client.recv(65536):
                if data[4:].startswith(b"\x03COMMIT") and self.to_cut:
                    committing.set()
                upstream.sendall(data)
        except OSError:
            pass
        self._shut(upstream)

    def _answers(self, client: socket.socket, upstream: socket.socket, committing: threading.Event) -> None:
        try:
            while data := upstream.recv(65536):
                if committing.is_set():
                    # The server has committed: it has answered. Nobody hears it.
                    self.to_cut -= 1
                    self.cut += 1
                    break
                client.sendall(data)
        except OSError:
            pass
        self._shut(upstream)
        self._shut(client)

    @staticmethod
    def _shut(one: socket.socket) -> None:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


@pytest.mark.database
def test_a_commit_whose_answer_is_lost_is_not_made_twice(mariadb: MariaDB, tmp_path: Path) -> None:
    relay = Relay(mariadb.port)
    try:
        direct = mariadb.fresh()
        name = str(make_url(direct).database)
        settings = Settings(state=tmp_path, run=tmp_path, history_url=direct)
        migrate.upgrade(settings)
        away = filed(settings, recorder_url=mariadb.url(name, relay.port))
        with journal(away) as log, recorder(away) as running:
            running.drained(log.position)
            told, story = [], Story(begin=time.time_ns())
            for _ in range(5):
                relay.to_cut = 1
                told += written(log, story, 100)
                running.say("more", More(log.position))
                running.drained(log.position)
        assert relay.cut == 5
        is_exactly_once(settings, told)
    finally:
        relay.close()


NOT_NOW = (1047, 1180, 1105, 1317, 1290, 1040, 1045, 1927, 2013, 3024, 40000)
"""What servers, clusters and proxies say while they cannot: the last stands in no manual."""


def is_commit(command: bytes) -> bool:
    return command.startswith(b"\x03COMMIT")


def is_rows(command: bytes) -> bool:
    return command.startswith(EXECUTE)


@contextmanager
def behind_a_relay(mariadb: MariaDB, directory: Path) -> Iterator[tuple[Settings, Settings, Refusing]]:
    """Settings that lead straight to a fresh history, those of a recorder that goes there through a relay, and the
    relay."""
    with refusing_relay(mariadb.port) as relay:
        direct = Settings(state=directory, run=directory, history_url=mariadb.fresh())
        migrate.upgrade(direct)
        name = str(make_url(direct.history_url).database)
        yield direct, filed(direct, recorder_url=mariadb.url(name, relay.port)), relay


@pytest.mark.database
def test_a_database_that_says_not_now_by_any_number_is_waited_for_and_no_record_is_put_aside(
    mariadb: MariaDB, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    everything = (is_work, is_commit, is_rows)
    with (
        behind_a_relay(mariadb, tmp_path) as (direct, through, relay),
        journal(through) as log,
        recorder(through) as running,
    ):
        story, told = Story(begin=time.time_ns()), []
        running.drained(log.position)
        for number, what in zip((1047, 1180, 40000, 1040, 2013, 1105), itertools.cycle(everything)):
            with relay.refusing(number, what):
                told += written(log, story, 10)
                running.say("more", More(log.position))
                said = running.hear(
                    lambda progress: progress.database != "ok", f"it says that it cannot write: {number}"
                ).database
                assert "not now" in said
            running.hear(lambda progress: progress.database == "ok", "it goes on")
        assert running.drained(log.position).quarantined == 0
        is_exactly_once(direct, told)
        running.say("finish")
        assert running.end() == "exited 0"
    errors = capfd.readouterr().err
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if "pairscope recorder" in line]
    assert len(lines) <= 3, "one when it begins, one when it is over, one at the end, and one a minute"


@pytest.mark.database
def test_a_record_is_put_aside_only_if_another_one_is_taken(mariadb: MariaDB, tmp_path: Path) -> None:
    """1366 is about a value; but where every value is refused, it is not the values."""
    with (
        behind_a_relay(mariadb, tmp_path) as (direct, through, relay),
        journal(through) as log,
        contextlib.ExitStack() as stack,
    ):
        story = Story(begin=time.time_ns())
        with relay.refusing(1366):
            running = stack.enter_context(recorder(through))
            told = written(log, story, 5)
            running.say("more", More(log.position))
            running.hear(
                lambda progress: "refuses what is not about a record" in progress.database,
                "it says that it is no record's fault",
            )
        running.drained(log.position)
        with relay.refusing(1366, is_rows):
            told += written(log, story, 5)
            odd = story.message("task")
            odd.size = 2**64 - 1
            bad = log.append([odd])
            told += written(log, story, 5)
            running.say("more", More(log.position))
            running.hear(
                lambda progress: "refuses every record" in progress.database, "it says that it is not one record"
            )
        assert running.drained(log.position).quarantined == 1
        is_exactly_once(direct, told)
        assert ask(direct, "SELECT position FROM quarantine") == [(bad,)]


def test_a_refused_record_waits_for_another_one_that_is_taken(history: Settings) -> None:
    settings = filed(history)
    with journal(settings) as log:
        story = Story(begin=time.time_ns())
        with recorder(settings) as running:
            running.drained(log.position)
        odd = story.message("task")
        odd.size = 2**64 - 1
        bad = log.append([odd])
        with recorder(settings) as running:
            said = running.hear(lambda progress: progress.database != "ok", "it says what it waits for")
            assert f"refuses record {bad}" in said.database and said.quarantined == 0
            told = written(log, story, 5)
            running.say("more", More(log.position))
            assert running.drained(log.position).quarantined == 1
        is_exactly_once(settings, told)


# ---- whom an error is blamed on ---------------------------------------------------------------------------------


def sqlite_trouble(path: Path, *statements: str, uri: str = "", timeout: float = 0.0) -> tuple[Trouble, str]:
    made = create_engine(uri or f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": timeout})
    with made.connect() as connection:
        for statement in statements:
            try:
                connection.exec_driver_sql(statement)
            except Exception as error:
                return judge(error)
    raise AssertionError("no error")


def test_a_locked_sqlite_file_is_busy_and_a_broken_one_is_away(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("CREATE TABLE t (a)")
        holder.execute("BEGIN IMMEDIATE")
        assert sqlite_trouble(path, "INSERT INTO t VALUES (1)") == (
            Trouble.BUSY,
            "the database is busy: database is locked",
        )
    finally:
        holder.close()
    assert sqlite_trouble(path, "SELECT * FROM missing")[0] is Trouble.SCHEMA
    assert sqlite_trouble(path, "SELECT missing FROM t")[0] is Trouble.SCHEMA
    assert (
        sqlite_trouble(path, "CREATE UNIQUE INDEX i ON t (a)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)")[
            0
        ]
        is Trouble.RECORD
    )
    path.write_bytes(b"no database" * 1000)
    assert sqlite_trouble(path, "SELECT * FROM t")[0] is Trouble.AWAY


@pytest.mark.database
@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("SELECT * FROM missing", Trouble.SCHEMA),
        ("INSERT INTO messages (missing) VALUES (1)", Trouble.SCHEMA),
        ("INSERT INTO quarantine (node, position, at, reason, record) VALUES (99999, 1, 1, '', '')", Trouble.RECORD),
        (
            "INSERT INTO quarantine (node, position, at, reason, record) VALUES (1, 1, 1, REPEAT('x', 500), '')",
            Trouble.RECORD,
        ),
        ("INSERT INTO quarantine (node, position, at, reason, record) VALUES (1, 1, 1, NULL, '')", Trouble.RECORD),
        ("KILL CONNECTION_ID()", Trouble.AWAY),
        ("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", Trouble.BUSY),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1205", Trouble.BUSY),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1290", Trouble.AWAY),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1021", Trouble.AWAY),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1142", Trouble.SCHEMA),
    ],
)
def test_a_servers_errors_are_told_apart(mariadb: MariaDB, tmp_path: Path, statement: str, trouble: Trouble) -> None:
    settings = Settings(state=tmp_path, run=tmp_path, history_url=mariadb.fresh())
    migrate.upgrade(settings)
    from pairscope.store.engine import engine

    made = engine(settings.history_url, poolclass=NullPool, pool_recycle=-1)
    with pytest.raises(Exception) as raised, made.begin() as connection:
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("SELECT 1")
    assert judge(raised.value)[0] is trouble


@pytest.mark.parametrize("number", NOT_NOW)
def test_a_number_that_is_not_known_to_be_about_the_value_is_the_servers(number: int) -> None:
    assert judge(exc.OperationalError("INSERT", {}, OperationalError(number, "not now")))[0] is Trouble.AWAY


def test_a_driver_that_stumbles_has_lost_its_connection() -> None:
    driver = Connection(defer_connect=True)
    with pytest.raises(Exception) as raised:
        driver._read_packet()  # nothing is connected: AttributeError
    assert judge(raised.value)[0] is Trouble.AWAY


def test_an_error_of_the_program_is_nobody_elses() -> None:
    assert judge(TypeError("x"))[0] is Trouble.OURS
    assert judge(KeyError("x"))[0] is Trouble.OURS
    with pytest.raises(OSError) as raised:
        open("/nonexistent")
    assert judge(raised.value)[0] is Trouble.OURS, "a file of ours is no database"
    assert judge(OverflowError("Python int too large"))[0] is Trouble.RECORD


@pytest.mark.pool
def test_who_wakes_on_the_recorders_core_goes_first(tmp_path: Path) -> None:
    if not slice_of(0):
        pytest.skip("this kernel knows no slices")
    with pools.running(tmp_path) as pool:
        view = pool.ready()
        others = [slice_of(pid) for pid in (view.supervisor.pid, *(worker.pid for worker in view.workers))]
        assert slice_of(view.recorder.pid) == SLICE > 10 * max(others)
        assert os.getpriority(os.PRIO_PROCESS, view.recorder.pid) == NICE
