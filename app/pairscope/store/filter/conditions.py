"""From a filter's text to its conditions: each term with its field and what it says of a row.

No database is needed to read them: SQL is made of them in :mod:`pairscope.store.filter.sql`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pairscope.sentence import phrase
from pairscope.store.filter.fields import FIELDS, TEXT, Field
from pairscope.store.filter.grammar import FilterError, Term, terms
from pairscope.store.filter.tree import Any, Compare, Contains, Node


@dataclasses.dataclass(frozen=True)
class Condition:
    """What one term asks of a row. A row fits where `says` is true of it, or, of a negated term, where it is not: what
    is not known (a worker, a latency) does not fit a condition, and fits its negation."""

    says: Node
    negated: bool = False
    term: Term | None = None
    """None: nobody wrote it; the table shows only these rows unless it is asked for others."""
    field: Field | None = None
    """None: a text is searched for."""

    @property
    def one_value(self) -> bool:
        """True: the field holds exactly one given value."""
        return self.term is not None and not self.negated and len(self.term.values) == 1 and not self.term.values[0][1]


def read(text: str, table: str) -> tuple[Condition, ...]:
    """The conditions of a filter for one of the tables in FIELDS: a row must fit all of them. Raises FilterError."""
    fields = {field.name: field for field in FIELDS[table]}
    found = [Condition(_says(term, fields, table), term.negated, term, fields.get(term.field)) for term in terms(text)]
    if table == "workers" and not any(condition.field and condition.field.name == "role" for condition in found):
        found.append(Condition(Compare("role", "=", "worker")))
    return tuple(found)


def _says(term: Term, fields: Mapping[str, Field], table: str) -> Node:
    if not term.field:
        return Any(tuple(Contains(column, term.values[0][2]) for column in TEXT[table]))
    if term.field in fields:
        return Any(tuple(_alternative(fields[term.field], *value) for value in term.values))
    raise FilterError(
        phrase(
            '%(table)s have no field %(field)r; expected one of %(known)s; put text that has a colon in "quotes"',
            table=table,
            field=term.field,
            known=", ".join(fields),
        ),
        term.column,
    )


def _alternative(field: Field, column: int, operator: str, value: str) -> Node:
    if operator and not field.ordered:
        raise FilterError(
            phrase("%(field)s has no order; expected %(example)s", field=field.name, example=field.example), column
        )
    return field.read(operator, value, column + len(operator))
