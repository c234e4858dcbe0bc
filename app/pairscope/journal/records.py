"""What the journal holds: one type for each thing that can happen, in the order in which it happened.

Times are CLOCK_REALTIME in ns (a supervisor converts its peers' monotonic times with an offset of its own, so that a
latency is never the difference of two clocks). Every record has a *position*: a number that only grows on a node,
over restarts and over a lost journal. Within an epoch positions have no gaps; the next one begins further on. The
position that last touched a row of history is that row's ``change``.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Epoch(msgspec.Struct, array_like=True, gc=False, tag=1):
    """A supervisor has taken over the journal. What an earlier epoch left open is now decided: see docs/record.md."""

    node: int
    node_name: str
    epoch: int
    pid: int
    serial: int
    at: int
    cut: int
    """Bytes of a torn tail that recovery passed over."""
    lost: bool
    """True: records may be missing before this one. There was no journal to go on from, or the machine has been started
    since it was written, and what had not reached the disk is gone."""
    after: int | None = None
    """The last position before this one. None: there is none, or the record is of a version whose positions had no
    steps."""
    gaps: list[tuple[int, int]] = []
    """First and last position of each stretch of damage that recovery found in the newest segment. Where nobody can
    tell how many records it held, the last one is as far on as there is room for."""


class Born(msgspec.Struct, array_like=True, gc=False, tag=2):
    """A process now takes part: a child was spawned, or a client connected."""

    role: str
    serial: int
    pid: int
    uid: int
    at: int


class Ready(msgspec.Struct, array_like=True, gc=False, tag=3):
    """A child is ready for work."""

    role: str
    serial: int
    at: int
    sandbox: str
    detail: dict[str, Any]
    uid: int = -1
    """Whose process it is by now: a worker of a supervisor that is root has left root. -1: not observed."""


class Ended(msgspec.Struct, array_like=True, gc=False, tag=4):
    """A process takes part no longer."""

    role: str
    serial: int
    at: int
    exit: str
    """In words: ``exited 0``, ``killed by SIGKILL``, ``closed its end``."""
    asked: bool
    """True: the supervisor had asked it to."""


class Transfer(msgspec.Struct, array_like=True, gc=False):
    """One descriptor crossing with a message. What the supervisor's end shows, and the number that the peer reports."""

    position: int
    """Place in the control message, from 0."""
    sender_fd: int
    receiver_fd: int
    """-1: not known (yet)."""
    object: str
    """``regular file``, ``memfd``, ``pipe``, ``socket``, ``directory``, ``character device``, ``block device``,
    ``anonymous inode``."""
    device: int
    inode: int
    access: str
    """``read``, ``write`` or ``read-write``."""
    flags: int
    """F_GETFL."""
    offset: int
    """-1: the object has none."""
    size: int
    link: str
    """What /proc/self/fd shows."""
    proof: str = ""
    """One of vocabulary.PROOFS; empty: not made yet."""
    reason: str = ""


class Message(msgspec.Struct, array_like=True, gc=False, tag=5):
    """A message, at *sent*. One that comes to the supervisor is complete at once: it is journaled when it arrives."""

    id: int
    job: int
    kind: int
    inbound: bool
    """True: from the peer to the supervisor; the sender's side is then reported and the receiver's observed."""
    role: str
    serial: int
    pid: int
    """The peer; the other end is the supervisor of the epoch."""
    size: int
    """Bytes of the message in its packet, header and payload, and of its spill."""
    fds: int
    flags: int
    sent: int
    received: int
    """0: not known yet."""
    preview: bytes
    """The first bytes of the payload."""
    transfers: list[Transfer] = []


class Outcome(msgspec.Struct, array_like=True, gc=False, tag=6):
    """What became of a message that the supervisor sent."""

    message: int
    state: str
    """``received``, ``failed`` or ``unknown``."""
    received: int
    flags: int
    fds: list[int]
    """The receiver's numbers."""
    reason: str = ""


class Proof(msgspec.Struct, array_like=True, gc=False, tag=7):
    """Whether both numbers of a transfer were found to be one open file description, by kcmp(2) KCMP_FILE."""

    message: int
    position: int
    verdict: str
    reason: str


class HandedOver(msgspec.Struct, array_like=True, gc=False, tag=12):
    """A descriptor crossed between two processes of which the supervisor is none: Apache handed a viewer's connection
    to live. All of it is reported, by the receiver."""

    id: int
    kind: str
    at: int
    """When it had come."""
    sender: str
    sender_pid: int
    role: str
    serial: int
    pid: int
    transfer: Transfer


class JobSubmitted(msgspec.Struct, array_like=True, gc=False, tag=8):
    """A client has submitted a job, and it was accepted."""

    id: int
    kind: str
    name: str
    size: int
    at: int
    role: str
    serial: int
    pid: int


class JobStarted(msgspec.Struct, array_like=True, gc=False, tag=9):
    """A worker was given the job. It is not written any longer, because the task says so itself; older journals may
    still hold it."""

    id: int
    worker: int
    at: int


class JobEnded(msgspec.Struct, array_like=True, gc=False, tag=10):
    """A job has ended, exactly once."""

    id: int
    state: str
    at: int
    reason: str
    result: bytes
    """JSON, at most 8 KiB."""
    output: int = 0
    media: str = ""
    output_name: str = ""
    expires: int = 0


class OutputGone(msgspec.Struct, array_like=True, gc=False, tag=11):
    """An output is not kept any longer."""

    job: int
    at: int
    reason: str


Record = (
    Epoch
    | Born
    | Ready
    | Ended
    | Message
    | Outcome
    | Proof
    | HandedOver
    | JobSubmitted
    | JobStarted
    | JobEnded
    | OutputGone
)
