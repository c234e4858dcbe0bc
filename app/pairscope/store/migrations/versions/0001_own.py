"""Web's own tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pairscope.store.columns import TABLE, Word, Words
from pairscope.store.migrations.step import create_table

revision = "own0001"
down_revision = None
branch_labels = ("own",)
depends_on = None


def upgrade() -> None:
    create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", Word(64), nullable=False),
        sa.Column("name", Words(80), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
        **TABLE,
    )


def downgrade() -> None:
    op.drop_table("tokens")
