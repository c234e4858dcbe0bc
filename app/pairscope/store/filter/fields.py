"""The fields of each table's filter: what a page says of each, how its value is read, and which index serves it."""

from __future__ import annotations

import dataclasses

from pairscope.ipc.identity import first_id_at
from pairscope.ipc.vocabulary import JOB_STATES, KINDS, MESSAGE_STATES, PROOFS
from pairscope.store.filter.values import (
    SHOWN_SANDBOXES,
    Read,
    duration,
    either,
    identity,
    life,
    number,
    one_of,
    since,
    size,
    with_shown,
    word,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a table's filter, with what a page says of it."""

    name: str
    explanation: str
    example: str
    read: Read
    ordered: bool = False
    """True: takes ``>``, ``>=``, ``<`` and ``<=``."""
    index: str = ""
    """The index that serves one exact value in the page's order."""
    in_order: bool = False
    """True: bounds the page's own order."""


_KINDS = [*(kind.name for kind in KINDS if not kind.housekeeping), "viewer"]  # Apache's to live, which live reports
_ROLES = ["web", "supervisor", "worker", "recorder", "live", "lab", "tool", "apache"]
_OBJECTS = {
    "file": "regular file",
    "memfd": "memfd",
    "pipe": "pipe",
    "socket": "socket",
    "directory": "directory",
    "character": "character device",
    "block": "block device",
    "anonymous": "anonymous inode",
}


def _ends(table: str, order: str) -> list[Field]:
    """The fields that a message and a transfer share. `order`: the columns by which the table's indexes go on."""
    return [
        Field(
            "kind",
            "What sort of message it is.",
            "kind:task,result",
            one_of("kind", _KINDS),
            index=f"ix_{table}_kind_{order}",
        ),
        Field(
            "worker",
            "The worker at either end, by its serial.",
            "worker:2",
            number("worker"),
            True,
            f"ix_{table}_worker_{order}",
        ),
        Field(
            "job",
            "The job that it belongs to, by its id.",
            "job:123456789",
            identity("job"),
            index=f"ix_{table}_job_{order}",
        ),
        Field(
            "role",
            "What the process at either end is here for.",
            "role:web",
            either(one_of("sender_role", _ROLES), one_of("receiver_role", _ROLES)),
        ),
        Field("from", "The sender's role.", "from:worker", one_of("sender_role", _ROLES)),
        Field("to", "The receiver's role.", "to:worker", one_of("receiver_role", _ROLES)),
        Field(
            "pid",
            "The process at either end.",
            "pid:4711",
            either(number("sender_pid"), number("receiver_pid")),
        ),
        Field("node", "The node on which it happened, by its number.", "node:1", number("node")),
        Field(
            "since",
            "Not older than an age or a time.",
            "since:10m",
            since("id" if table == "messages" else "message", first_id_at),
            in_order=True,
        ),
    ]


def _messages() -> list[Field]:
    states = one_of("state", with_shown(MESSAGE_STATES))
    return [
        *_ends("messages", "id"),
        Field(
            "state",
            "What became of it; in flight is sent.",
            "state:unknown,failed",
            states,
            index="ix_messages_state_id",
        ),
        Field(
            "fds",
            "Descriptors that it carries; those with any (fds:>0) are found at once.",
            "fds:>0",
            number("fds"),
            True,
        ),
        Field("size", "Bytes, with what travels in a memfd.", "size:>=4KiB", size("size"), True),
        Field("latency", "From sent to received.", "latency:>5ms", duration("latency"), True),
    ]


def _transfers() -> list[Field]:
    proofs = {**with_shown((*PROOFS, "")), "pending": ""}
    del proofs[""]
    return [
        *_ends("transfers", "message_position"),
        Field(
            "object",
            "What the descriptor refers to.",
            "object:memfd",
            one_of("object", _OBJECTS),
            index="ix_transfers_object_message_position",
        ),
        Field(
            "proof",
            "Whether both numbers are one open file description; proved is same, not made yet pending.",
            "proof:same",
            one_of("proof", proofs),
            index="ix_transfers_proof_message_position",
        ),
        Field(
            "inode",
            "The object's inode number.",
            "inode:1042",
            number("inode"),
            index="ix_transfers_inode_message_position",
        ),
        Field(
            "access",
            "What the descriptor allows.",
            "access:read",
            one_of("access", ("read", "write", "read-write")),
        ),
        Field(
            "fd",
            "Its number at either end.",
            "fd:7",
            either(number("sender_fd"), number("receiver_fd")),
            True,
        ),
        Field("size", "Bytes of the object.", "size:>1MiB", size("size"), True),
        Field(
            "state",
            "What became of the message.",
            "state:received",
            one_of("state", with_shown(MESSAGE_STATES)),
        ),
    ]


def _jobs() -> list[Field]:
    return [
        Field("kind", "What is to be done.", "kind:digest", word("kind"), index="ix_jobs_kind_id"),
        Field(
            "state",
            "How it stands; waiting is queued.",
            "state:queued,running",
            one_of("state", with_shown(JOB_STATES)),
            index="ix_jobs_state_id",
        ),
        Field(
            "worker",
            "The worker that had it, by its serial.",
            "worker:2",
            number("worker"),
            True,
            "ix_jobs_worker_id",
        ),
        Field("id", "Its id.", "id:123456789", identity("id"), in_order=True),
        Field("size", "Bytes of the input.", "size:>1MiB", size("size"), True),
        Field("output", "Bytes of the output.", "output:>0", size("output"), True),
        Field("role", "What the process that asked for it is here for.", "role:web", one_of("client_role", _ROLES)),
        Field("node", "The node on which it ran, by its number.", "node:1", number("node")),
        Field(
            "since",
            "Not older than an age or a time.",
            "since:2h",
            since("id", first_id_at),
            in_order=True,
        ),
    ]


def _workers() -> list[Field]:
    return [
        Field("worker", "Its serial.", "worker:2", number("serial"), True),
        Field(
            "state",
            "Whether it lives; killed: for a job; died: it ended though nobody had asked it to, and not in "
            "order. Both are among the ended.",
            "state:alive",
            life,
        ),
        Field("pid", "Its process id.", "pid:4711", number("pid")),
        Field("sandbox", "How it is confined.", "sandbox:seccomp", word("sandbox", SHOWN_SANDBOXES)),
        Field("role", "Processes of another role than workers.", "role:supervisor", one_of("role", _ROLES)),
        Field("node", "The node on which it runs, by its number.", "node:1", number("node")),
        Field(
            "since",
            "Born not longer ago than an age, or after a time.",
            "since:1d",
            since("born"),
        ),
    ]


FIELDS: dict[str, tuple[Field, ...]] = {
    "messages": tuple(_messages()),
    "transfers": tuple(_transfers()),
    "jobs": tuple(_jobs()),
    "workers": tuple(_workers()),
}
"""The fields of each table, in the order in which a page explains them."""

TEXT: dict[str, tuple[str, ...]] = {
    "messages": ("preview", "reason"),
    "transfers": ("link", "proof_reason"),
    "jobs": ("name", "reason", "output_name"),
    "workers": ("exit",),
}
"""The columns in which a bare or quoted word is looked for."""

TEXT_EXPLANATION = {
    "messages": "In the first bytes of the payload, exactly as written, and in the reason.",
    "transfers": "In what /proc shows as the descriptor's link, and in the proof's reason.",
    "jobs": "In the names of input and output, and in the reason.",
    "workers": "In how it ended.",
}
