"""The vocabulary: every kind of message that can cross a pair, written once.

The numbers of the wire, the names of the record, the payload types that a receiver checks and the tables of
``docs/protocol.md`` are all derived from :data:`KINDS`. A kind marked *housekeeping* is counted by the channel
and not journaled: an open page must not make its own traffic.

A packet on a SOCK_SEQPACKET pair is one message, or a msgpack array of several. A message is an :class:`Envelope`, its
payload inside as msgpack of the kind's own type, its descriptors beside it in one SCM_RIGHTS control message, in the
order of the envelope's ``fds``. A message with descriptors travels alone; others may travel together, so that one
wake-up brings many.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec


class Role(str, enum.Enum):
    """What a process is here for. The value is the word used in the record and on the pages."""

    WEB = "web"
    SUPERVISOR = "supervisor"
    WORKER = "worker"
    RECORDER = "recorder"
    LIVE = "live"
    LAB = "lab"
    TOOL = "tool"
    """A client that is no web process: the command line, a benchmark, a test."""


CALLERS = frozenset((Role.WEB.value, Role.LAB.value, Role.TOOL.value))
"""Roles of clients, who come over the control socket. The supervisor sees the end of a client's pair, not the end of
its process."""


Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""What a peer says that the record will keep: msgpack's integers go up to 2**64, a BIGINT does not."""
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
"""A C int that is not negative: a descriptor's number, msg_flags."""
Word = Annotated[str, msgspec.Meta(max_length=16)]
"""The name of a kind of job, as the record has room for it."""
Line = Annotated[str, msgspec.Meta(max_length=400)]
"""What a worker says for people. Its length is that of characters."""


class Receipt(msgspec.Struct, array_like=True, gc=False):
    """What a receiver says of a message that it got: reported in the header of its own next message."""

    message: Whole
    """Id that the supervisor gave to the message."""
    received: Whole
    """CLOCK_MONOTONIC in ns when recvmsg returned. One clock for all processes of a machine: time_namespaces(7)."""
    flags: Number = 0
    """msg_flags as recvmsg returned them."""
    fds: list[Number] = []
    """Numbers under which the descriptors arrived, in the order of the control message."""


class Envelope(msgspec.Struct, array_like=True, gc=False):
    """The header of every message, and its payload."""

    kind: int
    id: Whole = 0
    """Given by the supervisor to what it sends; 0 in what is sent to it, which gets its id on arrival."""
    job: Whole = 0
    """The job that the message belongs to; 0: none."""
    seq: int = 0
    """Number of the sender's request on this channel; an answer carries the number of what it answers."""
    sent: int = 0
    """CLOCK_MONOTONIC in ns just before sendmsg."""
    payload: msgspec.Raw = msgspec.Raw(b"\xc0")
    fds: list[Number] = []
    """The sender's own numbers of the descriptors that ride along, the spill not among them."""
    spill: int = 0
    """Bytes of payload that travel in a sealed memfd, as the last descriptor, because they exceed 64 KiB; 0: none."""
    receipts: list[Receipt] = []


# ---- payloads -------------------------------------------------------------------------------------------------


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


class Leave(msgspec.Struct):
    """A client waits no longer for the ends of these jobs; an answer that nobody takes would stay in flight."""

    jobs: list[int]


class Enter(msgspec.Struct):
    """The first word of a client on its pair: what it is."""

    role: str


class Nothing(msgspec.Struct):
    """A payload that says nothing: the header is the message."""


# ---- the one table --------------------------------------------------------------------------------------------

WEB, SUP, WRK, REC = "client", Role.SUPERVISOR.value, Role.WORKER.value, Role.RECORDER.value
"""``client`` stands for whoever came over the control socket: web, lab or tool."""
HND = f"{WRK} {WEB}"
"""Who takes jobs: a worker, or a client that is a lab station."""
LAB = "lab"
"""The kind of job that a lab station does and no worker: to run a scenario."""


class Kind(msgspec.Struct, frozen=True):
    """One kind of message."""

    code: int
    name: str
    sender: str
    receiver: str
    payload: type
    descriptors: str
    """What rides along, in words; empty: nothing ever does."""
    most_fds: int
    answer: str
    """Names of the kinds that may answer, or empty."""
    housekeeping: bool
    meaning: str


KINDS: tuple[Kind, ...] = (
    Kind(1, "hello", HND, SUP, Hello, "", 0, "", False, "A worker or a lab station is ready."),
    Kind(2, "submit", WEB, SUP, Submit, "the input", 1, "accepted answer refused", False, "A client asks for a job."),
    Kind(3, "accepted", SUP, WEB, Accepted, "", 0, "", False, "The job is journaled and waits for a worker."),
    Kind(
        4,
        "task",
        SUP,
        HND,
        Task,
        "the input, the empty output, a spare for a long reply",
        3,
        "result",
        False,
        "A worker gets a job, or a lab station a scenario.",
    ),
    Kind(5, "result", HND, SUP, Result, "", 0, "", False, "A worker or a lab station has ended one."),
    Kind(6, "answer", SUP, WEB, Answer, "", 0, "", False, "A job has ended."),
    Kind(7, "cancel", WEB, SUP, Cancel, "", 0, "done refused", False, "A client wants a job to end now."),
    Kind(8, "fetch", WEB, SUP, Fetch, "", 0, "output refused", False, "A client wants a job's output."),
    Kind(9, "output", SUP, WEB, Output, "the output", 1, "", False, "A job's output."),
    Kind(10, "signal", WEB, SUP, Signal, "", 0, "done refused", False, "An operator sends a signal to a worker."),
    Kind(11, "scale", WEB, SUP, Scale, "", 0, "done refused", False, "An operator wants another number of workers."),
    Kind(12, "done", SUP, WEB, Done, "", 0, "", False, "What was asked for has been done."),
    Kind(13, "refused", SUP, WEB, Refused, "", 0, "", False, "What was asked for is not done."),
    Kind(14, "stop", SUP, WRK, Stop, "", 0, "", False, "A worker shall end after what it has."),
    Kind(31, "enter", WEB, SUP, Enter, "", 0, "welcome", True, "The first word of a client."),
    Kind(32, "welcome", SUP, WEB, Welcome, "", 0, "", True, "The client is known by its serial."),
    Kind(
        33,
        "receipt",
        "client worker",
        SUP,
        Nothing,
        "",
        0,
        "",
        True,
        "Carries receipts when nothing else is about to be sent.",
    ),
    Kind(
        34, "release", SUP, "client worker", Release, "", 0, "", True, "Descriptors kept for the proof may be closed."
    ),
    Kind(35, "lookup", WEB, SUP, Lookup, "", 0, "known", True, "Is this job known?"),
    Kind(36, "known", SUP, WEB, Known, "", 0, "", True, "Whether a job is known, and its state."),
    Kind(37, "progress", REC, SUP, Progress, "", 0, "", True, "How far the recorder has come."),
    Kind(38, "more", SUP, REC, More, "", 0, "", True, "The journal has grown."),
    Kind(39, "finish", SUP, REC, Nothing, "", 0, "", True, "The recorder shall drain what there is and end."),
    Kind(40, "leave", WEB, SUP, Leave, "", 0, "", True, "A client waits no longer for the end of a job."),
)

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}
BY_CODE: dict[int, Kind] = {kind.code: kind for kind in KINDS}


class Unhandled(Exception):
    """A kind is declared for a receiver that has no handler for it, or the other way round."""


def complete(receiver: str, handled: Iterable[str]) -> None:
    """Sees that each kind for `receiver` (as the kinds name it) has a handler, and each handler a kind.

    A receiver calls this before it hears anybody, because a message without a handler would be swallowed. Raises
    Unhandled, which names the kinds.
    """
    declared = {kind.name for kind in BY_CODE.values() if receiver in kind.receiver.split()}
    if missing := declared - set(handled):
        raise Unhandled(
            f"the vocabulary has {', '.join(sorted(missing))} for the {receiver}, which has no handler for it"
        )
    if strange := set(handled) - declared:
        raise Unhandled(
            f"the {receiver} has a handler for {', '.join(sorted(strange))}, which the vocabulary does not send to it"
        )


REFUSALS: dict[str, str] = {
    "unknown-kind": "There is no job of that name.",
    "bad-request": "The request does not fit its kind.",
    "needs-input": "The job works on a descriptor, and none came.",
    "unknown-job": "There is no such job, or nothing is kept of it any more.",
    "no-output": "The job has no output.",
    "expired": "The output is not kept any longer.",
    "unknown-worker": "No worker with that serial is alive.",
    "queue-full": "Too many jobs wait.",
    "journal-full": "The journal waits for the database and has reached its bound.",
    "stopping": "The pool is stopping.",
    "out-of-range": "The number is outside of what is allowed.",
    "lab-away": "No lab station is connected to the pool.",
    "too-large": "The input exceeds the bound.",
}
"""Why a request is refused; the wire carries the code, the page and the API show the sentence with the particulars."""

JOB_STATES = ("queued", "running", "done", "failed", "cancelled")
MESSAGE_STATES = ("sent", "received", "failed", "unknown")
PROOFS = ("same", "different", "unproved")
