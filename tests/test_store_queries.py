"""Queries: pages by key, changes by node, and that no question reads a whole table."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from pairscope.config import Settings
from pairscope.ipc.identity import time_of
from pairscope.journal.records import Born, Epoch, Proof, Record
from pairscope.recorder.writer import Writer
from pairscope.store import pages, queries, walk
from pairscope.store.cursor import Known, encode
from pairscope.store.engine import Away, engine
from pairscope.store.filter import FIELDS, parse
from tests.database import MariaDB, both, standing_still
from tests.eventually import eventually
from tests.story import BEGIN, MESSAGES_OF_A_JOB, Story

TABLES = ("messages", "transfers", "jobs", "workers")


class History:
    """A history to ask: records are written at once, each with the next position of its node."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reader = engine(settings.history_url, read_only=True, poolclass=NullPool)
        self._writers: dict[int, Writer] = {}
        self._positions: dict[int, int] = {}

    def tell(self, records: list[Record], node: int = 1) -> None:
        if node not in self._writers:
            self._writers[node] = Writer(engine(self.settings.recorder_url), node, f"node {node}", 1)
            self._positions[node] = node * 1_000_000
            records = [Epoch(node, f"node {node}", 1, 900, 1, BEGIN, 0, True), *records]
        first = self._positions[node] + 1
        self._positions[node] += len(records)
        self._writers[node].commit(list(enumerate(records, first)))

    def jobs(self, number: int) -> Story:
        story = Story()
        self.tell([*story.workers(), *(record for job in story.jobs(number) for record in job)])
        return story

    def close(self) -> None:
        self.reader.dispose()
        for writer in self._writers.values():
            writer.close()


@pytest.fixture
def past(history: Settings) -> Iterator[History]:
    made = History(history)
    yield made
    made.close()


@contextmanager
def asking(past: History) -> Iterator[Session]:
    with Session(past.reader) as session:
        yield session


def ids(rows: Any) -> list[Any]:
    return [
        getattr(row, "id", None) or tuple(getattr(row, column.key) for column in row.__mapper__.primary_key)
        for row in rows
    ]


@both
@pytest.mark.parametrize("table", TABLES)
def test_pages_cover_every_row_once_in_both_directions(past: History, database: str, table: str) -> None:
    past.jobs(8)
    past.tell([Born("worker", serial, serial, 0, BEGIN) for serial in range(10, 30)])
    with asking(past) as session:
        whole = ids(queries.page(session, table, limit=1000).rows)
        down: list[Any] = []
        page = queries.page(session, table, limit=3)
        assert page.newer is None
        pages = [page]
        while page.older:
            page = queries.page(session, table, before=page.older, limit=3)
            pages.append(page)
        down = [key for page in pages for key in ids(page.rows)]
        assert down == whole and len(set(whole)) == len(whole) >= 8
        up = pages[-1]
        for expected in reversed(pages[:-1]):
            up = queries.page(session, table, after=up.newer, limit=3)
            assert ids(up.rows) == ids(expected.rows)
        assert up.newer is None


@both
def test_rows_come_newest_first(past: History, database: str) -> None:
    past.jobs(2)
    with asking(past) as session:
        found = ids(queries.page(session, "messages").rows)
        assert found == sorted(found, reverse=True) and len(found) == 2 * MESSAGES_OF_A_JOB


@both
def test_a_filter_lets_through_what_it_says(past: History, database: str) -> None:
    story = past.jobs(6)
    odd = story.message("signal", "web", inbound=True, text="needle in a haystack")
    odd.size = 5000
    past.tell([odd, story.message("task", serial=2)])
    expected = {
        "kind:result": 6,
        "kind:result,answer": 12,
        "-kind:result": 26,
        "fds:>0": 12,
        "fds:>=2": 6,
        "fds:2": 6,
        "fds:1": 6,
        "fds:0": 20,
        "fds:>=3": 0,
        "fds:>0 kind:task": 6,
        "fds:>0 Photograph": 0,
        "size:>4KiB": 1,
        "needle": 1,
        "Needle": 0,
        "state:sent": 1,
        "worker:2": 7,
        "-worker:2": 25,
        "role:web": 19,
        "from:web": 7,
        "latency:>50us": 18,
        "latency:40us": 13,
        "kind:result worker:1": 3,
        "since:1m": 0,
        "since:2026-01-01": 32,
        "pid:4002": 7,
        "node:2": 0,
        f"job:{story.id()}": 0,
    }
    with asking(past) as session:
        got = {
            text: len(queries.page(session, "messages", parse(text, "messages"), limit=100).rows) for text in expected
        }
        assert got == expected
        assert len(queries.page(session, "jobs", parse("GRAPH", "jobs")).rows) == 6, "names are found in either case"
        assert len(queries.page(session, "transfers", parse("proof:pending", "transfers")).rows) == 0
        assert len(queries.page(session, "transfers", parse("object:memfd fd:20", "transfers")).rows) == 6
        assert len(queries.page(session, "workers", parse("state:alive", "workers")).rows) == 2


@both
def test_changes_tell_what_was_inserted_and_what_was_completed(past: History, database: str) -> None:
    story = past.jobs(1)
    first, second = story.message("task"), story.message("task")
    past.tell([first])
    with asking(past) as session:
        cursor = queries.live_cursor(session)
        assert queries.changes(session, "messages", None, cursor) == queries.Changes([], cursor, False)
        past.tell([second, story.outcome(first)])
        told = queries.changes(session, "messages", None, cursor)
        assert [(row.id, row.state) for row in told.rows] == [(second.id, "sent"), (first.id, "received")]
        assert not told.more
        assert queries.changes(session, "messages", None, told.cursor).rows == []


@both
@pytest.mark.parametrize("limit", [1, 3, 7])
def test_rows_that_share_one_change_are_all_told(past: History, database: str, limit: int) -> None:
    """A new epoch touches everything that is open with one record."""
    story = Story()
    open_messages = [story.message("task", fds=2) for _ in range(20)]
    past.tell(list(open_messages))
    past.tell([Born("worker", serial, serial, 0, BEGIN) for serial in range(1, 6)])
    with asking(past) as session:
        begin = queries.live_cursor(session)
        past.tell([Epoch(1, "node 1", 2, 901, 2, BEGIN, 0, False), story.message("stop")])
        for table, expected in (("messages", 21), ("transfers", 40), ("workers", 5)):
            seen: list[Any] = []
            cursor, more = begin, True
            while more:
                told = queries.changes(session, table, None, cursor, limit=limit)
                cursor, more = told.cursor, told.more
                assert len(told.rows) <= limit
                seen += ids(told.rows)
                session.expunge_all()
            assert len(seen) == len(set(seen)), table
            assert len([key for key in seen if table != "workers" or key[1] == "worker"]) == expected, table


@both
def test_the_rows_of_a_slower_node_are_not_skipped(past: History, database: str) -> None:
    """Node 2 commits rows with lower ids and positions after node 1 was read."""
    slow = Story(node=2)
    early = [slow.message("task") for _ in range(3)]
    past.jobs(1)
    with asking(past) as session:
        cursor = queries.live_cursor(session)
        past.tell(list(early), node=2)
        past.tell([Story(begin=BEGIN + 10**12).message("task")])
        told = queries.changes(session, "messages", None, cursor)
        assert {row.id for row in told.rows} > {message.id for message in early} and len(told.rows) == 4
        past.tell([slow.message("task")], node=2)
        assert len(queries.changes(session, "messages", None, told.cursor).rows) == 1


@both
def test_changes_pass_through_the_filter_and_the_cursor_goes_on_behind_what_it_kept_back(
    past: History, database: str
) -> None:
    past.tell([])
    with asking(past) as session:
        cursor = queries.live_cursor(session)
        past.jobs(10)
        told = queries.changes(session, "messages", parse("kind:result worker:2", "messages"), cursor)
        assert len(told.rows) == 5
        assert queries.changes(session, "messages", None, told.cursor).rows == []


@both
def test_a_viewer_that_was_away_for_long_catches_up_in_bounded_steps(
    past: History, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.jobs(30)
    monkeypatch.setattr(walk, "BOUND", 20)
    with asking(past) as session:
        wanted = parse("kind:answer worker:7,8", "messages")
        cursor, steps, more = encode(Known({})), 0, True
        while more:
            told = queries.changes(session, "messages", wanted, cursor)
            assert told.rows == []
            cursor, more, steps = told.cursor, told.more, steps + 1
        assert steps == 30 * MESSAGES_OF_A_JOB // 20 + 1
        assert cursor == queries.live_cursor(session)


@both
def test_a_row_that_left_its_filter_can_be_told_from_those_that_stay(past: History, database: str) -> None:
    story = Story()
    first, second = story.message("task", fds=1), story.message("task", fds=1)
    past.tell([first, second])
    past.tell([story.outcome(first), Proof(first.id, 0, "same", "")])
    with asking(past) as session:
        keys = [(first.id,), (second.id,), (12345,)]
        assert queries.still(session, "messages", parse("state:sent", "messages"), keys) == {(second.id,)}
        places = [(first.id, 0), (second.id, 0)]
        assert queries.still(session, "transfers", parse("proof:pending", "transfers"), places) == {(second.id, 0)}
        assert queries.still(session, "messages", parse("state:sent", "messages"), []) == set()


@both
def test_a_bounded_search_goes_on_where_it_stopped_and_misses_nothing(
    past: History, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "BOUND", 10)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    past.jobs(12)
    for table, text in (
        ("messages", "size:>0 kind:result"),
        ("messages", "fds:2"),
        ("messages", "fds:>0 size:>0"),
        ("messages", "Photograph"),
        ("messages", "pid:4002"),
        ("transfers", "fd:20"),
        ("jobs", "size:4096"),
    ):
        wanted = parse(text, table)
        assert wanted.bounded
        with asking(past) as session:
            monkeypatch.setattr(walk, "BOUND", 10**6)
            whole = ids(queries.page(session, table, wanted, limit=1000).rows)
            monkeypatch.setattr(walk, "BOUND", 10)
            found, asked, before, newest = [], 0, None, None
            while True:
                page = queries.page(session, table, wanted, before=before, limit=4)
                found += ids(page.rows)
                asked += 1
                if page.older is None:
                    break
                before = page.older
            assert found == whole, text
            assert asked > 1 or table == "jobs"
            back: list[Any] = []
            newest = queries.page(session, table, wanted, before=before, limit=4).newer or before
            while newest:
                page = queries.page(session, table, wanted, after=newest, limit=4)
                back = ids(page.rows) + back
                newest = page.newer
            assert set(back) <= set(whole)


@both
def test_a_search_goes_on_until_the_page_is_full_or_the_time_is_over_and_says_how_far_it_came(
    past: History, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "BOUND", 10)
    past.jobs(12)
    wanted = parse("size:>0 kind:result", "messages")
    with asking(past) as session:
        monkeypatch.setattr(pages, "PATIENCE", 3600)
        whole = queries.page(session, "messages", wanted, limit=1000)
        assert len(whole.rows) == 12 and (whole.older, whole.reached) == (None, None)
        full = queries.page(session, "messages", wanted, limit=11)
        assert ids(full.rows) == ids(whole.rows)[:11] and full.older and full.reached is None
        monkeypatch.setattr(pages, "PATIENCE", 0)
        part = queries.page(session, "messages", wanted, limit=1000)
        assert ids(part.rows) == ids(whole.rows)[:10] and part.older
        assert part.reached == time_of(part.rows[-1].id)


@both
@pytest.mark.parametrize("text", ["fds:>0", "fds:>=2", "fds:>0 kind:task"])
def test_messages_with_descriptors_are_paged_in_both_directions(past: History, database: str, text: str) -> None:
    past.jobs(8)
    wanted = parse(text, "messages")
    with asking(past) as session:
        whole = ids(queries.page(session, "messages", wanted, limit=1000).rows)
        page = queries.page(session, "messages", wanted, limit=3)
        pages = [page]
        while page.older:
            page = queries.page(session, "messages", wanted, before=page.older, limit=3)
            pages.append(page)
        assert [key for page in pages for key in ids(page.rows)] == whole and len(set(whole)) == len(whole) >= 8
        back = queries.page(session, "messages", wanted, after=pages[-1].newer, limit=3)
        assert ids(back.rows) == ids(pages[-2].rows)


@both
def test_every_row_of_a_filter_can_be_exported_in_slices(past: History, database: str) -> None:
    past.jobs(20)
    with asking(past) as session:
        wanted = parse("kind:result,task", "messages")
        assert len(ids(queries.every(session, "messages", wanted, most=1000, slice=7))) == 40
        assert len(ids(queries.every(session, "messages", wanted, most=13, slice=7))) == 13


@both
def test_one_job_is_told_from_beginning_to_end(past: History, database: str) -> None:
    past.jobs(3)
    with asking(past) as session:
        job = queries.page(session, "jobs").rows[0]
        assert queries.job(session, job.id).name == "photograph 2.jpg"  # type: ignore[union-attr]
        messages = queries.messages_of_job(session, job.id)
        assert [message.kind for message in messages] == ["submit", "accepted", "task", "result", "answer"]
        transfers = queries.transfers_of_job(session, job.id)
        assert [transfer.message for transfer in transfers] == [messages[0].id, messages[2].id, messages[2].id]
        assert ids(queries.transfers_of_message(session, messages[2].id)) == [(messages[2].id, 0), (messages[2].id, 1)]
        assert queries.transfer(session, messages[2].id, 1).receiver_fd == 21  # type: ignore[union-attr]
        assert queries.message(session, messages[0].id).worker is None  # type: ignore[union-attr]
        assert queries.message(session, 1) is None
        assert len(queries.transfers_of_object(session, 1, 1000)) == 6
        assert queries.process(session, 1, "worker", 2).pid == 4002  # type: ignore[union-attr]


@both
def test_the_whole_is_told_without_reading_it(past: History, database: str) -> None:
    past.jobs(4)
    with asking(past) as session:
        assert queries.counts(session) == {"messages": 20, "transfers": 12, "jobs": 4, "processes": 3}
        assert [(process.role, process.serial) for process in queries.living(session)] == [
            ("supervisor", 1),
            ("worker", 1),
            ("worker", 2),
        ]
        assert [position.node_name for position in queries.positions(session)] == ["node 1"]
        assert queries.quarantined(session) == []


@both
def test_the_pace_of_the_last_minutes_has_no_gaps(past: History, database: str) -> None:
    story = Story(begin=time.time_ns() - 60 * 10**9)
    past.tell([record for job in story.jobs(30) for record in job])
    with asking(past) as session:
        steps = queries.rates(session, minutes=10)
    assert len(steps) == 60
    assert [later.at - earlier.at for earlier, later in itertools.pairwise(steps)] == [10 * 10**9] * 59
    assert sum(step.messages for step in steps) == 150
    busy = max(steps, key=lambda step: step.messages)
    assert busy.p50 == pytest.approx(60_000, rel=0.05) and busy.p99 == pytest.approx(60_000, rel=0.05)
    assert steps[0].p50 is None


@pytest.mark.parametrize("text", ["", "x", "AAAA", "%%%", "ä", "k6Vrbm93boCg" * 50, "kqNyb3eSqGpvYnM"])
def test_a_mangled_cursor_is_an_error_in_words(past: History, text: str) -> None:
    past.jobs(1)
    with asking(past) as session:
        for ask in (
            lambda: queries.page(session, "messages", before=text or "="),
            lambda: queries.changes(session, "messages", None, text),
        ):
            with pytest.raises(queries.CursorError, match="cursor"):
                ask()


def test_a_cursor_of_another_table_is_refused(past: History) -> None:
    past.jobs(2)
    with asking(past) as session:
        older = queries.page(session, "messages", limit=2).older
        assert older
        with pytest.raises(queries.CursorError, match="belongs to 'messages'; expected one of 'jobs'"):
            queries.page(session, "jobs", before=older)
        with pytest.raises(queries.CursorError, match="expected one that follows changes"):
            queries.changes(session, "messages", None, older)
        with pytest.raises(queries.CursorError, match="expected one that came with a page"):
            queries.page(session, "messages", before=queries.live_cursor(session))


@pytest.fixture
def away(request: pytest.FixtureRequest) -> Away:
    """What a process knows of a server; who comes after a timeout asks again, or after the pause that the test is
    given."""
    return Away(patience=2.0, pause=getattr(request, "param", 0.0))


@pytest.fixture
def two(mariadb: MariaDB, away: Away) -> Iterator[list[Engine]]:
    """Web's two engines of one server, each with an idle connection."""
    made = [engine(mariadb.url(), read_only=read_only, away=away) for read_only in (True, False)]
    assert [answers(one) for one in made] == [True, True]
    yield made
    for one in made:
        one.dispose()


@pytest.fixture
def waits(two: list[Engine]) -> list[BaseException]:
    """Each answer that was waited for in vain, by whomever."""
    found: list[BaseException] = []

    def note(context: ExceptionContext) -> None:
        if "timed out" in str(context.original_exception):
            found.append(context.original_exception)

    for one in two:
        event.listen(one, "handle_error", note)
    return found


def answers(made: Engine, statement: str = "SELECT 1") -> bool:
    """Whether the question was answered; if not, the error is one that web knows."""
    try:
        with made.connect() as connection:
            connection.exec_driver_sql(statement)
        return True
    except OperationalError:
        return False


@pytest.mark.database
@pytest.mark.parametrize("away", [300.0], indirect=True)
def test_a_server_that_stands_still_is_waited_for_once_and_then_by_nobody(
    mariadb: MariaDB, two: list[Engine], waits: list[BaseException]
) -> None:
    with standing_still(mariadb.pid):
        assert not answers(two[0]) and len(waits) == 1, "for the ping, and not for a new connection"
        assert not any(answers(one) for one in two * 10) and len(waits) == 1
    assert not answers(two[0]), "nobody has looked"


@pytest.mark.database
def test_one_at_a_time_looks_whether_a_server_goes_on_and_then_all_are_answered(
    mariadb: MariaDB, two: list[Engine], waits: list[BaseException]
) -> None:
    with standing_still(mariadb.pid), ThreadPoolExecutor(20) as threads:
        assert not answers(two[1])
        waits.clear()
        assert not any(threads.map(answers, two * 10)) and len(waits) == 1
    eventually(lambda: answers(two[0]), "it is asked again")
    assert all(answers(one) for one in two * 10)


@pytest.mark.database
def test_a_query_may_take_longer_than_a_server_to_greet_and_to_answer_a_ping(two: list[Engine], away: Away) -> None:
    two[0].dispose()
    for _connection in ("a new one", "out of the pool"):
        assert answers(two[0], f"SELECT SLEEP({away.patience + 0.2})")


@pytest.mark.database
def test_a_server_that_is_not_there_is_not_remembered(mariadb: MariaDB, away: Away) -> None:
    nobody, there = engine(mariadb.url(port=1), away=away), engine(mariadb.url(), away=away)
    try:
        assert [answers(nobody), answers(there), answers(nobody), answers(there)] == [False, True] * 2
    finally:
        there.dispose()


@both
def test_an_engine_for_reading_refuses_to_write(past: History, database: str) -> None:
    past.jobs(1)
    with past.reader.connect() as connection, pytest.raises(DBAPIError, match="(?i)read.?only"):
        connection.execute(text("DELETE FROM messages"))


# ---- what a question costs --------------------------------------------------------------------------------------

TABLE_NAMES = {"messages": "messages", "transfers": "transfers", "jobs": "jobs", "workers": "processes"}
QUESTIONS = [
    (table, example) for table in TABLES for example in ["", "text", *(field.example for field in FIELDS[table])]
]
QUESTIONS += [("messages", text) for text in ("fds:>=2", "fds:1", "fds:>0 size:>1", "kind:task fds:>0")]
QUESTIONS += [
    ("messages", "kind:result size:>1"),
    ("messages", "kind:result worker:2"),
    ("transfers", "object:memfd proof:same"),
]


def statements(past: History, ask: Any) -> list[tuple[str, Any]]:
    """What is sent to the database while `ask` asks."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        sent.append((statement, parameters))

    event.listen(past.reader, "before_cursor_execute", note)
    with asking(past) as session:
        ask(session)
    event.remove(past.reader, "before_cursor_execute", note)
    return sent


def asked(table: str, text: str) -> Any:
    def ask(session: Session) -> None:
        wanted = parse(text, table)
        page = queries.page(session, table, wanted)
        queries.page(session, table, wanted, before=page.older)
        queries.page(session, table, wanted, after=page.newer or page.older)
        queries.changes(session, table, wanted, encode(Known({})), limit=50)

    return ask


@pytest.mark.parametrize(("table", "text"), QUESTIONS)
def test_sqlite_answers_every_filter_from_an_index(
    past: History, monkeypatch: pytest.MonkeyPatch, table: str, text: str
) -> None:
    monkeypatch.setattr(walk, "BOUND", 5)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    past.jobs(30)
    with create_engine(past.settings.history_url, poolclass=NullPool).connect() as connection:
        for statement, parameters in statements(past, asked(table, text)):
            plan = [row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)]
            if table != "workers":
                assert not any("TEMP B-TREE FOR ORDER BY" in step for step in plan), (statement, plan)
            scans = [step for step in plan if step.startswith(f"SCAN {TABLE_NAMES[table]}")]
            assert not scans or ("LIMIT" in statement and "WHERE" not in statement), (statement, plan)


@pytest.fixture(scope="module")
def large(running_mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """100,000 messages in MariaDB."""
    from pairscope.store import migrate

    directory = tmp_path_factory.mktemp("large")
    made = History(Settings(state=directory, run=directory, history_url=running_mariadb.fresh()))
    migrate.upgrade(made.settings)
    story = Story()
    made.tell([*story.workers()])
    for _ in range(50):
        made.tell([record for job in story.jobs(400) for record in job])
    with create_engine(made.settings.history_url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("ANALYZE TABLE messages, transfers, jobs, processes").all()
    yield made
    made.close()


def read_rows(connection: Connection) -> int:
    """Rows that the server has read for this connection since FLUSH STATUS."""
    return sum(
        int(value)
        for name, value in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        if "deleted" not in name
    )


@pytest.mark.database
@pytest.mark.parametrize(("table", "text"), QUESTIONS)
def test_mariadb_answers_every_filter_from_an_index_within_bounds(
    large: History, monkeypatch: pytest.MonkeyPatch, table: str, text: str
) -> None:
    """EXPLAIN names an index for every statement, and what it reads does not grow with the table."""
    monkeypatch.setattr(walk, "BOUND", 1000)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    with create_engine(large.settings.history_url, poolclass=NullPool).connect() as connection:
        for statement, parameters in statements(large, asked(table, text)):
            for step in connection.exec_driver_sql("EXPLAIN " + statement, parameters).mappings():
                if step["table"] not in (None, "positions", "<derived2>"):
                    assert step["key"] and step["type"] != "ALL", (statement, dict(step))
                    assert table == "workers" or "filesort" not in step["Extra"], (statement, dict(step))
            connection.exec_driver_sql("FLUSH STATUS")
            connection.exec_driver_sql(statement, parameters).all()
            assert read_rows(connection) <= 2 * queries.BOUND + 500, statement
