"""The filter's language: ``kind:result worker:2 size:>=4KiB -state:unknown "some text"``.

Terms stand side by side and all must hold. ``field:value`` compares, ``field:a,b`` takes any of several, ``field:>5``
orders, ``-`` before a term negates it, a bare or quoted word searches text. Values may be written as the pages show
them (:data:`pairscope.store.filter.values.SHOWN`). What cannot be read raises :class:`FilterError` with the column at
which it stands.

A filter goes through three hands:

1. :mod:`~pairscope.store.filter.grammar` cuts the text into terms;
2. :mod:`~pairscope.store.filter.conditions` reads each term by the field's row in
   :mod:`~pairscope.store.filter.fields` into a condition, a tree of :mod:`~pairscope.store.filter.tree`: it names
   columns and values, and knows no database;
3. :mod:`~pairscope.store.filter.sql` makes SQL of the conditions and chooses the index that serves them.

Of rows that are in memory already :mod:`~pairscope.store.filter.memory` says the same.
"""

from pairscope.store.filter.fields import FIELDS, TEXT_EXPLANATION, Field
from pairscope.store.filter.grammar import FilterError
from pairscope.store.filter.sql import Filter, parse

__all__ = ["FIELDS", "TEXT_EXPLANATION", "Field", "Filter", "FilterError", "parse"]
