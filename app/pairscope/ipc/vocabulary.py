"""The vocabulary: every kind of message that can cross a pair, written once.

The numbers of the wire, the names of the record, the payload types that a receiver checks and the tables of
``docs/protocol.md`` are all derived from :data:`KINDS`. A kind marked *housekeeping* is counted by the channel
and not journaled: an open page must not make its own traffic.

A packet on a SOCK_SEQPACKET pair is one message, or a msgpack array of several. A message is an
:class:`~pairscope.ipc.envelope.Envelope`, its payload (:mod:`pairscope.ipc.payloads`) inside as msgpack of the kind's
own type, its descriptors beside it in one SCM_RIGHTS control message, in the order of the envelope's ``fds``. A message
with descriptors travels alone; others may travel together, so that one wake-up brings many.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from pairscope.ipc import payloads as say


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


CALLERS = frozenset((Role.WEB.value, Role.LIVE.value, Role.LAB.value, Role.TOOL.value))
"""Roles of clients, who come over the control socket. The supervisor sees the end of a client's pair, not the end of
its process."""


WEB, SUP, WRK, REC = "client", Role.SUPERVISOR.value, Role.WORKER.value, Role.RECORDER.value
"""``client`` stands for whoever came over the control socket: web, live, lab or tool."""
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
    Kind(1, "hello", HND, SUP, say.Hello, "", 0, "", False, "A worker or a lab station is ready."),
    Kind(
        2, "submit", WEB, SUP, say.Submit, "the input", 1, "accepted answer refused", False, "A client asks for a job."
    ),
    Kind(3, "accepted", SUP, WEB, say.Accepted, "", 0, "", False, "The job is journaled and waits for a worker."),
    Kind(
        4,
        "task",
        SUP,
        HND,
        say.Task,
        "the input, the empty output, a spare for a long reply",
        3,
        "result",
        False,
        "A worker gets a job, or a lab station a scenario.",
    ),
    Kind(5, "result", HND, SUP, say.Result, "", 0, "", False, "A worker or a lab station has ended one."),
    Kind(6, "answer", SUP, WEB, say.Answer, "", 0, "", False, "A job has ended."),
    Kind(7, "cancel", WEB, SUP, say.Cancel, "", 0, "done refused", False, "A client wants a job to end now."),
    Kind(8, "fetch", WEB, SUP, say.Fetch, "", 0, "output refused", False, "A client wants a job's output."),
    Kind(9, "output", SUP, WEB, say.Output, "the output", 1, "", False, "A job's output."),
    Kind(10, "signal", WEB, SUP, say.Signal, "", 0, "done refused", False, "An operator sends a signal to a worker."),
    Kind(
        11, "scale", WEB, SUP, say.Scale, "", 0, "done refused", False, "An operator wants another number of workers."
    ),
    Kind(12, "done", SUP, WEB, say.Done, "", 0, "", False, "What was asked for has been done."),
    Kind(13, "refused", SUP, WEB, say.Refused, "", 0, "", False, "What was asked for is not done."),
    Kind(14, "stop", SUP, WRK, say.Stop, "", 0, "", False, "A worker shall end after what it has."),
    Kind(31, "enter", WEB, SUP, say.Enter, "", 0, "welcome", True, "The first word of a client."),
    Kind(32, "welcome", SUP, WEB, say.Welcome, "", 0, "", True, "The client is known by its serial."),
    Kind(
        33,
        "receipt",
        "client worker",
        SUP,
        say.Nothing,
        "",
        0,
        "",
        True,
        "Carries receipts when nothing else is about to be sent.",
    ),
    Kind(
        34,
        "release",
        SUP,
        "client worker",
        say.Release,
        "",
        0,
        "",
        True,
        "Descriptors kept for the proof may be closed.",
    ),
    Kind(35, "lookup", WEB, SUP, say.Lookup, "", 0, "known", True, "Is this job known?"),
    Kind(36, "known", SUP, WEB, say.Known, "", 0, "", True, "Whether a job is known, and its state."),
    Kind(37, "progress", REC, SUP, say.Progress, "", 0, "", True, "How far the recorder has come."),
    Kind(38, "more", SUP, REC, say.More, "", 0, "", True, "The journal has grown."),
    Kind(39, "finish", SUP, REC, say.Nothing, "", 0, "", True, "The recorder shall drain what there is and end."),
    Kind(40, "leave", WEB, SUP, say.Leave, "", 0, "", True, "A client waits no longer for the end of a job."),
    Kind(42, "viewer", WEB, SUP, say.Viewer, "", 0, "", True, "Apache has handed live a viewer's connection."),
    Kind(41, "committed", SUP, WEB, say.Committed, "", 0, "", True, "Live is told that the record has grown."),
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
