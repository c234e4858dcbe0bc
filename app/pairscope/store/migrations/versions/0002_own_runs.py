"""Runs of the lab."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pairscope.store.columns import TABLE, LongBytes, Word, Words
from pairscope.store.migrations.step import create_index, create_table

revision = "own0002"
down_revision = "own0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table(
        "runs",
        sa.Column("id", Word(16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("scenario", Word(40), nullable=False),
        sa.Column("title", Words(200), nullable=False),
        sa.Column("verdict", Word(12), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("took", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", Word(64), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("parent", Word(16), nullable=False),
        sa.Column("data", LongBytes(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        **TABLE,
    )
    create_index("ix_runs_kept_created", "runs", ["kept", "created"])
    create_index("ix_runs_scenario_created", "runs", ["scenario", "created"])
    create_index("ix_runs_asked_by_created", "runs", ["asked_by", "created"])
    create_index("ix_runs_job", "runs", ["job"])


def downgrade() -> None:
    op.drop_table("runs")
