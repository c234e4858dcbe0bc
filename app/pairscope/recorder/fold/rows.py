"""Rows of history as the fold makes and changes them. Pure.

Their fields are the columns of :mod:`pairscope.store.models`, in the same order. A message's row is made by position:
by name, it took the recorder a tenth more processor time (docs/decisions.md).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
from sqlalchemy import Table

from pairscope.store import models


def _row_type(table: Table) -> Any:
    """A mutable row with the table's columns as fields, in their order."""
    return msgspec.defstruct(f"{table.name}_row", [(column.key, Any) for column in table.columns], gc=False)


MessageRow = _row_type(models.Message.__table__)
TransferRow = _row_type(models.Transfer.__table__)
JobRow = _row_type(models.Job.__table__)
ProcessRow = _row_type(models.Process.__table__)


@dataclasses.dataclass
class Rows:
    """Rows by their keys."""

    messages: dict[int, Any] = dataclasses.field(default_factory=dict)
    transfers: dict[tuple[int, int], Any] = dataclasses.field(default_factory=dict)
    jobs: dict[int, Any] = dataclasses.field(default_factory=dict)
    processes: dict[tuple[str, int], Any] = dataclasses.field(default_factory=dict)
