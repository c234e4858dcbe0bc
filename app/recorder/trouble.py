"""What a database's error means for a recorder: whom to wait for, and what to tell."""

from __future__ import annotations

import enum
import sqlite3

from pymysql.err import InterfaceError, MySQLError
from sqlalchemy import exc

from app.recorder.upsert import Unfit


class Trouble(enum.Enum):
    """What to do about an error."""

    AWAY = "wait for the database and try the whole batch again"
    BUSY = "somebody else was first: try the whole batch again"
    SCHEMA = "wait for a migration or a grant and try the whole batch again"
    RECORD = "a record is to blame: find it and put it aside"
    OURS = "the program is wrong: stop, nothing is lost that stays in the journal"


_BUSY = {
    1020,  # record has changed since last read
    1205,  # lock wait timeout
    1206,  # more locks than the lock table holds
    1213,  # deadlock
    1243,  # a prepared statement is no longer known: the next connection prepares it anew
    1615,  # a prepared statement has to be prepared anew
}
_SCHEMA = {
    1044,  # no right to the database
    1049,  # no such database
    1054,  # no such column
    1142,  # no right to the table
    1143,  # no right to the column
    1146,  # no such table
    1136,  # other columns than expected
    1364,  # a column that we do not know has no default
    1370,  # no right to a routine
}
_AWAY = {
    1021,  # disk full
    1030,  # the storage engine failed
    1037,  # out of memory
    1038,
    1040,  # too many connections
    1041,
    1042,
    1043,
    1045,  # wrong user or password
    1053,  # the server shuts down
    1077,
    1079,
    1114,  # a table is full: no room
    1129,  # this host is blocked
    1130,  # this host is not allowed
    1152,  # aborted connection
    1158,
    1159,
    1160,
    1161,
    1184,
    1203,  # too many connections of this user
    1226,  # this user has used up what it may
    1290,  # the server is read-only
    1461,  # more prepared statements than the server allows
    1792,  # the transaction is read-only
    1836,  # the server is read-only
    1927,  # the connection was killed
    3100,
    4031,  # the server ended an idle connection
}
"""All of the client's own codes (2000 to 2999) besides: no server, connection lost, protocol out of step."""

_SQLITE = {
    "SQLITE_BUSY": Trouble.BUSY,
    "SQLITE_LOCKED": Trouble.BUSY,
    "SQLITE_CONSTRAINT": Trouble.RECORD,
    "SQLITE_MISMATCH": Trouble.RECORD,
    "SQLITE_TOOBIG": Trouble.RECORD,
    "SQLITE_RANGE": Trouble.RECORD,
}
"""By the first two parts of the error's name; every other one is the file's or the machine's trouble."""


def judge(error: Exception) -> tuple[Trouble, str]:
    """What to do, and what is wrong in words."""
    if isinstance(error, (exc.DisconnectionError, exc.TimeoutError, ConnectionError)):
        return Trouble.AWAY, f"the database does not answer: {error}"
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    words = _words(cause)
    if isinstance(cause, sqlite3.Error):
        return _judge_sqlite(cause, words)
    if isinstance(cause, InterfaceError) or isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return Trouble.AWAY, f"the connection to the database is lost: {words}"
    if isinstance(error, (OverflowError, UnicodeError, Unfit)):
        return Trouble.RECORD, words
    if not isinstance(cause, MySQLError):
        return Trouble.OURS, f"{type(error).__name__}: {words}"
    code = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    if code in _BUSY:
        return Trouble.BUSY, f"the database is busy: {words}"
    if code in _SCHEMA:
        return Trouble.SCHEMA, f"the tables are not as expected (python -m app migrate makes them): {words}"
    if code in _AWAY or 2000 <= code < 3000:
        return Trouble.AWAY, f"the database cannot be used: {words}"
    return Trouble.RECORD, words


def _judge_sqlite(cause: sqlite3.Error, words: str) -> tuple[Trouble, str]:
    if "no such table" in words or "no such column" in words or "has no column" in words:
        return Trouble.SCHEMA, f"the tables are not as expected (python -m app migrate makes them): {words}"
    if isinstance(cause, (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        return Trouble.RECORD, words
    name = "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
    trouble = _SQLITE.get(name, Trouble.AWAY)
    if trouble is Trouble.BUSY:
        return trouble, f"the database is busy: {words}"
    return trouble, words if trouble is Trouble.RECORD else f"the database cannot be used: {words}"


def _words(cause: BaseException | None) -> str:
    if cause is None:
        return "no reason was given"
    if len(cause.args) == 2 and isinstance(cause.args[0], int):
        return f"{cause.args[1]} ({cause.args[0]})"
    return str(cause) or type(cause).__name__
