"""The engine: how this program connects to SQLite and to MariaDB or MySQL."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

SQL_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""Without it a value that does not fit is cut, or its row dropped, with a warning that nobody reads."""
READ_SECONDS = 10
"""A query of a page that takes longer is ended by the server."""


def engine(url: str, *, read_only: bool = False, **options: Any) -> Engine:
    """An engine for one database; connects at the first use.

    `read_only`: every SELECT stands for itself (no transaction, no snapshot that is held), anything else is refused.
    `options` go to SQLAlchemy's create_engine, as `pool_size`. What a transaction of a writing engine has begun with
    SQLite holds the write lock from its first statement: a reader that becomes a writer would fail with SQLITE_BUSY.
    """
    place = make_url(url)
    if read_only:
        options.setdefault("isolation_level", "AUTOCOMMIT")
    if place.get_backend_name() == "sqlite":
        made = create_engine(place, connect_args={"timeout": 5.0, "check_same_thread": False}, **options)
        event.listen(made, "connect", _prepare_sqlite_reader if read_only else _prepare_sqlite)
        if not read_only:
            event.listen(made, "begin", _begin_immediate)
        return made
    options.setdefault("pool_pre_ping", True)
    options.setdefault("pool_recycle", 3600)
    made = create_engine(
        place,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": 5,
            "read_timeout": READ_SECONDS + 5 if read_only else 60,
            "write_timeout": 30,
            "local_infile": False,
        },
        **options,
    )
    event.listen(made, "connect", _prepare_mariadb_reader if read_only else _prepare_mariadb)
    event.listen(made, "connect", _note)
    return made


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()


def _note(connection: Any, _record: object) -> None:
    with _lock:
        _open.add(connection)


def connections() -> dict[int, int]:
    """Of each connection to MariaDB that this process holds, by the number that the server has given it, its descriptor."""
    with _lock:
        known = list(_open)
    return {connection.thread_id(): held.fileno() for connection in known if (held := connection._sock) is not None}


def make_directory(url: str) -> None:
    """Makes the directory in which a SQLite file is to stand; nothing for another database."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and place.database:
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own BEGIN comes late and is never IMMEDIATE: _begin_immediate takes its place.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=OFF")


def _prepare_sqlite_reader(connection: sqlite3.Connection, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA query_only=ON")


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_mariadb(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION sql_mode='{SQL_MODE}', time_zone='+00:00'")


def _prepare_mariadb_reader(connection: Any, record: object) -> None:
    _prepare_mariadb(connection, record)
    limit = (
        f"max_statement_time={READ_SECONDS}"
        if "MariaDB" in connection.get_server_info()
        else f"max_execution_time={READ_SECONDS * 1000}"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {limit}")
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
