"""What a filter says of a row, as a tree that no database is needed to read. Pure.

A node is true, false or not known of a row, as in SQL: a :class:`Compare` or :class:`Contains` of a column that holds
nothing is not known, and so is :class:`Not` of it. :class:`All` is false as soon as one part is, :class:`Any` true as
soon as one is. Columns go by their attributes' names in :mod:`pairscope.store.models`.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Compare:
    """The column's value beside a given one."""

    column: str
    operator: str
    """``=``, ``>``, ``>=``, ``<`` or ``<=``."""
    value: int | str


@dataclasses.dataclass(frozen=True)
class Contains:
    """The text stands somewhere in the column: in text with letters of either case, in bytes exactly as it is."""

    column: str
    text: str


@dataclasses.dataclass(frozen=True)
class Begins:
    """The column's text begins with this one."""

    column: str
    text: str


@dataclasses.dataclass(frozen=True)
class Among:
    """The column holds one of these."""

    column: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Known:
    """The column holds something: no NULL."""

    column: str


@dataclasses.dataclass(frozen=True)
class Set:
    """The column, which is true or false, is true."""

    column: str


@dataclasses.dataclass(frozen=True)
class Not:
    """The contrary."""

    of: Node


@dataclasses.dataclass(frozen=True)
class All:
    """Every part is true."""

    of: tuple[Node, ...]


@dataclasses.dataclass(frozen=True)
class Any:
    """One part is true, or several."""

    of: tuple[Node, ...]


Node = Compare | Contains | Begins | Among | Known | Set | Not | All | Any


def columns(node: Node) -> set[str]:
    """Every column that the node looks into."""
    match node:
        case Not():
            return columns(node.of)
        case All() | Any():
            return set().union(*map(columns, node.of))
    return {node.column}
