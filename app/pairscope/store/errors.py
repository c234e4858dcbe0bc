"""What a database's error means, by its number: one table, for the recorder, the pages and the checks.

Only what is known to be about the value counts as VALUE. A number that is not in this table is the server's trouble: a
proxy, a cluster or a newer server says 'not now' by numbers that were made for something else. Galera answers 1047
(unknown command) to everything while a node is not part of the cluster, or has `wsrep_reject_queries` set, and 1180
(error during COMMIT) where it fails then; both were once taken for a refusal of the record, and good records were put
aside.

Sources: MariaDB's sql/share/errmsg-utf8.txt (errmsg.sys of 10.11), "Server Error Message Reference" of MySQL 8.0,
"Client Error Message Reference" (2000 to 2999; PyMySQL's constants.CR), Galera's "Troubleshooting" and the test
galera_wsrep_reject_queries; "Result and Error Codes" of SQLite.
"""

from __future__ import annotations

import enum
import os
import re
import socket
import sqlite3
import traceback
from typing import NamedTuple

import pymysql
import sqlalchemy
from pymysql.err import MySQLError
from sqlalchemy import exc


class Kind(enum.Enum):
    """Whom an error is about. The value says it in words."""

    VALUE = "the value is refused"
    BUSY = "somebody else was first"
    TABLES = "the tables are not as expected"
    RIGHTS = "a right is missing"
    LOGIN = "the login is refused"
    CONNECTIONS = "there is no room for another connection"
    ROOM = "there is no room left"
    READ_ONLY = "it takes no changes now"
    LATE = "it was asked for longer than it may take"
    CLUSTER = "its node is not part of the cluster now"
    HOST = "its host is not known"
    ABSENT = "nobody answers there"
    SERVER = "the server does not do it now"


CANNOT = "the database cannot be used: %(words)s"
SAID: dict[Kind, str] = {
    **{kind: f"the database cannot be used: {kind.value}: %(words)s" for kind in Kind},
    Kind.VALUE: "%(words)s",
    Kind.BUSY: "the database is busy: %(words)s",
    Kind.TABLES: "the tables are not as expected (pairscope migrate makes them): %(words)s",
    Kind.SERVER: CANNOT,
    Kind.ABSENT: CANNOT,
}
"""What the recorder says of an error of each kind, with the server's own words."""
NOT_ASKED = "The server did not answer a moment ago, and is not asked yet"
CLOSED = "the connection is closed"
OWN = tuple(f"{words} (%(number)s)" for words in (NOT_ASKED, CLOSED))
"""What stands in the place of a server's words, with the number."""
NO_RECORD = "the database refuses what is not about a record: %(why)s"

NUMBERS: dict[Kind, frozenset[int]] = {
    Kind.VALUE: frozenset(
        (
            *(1048, 1263, 1062, 1022, 1169, 1586, 1859),  # NULL where none may be; a key that stands already
            *(1264, 1265, 1406, 1690, 1916, 1917, 1918),  # out of range, cut, too long
            *(1292, 1299, 1366, 1367, 1411, 1441, 1525),  # no number, no time, no text of this column
            *(1300, 1977, 3854),  # bytes that are no text; a character that the column's set lacks
            *(1267, 1270, 1271),  # text that cannot be compared: one beyond ASCII with an ASCII column
            *(1216, 1217, 1451, 1452, 1369, 3819, 4025),  # a foreign key, a view's or a table's CHECK
            *(1118, 1153, 1301, 1713, 1526, 1748),  # a row that is too large, or in no partition
        )
    ),
    Kind.BUSY: frozenset(
        (
            # a row that changed, a lock that was not got, a deadlock
            *(
                1020,
                1205,
                1206,
                1213,
                1613,
                1614,
                3101,
                3572,
            ),
            *(1243, 1615, 1412),  # a prepared statement, or a table under it, is another one now
        )
    ),
    Kind.TABLES: frozenset((1046, 1049, 1051, 1054, 1109, 1136, 1146, 1356, 1364, 1932)),
    Kind.RIGHTS: frozenset((1044, 1142, 1143, 1227, 1370)),
    Kind.LOGIN: frozenset(
        (1045, 1129, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2049, 2059, 2061, 3118, 3159, 3955, 4150, 4151)
    ),
    Kind.CONNECTIONS: frozenset((1040, 1135, 1203, 1226, 1461)),
    Kind.ROOM: frozenset((1021, 1037, 1038, 1041, 1114, 1637)),
    Kind.READ_ONLY: frozenset((1036, 1223, 1290, 1792, 1836, 3100)),
    Kind.LATE: frozenset((1317, 1969, 3024)),
    Kind.CLUSTER: frozenset((1047, 1180)),
    Kind.HOST: frozenset((2005,)),
    Kind.ABSENT: frozenset((2001, 2002, 2003, 2004)),
}
"""MariaDB's and MySQL's numbers. Every other one is SERVER."""

SQLITE: dict[str, Kind] = {
    "SQLITE_BUSY": Kind.BUSY,
    "SQLITE_LOCKED": Kind.BUSY,
    "SQLITE_SCHEMA": Kind.BUSY,
    "SQLITE_CONSTRAINT": Kind.VALUE,
    "SQLITE_MISMATCH": Kind.VALUE,
    "SQLITE_TOOBIG": Kind.VALUE,
    "SQLITE_FULL": Kind.ROOM,
    "SQLITE_NOMEM": Kind.ROOM,
    "SQLITE_READONLY": Kind.READ_ONLY,
    "SQLITE_PERM": Kind.RIGHTS,
    "SQLITE_AUTH": Kind.RIGHTS,
    "SQLITE_INTERRUPT": Kind.LATE,
    "SQLITE_CANTOPEN": Kind.ABSENT,
}
"""By the first two parts of the error's name. Every other one is SERVER."""

_ENDED = frozenset((0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031))
"""The connection, or the server, came to its end."""

_KIND = {number: kind for kind, numbers in NUMBERS.items() for number in numbers}
_DRIVERS = tuple(os.path.dirname(module.__file__ or "?") + os.sep for module in (pymysql, sqlalchemy))


class Fault(NamedTuple):
    """An error of a database."""

    kind: Kind
    number: int | str
    """The server's or the client's number, or SQLite's name for it; 0 where there is none."""
    words: str
    """The server's own, with the number."""

    @property
    def answered(self) -> bool:
        """Whether a server said it; False: nobody is there, or the connection ended."""
        if self.kind in (Kind.HOST, Kind.ABSENT):
            return False
        return isinstance(self.number, str) or (self.number not in _ENDED and not 2000 <= self.number < 3000)


def of(error: BaseException) -> Fault | None:
    """What an error says; None: it is no error of a database, nor of the driver that talks to one."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    if isinstance(cause, MySQLError):
        number = _number(cause)
        return Fault(_unknown_host(cause) or _KIND.get(number, Kind.SERVER), number, _words(cause))
    if isinstance(cause, (OverflowError, UnicodeEncodeError)) and (
        isinstance(error, exc.SQLAlchemyError) or _from_a_driver(cause)
    ):
        return Fault(Kind.VALUE, 0, _words(cause))  # no byte of it has left this process
    if isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError):
        return None  # a statement that this program has made wrongly
    if (
        isinstance(error, exc.SQLAlchemyError)
        or (isinstance(error, OSError) and _through_a_driver(error))
        or _from_a_driver(error)
    ):
        # A driver that stumbles (AttributeError, IndexError) has been told something that it does not understand, or
        # its connection has gone.
        return Fault(
            Kind.SERVER,
            0,
            _words(cause)
            if isinstance(error, (exc.SQLAlchemyError, OSError))
            else f"{type(error).__name__}: {_words(cause)}",
        )
    return None


def _of_sqlite(cause: sqlite3.Error) -> Fault:
    name = getattr(cause, "sqlite_errorname", "")
    words = _words(cause)
    if re.search("no such (table|column)|has no column|values for .* columns", words):
        return Fault(Kind.TABLES, name, words)
    if isinstance(cause, (sqlite3.DataError, sqlite3.IntegrityError)) or "binding parameter" in words:
        return Fault(Kind.VALUE, name, words)
    return Fault(SQLITE.get("_".join(name.split("_")[:2]), Kind.SERVER), name, words)


def _unknown_host(cause: MySQLError) -> Kind | None:
    """PyMySQL says 2003 for it as for a server that is not there."""
    return Kind.HOST if isinstance(getattr(cause, "original_exception", None), socket.gaierror) else None


def _from_a_driver(error: BaseException) -> bool:
    """Whether it was raised inside the driver's code or SQLAlchemy's."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and place.tb_frame.f_code.co_filename.startswith(_DRIVERS)


def _through_a_driver(error: BaseException) -> bool:
    """Whether it passed the driver's code or SQLAlchemy's on its way: a socket's error, and not that of a file of
    ours."""
    return any(frame.f_code.co_filename.startswith(_DRIVERS) for frame, _line in traceback.walk_tb(error.__traceback__))


def _number(cause: BaseException) -> int:
    """PyMySQL reads the two bytes as a number with a sign: 40000 came as -25536."""
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else 0
    return number + 65536 if -32768 <= number < 0 else number


def _words(cause: BaseException) -> str:
    if len(cause.args) == 2 and isinstance(cause.args[0], int):
        return f"{cause.args[1] or CLOSED} ({_number(cause)})"
    return str(cause) or type(cause).__name__
