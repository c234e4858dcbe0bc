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
nothing of the stage: this package imports no other.

**How a run is decoded.** :func:`decode` asks for the types and bounds of the schema (kinds of values; what was held at
a moment; steps; the run) and passes over members that it does not know, so a run that a later version stored opens. A
file that a person hands over goes through :func:`pairscope.lab.exports.record.load`, which believes nothing and refuses
those too.
"""

from pairscope.lab.run.held import (
    NOTHING,
    Ahead,
    Blocked,
    Carried,
    Credentials,
    Descriptor,
    Exit,
    Object,
    Piece,
    Process,
    Signals,
    State,
    Task,
)
from pairscope.lab.run.kinds import UNSET, Argument, Bytes, Single, StepVerdict, Verdict, given, known
from pairscope.lab.run.run import FORMAT, Failed, Run, decode, encode, heard
from pairscope.lab.run.steps import Completed, Expected, Message, Part, Result, Step, Way, piece_of

__all__ = [
    "FORMAT", "NOTHING", "UNSET", "Ahead", "Argument", "Blocked", "Bytes", "Carried", "Completed", "Credentials",
    "Descriptor", "Exit", "Expected", "Failed", "Message", "Object", "Part", "Piece", "Process", "Result", "Run",
    "Signals", "Single", "State", "Step", "StepVerdict", "Task", "Verdict", "Way", "decode", "encode", "given",
    "heard", "known", "piece_of",
]  # fmt: skip
