"""Steps that may be taken twice.

MariaDB commits each CREATE by itself: a migration that was interrupted is run again from its beginning, over what
already stands.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_table(name: str, *items: Any, **options: Any) -> None:
    """Creates a table unless it stands."""
    op.create_table(name, *items, if_not_exists=True, **options)


def create_index(name: str, table: str, columns: list[str]) -> None:
    """Creates an index unless it stands: MySQL has no IF NOT EXISTS for it."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
