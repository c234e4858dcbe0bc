"""The writer: a journal's records become the same rows on both databases, each exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from pymysql.err import DataError
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, create_engine, select, text
from sqlalchemy.pool import NullPool

from pairscope.config import Settings
from pairscope.journal.records import Born, Ended, Epoch, JobStarted, JobSubmitted, Message, Record
from pairscope.recorder import tables
from pairscope.recorder.upsert import SIZES, Unfit, Upsert, send
from pairscope.recorder.writer import Behind, Fenced, Writer
from pairscope.store import columns, models
from pairscope.store.engine import engine
from tests.database import MariaDB, both
from tests.story import BEGIN, MESSAGES_OF_A_JOB, RECORDS_OF_A_JOB, TRANSFERS_OF_A_JOB, Story

HISTORY = list(models.History.metadata.sorted_tables)


def writer(settings: Settings, begin: int = 1) -> closing[Writer]:
    return closing(Writer(engine(settings.recorder_url), settings.node, settings.node_name, begin))


def rows(settings: Settings, table: Table, *columns: str) -> list[tuple[Any, ...]]:
    """Every row of a table in the order of its key."""
    chosen = [table.c[name] for name in columns] or list(table.columns)
    with create_engine(settings.history_url, poolclass=NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(select(*chosen).order_by(*table.primary_key))]


def numbered(records: list[Record], first: int) -> list[tuple[int, Record]]:
    return list(enumerate(records, first))


def tale() -> list[Record]:
    """Something of everything: awkward text, extreme numbers, a death, a second epoch."""
    story = Story()
    told: list[Record] = [
        Epoch(1, "hôte'; --", 1, 900, 1, BEGIN, 0, True),
        *story.workers(),
        Born("web", 1, 4001, 33, story.step()),
    ]
    for which in range(40):
        told += story.job(which)
    odd = story.message("task", fds=1, job=7, text="percent % quote ' \\ \" \0 \n ü")
    odd.transfers[0] = story.transfer(0, link="/tmp/%s 'quoted' \\ ünïcode \U0001f4f7 \0")
    odd.transfers[0].inode, odd.transfers[0].offset = 2**64 - 1, -1
    odd.preview = bytes(range(256)) * 2
    told += [
        odd,
        JobSubmitted(7, "digest", "na'me\\ %d \U0001f600" + "x" * 300, 2**62, story.step(), "web", 1, 4001),
        JobStarted(7, 1, story.step()),
    ]
    told += [story.outcome(odd, "failed", "broken pipe: '%'")]
    told += [story.message("task"), Ended("worker", 1, story.step(), "killed by SIGKILL", False)]
    told += [Epoch(1, "here", 2, 901, 2, story.step(), 12, False), *story.job(99)]
    return told


@both
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_give_the_same_rows(history: Settings, database: str, size: int) -> None:
    """The rows of one batch on SQLite are what all others are compared with."""
    told = numbered(tale(), 1000)
    with writer(history, 2) as mine:
        for start in range(0, len(told), size):
            mine.commit(told[start : start + size])
    reference = history.state.parent / "reference"
    other = Settings(state=reference, run=reference, node_name="here")
    from pairscope.store import migrate

    migrate.upgrade(other)
    with writer(other, 2) as theirs:
        theirs.commit(told)
    for table in HISTORY:
        names = [column.name for column in table.columns if not (table.name == "positions" and column.name == "at")]
        assert rows(history, table, *names) == rows(other, table, *names), table.name


@both
def test_awkward_values_come_back_as_they_were(history: Settings, database: str) -> None:
    with writer(history, 2) as mine:
        mine.commit(numbered(tale(), 1000))
    [(preview, reason)] = [
        row for row in rows(history, tables.MESSAGES, "preview", "reason") if row[1].startswith("broken")
    ]
    assert (preview, reason) == (bytes(range(256)), "broken pipe: '%'")
    [(link, _inode, offset)] = [
        row for row in rows(history, tables.TRANSFERS, "link", "inode", "offset") if row[1] == -1
    ]
    assert (link, offset) == ("/tmp/%s 'quoted' \\ ünïcode \U0001f4f7 ␀", None)
    [name] = [row[0] for row in rows(history, tables.JOBS, "name") if row[0].startswith("na'")]
    assert len(name) == 255 and name.startswith("na'me\\ %d \U0001f600xxx") and name.endswith("x…")


@both
def test_counts_are_kept_with_the_rows(history: Settings, database: str) -> None:
    told = tale()
    messages = sum(type(record) is Message for record in told)
    with writer(history, 2) as mine:
        mine.commit(numbered(told, 1000))
        assert mine.kept == messages == len(rows(history, tables.MESSAGES))
    [position] = rows(
        history,
        tables.POSITIONS,
        "position",
        "rows",
        "transfers",
        "jobs",
        "processes",
        "journal_epoch",
        "supervisor_pid",
    )
    assert position == (999 + len(told), messages, 41 * TRANSFERS_OF_A_JOB + 1, 42, 5, 2, 901)
    assert sum(row[0] for row in rows(history, tables.RATES, "messages")) == messages


@both
def test_a_batch_that_was_committed_is_left_out_when_it_is_tried_again(history: Settings, database: str) -> None:
    told = numbered([Epoch(1, "here", 1, 900, 1, BEGIN, 0, True), *Story().job()], 50)
    with writer(history) as mine:
        mine.commit(told[:9])
        before = rows(history, tables.POSITIONS, "position", "rows")
        mine.commit(told[:9])
        assert rows(history, tables.POSITIONS, "position", "rows") == before
        mine.commit(told)
    assert len(rows(history, tables.MESSAGES)) == MESSAGES_OF_A_JOB
    assert rows(history, tables.POSITIONS, "position", "rows") == [(told[-1][0], MESSAGES_OF_A_JOB)]


@both
def test_the_recorder_of_an_older_supervisor_cannot_commit(history: Settings, database: str) -> None:
    told = numbered([Epoch(1, "here", 5, 900, 1, BEGIN, 0, False), *Story().job()], 50)
    with writer(history, 50) as older, writer(history, 70) as newer:
        older.commit(told[:3])
        newer.open()
        for attempt in (
            lambda: older.commit(told[3:]),
            lambda: older.put_aside(53, None, "lost", 60),
            lambda: older.prune(10**6),
            older.open,
        ):
            with pytest.raises(
                Fenced, match="the supervisor that began at position 70, and this recorder's began at 50, before it"
            ):
                attempt()
        assert rows(history, tables.POSITIONS, "epoch", "position") == [(70, 52)]
        newer.commit(told[3:])
    assert len(rows(history, tables.MESSAGES)) == MESSAGES_OF_A_JOB


@both
def test_a_lost_journal_begins_a_new_count_of_epochs(history: Settings, database: str) -> None:
    with writer(history, 50) as before:
        before.commit(numbered([Epoch(1, "here", 57, 900, 80, BEGIN, 0, False), *Story().job()], 50))
    story = Story(begin=BEGIN + 10**12)
    with writer(history, 10_000) as after:
        assert after.open() == 50 + RECORDS_OF_A_JOB
        after.put_aside(51 + RECORDS_OF_A_JOB, None, "what lies between is lost", 9999)
        after.commit(numbered([Epoch(1, "here", 1, 900, 1, story.step(), 0, True), *story.job()], 10_000))
    assert rows(history, tables.POSITIONS, "epoch", "journal_epoch") == [(10_000, 1)]
    assert len(rows(history, tables.MESSAGES)) == 2 * MESSAGES_OF_A_JOB
    assert rows(history, tables.QUARANTINE, "position", "record") == [(51 + RECORDS_OF_A_JOB, b"")]


@both
def test_the_next_epoch_follows_where_nothing_is_missing_before_it_and_only_there(
    history: Settings, database: str
) -> None:
    story = Story()
    last = 50 + RECORDS_OF_A_JOB
    with writer(history) as mine:
        mine.commit(numbered([Epoch(1, "here", 1, 900, 1, BEGIN, 0, True), *story.job()], 50))
        for lost, after in ((False, last - 1), (False, last + 1), (False, None), (True, last)):
            with pytest.raises(Behind, match=f"the database is at position {last}, these records begin at 1000"):
                mine.commit(numbered([Epoch(1, "here", 2, 901, 2, story.step(), 0, lost, after)], 1000))
        mine.commit(numbered([Epoch(1, "here", 2, 901, 2, story.step(), 0, False, last), *story.job()], 1000))
    assert rows(history, tables.POSITIONS, "position", "journal_epoch") == [(1000 + RECORDS_OF_A_JOB, 2)]
    assert len(rows(history, tables.MESSAGES)) == 2 * MESSAGES_OF_A_JOB


@both
def test_a_database_put_back_to_an_older_state_is_noticed(history: Settings, database: str) -> None:
    told = numbered([Epoch(1, "here", 1, 900, 1, BEGIN, 0, True), *Story().job()], 50)
    with writer(history) as mine:
        mine.commit(told[:3])
        with pytest.raises(Behind, match="the database is at position 52, these records begin at 58"):
            mine.commit(told[8:])
        assert mine.position == 52


@both
def test_history_keeps_its_bound_and_the_newest(history: Settings, database: str) -> None:
    story = Story()
    told: list[Record] = [
        Epoch(1, "here", 1, 900, 1, BEGIN, 0, True),
        Born("web", 1, 5, 0, story.step()),
        Ended("web", 1, story.step(), "", True),
    ]
    for which in range(1000):
        told += story.job(which)
    waiting = JobSubmitted(story.id() - (1 << 40), "digest", "still queued", 1, BEGIN, "web", 1, 5)
    with writer(history) as mine:
        mine.commit(numbered([*told, waiting], 50))
        assert mine.prune(1500) and not mine.prune(1500)
        assert mine.kept == 1500
    kept = [row[0] for row in rows(history, tables.MESSAGES, "id")]
    assert kept == [record.id for record in told if type(record) is Message][-1500:]
    assert len(rows(history, tables.TRANSFERS)) == 300 * TRANSFERS_OF_A_JOB
    assert len(rows(history, tables.JOBS)) == 300 + 1, "a job that waits is no history yet"
    assert {row[1] for row in rows(history, tables.PROCESSES, "node", "role")} == {"supervisor"}
    with writer(history) as again:
        again.open()
        assert again.kept == 1500


@both
def test_rows_deleted_by_hand_are_not_taken_for_kept(history: Settings, database: str) -> None:
    with writer(history) as mine:
        mine.commit(numbered([Epoch(1, "here", 1, 900, 1, BEGIN, 0, True), *Story().job()], 50))
        with create_engine(history.history_url, poolclass=NullPool).begin() as connection:
            connection.execute(text("DELETE FROM messages WHERE kind = 'task'"))
    with writer(history) as again:
        again.open()
        assert again.kept == MESSAGES_OF_A_JOB - 1


@both
def test_a_record_put_aside_is_kept_whole_and_passed(history: Settings, database: str) -> None:
    message = Story().message("task")
    with writer(history) as mine:
        mine.commit(numbered([Epoch(1, "here", 1, 900, 1, BEGIN, 0, True)], 50))
        for _again in range(2):
            mine.put_aside(51, message, "out of range")
        assert (mine.position, mine.quarantined) == (51, 1)
    [(position, reason, record)] = rows(history, tables.QUARANTINE, "position", "reason", "record")
    assert (position, reason, msgspec.msgpack.decode(record, type=Message)) == (51, "out of range", message)


@pytest.mark.database
def test_a_value_that_does_not_fit_is_refused_and_not_cut(mariadb: MariaDB, tmp_path: Any) -> None:
    from pairscope.store import migrate

    settings = Settings(state=tmp_path, run=tmp_path, history_url=mariadb.fresh())
    migrate.upgrade(settings)
    message = Story().message("task")
    message.fds = 70_000
    with writer(settings) as mine, pytest.raises(Unfit, match="70000 does not fit the column fds of messages"):
        mine.commit(numbered([message], 50))
    made = engine(settings.recorder_url, poolclass=NullPool, pool_recycle=-1)
    with made.connect() as connection, pytest.raises(DataError, match="Data too long for column 'reason'"):
        send(connection, Upsert(tables.QUARANTINE).blocks(entries(1, reason="x" * 401), 10**6), lambda: None)
    assert rows(settings, tables.MESSAGES) == rows(settings, tables.POSITIONS, "position") == []


class Entry(msgspec.Struct):
    """A row of quarantine."""

    node: int
    position: int
    at: int
    reason: str
    record: bytes


def entries(number: int, **values: Any) -> list[Entry]:
    usual: dict[str, Any] = {"node": 1, "at": 0, "reason": "x" * 100, "record": b""}
    return [Entry(**usual | {"position": position} | values) for position in range(number)]


def test_rows_are_put_into_the_largest_blocks_that_they_fill() -> None:
    upsert = Upsert(tables.QUARANTINE)
    assert [block.size for block in upsert.blocks(entries(611), 10**6)] == [256, 256, 64, 32, 2, 1]
    assert SIZES[-1] == 1


def test_a_block_ends_before_the_servers_limit() -> None:
    upsert = Upsert(tables.QUARANTINE)
    blocks = list(upsert.blocks(entries(256), 5000))
    assert {block.size for block in blocks} == {32} and all(len(block.values) <= 5000 for block in blocks)
    assert [block.size for block in upsert.blocks(entries(2), 1)] == [1, 1], "a single row is never split"


@pytest.mark.parametrize(
    ("column", "value"),
    [("position", "1); DROP TABLE messages; --"), ("position", 2**63), ("node", 40_000), ("at", None)],
)
def test_a_number_that_is_none_or_does_not_fit_is_refused_before_it_is_sent(column: str, value: Any) -> None:
    with pytest.raises(Unfit, match=f"does not fit the column {column} of quarantine"):
        list(Upsert(tables.QUARANTINE).blocks(entries(1, **{column: value}), 10**6))


@pytest.mark.database
@pytest.mark.parametrize("length", [0, 1, 250, 251, 65_535, 65_536, 1_000_000])
def test_text_and_bytes_of_any_length_arrive_whole(mariadb: MariaDB, length: int) -> None:
    """The protocol writes their length in four ways."""

    class Row(msgspec.Struct):
        id: int
        text: str
        data: bytes
        number: int | None

    table = Table(
        "lengths",
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("text", columns.LongWords()),
        Column("data", columns.LongBytes()),
        Column("number", Integer),
    )
    made = create_engine(mariadb.fresh(), poolclass=NullPool)
    with made.begin() as connection:
        table.create(connection)
        many = [
            Row(number, "ü" * (length // 2), bytes(length), None if number % 3 else -number) for number in range(1, 26)
        ]
        send(connection, Upsert(table).blocks(many, 10**7), lambda: None)
        assert [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))] == [
            msgspec.structs.astuple(row) for row in many
        ]


@pytest.mark.database
def test_an_error_between_two_blocks_gives_the_connection_up(mariadb: MariaDB) -> None:
    """The answer to the first is still under way."""
    url = mariadb.fresh()
    made = create_engine(url)
    with made.begin() as connection:
        tables.QUARANTINE.create(connection)

    def blocks() -> Iterator[Any]:
        yield from Upsert(tables.QUARANTINE).blocks(entries(1), 10**6)
        raise KeyError("no more")

    with made.connect() as connection:
        with pytest.raises(KeyError):
            send(connection, blocks(), lambda: None)
        assert connection.invalidated
    with made.connect() as connection:
        assert connection.execute(select(tables.QUARANTINE)).all() == []
    made.dispose()
