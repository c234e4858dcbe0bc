"""What is said of the database: tables, sizes, indexes, and every row once, page by page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from pairscope.config import Settings
from pairscope.lab import gallery
from pairscope.lab.stage import manager
from pairscope.store import cursor, inventory, runs
from pairscope.store.engine import engine
from pairscope.store.models import History as HistoryTables
from pairscope.store.models import Own, Token
from tests.database import both
from tests.test_store_queries import History

pytestmark = pytest.mark.process


@pytest.fixture
def sessions(history: Settings) -> Iterator[tuple[Session, Session, History]]:
    """Sessions on history and on web's own tables, with some rows in both."""
    past = History(history)
    past.jobs(30)
    reader, own = engine(history.history_url, read_only=True), engine(history.web_url)
    with Session(reader) as first, Session(own) as second:
        run = manager.run(gallery.scenario("one-process"))
        for _ in range(3):
            runs.store(second, run, keep=10)
        second.add(Token(digest="0" * 64, name="somebody", created=1, expires=None, once=False))
        second.commit()
        yield first, second, past
    reader.dispose()
    own.dispose()
    past.close()


@both
def test_every_table_of_the_program_is_told_with_its_rows_and_indexes(
    sessions: tuple[Session, Session, History], database: str
) -> None:
    history, own, _ = sessions
    found = {table.name: table for table in inventory.tables(history, own)}
    assert set(found) == set(HistoryTables.metadata.tables) | set(Own.metadata.tables)
    assert (found["jobs"].rows, found["runs"].rows, found["tokens"].rows) == (30, 3, 1)
    assert all(table.exact and table.description for table in found.values())
    assert all(table.data and table.data > 0 for table in found.values()), "the database says how large each is"
    assert found["messages"].definitions[0].columns == ("id",) and found["messages"].definitions[0].unique
    assert ("kind", "id") in [index.columns for index in found["messages"].definitions]


@both
@pytest.mark.parametrize("name", ["messages", "transfers", "jobs", "processes", "runs"])
def test_the_pages_of_a_table_hold_each_row_once_newest_first(
    sessions: tuple[Session, Session, History], database: str, name: str
) -> None:
    history, own, _ = sessions
    found = inventory.find(name)
    assert found
    line, table = found
    seen, before = [], None
    while True:
        page = inventory.rows(history if line == "history" else own, table, before, 7)
        seen += [tuple(row[page.columns.index(key.name)] for key in table.primary_key) for row in page.rows]
        before = page.older
        if before is None:
            break
    assert len(seen) == len(set(seen)) > 0 and seen == sorted(seen, reverse=True)
    assert len(seen) == {table.name: table.rows for table in inventory.tables(history, own)}[name]


@both
def test_a_tokens_digest_and_a_runs_data_are_not_shown(
    sessions: tuple[Session, Session, History], database: str
) -> None:
    _, own, _ = sessions
    tokens = inventory.rows(own, Own.metadata.tables["tokens"], None, 10)
    assert "digest" not in tokens.columns and "somebody" in tokens.rows[0]
    page = inventory.rows(own, Own.metadata.tables["runs"], None, 10)
    assert all(isinstance(row[page.columns.index("data")], int) for row in page.rows)


@both
def test_a_cursor_of_another_table_is_refused(sessions: tuple[Session, Session, History], database: str) -> None:
    history, _, _ = sessions
    page = inventory.rows(history, HistoryTables.metadata.tables["messages"], None, 3)
    with pytest.raises(cursor.CursorError, match="belongs to 'messages'"):
        inventory.rows(history, HistoryTables.metadata.tables["jobs"], page.older, 3)
    with pytest.raises(cursor.CursorError, match="not a cursor"):
        inventory.rows(history, HistoryTables.metadata.tables["jobs"], "nonsense", 3)
