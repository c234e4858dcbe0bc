"""The tables of history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pairscope.store.columns import TABLE, Bytes, Id, LongBytes, LongWords, Word, Words
from pairscope.store.migrations.step import create_index, create_table

revision = "history0001"
down_revision = None
branch_labels = ("history",)
depends_on = None


def upgrade() -> None:
    create_table(
        "jobs",
        sa.Column("id", Id(), autoincrement=False, nullable=False),
        sa.Column("node", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("kind", Word(16), nullable=False),
        sa.Column("name", Words(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("client_role", Word(16), nullable=False),
        sa.Column("client_serial", sa.Integer(), nullable=False),
        sa.Column("client_pid", sa.Integer(), nullable=False),
        sa.Column("state", Word(10), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=True),
        sa.Column("submitted", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("reason", Words(400), nullable=False),
        sa.Column("result", LongWords(), nullable=False),
        sa.Column("output", sa.BigInteger(), nullable=False),
        sa.Column("output_media", Word(80), nullable=False),
        sa.Column("output_name", Words(255), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("output_gone", sa.BigInteger(), nullable=True),
        sa.Column("gone_reason", Words(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        **TABLE,
    )
    create_index("ix_jobs_kind_id", "jobs", ["kind", "id"])
    create_index("ix_jobs_node_change_id", "jobs", ["node", "change", "id"])
    create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    create_index("ix_jobs_worker_id", "jobs", ["worker", "id"])
    create_table(
        "messages",
        sa.Column("id", Id(), autoincrement=False, nullable=False),
        sa.Column("node", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("kind", Word(16), nullable=False),
        sa.Column("sender_role", Word(16), nullable=False),
        sa.Column("sender_serial", sa.Integer(), nullable=False),
        sa.Column("sender_pid", sa.Integer(), nullable=False),
        sa.Column("receiver_role", Word(16), nullable=False),
        sa.Column("receiver_serial", sa.Integer(), nullable=False),
        sa.Column("receiver_pid", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("fds", sa.SmallInteger(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=True),
        sa.Column("latency", sa.BigInteger(), nullable=True),
        sa.Column("state", Word(10), nullable=False),
        sa.Column("reason", Words(200), nullable=False),
        sa.Column("preview", Bytes(256), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        **TABLE,
    )
    create_index("ix_messages_job_id", "messages", ["job", "id"])
    create_index("ix_messages_kind_id", "messages", ["kind", "id"])
    create_index("ix_messages_node_change_id", "messages", ["node", "change", "id"])
    create_index("ix_messages_state_id", "messages", ["state", "id"])
    create_index("ix_messages_worker_id", "messages", ["worker", "id"])
    create_table(
        "positions",
        sa.Column("node", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("node_name", Words(64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("supervisor", sa.Integer(), nullable=False),
        sa.Column("supervisor_pid", sa.Integer(), nullable=False),
        sa.Column("journal_epoch", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("transfers", sa.BigInteger(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("processes", sa.BigInteger(), nullable=False),
        sa.Column("pruned_messages", sa.BigInteger(), nullable=False),
        sa.Column("pruned_transfers", sa.BigInteger(), nullable=False),
        sa.Column("pruned_jobs", sa.BigInteger(), nullable=False),
        sa.Column("pruned_processes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_positions"),
        **TABLE,
    )
    create_table(
        "processes",
        sa.Column("node", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("role", Word(16), nullable=False),
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("uid", sa.Integer(), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("ready", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("exit", Words(200), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("sandbox", Word(24), nullable=False),
        sa.Column("detail", LongWords(), nullable=False),
        sa.PrimaryKeyConstraint("node", "role", "serial", name="pk_processes"),
        **TABLE,
    )
    create_index("ix_processes_ended", "processes", ["ended"])
    create_index("ix_processes_node_change_role_serial", "processes", ["node", "change", "role", "serial"])
    create_index("ix_processes_role_born_node_serial", "processes", ["role", "born", "node", "serial"])
    create_table(
        "quarantine",
        sa.Column("node", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", Words(400), nullable=False),
        sa.Column("record", LongBytes(), nullable=False),
        sa.PrimaryKeyConstraint("node", "position", name="pk_quarantine"),
        **TABLE,
    )
    create_table(
        "rates",
        sa.Column("node", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("latencies", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("node", "at", name="pk_rates"),
        **TABLE,
    )
    create_table(
        "transfers",
        sa.Column("message", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("node", sa.SmallInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("kind", Word(16), nullable=False),
        sa.Column("sender_role", Word(16), nullable=False),
        sa.Column("sender_serial", sa.Integer(), nullable=False),
        sa.Column("sender_pid", sa.Integer(), nullable=False),
        sa.Column("receiver_role", Word(16), nullable=False),
        sa.Column("receiver_serial", sa.Integer(), nullable=False),
        sa.Column("receiver_pid", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=True),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=True),
        sa.Column("state", Word(10), nullable=False),
        sa.Column("sender_fd", sa.Integer(), nullable=False),
        sa.Column("receiver_fd", sa.Integer(), nullable=True),
        sa.Column("object", Word(24), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("access", Word(12), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("link", Words(255), nullable=False),
        sa.Column("proof", Word(10), nullable=False),
        sa.Column("proof_reason", Words(200), nullable=False),
        sa.PrimaryKeyConstraint("message", "position", name="pk_transfers"),
        **TABLE,
        sqlite_with_rowid=False,
    )
    create_index("ix_transfers_inode_message_position", "transfers", ["inode", "message", "position"])
    create_index("ix_transfers_job_message_position", "transfers", ["job", "message", "position"])
    create_index("ix_transfers_kind_message_position", "transfers", ["kind", "message", "position"])
    create_index("ix_transfers_node_change_message_position", "transfers", ["node", "change", "message", "position"])
    create_index("ix_transfers_object_message_position", "transfers", ["object", "message", "position"])
    create_index("ix_transfers_proof_message_position", "transfers", ["proof", "message", "position"])
    create_index("ix_transfers_worker_message_position", "transfers", ["worker", "message", "position"])


def downgrade() -> None:
    op.drop_table("transfers")
    op.drop_table("rates")
    op.drop_table("quarantine")
    op.drop_table("processes")
    op.drop_table("positions")
    op.drop_table("messages")
    op.drop_table("jobs")
