"""The payloads: what a message of each kind says, as types that its receiver checks. Pure.

Which kind carries which of them stands in :data:`pairscope.ipc.vocabulary.KINDS`. The first line of each docstring
stands in the protocol's page.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Word = Annotated[str, msgspec.Meta(max_length=16)]
"""The name of a kind of job, as the record has room for it."""
Line = Annotated[str, msgspec.Meta(max_length=400)]
"""What a worker says for people. Its length is that of characters."""


class Hello(msgspec.Struct):
    """A worker is ready: what it can do, and how it is confined."""

    pid: int
    sandbox: Word
    """``landlock+seccomp``, ``seccomp`` or ``none``."""
    sandbox_detail: dict[str, Any]
    catalogue: Annotated[list[JobSpec], msgspec.Meta(max_length=64)]
    versions: Annotated[dict[Word, Line], msgspec.Meta(max_length=16)] = {}


class JobSpec(msgspec.Struct, frozen=True):
    """What the supervisor must know of a kind of job, told by the worker that has it: the supervisor imports no job."""

    name: Word
    summary: Line
    """One sentence for people."""
    deadline: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    """Seconds from when a worker has it to when the worker is killed for it."""
    output: bool
    """True: an empty memfd for the output is handed in."""
    quick: bool = False
    """True: takes microseconds, so several may wait in one worker's socket."""
    needs_input: bool = True
    """True: refused without a descriptor to work on."""
    parameters: Annotated[dict[Word, Line], msgspec.Meta(max_length=16)] = {}
    """Name of each parameter and a sentence on what it takes."""
    media: Line = ""
    """Media type of the output, empty where there is none."""
    suffix: Line = ""
    """What to append to the upload's name for the download's name."""


class Submit(msgspec.Struct, omit_defaults=True):
    """A client asks for a job. Descriptor 0, if any, is the input, read-only or sealed."""

    kind: str
    name: str = ""
    """The upload's name, as the visitor gave it."""
    size: int = 0
    parameters: dict[str, Any] = {}
    data: bytes = b""
    """Input without a descriptor, for jobs that do not need one."""
    want: int = 2
    """1: answer when accepted; 2: answer when ended; 3: both."""


class Accepted(msgspec.Struct):
    """The job is in the journal and has an id: from now on it is never unknown."""

    job: int
    queued: int
    """Jobs before it."""


class Task(msgspec.Struct, omit_defaults=True):
    """The supervisor gives a worker a job. Its descriptors, in order: the input, the output's memfd, the spare.

    Each comes if its flag is set. The spare is a memfd for a reply that is too long for a message.
    """

    kind: str
    name: str = ""
    parameters: dict[str, Any] = {}
    data: bytes = b""
    input: bool = False
    output: bool = False
    spare: bool = False


class Result(msgspec.Struct, omit_defaults=True):
    """A worker has done a job, or says why it could not."""

    ok: bool
    result: dict[str, Any] = {}
    reason: str = ""
    """In words for people, if not ok."""


class Answer(msgspec.Struct, omit_defaults=True):
    """A job has ended, told to the client that asked for it."""

    job: int
    state: str
    """``done``, ``failed`` or ``cancelled``."""
    result: dict[str, Any] = {}
    reason: str = ""
    worker: int = 0
    output: int = 0
    """Bytes of output that can be fetched; 0: none."""


class Cancel(msgspec.Struct):
    """A client wants a job to end now."""

    job: int


class Fetch(msgspec.Struct):
    """A client wants a job's output."""

    job: int


class Output(msgspec.Struct):
    """A job's output: one descriptor, a sealed memfd reopened read-only."""

    job: int
    size: int
    media: str
    name: str


class Signal(msgspec.Struct):
    """An operator sends a signal to a worker."""

    worker: int
    signal: str
    """``TERM``, ``KILL``, ``STOP`` or ``CONT``."""


class Scale(msgspec.Struct):
    """An operator wants another number of workers."""

    workers: int


class Done(msgspec.Struct):
    """What was asked for has been done, in words."""

    what: str


class Refused(msgspec.Struct):
    """What was asked for is not done; nothing has changed."""

    code: str
    """One of REFUSALS."""
    reason: str


class Stop(msgspec.Struct):
    """A worker shall end after what it has."""

    reason: str


class Welcome(msgspec.Struct):
    """The answer to a client's first word."""

    node: int
    epoch: int
    role: str
    serial: int
    pid: int
    """The supervisor's."""


class Lookup(msgspec.Struct):
    """A client asks whether a job that is in no table yet is known."""

    job: int


class Known(msgspec.Struct):
    """Whether a job is known, and how it stands."""

    job: int
    known: bool
    state: str = ""
    kind: str = ""
    result: dict[str, Any] = {}
    reason: str = ""
    output: int = 0


class Release(msgspec.Struct):
    """The proof is made: the descriptors of this message may be closed."""

    message: int


class Progress(msgspec.Struct):
    """How far the recorder has come, and how the database is."""

    position: int
    """Records up to and including this one are committed."""
    database: str
    """``ok``, or what is wrong, in words."""
    rows: int
    """Rows written since the recorder's birth."""
    idle: bool
    """True: it waits to be told that there is more."""
    quarantined: int = 0
    history: int = 0
    """Rows of messages kept, and the bound, below."""
    bound: int = 0
    gaps: int = 0
    """How many entries in quarantine are stretches missing in the journal; below, why the newest is."""
    gap: str = ""
    stalled: str = ""
    """Why the journal cannot be read on, in words; empty: it can."""


class More(msgspec.Struct):
    """The journal has grown up to this position."""

    position: int


class Committed(msgspec.Struct):
    """The recorder has committed the records up to this position."""

    position: int


Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
Large = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Viewer(msgspec.Struct):
    """Live has been handed a viewer's connection by Apache: a TCP socket, by SCM_RIGHTS."""

    apache: Count
    """The process that handed it over, as SO_PEERCRED says."""
    fd: Count
    """Its number in live."""
    device: Large
    inode: Large
    flags: Count
    """F_GETFL."""
    received: Large
    """ns of CLOCK_MONOTONIC."""


class Leave(msgspec.Struct):
    """A client waits no longer for the ends of these jobs; an answer that nobody takes would stay in flight."""

    jobs: list[int]


class Enter(msgspec.Struct):
    """The first word of a client on its pair: what it is."""

    role: str


class Nothing(msgspec.Struct):
    """A payload that says nothing: the header is the message."""
