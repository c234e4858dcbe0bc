"""The schema of a recording: docs/recorder.md, "The file: format 2". Every value has its bounds here.

Names of processes come from the programs, and paths from anybody. Bytes that are no text stand as ``\\xNN``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

FORMAT: Literal[2] = 2
MOST_STEPS, MOST_PROCESSES, MOST_PASSAGES = 1_000_000, 4096, 1_000_000
BLOCK = 64
"""Steps of a block."""
SOURCE_MOST = 65_536
"""Characters of a program's source, of its input, and of each of its outputs."""

Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Word = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=4096)]
Told = dict[Word, Any]
Table = Annotated[dict[Number, Text], Meta(max_length=65536)]
"""What stands at each number, as /proc/PID/fd has it: ``socket:[1234]``."""


def parted(link: str) -> tuple[str, int]:
    """Kind and inode of ``socket:[1234]`` or ``pipe:[1234]``; of anything else ``("", 0)``."""
    kind, bracket, rest = link.partition(":[")
    digits = rest[:-1]
    usable = bracket and rest.endswith("]") and digits.isascii() and digits.isdecimal() and len(digits) <= 19
    return (kind, int(digits)) if usable and kind in ("socket", "pipe") else ("", 0)


Proof = Literal["both", "duplicate", ""]
End = Literal["received", "peeked", "in flight", "dropped", "outside"]


class Queue(Struct, frozen=True, array_like=True):
    """What the kernel said of a socket of AF_UNIX."""

    peer: Natural
    """Inode of its other end; 0: it has none, or none yet."""
    queued: Natural
    """Bytes that wait in it; of a listening one, connections."""
    in_flight: Number
    """Descriptors that wait in it; -1: not known."""


class Delta(Struct, frozen=True, array_like=True):
    """What a step changed."""

    tables: dict[Natural, dict[Number, Text | None]] = {}
    """By table: what stands at these numbers now; None: nothing."""
    queues: dict[Natural, Queue | None] = {}
    """By inode."""


class State(Struct, frozen=True, array_like=True):
    """What was held at one moment."""

    tables: Annotated[dict[Natural, Table], Meta(max_length=MOST_PROCESSES)]
    """By table. A table has the number of the process that it began with."""
    queues: Annotated[dict[Natural, Queue], Meta(max_length=65536)]


class Step(Struct, frozen=True, array_like=True):
    """A call, a signal, or the end of a process. Steps are counted from 1."""

    at_us: Natural
    """Since the recording began: when it passed the turnstile; of a return, when it was told."""
    process: Natural
    tid: Natural
    call: Word
    """The kernel's name of it; ``signal`` and ``exit`` for what is no call."""
    given: Told
    gave: Told
    took_us: Natural = 0
    blocked: bool = False
    """It has not returned yet."""
    of: Natural = 0
    """The step whose return this is; 0: its own."""
    count: Natural = 1
    """So many equal ones in a row."""
    hidden: bool = False
    """Its process hides its memory and its table."""
    changed: Delta = Delta()
    line: Natural = 0
    """The line of the program's own source from which it came; 0: not known. docs/programs.md"""


class Passage(Struct, frozen=True):
    """A descriptor that was sent by SCM_RIGHTS."""

    sender: Natural
    sent_as: Number
    sent_at: Natural
    """The step."""
    object: Text
    """What it leads to: ``socket:[1234]``, a path."""
    end: End
    receiver: Natural | None = None
    received_as: Number | None = None
    received_at: Natural | None = None
    """The step of the receipt, or of the drop."""
    proof: Proof = ""
    why: Text = ""
    """Why there is no proof."""


class Process(Struct, frozen=True):
    """A process that was seen. Its number is its place, from 1."""

    pid: Natural
    name: Word
    parent: Natural
    """Its number; 0: it is the first."""
    born: Natural
    """The step."""
    status: Number | None = None
    """Its exit status, negative for a signal; None: it has not ended by itself."""
    hidden: bool = False
    foreign: bool = False
    """It made calls of another ABI (i386, x32), which were not followed."""


class Block(Struct, frozen=True, array_like=True):
    """Where a block stands in the file."""

    position: Natural
    size: Natural
    steps: Annotated[int, Meta(ge=1, le=BLOCK)]


class Counts(Struct, frozen=True):
    """Descriptors by SCM_RIGHTS. sent = received + in_flight + dropped + outside."""

    sent: Natural
    received: Natural
    proved: Natural
    in_flight: Natural
    dropped: Natural
    outside: Natural
    peeked: Natural
    unmatched: Natural
    """That came from somebody outside the recording."""


class Remark(Struct, frozen=True):
    """What a compiler says of a line."""

    kind: Literal["error", "warning", "note"]
    line: Natural
    column: Natural
    text: Text


class Program(Struct, frozen=True):
    """A program that was handed in as its source."""

    language: Literal["c", "python"]
    source: Annotated[str, Meta(max_length=SOURCE_MOST)]
    arguments: Annotated[list[Text], Meta(max_length=64)] = []
    input: Annotated[str, Meta(max_length=SOURCE_MOST)] = ""
    """What stood at its standard input."""
    remarks: Annotated[list[Remark], Meta(max_length=200)] = []
    output: Annotated[str, Meta(max_length=SOURCE_MOST)] = ""
    """What it wrote to standard output."""
    errors: Annotated[str, Meta(max_length=SOURCE_MOST)] = ""
    """What it wrote to standard error."""


class Index(Struct, frozen=True, kw_only=True):
    """All but the steps."""

    format: Literal[2]
    command: Annotated[list[Text], Meta(max_length=4096)]
    kernel: Word
    machine: Word
    started: float
    """Seconds since 1970."""
    took_us: Natural
    ended: Text
    """Why the recording ended; a sentence."""
    kept: Natural
    """Bytes of each buffer that were kept."""
    missing: Annotated[list[Text], Meta(max_length=64)]
    """What could not be seen; sentences."""
    counts: Counts
    processes: Annotated[list[Process], Meta(max_length=MOST_PROCESSES)]
    passages: Annotated[list[Passage], Meta(max_length=MOST_PASSAGES)]
    blocks: Annotated[list[Block], Meta(max_length=MOST_STEPS)]
    program: Program | None = None
    """None: a command was recorded."""


class Packed(Struct, frozen=True, array_like=True):
    """What a block holds."""

    before: State
    steps: Annotated[list[Step], Meta(min_length=1, max_length=BLOCK)]
