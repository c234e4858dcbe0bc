"""The fence is a position: the count of epochs is lost with a journal, and an older one comes back with an older
journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "history0002"
down_revision = "history0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What stands there, a count, is less than any position: it fences nobody.
    with op.batch_alter_table("positions") as table:
        table.alter_column("epoch", type_=sa.BigInteger(), existing_nullable=False)


def downgrade() -> None:
    op.execute("UPDATE positions SET epoch = journal_epoch")
    with op.batch_alter_table("positions") as table:
        table.alter_column("epoch", type_=sa.Integer(), existing_nullable=False)
