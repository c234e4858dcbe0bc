"""What processes and objects held at one moment."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, UnsetType

from pairscope.lab.run.kinds import UNSET, Base64, How, Natural, Number, Numbers, Short, Word


class Carried(Struct, frozen=True):
    """A descriptor in flight. None: not known."""

    description: Number | None
    inode: Natural | None
    kind: Short | None
    sender: Word | None
    """The process that sent it."""
    number: Number | None
    """By which its sender knew it."""


class Piece(Struct, frozen=True):
    """A message, or what waits of a stream."""

    bytes: Number
    """So many there are; `data` may have the first alone."""
    data: Base64
    carried: list[Carried | None] | UnsetType | None = UNSET
    oob: bool | UnsetType = UNSET


class Ahead(Piece, frozen=True, kw_only=True, rename={"source": "from"}):
    """What was sent to somebody who has not been accepted."""

    source: Natural
    """The sender's inode."""


class Blocked(Struct, frozen=True):
    """Where a blocked task stands, as /proc has it."""

    call: Word
    syscall: Number
    arguments: list[Word]
    wchan: Short
    state: Word


class Task(Struct, frozen=True):
    """A thread."""

    name: Word
    tid: Number
    state: Word
    blocked: Blocked | UnsetType = UNSET


class Exit(Struct, frozen=True):
    """How a process has ended; of what nobody could see both are None."""

    status: Number | None
    killed: Number | None


class Descriptor(Struct, frozen=True):
    """A row of a process's table."""

    number: Number
    names: list[Word]
    object: Short
    inode: Natural
    access: Word
    cloexec: bool
    flags: Short
    offset: Number
    description: Number
    """The same wherever it is one open file description."""


class Signals(Struct, frozen=True):
    """By their names: proc_pid_status(5)."""

    caught: Annotated[list[Word], Meta(max_length=64)]
    ignored: Annotated[list[Word], Meta(max_length=64)]
    pending: Annotated[list[Word], Meta(max_length=64)]


class Process(Struct, frozen=True):
    """A process as it was after a step."""

    name: Word
    pid: Number
    parent: Word | None
    descriptors: list[Descriptor]
    how: How
    state: Word
    threads: list[Task] | UnsetType = UNSET
    blocked: Blocked | UnsetType | None = UNSET
    exit: Exit | UnsetType = UNSET
    signals: Signals | UnsetType = UNSET
    handled: dict[Word, Number] | UnsetType = UNSET

    def has(self, actor: str) -> bool:
        """Whether the actor is this process, or one of its threads."""
        return actor == self.name or any(actor == thread.name for thread in self.threads or ())


class Credentials(Struct, frozen=True):
    """SO_PEERCRED."""

    pid: Number
    uid: Number
    gid: Number
    process: Word | UnsetType | None = UNSET
    """Its name in this run."""


class Object(Struct):
    """What a descriptor leads to, as it was after a step."""

    inode: Natural
    kind: Short
    link: Short
    descriptions: Numbers
    how: How
    held: bool | UnsetType = UNSET
    flies_in: Annotated[list[Natural], Meta(max_length=4096)] | UnsetType = UNSET
    ahead: Annotated[list[Ahead], Meta(max_length=4096)] | UnsetType = UNSET
    used_by: Annotated[list[Word], Meta(max_length=64)] | UnsetType = UNSET
    family: Word | UnsetType = UNSET
    type: Word | UnsetType = UNSET
    listens: bool | UnsetType = UNSET
    peer: Natural | UnsetType | None = UNSET
    peer_held: bool | UnsetType | None = UNSET
    in_flight: Number | UnsetType | None = UNSET
    queued: Number | UnsetType | None = UNSET
    contents: list[Piece] | UnsetType | None = UNSET
    borders: bool | UnsetType = UNSET
    error: bool | UnsetType = UNSET
    options: dict[Word, Number | Numbers] | UnsetType = UNSET
    crc32: Natural | UnsetType = UNSET
    why: Short | UnsetType = UNSET
    size: Number | UnsetType = UNSET
    seals: Short | UnsetType = UNSET
    capacity: Number | UnsetType = UNSET
    count: Natural | UnsetType = UNSET
    process: Number | UnsetType = UNSET
    address: Short | UnsetType | None = UNSET
    peer_address: Short | UnsetType | None = UNSET
    credentials: Credentials | UnsetType | None = UNSET
    shut: list[Word] | UnsetType | None = UNSET
    waiting: Number | UnsetType | None = UNSET
    backlog: Number | UnsetType | None = UNSET
    waiting_from: Numbers | UnsetType | None = UNSET
    flying: list[Number | None] | UnsetType | None = UNSET
    carried: list[Carried | None] | UnsetType | None = UNSET

    @property
    def afloat(self) -> bool:
        """Whether nobody's table holds it. Runs of early versions do not say; they have only what somebody holds."""
        return self.held is False


class State(Struct, frozen=True):
    """Everything that was held at one moment."""

    processes: Annotated[list[Process], Meta(max_length=16)]
    objects: Annotated[list[Object], Meta(max_length=4096)]

    def process_of(self, actor: str) -> Process | None:
        """The process to which an actor belongs."""
        return next((process for process in self.processes if process.has(actor)), None)


NOTHING = State(processes=[], objects=[])
"""Before the first step; and after a step that ended its run, whose state nobody looked at."""
