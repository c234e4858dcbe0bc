"""A run: what was done step by step, and what every process and every object held after each step.

This is the one schema. The stage builds it, and pages, exports, drawing, the command line and the store read it, all of
them by attributes. The JSON of a run, which files, rows and the API hold, is the same thing written out: docs/lab.md,
"What a run holds", tells each value. A value that is ``UNSET`` is not there (a file has no peer, and its JSON no
``peer``); one that is None is not known, and is null. Neither is true, so ``item.queued or 0`` covers both.

**How a run is read.** Steps are counted from 1; step 0 is the moment before the first. Readers use

- ``run.steps``: a sequence of :class:`Step`, what was done and what came of it;
- ``run.state(n)``: the :class:`State` after step n, whole;
- ``run.processes()``: the name of every process that was seen, by its number; and the plain values of a run.

Nobody but :class:`Run` and the stage looks at ``Step.after``. Format 1 keeps each state
whole beside its step, which does for the 100 steps and 8 processes of a scenario.

**Room for more.** The recording of a real program has thousands of steps and tens of processes, of which each step
changes little. Its format may keep deltas between whole states, in blocks that are unpacked when they are asked for. It
is then another class with these members: its ``steps`` a sequence that loads, its ``state(n)`` what the nearest whole
state and the deltas from there give, its ``processes()`` out of an index. Readers need not know. What they get they
must not change, for two steps may share it: all but what the stage still fills in is frozen. Whoever makes runs needs
nothing of the stage: this module imports no other.

**How a run is decoded.** :func:`decode` asks for the types and bounds below and passes over members that it does not
know, so a run that a later version stored opens. A file that a person hands over goes through
:func:`pairscope.lab.exports.record.load`, which believes nothing and refuses those too.
"""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET as UNSET
from msgspec import Meta, Struct, UnsetType

T = TypeVar("T")
FORMAT: Literal[1] = 1
Verdict = Literal["held", "failed", "refused", "timed out"]
StepVerdict = Literal["held", "failed", "none"]
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Wide = Annotated[int, Meta(ge=-(1 << 63))]
"""A signed number of 64 bits, or an unsigned one."""
Natural = Annotated[int, Meta(ge=0)]
Short = Annotated[str, Meta(max_length=4096)]
Word = Annotated[str, Meta(max_length=64)]
Numbers = Annotated[list[Number], Meta(max_length=4096)]
Ids = Annotated[list[Number], Meta(min_length=3, max_length=3)]  # process, user and group
How = dict[Word, Word]
"""By the name of a value, or of a group of them, how it is known."""
Base64 = str


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


class Part(Struct, frozen=True):
    """A control message: cmsg(3)."""

    at: Number
    cmsg_len: Natural
    level: Word
    type: Word
    CMSG_LEN: Number
    CMSG_SPACE: Number
    padding: Number
    data: Base64
    fds: Numbers | UnsetType | None = UNSET
    creds: Ids | UnsetType | None = UNSET


class Message(Struct, frozen=True):
    """A msghdr: sendmsg(2), recvmsg(2)."""

    iov: Numbers
    """Bytes of each part."""
    flags: Short
    msg_flags: Number
    controllen: Number
    control: Base64
    parts: list[Part]
    room: Number | UnsetType = UNSET
    """Bytes of control data that whoever receives has room for."""


class Result(Struct):
    """What a call gave."""

    value: Number | None
    errno: Word | None
    data: Base64 | None
    blocked: bool
    duration_ns: Number
    message: Message | None
    bytes: Number | UnsetType = UNSET
    made: Numbers | UnsetType = UNSET
    fds: Numbers | UnsetType = UNSET
    creds: Ids | UnsetType | None = UNSET
    msg_flags: Number | UnsetType = UNSET
    revents: Numbers | UnsetType = UNSET
    before: Word | UnsetType = UNSET
    port: Number | UnsetType = UNSET
    option: Base64 | UnsetType = UNSET
    held: Wide | Numbers | UnsetType = UNSET
    status: Number | UnsetType = UNSET
    killed: Number | UnsetType = UNSET
    stopped: Number | UnsetType = UNSET
    continued: Number | UnsetType = UNSET
    ended: Short | UnsetType = UNSET
    fault: Short | UnsetType = UNSET
    lost: list[Carried] | UnsetType = UNSET


class Completed(Result, kw_only=True):
    """The result of a call that another step began."""

    of: Annotated[int, Meta(ge=0, le=1000)]  # the index of that step, from 0


class Expected(Struct, frozen=True):
    """What a scenario expected of a step, as it wrote it."""

    first: str | None
    keys: dict[Word, str]


class Way(Struct, frozen=True):
    """A way in which a step is open."""

    kind: Word
    who: Annotated[list[Word], Meta(max_length=16)]
    """Actors."""
    what: Annotated[list[Natural], Meta(max_length=4096)]
    """Inodes."""


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


class Step(Struct):
    """A step, and what came of it."""

    line: Number
    actor: Word
    call: Word
    returned: bool
    """It tells what a call gave that had blocked."""
    arguments: list[Any]
    """As made: a number, a word, a text as ``{"data": BASE64, "times": N}``, a list of these; the named ones each as an
    object of one key."""
    result: Result | None
    """None: the call was not made, and the run ended."""
    completed: dict[Word, Completed]
    """By actor: the calls that returned in this step."""
    expected: Expected | None
    verdict: StepVerdict
    reason: str
    after: State | None
    """The state as format 1 keeps it; :meth:`Run.state` is what readers ask."""
    open: Annotated[list[Way], Meta(max_length=64)] | UnsetType = UNSET


class Run(Struct, frozen=True, kw_only=True):
    """A run of format 1."""

    format: Literal[1]
    text: str
    """The scenario, canonical."""
    about: list[Annotated[list[str], Meta(min_length=2, max_length=2)]]
    verdict: Verdict
    reason: str
    kernel: Short
    machine: Word
    sandbox: dict[Word, Any] | UnsetType = UNSET
    started: float
    """Seconds since 1970."""
    took_ns: Number
    steps: Annotated[list[Step], Meta(max_length=100)]

    def state(self, number: int) -> State:
        """What was held after a step. Raises IndexError if there is no such step."""
        if number < 0:
            raise IndexError(number)
        return (self.steps[number - 1].after or NOTHING) if number else NOTHING

    def processes(self) -> dict[int, str]:
        """The name of every process that was seen, by its number."""
        return {
            process.pid: process.name
            for number in range(1, len(self.steps) + 1)
            for process in self.state(number).processes
        }


def given(value: T | UnsetType, name: str) -> T:
    """A value that is always there with its call. Raises ValueError if this run has not got it."""
    if value is UNSET:
        raise ValueError(f"there is no {name}")
    return value


def known(value: T | UnsetType | None) -> T | None:
    """A value; None: it is not known, or not there."""
    return None if value is UNSET else value


class Failed(Struct):
    """Why there is no run: the text is no scenario, or who should have run it has failed."""

    error: str
    line: int = 1
    column: int = 1


_DECODER = msgspec.json.Decoder(Run)


def decode(data: bytes) -> Run:
    """A run of its JSON. Raises msgspec.DecodeError (of what is no such run, a ValidationError that says at which
    member), RecursionError, UnicodeDecodeError."""
    return _DECODER.decode(data)


def encode(run: Run) -> bytes:
    """Its JSON."""
    return msgspec.json.encode(run)


def heard(written: bytes) -> Run | Failed | None:
    """What a runner has written: a run, or why there is none; None: nothing that is whole."""
    try:
        return decode(written)
    except msgspec.DecodeError:
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(written, type=Failed)
    return None
