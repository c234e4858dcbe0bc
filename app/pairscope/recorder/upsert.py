"""Upserts: insert rows, or bring those that stand up to date, very many at once.

For MariaDB and MySQL as prepared statements of many rows with binary values: no text is made here, none is parsed
there, and nothing has to be escaped. It took the server 9 us a row where the same statement as text took 14. PyMySQL
prepares no statements of its own; what it has for commands and packets is used here under its private names, so
requirements.txt names its version and tests hold it to them. MySQL's manual: "Binary Protocol", COM_STMT_PREPARE and
COM_STMT_EXECUTE. For SQLite the driver's executemany is the fast way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, SmallInteger, Table

from pairscope.ipc.sentences import Waits

SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement. Larger ones were slower: what the server makes of them no longer fits its cache."""

PREPARE, EXECUTE = 0x16, 0x17
BLOB, STRING = 252, 254
"""Types of parameters: bytes as they are, and text in the connection's character set."""
INTEGERS = {BigInteger: ("q", 8), SmallInteger: ("h", 2), Integer: ("i", 3), Boolean: ("b", 1)}
"""For the struct module, and for the server. The first that a type is: SQLAlchemy's larger and smaller ones are kinds
of Integer."""


class Unfit(ValueError):
    """A number does not fit its column; the text says which."""


class Block(NamedTuple):
    """Rows as a prepared statement takes them."""

    upsert: Upsert
    size: int
    nulls: bytes
    """One bit for each parameter."""
    values: bytes


class Upsert:
    """The upsert of one table. A row has the table's columns as fields, in their order."""

    def __init__(self, table: Table) -> None:
        columns = self._columns = list(table.columns)
        key = [column.name for column in table.primary_key]
        self._places: dict[str, list[int]] = {name: [] for name in ("numbers", "nullable", "words", "bytes")}
        for place, column in enumerate(columns):
            self._places[_sort(column)].append(place)
        # What has a fixed length comes first: it is packed at once.
        self._order = [place for places in self._places.values() for place in places]
        ordered = [columns[place] for place in self._order]
        self._nullable = [_integer(columns[place])[0] for place in self._places["nullable"]]
        self._numbers = struct.Struct("<" + "".join(_integer(columns[place])[0] for place in self._places["numbers"]))
        self.types = b"".join(struct.pack("<H", _type(column)) for column in ordered)
        names = ", ".join(f"`{column.name}`" for column in ordered)
        updates = ", ".join(f"`{column.name}`=VALUES(`{column.name}`)" for column in ordered if column.name not in key)
        self._statement = f"INSERT INTO `{table.name}` ({names}) VALUES %s ON DUPLICATE KEY UPDATE {updates}"  # noqa: S608  # names of our own tables and columns
        self._row = "(" + ",".join("?" * len(columns)) + ")"
        quoted = ", ".join(f'"{column.name}"' for column in columns)
        excluded = ", ".join(
            f'"{column.name}"=excluded."{column.name}"' for column in columns if column.name not in key
        )
        conflict = ", ".join(f'"{name}"' for name in key)
        self.sqlite = f'INSERT INTO "{table.name}" ({quoted}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608  # names of our own tables and columns
        self.sqlite += f" ON CONFLICT ({conflict}) DO UPDATE SET {excluded}"
        """The statement for executemany of the sqlite3 module."""

    def statement(self, size: int) -> bytes:
        """The text of the statement of `size` rows, to be prepared."""
        return (self._statement % ",".join([self._row] * size)).encode()

    def blocks(self, rows: Sequence[msgspec.Struct], most: int) -> Iterator[Block]:
        """Rows in blocks of one of SIZES, each of at most `most` bytes unless it is a single row. Raises Unfit."""
        start = 0
        while start < len(rows):
            for size in SIZES:
                if size <= len(rows) - start:
                    nulls, values = self._encode(rows[start : start + size])
                    if size == 1 or sum(map(len, values)) <= most:
                        yield Block(self, size, nulls, b"".join(values))
                        start += size
                        break

    def _encode(self, rows: Sequence[msgspec.Struct]) -> tuple[bytes, list[bytes]]:
        try:
            return self._packed(rows)
        except struct.error:
            raise self._unfit(rows) from None

    def _packed(self, rows: Sequence[msgspec.Struct]) -> tuple[bytes, list[bytes]]:
        columns = list(zip(*map(msgspec.structs.astuple, rows)))
        places = self._places
        nulls = bytearray((len(rows) * len(columns) + 7) // 8)
        parts: list[Iterable[bytes]] = [map(self._numbers.pack, *(columns[place] for place in places["numbers"]))]
        for number, (place, code) in enumerate(zip(places["nullable"], self._nullable), len(places["numbers"])):
            pack = struct.Struct("<" + code).pack
            parts.append([b"" if value is None else pack(value) for value in columns[place]])
            for row, value in enumerate(columns[place]):
                if value is None:
                    bit = row * len(columns) + number
                    nulls[bit >> 3] |= 1 << (bit & 7)
        for place in places["words"]:
            words = {value: _counted(value.encode()) for value in set(columns[place])}
            parts.append([words[value] for value in columns[place]])
        for place in places["bytes"]:
            parts.append(map(_counted, columns[place]))
        return bytes(nulls), [b"".join(values) for values in zip(*parts)]

    def _unfit(self, rows: Sequence[msgspec.Struct]) -> Unfit:
        for row in rows:
            for column, value in zip(self._columns, msgspec.structs.astuple(row)):
                if _sort(column) == "numbers" or (_sort(column) == "nullable" and value is not None):
                    try:
                        struct.pack(_integer(column)[0], value)
                    except struct.error:
                        return Unfit(Waits.UNFIT.say(value=repr(value), name=column.name, names=column.table.name))
        raise AssertionError("every number fits its column")


def send(connection: Connection, blocks: Iterable[Block], meanwhile: Callable[[], None]) -> None:
    """Executes blocks one after the other. While the server works on one, `meanwhile` is called and the next block is
    made.

    Raises the driver's own errors, and what `blocks` raises; the connection is then given up. A thread that waits for
    the server was slower: it shares the interpreter lock with the one that makes the blocks.
    """
    driver: Any = connection.connection.driver_connection
    prepared: dict[tuple[bytes, int], int] = connection.info.setdefault("prepared", {})
    answer_due = False
    try:
        for block in blocks:
            if answer_due:
                driver._read_query_result()
                answer_due = False
            name = (block.upsert.types, block.size)
            number = prepared.get(name)
            types = b"\x00"
            if number is None:
                number = prepared[name] = _prepare(driver, block.upsert.statement(block.size))
                types = b"\x01" + block.upsert.types * block.size
            driver._execute_command(EXECUTE, struct.pack("<IBI", number, 0, 1) + block.nulls + types + block.values)
            answer_due = True
            meanwhile()
        if answer_due:
            driver._read_query_result()
    except BaseException:
        # An answer may still be under way: the next statement would take it for its own.
        connection.invalidate()
        raise


def _prepare(driver: Any, statement: bytes) -> int:
    """The server's number of the prepared statement."""
    driver._execute_command(PREPARE, statement)
    number: int
    number, columns, parameters = struct.unpack_from("<xIHH", driver._read_packet().get_all_data())
    for definitions in (parameters, columns):
        for _ in range(definitions + 1 if definitions else 0):  # and the end of their list
            driver._read_packet()
    return number


def _integer(column: Column[Any]) -> tuple[str, int]:
    return next(codes for kind, codes in INTEGERS.items() if isinstance(column.type, kind))


def _sort(column: Column[Any]) -> str:
    kind = column.type.python_type
    if kind is str:
        return "words"
    if kind is bytes:
        return "bytes"
    return "nullable" if column.nullable else "numbers"


def _type(column: Column[Any]) -> int:
    kind = column.type.python_type
    return STRING if kind is str else BLOB if kind is bytes else _integer(column)[1]


def _counted(value: bytes) -> bytes:
    """Bytes behind their number, as the protocol writes it."""
    length = len(value)
    if length < 251:
        return _SHORT[length] + value
    if length < 1 << 16:
        return b"\xfc" + struct.pack("<H", length) + value
    if length < 1 << 24:
        return b"\xfd" + struct.pack("<I", length)[:3] + value
    return b"\xfe" + struct.pack("<Q", length) + value


_SHORT = [bytes((length,)) for length in range(251)]
