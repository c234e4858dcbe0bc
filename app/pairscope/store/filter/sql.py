"""A filter's conditions as SQL, and the index that serves them.

A term for one exact value of an indexed field is found wherever it is in history, and so are messages with descriptors,
by their transfers. Any other is looked for among :data:`pairscope.store.walk.BOUND` rows at a time
(:attr:`Filter.bounded`), so that no query reads a whole table; the page's `older` cursor goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_
from sqlalchemy.orm import InstrumentedAttribute

from pairscope.store.filter import tree
from pairscope.store.filter.conditions import Condition, read
from pairscope.store.filter.grammar import Term
from pairscope.store.models import History, Job, Message, Process, Transfer

MOST_FDS = 253
"""Descriptors that one control message can carry: SCM_MAX_FD."""
MODELS: dict[str, type[History]] = {"messages": Message, "transfers": Transfer, "jobs": Job, "workers": Process}
_FIRST = ("job", "inode", "worker", "proof", "state", "object", "kind")
"""Where a filter has several exact terms, the index of the first of these is walked: it leaves the fewest rows."""
_FEW = ("job", "inode")
"""What has so few rows that all of them may be looked at."""


@dataclasses.dataclass(frozen=True)
class Filter:
    """What a page shows of one table."""

    text: str
    table: str
    conditions: tuple[ColumnElement[bool], ...] = ()
    exact: ColumnElement[bool] | None = None
    """The one condition, also in `conditions`, that an index serves in the page's order."""
    index: str = ""
    """That index's name."""
    descriptor: int | None = None
    """Only messages with a descriptor at this position of their control message fit: the transfers' key is walked for
    them."""
    bounded: bool = False
    """True: a page comes from at most walk.BOUND rows, newest first; its `older` cursor continues behind them."""
    reads: Mapping[str, int] = dataclasses.field(default_factory=dict, compare=False)
    """Each column that somebody's term looks into, and where that term stands."""


def parse(text: str, table: str) -> Filter:
    """The filter for one of the tables in FIELDS. Raises FilterError."""
    conditions: list[ColumnElement[bool]] = []
    exact: dict[str, ColumnElement[bool]] = {}
    indexes: dict[str, str] = {}
    searched = 0
    """Terms that neither an index nor the order of the page serves."""
    carried = 0
    """Descriptors that a message must carry at least."""
    reads: dict[str, int] = {}
    for condition in read(text, table):
        if condition.term:
            reads |= dict.fromkeys(tree.columns(condition.says), condition.term.column)
        made = _sql(condition.says, MODELS[table])
        field = condition.field
        if field and field.index and condition.one_value and field.name not in exact:
            exact[field.name] = made
            indexes[field.name] = field.index
        elif condition.term and not (field and field.in_order and not condition.negated):
            least, whole = _least_fds(condition.term) if table == "messages" else (0, False)
            carried = max(carried, least)
            searched += not whole
            made = _searched(made, condition, table)
        conditions.append(made)
    if table == "workers":
        return Filter(text, table, tuple(conditions), reads=reads)
    served = next((name for name in _FIRST if name in exact), "")
    if not served and carried:
        # A message with k descriptors has a transfer at position k - 1. Of one position behind the first, many
        # transfers may have none.
        return Filter(
            text, table, tuple(conditions), descriptor=carried - 1, bounded=searched > 0 or carried > 1, reads=reads
        )
    if not served:
        return Filter(text, table, tuple(conditions), bounded=searched > 0, reads=reads)
    searched += carried > 0
    bounded = served not in _FEW and (searched > 0 or len(exact) > 1)
    return Filter(text, table, tuple(conditions), exact[served], indexes[served], bounded=bounded, reads=reads)


def _least_fds(term: Term) -> tuple[int, bool]:
    """How many descriptors a message has at least that fits this term, and whether that says all of it. (0, False): it
    does not say."""
    if term.field != "fds" or term.negated or len(term.values) > 1:
        return 0, False
    _, operator, value = term.values[0]
    least = {"": int(value), ">=": int(value), ">": int(value) + 1}.get(operator, 0)
    return (least, operator != "") if 0 < least <= MOST_FDS else (0, False)


def _searched(made: ColumnElement[bool], condition: Condition, table: str) -> ColumnElement[bool]:
    """A condition in which no database sees an index: SQLite would take it, and then sort every row of two kinds."""
    known = func.coalesce(made, false())
    if condition.negated:
        return not_(known)
    return made if table == "workers" else known


def _sql(node: tree.Node, model: type[History]) -> ColumnElement[bool]:
    """The same in SQL, where what is not known is NULL."""
    match node:
        case tree.Compare():
            return _compare(getattr(model, node.column), node.operator, node.value)
        case tree.Contains():
            return _contains(getattr(model, node.column), node.text)
        case tree.Begins():
            begins: ColumnElement[bool] = getattr(model, node.column).startswith(node.text)
            return begins
        case tree.Among():
            among: ColumnElement[bool] = getattr(model, node.column).in_(node.values)
            return among
        case tree.Known():
            known: ColumnElement[bool] = getattr(model, node.column).is_not(None)
            return known
        case tree.Set():
            attribute: ColumnElement[bool] = getattr(model, node.column)
            return attribute
        case tree.Not():
            return not_(_sql(node.of, model))
        case tree.All():
            return and_(*(_sql(part, model) for part in node.of))
        case tree.Any():
            return or_(false(), *(_sql(part, model) for part in node.of))


def _compare(attribute: InstrumentedAttribute[Any], operator: str, value: int | str) -> ColumnElement[bool]:
    match operator:
        case ">":
            return attribute > value
        case ">=":
            return attribute >= value
        case "<":
            return attribute < value
        case "<=":
            return attribute <= value
    return attribute == value


def _contains(attribute: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """No LIKE: its wildcards and collations differ."""
    if attribute is Message.preview:
        return func.instr(attribute, text.encode()) > 0
    return func.instr(func.lower(attribute), text.lower()) > 0
