"""The engine: how this program connects to SQLite and to MariaDB or MySQL."""

from __future__ import annotations

import functools
import logging
import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from pairscope.store import errors
from pairscope.store.rows import Reader

SQL_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
"""Without it a value that does not fit is cut, or its row dropped, with a warning that nobody reads."""
READ_SECONDS = 10
"""A statement of web that takes longer is ended by the server; the slowest page of docs/record.md took 0.7 s."""
ANSWER_SECONDS = 3
"""Within this a server that runs greets, answers a ping and rolls back, however slow its queries are."""
AGAIN_SECONDS = 2
"""After this a server that did not answer is asked again."""
BUSY_SECONDS = 5.0
"""So long SQLite waits for a lock that another process or thread holds."""


# What a pool has to say is that a connection ended, with a traceback each; whoever uses it says so in words.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def engine(
    url: str,
    *,
    read_only: bool = False,
    away: Away | None = None,
    let_go: int = 0,
    busy: float = BUSY_SECONDS,
    **options: Any,
) -> Engine:
    """An engine for one database; connects at the first use.

    `read_only`: every SELECT stands for itself (no transaction, no snapshot that is held), anything else is refused.
    `away`: waits shortly for MariaDB, and not at all while that says that it stands still. What can wait (the recorder)
    does without: a server that goes on still answers what it was asked before. `let_go`: seconds after which MariaDB
    rolls back a transaction whose client says nothing or stops in the midst of what it says, and after which a lock is
    waited for no longer. A client that a signal has stopped holds its locks otherwise for as long as it is there.
    `busy`: seconds that SQLite waits for a lock. `options` go to SQLAlchemy's create_engine, as `pool_size`. What a
    transaction of a writing engine has begun with SQLite holds the write lock from its first statement: a reader that
    becomes a writer would fail with SQLITE_BUSY.
    """
    place = make_url(url)
    if read_only:
        options.setdefault("isolation_level", "AUTOCOMMIT")
    if place.get_backend_name() == "sqlite":
        made = create_engine(place, connect_args={"timeout": busy, "check_same_thread": False}, **options)
        event.listen(made, "connect", functools.partial(_prepare_sqlite, read_only, busy))
        if not read_only:
            event.listen(made, "begin", _begin_immediate)
        return made
    options.setdefault("pool_pre_ping", True)
    options.setdefault("pool_recycle", 3600)
    made = create_engine(
        place,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": away.patience if away else 5,
            "read_timeout": away.patience if away else READ_SECONDS + 5 if read_only else 60,
            "write_timeout": READ_SECONDS + 2 if away else 30,
            "local_infile": False,
        },
        **options,
    )
    event.listen(made, "connect", _prepare_mariadb)
    if read_only or away:
        event.listen(made, "connect", _limit_mariadb)
    if read_only:
        event.listen(made, "connect", _refuse_to_write_mariadb)
    if let_go:
        event.listen(made, "connect", functools.partial(_let_go_mariadb, let_go))
    event.listen(made, "connect", _note)
    if away:
        away.watch(made)
    if read_only:
        event.listen(made, "do_connect", _reader)  # behind Away's: the first that has one makes the connection
    return made


def _reader(dialect: Any, _record: object, given: Any, named: Any) -> Any:
    return Reader(*given, **named) if dialect.driver == "pymysql" else None


class Away:
    """Whether a server that takes connections but stands still is away, for all engines of a process that go to it.

    Found by stopping mariadbd (SIGSTOP): a page waited 45 s for its 503, three times a timeout of 15 s: for the ping of
    an idle connection, for the greeting of a new one, and once more for the health strip of the error page. A few open
    pages held every thread of web. Now who comes first waits `patience`, or READ_SECONDS and 2 if it was in the midst
    of a query; then all others fail at once, and every `pause` seconds one of them is let through to look. A server
    that has been killed refuses by itself: nothing is remembered of it.
    """

    def __init__(self, patience: float = ANSWER_SECONDS, pause: float = AGAIN_SECONDS) -> None:
        self.patience = patience
        self._pause = pause
        self._lock = threading.Lock()
        self._until: float | None = None
        """Nobody connects before (monotonic); None: it answers, for all that is known."""
        self._engines: list[Engine] = []

    def watch(self, made: Engine) -> None:
        """Makes an engine ask here before it connects, and tell how that ended."""
        self._engines.append(made)
        event.listen(made, "do_connect", self._before)
        event.listen(made, "connect", self._answered)
        event.listen(made, "handle_error", self._failed)
        event.listen(made, "checkout", self._wait_for_queries)
        event.listen(made, "reset", self._wait_for_pings)

    def _before(self, dialect: Any, *_how: object) -> None:
        with self._lock:
            if self._until is None:
                return
            now = time.monotonic()
            if now < self._until:
                raise dialect.loaded_dbapi.OperationalError(*_REFUSED)
            # this one looks; the greeting and what comes next may each be waited for
            self._until = now + 2 * self.patience

    def _answered(self, *_connection: object) -> None:
        with self._lock:
            self._until = None

    def _failed(self, context: Any) -> None:
        error = context.original_exception
        if error.args == _REFUSED:
            return
        if not isinstance(error.__context__, TimeoutError):
            self._answered()  # it spoke, or nobody is there, which is known at once
            return
        with self._lock:
            self._until = time.monotonic() + self._pause
        for made in self._engines:
            made.dispose()  # each idle connection would be pinged, and waited for

    def _wait_for_queries(self, connection: Any, *_pool: object) -> None:
        connection._read_timeout = READ_SECONDS + 2

    def _wait_for_pings(self, connection: Any, *_pool: object) -> None:
        connection._read_timeout = self.patience


_REFUSED = (2003, errors.NOT_ASKED)


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()


def _note(connection: Any, _record: object) -> None:
    with _lock:
        _open.add(connection)


def connections() -> dict[int, int]:
    """The descriptor of each connection to MariaDB that this process holds, by the server's number of the
    connection."""
    with _lock:
        known = list(_open)
    return {connection.thread_id(): held.fileno() for connection in known if (held := connection._sock) is not None}


def make_directory(url: str) -> None:
    """Makes the directory in which a SQLite file is to stand; nothing for another database."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and place.database:
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)


_TEXT = functools.partial(str, encoding="utf-8", errors="backslashreplace")
"""SQLite keeps any bytes as text. One that is no UTF-8 made a whole answer an error."""


def _prepare_sqlite(read_only: bool, busy: float, connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own BEGIN comes late and is never IMMEDIATE: _begin_immediate takes its place.
    connection.isolation_level = None
    connection.text_factory = _TEXT
    _write_ahead(connection, busy)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("PRAGMA case_sensitive_like=ON")  # as MariaDB compares, with the collation of our columns
    if read_only:
        connection.execute("PRAGMA query_only=ON")


def _write_ahead(connection: sqlite3.Connection, busy: float) -> None:
    """Puts the file into WAL mode, if nobody has yet.

    Of several that open a new file at once each reads it and then wants it for itself. SQLite does not let them wait
    for each other, as none would ever get on: all but one have SQLITE_BUSY at once, whatever the timeout
    (sqlite3_busy_handler). In 60 rounds of six processes 3 had.
    """
    until = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_mariadb(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION sql_mode='{SQL_MODE}', time_zone='+00:00'")


def _limit_mariadb(connection: Any, _record: object) -> None:
    limit = (
        f"max_statement_time={READ_SECONDS}"
        if "MariaDB" in connection.get_server_info()
        else f"max_execution_time={READ_SECONDS * 1000}"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {limit}")


def _let_go_mariadb(seconds: int, connection: Any, _record: object) -> None:
    """https://mariadb.com/kb/en/transaction-timeouts/: MySQL has no such thing for a client that is silent."""
    silent = f", idle_transaction_timeout={seconds}" if "MariaDB" in connection.get_server_info() else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout={seconds}{silent}")


def _refuse_to_write_mariadb(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
