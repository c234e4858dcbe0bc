"""Types of columns, options of tables and names of indexes, the same on each database."""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary, String, Text
from sqlalchemy.dialects import mysql, sqlite

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
}


def Word(length: int) -> String:
    """An identifier: ASCII, compared byte by byte on every database."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def Words(length: int) -> String:
    """Text for people."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def LongWords() -> Text:
    """Text for people or programs, up to 16 MiB."""
    return Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def Id() -> BigInteger:
    """An id that is a primary key. With SQLite it is the rowid itself: the table is kept in its order."""
    return BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def Bytes(length: int) -> LargeBinary:
    """At most `length` bytes."""
    return LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def LongBytes() -> LargeBinary:
    """Up to 16 MiB."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


TABLE = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}.items()
}
"""Options of every table: the rows of one batch stand or fall together, whatever the server's default engine is."""
