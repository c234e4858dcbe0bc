"""Migrations: the tables that they make are the tables that the program means, on both databases."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from pairscope.config import Settings
from pairscope.store import migrate
from pairscope.store.engine import engine
from pairscope.store.models import History, Own
from tests import migrations
from tests.database import MariaDB, both


def differences(url: str, metadata: MetaData | list[MetaData]) -> list:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)  # type: ignore[arg-type]  # Alembic takes several as well


@both
def test_migrations_make_exactly_the_tables_that_the_models_describe(history: Settings, database: str) -> None:
    if database == "sqlite":
        assert differences(history.history_url, History.metadata) == []
        assert differences(history.web_url, Own.metadata) == []
    else:
        assert differences(history.history_url, [History.metadata, Own.metadata]) == []


@both
def test_a_second_migration_finds_nothing_to_do(history: Settings, database: str) -> None:
    assert migrate.upgrade(history) == []
    assert migrate.is_current(history.history_url)
    assert migrate.is_current(history.web_url, migrate.OWN)


def test_the_first_migration_says_what_it_applied_and_makes_two_files(tmp_path: Path) -> None:
    fresh = Settings(state=tmp_path / "state", run=tmp_path)
    assert migrate.upgrade(fresh) == migrations.ALL
    assert {path.name for path in fresh.state.glob("*.sqlite")} == {"history.sqlite", "web.sqlite"}


def test_tables_that_are_not_there_are_not_current(tmp_path: Path) -> None:
    assert not migrate.is_current(f"sqlite:///{tmp_path}/empty.sqlite")


@pytest.mark.database
def test_a_migration_that_was_interrupted_goes_on_where_it_stopped(mariadb: MariaDB, tmp_path: Path) -> None:
    url = mariadb.fresh()
    fresh = Settings(state=tmp_path, run=tmp_path, history_url=url)
    made = create_engine(url, poolclass=NullPool)
    migrate.upgrade(fresh)
    with made.begin() as connection:
        connection.exec_driver_sql("DROP TABLE transfers, alembic_version")
        connection.exec_driver_sql("ALTER TABLE messages DROP INDEX ix_messages_state_id")
    assert migrate.upgrade(fresh) == migrations.ALL
    assert differences(url, [History.metadata, Own.metadata]) == []


@both
@pytest.mark.process
def test_migrations_started_at_once_make_the_tables_once(database: str, mariadb: MariaDB, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    url = mariadb.fresh() if database == "mariadb" else f"sqlite:///{tmp_path}/history.sqlite"
    file.write_text(f'state = "{tmp_path}"\nrun = "{tmp_path}"\nhistory_url = "{url}"\n')
    program = (
        "import sys; from pairscope import config; from pairscope.store import migrate; "
        "print(*migrate.upgrade(config.read(sys.argv[1])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(" ".join(said).split()) == migrations.ALL


def test_who_opens_a_new_file_waits_for_another_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(busy: float) -> str:
        made = engine(f"sqlite:///{tmp_path}/new.sqlite", busy=busy)
        try:
            with made.connect() as connection:
                return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
        finally:
            made.dispose()

    # For another mode of the journal SQLite does not wait itself, but says BUSY at once.
    other = sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            opened(0.05)
        monkeypatch.setattr(time, "sleep", lambda _seconds: other.execute("COMMIT"))
        assert opened(60) == "wal"
    finally:
        other.close()


@pytest.mark.database
def test_tables_are_innodb_with_binary_collations(mariadb: MariaDB, tmp_path: Path) -> None:
    url = mariadb.fresh()
    migrate.upgrade(Settings(state=tmp_path, run=tmp_path, history_url=url))
    with create_engine(url, poolclass=NullPool).connect() as connection:
        for table in inspect(connection).get_table_names():
            if table != "alembic_version":
                options = inspect(connection).get_table_options(table)
                assert (options["mysql_engine"], options["mysql_collate"]) == ("InnoDB", "utf8mb4_bin"), table
        collations = connection.exec_driver_sql(
            "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            " AND collation_name IS NOT NULL AND table_name <> 'alembic_version'"
        ).scalars()
        assert set(collations) == {"ascii_bin", "utf8mb4_bin"}
