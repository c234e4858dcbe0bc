"""Recordings of real programs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pairscope.store.columns import TABLE, LongBytes, Word, Words
from pairscope.store.migrations.step import create_index, create_table

revision = "own0003"
down_revision = "own0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "recordings",
        sa.Column("id", Word(16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("name", Words(200), nullable=False),
        sa.Column("command", Words(200), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("data", LongBytes(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        **TABLE,
    )
    create_index("ix_recordings_shared_created", "recordings", ["shared", "created"])


def downgrade() -> None:
    op.drop_table("recordings")
