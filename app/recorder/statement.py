"""Upserts: one statement that inserts many rows, or brings those that stand up to date.

For MariaDB the statement is built here, literals and all, column by column: SQLAlchemy's and the driver's own way to
many rows cost the client more than the server needs for them. For SQLite the driver's executemany is the fast way.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence

import msgspec
from sqlalchemy import Column, Table

ROWS = 1000
"""Rows of one statement: enough to spread its cost, few enough that the next is built while the server works on this one."""

Escape = Callable[[str], str]


class Upsert:
    """The upsert of one table."""

    def __init__(self, table: Table) -> None:
        columns = list(table.columns)
        key = [column.name for column in table.primary_key]
        rest = [column.name for column in columns if column.name not in key]
        names = ", ".join(f"`{column.name}`" for column in columns)
        self._head = f"INSERT INTO `{table.name}` ({names}) VALUES "
        self._tail = " ON DUPLICATE KEY UPDATE " + ", ".join(f"`{name}`=VALUES(`{name}`)" for name in rest)
        literals, renderers = zip(*(_literal(column) for column in columns))
        self._template = "(" + ",".join(literals) + ")"
        self._renderers: tuple[Any, ...] = renderers
        quoted = ", ".join(f'"{column.name}"' for column in columns)
        updates = ", ".join(f'"{name}"=excluded."{name}"' for name in rest)
        conflict = ", ".join(f'"{name}"' for name in key)
        self.sqlite = f'INSERT INTO "{table.name}" ({quoted}) VALUES ({", ".join("?" * len(columns))})'
        self.sqlite += f" ON CONFLICT ({conflict}) DO UPDATE SET {updates}"
        """The statement for executemany of the sqlite3 module."""

    def mariadb(self, rows: Sequence[msgspec.Struct], escape: Escape, most: int) -> Iterator[str]:
        """Whole statements of at most ROWS rows and about `most` characters. `escape` is the driver's: text to literal.

        Raises TypeError for a value that is not of its column's type.
        """
        for start in range(0, len(rows), ROWS):
            literals = self._literals(rows[start : start + ROWS], escape)
            first = size = 0
            for number, literal in enumerate(literals):
                size += len(literal) + 1
                if size > most and number > first:
                    yield self._statement(literals[first:number])
                    first, size = number, len(literal) + 1
            yield self._statement(literals[first:])

    def _literals(self, rows: Sequence[msgspec.Struct], escape: Escape) -> list[str]:
        columns = zip(*map(msgspec.structs.astuple, rows))
        rendered = [render(values, escape) if render else values for render, values in zip(self._renderers, columns)]
        template = self._template
        return [template % values for values in zip(*rendered)]

    def _statement(self, literals: list[str]) -> str:
        return self._head + ",".join(literals) + self._tail


def _literal(column: Column[Any]) -> tuple[str, Any]:
    """The place of a column's value in the template, and what makes of a column of values what stands there."""
    kind = column.type.python_type
    if kind is str:
        return "%s", _quoted
    if kind is bytes:
        return "x'%s'", _hexadecimal
    return ("%s", _nullable) if column.nullable else ("%d", None)


def _quoted(values: Sequence[str], escape: Escape) -> Sequence[str]:
    escaped = {value: escape(value) for value in set(values)}
    return [escaped[value] for value in values]


def _hexadecimal(values: Sequence[bytes], _escape: Escape) -> Sequence[str]:
    return [value.hex() for value in values]


def _nullable(values: Sequence[int | None], _escape: Escape) -> Sequence[str]:
    return ["NULL" if value is None else f"{value:d}" for value in values]
