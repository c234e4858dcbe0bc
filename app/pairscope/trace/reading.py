"""A recording read for people: one look at each of its steps, which says where to go on from any of them.

The steps stay in the file. Of each there is a :class:`Row` here, some 400 bytes: who made which call, what it touched,
whether it passed a descriptor, and the line that it is told by. Which table is whose is not said by the file, and is
found on the way: a birth tells the child's, and what a call changes is its caller's.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections import Counter
from collections.abc import Iterable

from pairscope.sentence import phrase
from pairscope.trace import lines
from pairscope.trace.file import NoRecording, Recording
from pairscope.trace.followed import BIRTHS, CLONE_FILES
from pairscope.trace.recording import Passage, Process, State, Step, Table

MOST = 200_000
"""Steps that are read for people: 80 MB."""
WAITS = frozenset(
    {
        "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "wait4", "waitid",
        "restart_syscall",
    }
)  # fmt: skip
"""Calls that wait for what others do, and move nothing themselves."""


@dataclasses.dataclass(slots=True)
class Row:
    """What is known of a step without looking at it."""

    process: int
    tid: int
    call: str
    line: str
    """The call and what it gave, as one line."""
    error: str
    """The name of its errno; empty: it has none."""
    objects: tuple[str, ...]
    """What it touched: ``socket:[1234]``, paths."""
    of: int
    blocked: bool
    sent: int = 0
    received: int = 0
    """Descriptors by SCM_RIGHTS."""
    folded: bool = False
    """Whether it is passed over in stepping, unless all are asked for."""
    equal: int = 0
    """So many equal ones behind it are folded."""
    times: int = 1
    """So many equal ones in a row are this step."""
    source: int = 0
    """The line of the program's source from which it came, or the call whose return it is; 0: not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """A call that had not returned from `first` until before `last`; None: until the end."""

    tid: int
    process: int
    call: str
    first: int
    last: int | None


class Reading:
    """A recording, and ways through it. Steps are counted from 1; step 0 is the moment before the first.

    Raises NoRecording for a file whose blocks are damaged, or that has too many steps.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording, self.index = recording, recording.index
        self.count = recording.steps
        if self.count > MOST:
            raise NoRecording(
                phrase("it has %(steps)s steps; a page shows at most %(most)s", steps=self.count, most=MOST)
            )
        self.rows: list[Row] = []
        self.waits: list[Wait] = []
        self._tables: dict[tuple[int, int], list[tuple[int, int]]] = {}
        """By process and task, 0: any: from which step on which table is its own."""
        self._ends: dict[int, int] = {}
        """By process: the step of its end."""
        self._sent: dict[int, list[Passage]] = {}
        self._came: dict[int, list[Passage]] = {}
        for passage in self.index.passages:
            self._sent.setdefault(passage.sent_at, []).append(passage)
            if passage.received_at:
                self._came.setdefault(passage.received_at, []).append(passage)
        self._read(recording.all())
        self._fold()
        self.passed = [number for number, row in enumerate(self.rows, 1) if row.sent or row.received]
        """Steps at which descriptors are sent or come."""
        self.failed = [number for number, row in enumerate(self.rows, 1) if row.error and not row.folded]
        """Steps that failed, but for those that are folded."""

    # ---- reading

    def _read(self, steps: Iterable[Step]) -> None:
        asleep: dict[int, tuple[int, Step]] = {}
        for number, step in enumerate(steps, 1):
            if not 1 <= step.process <= len(self.index.processes) or not 0 <= step.of < number:
                raise NoRecording(phrase("a step of it names a step or a process that it has not"))
            if step.of and (began := asleep.pop(step.tid, None)):
                self.waits.append(Wait(step.tid, step.process, step.call, began[0], number))
            if step.blocked:
                asleep[step.tid] = number, step
            if step.call == "exit":
                self._ends[step.process] = number
            self._owners(number, step)
            self.rows.append(self._row(number, step))
        for tid, (number, step) in asleep.items():
            self.waits.append(Wait(tid, step.process, step.call, number, self._ends.get(step.process)))

    def _owners(self, number: int, step: Step) -> None:
        """Whose the tables are that a step tells something of."""
        if step.call in BIRTHS:
            child, flags = step.gave.get("process"), step.given.get("flags", 0)
            if isinstance(child, int) and 1 <= child <= len(self.index.processes):
                own = [table for table in step.changed.tables if table != self.table(step.process, number, step.tid)]
                if isinstance(flags, int) and flags & CLONE_FILES:
                    own = [self.table(step.process, number, step.tid)]
                self._own((child, 0), number, own[0] if own else child)
            return
        for table in step.changed.tables:
            self._own((step.process, step.tid), number, table)
            self._own((step.process, 0), number, table)

    def _own(self, key: tuple[int, int], number: int, table: int) -> None:
        known = self._tables.setdefault(key, [])
        if not known or known[-1][1] != table:
            known.append((number, table))

    def _row(self, number: int, step: Step) -> Row:
        began = self.rows[step.of - 1] if step.of else None
        objects: dict[str, None] = dict.fromkeys(began.objects if began else ())
        on = step.given.get("on")
        if isinstance(on, str):
            objects[on] = None
        for rows in step.changed.tables.values():
            if step.call not in BIRTHS and step.call != "exit":
                objects |= dict.fromkeys(link for link in rows.values() if link)
        sent, came = self._sent.get(number, ()), self._came.get(number, ())
        objects |= dict.fromkeys(passage.object for passage in (*sent, *came))
        error = step.gave.get("errno")
        line = f"{lines.call(step)} {lines.outcome(step)}".strip()
        return Row(
            step.process, step.tid, step.call, line, error if isinstance(error, str) else "", tuple(objects)[:64],
            step.of, step.blocked, len(sent), sum(passage.end in ("received", "peeked") for passage in came),
            times=step.count,
            source=step.line or (began.source if began else 0),
        )  # fmt: skip

    def _fold(self) -> None:
        """Marks what a reader passes over: polling that gave nothing, the entry of a wait, a search along PATH, and
        what only repeats its neighbour."""
        first: Row | None = None
        for row in self.rows:
            if row.sent or row.received:
                first = None
                continue
            tried = row.call == "execve" and row.error == "ENOENT"
            if row.error == "EAGAIN" or tried or (row.blocked and row.call in WAITS):
                row.folded = True
                continue
            same = first and (first.tid, first.call, first.error, first.of, first.blocked, first.source) == (
                row.tid, row.call, row.error, row.of, row.blocked, row.source,
            )  # fmt: skip
            if first and same and row.call not in BIRTHS and row.call not in ("signal", "exit"):
                row.folded = True
                first.equal += 1
            else:
                first = row

    def calls(self) -> Counter[tuple[str, str]]:
        """How often each process made which call, but for those that wait or found nothing yet: how often somebody
        polls says how fast others were."""
        found = Counter[tuple[str, str]]()
        for row in self.rows:
            if (
                not row.of
                and row.call not in WAITS
                and row.call not in ("signal", "exit")
                and row.error not in ("EAGAIN", "EINTR", "EINPROGRESS")
            ):
                found[self.process(row.process).name, row.call] += row.times
        return found

    # ---- one step

    def step(self, number: int) -> Step:
        """A step by its number. Raises IndexError."""
        return self.recording.step(number)

    def row(self, number: int) -> Row:
        """What is known of it."""
        return self.rows[number - 1]

    def process(self, number: int) -> Process:
        """A process by its number."""
        return self.index.processes[number - 1]

    def sent(self, number: int) -> list[Passage]:
        """The descriptors that a step sent."""
        return self._sent.get(number, [])

    def came(self, number: int) -> list[Passage]:
        """Those that came with it, or were dropped."""
        return self._came.get(number, [])

    def in_flight(self, number: int) -> list[Passage]:
        """Those that are on their way after a step."""
        return [
            passage
            for passage in self.index.passages
            if passage.sent_at <= number
            and (passage.received_at > number if passage.received_at else passage.end == "in flight")
        ]

    # ---- a moment

    def state(self, number: int) -> State:
        """What was held after a step."""
        return self.recording.state(number)

    def table(self, process: int, number: int, tid: int = 0) -> int:
        """The number of the table that a process, or one of its tasks, has after a step."""
        for key in ((process, tid), (process, 0)):
            if known := self._tables.get(key):
                place = bisect.bisect_right(known, (number, 1 << 63)) - 1
                if place >= 0:
                    return known[place][1]
        return process

    def rows_of(self, process: int, state: State, number: int, tid: int = 0) -> Table:
        """What a process holds in a state, which is that after a step."""
        return state.tables.get(self.table(process, number, tid), {})

    def asleep(self, number: int) -> list[Wait]:
        """The calls that have not returned after a step."""
        return [wait for wait in self.waits if wait.first <= number and (wait.last is None or number < wait.last)]

    def lives(self, process: int, number: int) -> bool:
        """Whether a process is there after a step: born, and not ended."""
        ended = self._ends.get(process)
        return self.process(process).born <= number and (ended is None or number < ended)

    def ended(self, process: int, number: int) -> bool:
        """Whether it has ended by then."""
        return self._ends.get(process, self.count + 1) <= number
