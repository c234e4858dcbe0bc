"""Migrations: two lines of them, one for history and one for web's own tables.

With MariaDB both lines are in one database, with SQLite each has a file. Run by whoever may create tables;
nothing else in this program changes a schema.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from pairscope.config import Settings
from pairscope.store.engine import engine, make_directory

HISTORY, OWN = "history", "own"
LOCK_SECONDS = 60


def upgrade(settings: Settings) -> list[str]:
    """Brings every table up to date; returns the revisions that were applied, none where nothing was to be done.

    Several may run at once, on several nodes: one does it, the others wait for it.
    """
    applied: list[str] = []
    for url, lines in _databases(settings):
        make_directory(url)
        made = engine(url, busy=LOCK_SECONDS)
        try:
            with made.connect() as connection, connection.begin(), _Alone(connection):
                for line in lines:
                    command.upgrade(_config(connection, applied.append), f"{line}@head")
        finally:
            made.dispose()
    return applied


def is_current(url: str, line: str = HISTORY) -> bool:
    """True: the tables of that line are as this version of the program expects them. Raises SQLAlchemyError if the
    database is away."""
    made = engine(url, read_only=True)
    try:
        with made.connect() as connection:
            standing = set(MigrationContext.configure(connection).get_current_heads())
    finally:
        made.dispose()
    newest = ScriptDirectory.from_config(_config()).get_revision(f"{line}@head")
    return newest is not None and newest.revision in standing


def _databases(settings: Settings) -> list[tuple[str, list[str]]]:
    if make_url(settings.web_url).get_backend_name() == "sqlite":
        return [(settings.migrate_url, [HISTORY]), (settings.web_url, [OWN])]
    return [(settings.migrate_url, [HISTORY, OWN])]


def _config(connection: Connection | None = None, applied: Callable[[str], None] | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection

    def tell(step: Any, **_rest: Any) -> None:
        if applied and step.is_upgrade:
            applied(step.up_revision_id)

    config.attributes["applied"] = tell
    return config


class _Alone:
    """Holds the database's own lock; with SQLite the transaction is one already."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._named = connection.dialect.name != "sqlite"

    def __enter__(self) -> None:
        if self._named and not self._connection.scalar(
            text("SELECT GET_LOCK('pairscope migrations', :s)"), {"s": LOCK_SECONDS}
        ):
            raise TimeoutError(f"another migration holds this database since more than {LOCK_SECONDS} s")

    def __exit__(self, *_error: object) -> None:
        if self._named:
            self._connection.execute(text("DO RELEASE_LOCK('pairscope migrations')"))
