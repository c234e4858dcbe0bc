"""The filter's second evaluator: whether a row that was read already fits, without asking a database.

Live has the rows of each commit in memory, and asks of each of them what each viewer's filter says
(docs/live.md). It gives the answer that :mod:`~pairscope.store.filter.sql` gives in the database:
tests/test_store_filter_memory.py holds both to it over random rows and filters, with SQLite and with MariaDB. A word of
the record never ends in a blank; of those that do, MariaDB takes ``a`` for ``a ``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pairscope.store.filter import tree
from pairscope.store.filter.conditions import Condition

Letters = Mapping[int, str]
"""Each letter that the database's ``LOWER`` makes another one, by its number, as str.translate takes it. MariaDB 10.11
knows the letters of Unicode 3.0, SQLite those of ASCII: who evaluates asks the database once."""

CAPITALS = "".join(char for char in map(chr, range(0x110000)) if char.lower() != char)
"""What to ask it for, as one text."""

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def letters(lowered: str) -> Letters:
    """The letters of a database whose ``LOWER`` makes `lowered` of CAPITALS. ValueError if it gives another number of
    characters."""
    return {ord(capital): small for capital, small in zip(CAPITALS, lowered, strict=True) if small != capital}


def fits(conditions: Sequence[Condition], row: Any, letters: Letters) -> bool:
    """Whether a row, with the attributes of pairscope.store.models, fits all conditions of a filter."""
    return all((_says(each.says, row, letters) is True) is not each.negated for each in conditions)


def _says(node: tree.Node, row: Any, letters: Letters) -> bool | None:
    """Of a row; None: not known, as NULL is in SQL."""
    match node:
        case tree.Not():
            said = _says(node.of, row, letters)
            return None if said is None else not said
        case tree.All():
            return _least(False, [_says(part, row, letters) for part in node.of])
        case tree.Any():
            return _least(True, [_says(part, row, letters) for part in node.of])
    value = getattr(row, node.column)
    if isinstance(node, tree.Known):
        return value is not None
    if value is None:
        return None
    match node:
        case tree.Compare():
            return _ORDER[node.operator](value, node.value)
        case tree.Contains():
            if isinstance(value, bytes):
                return node.text.encode() in value
            return node.text.lower() in value.translate(letters)
        case tree.Begins():
            return bool(value.startswith(node.text))
        case tree.Among():
            return value in node.values
        case tree.Set():
            return bool(value)


def _least(decides: bool, said: list[bool | None]) -> bool | None:
    """Of several: the one that decides, if anybody says it; else not known, if anybody does not know."""
    return decides if decides in said else None if None in said else not decides
