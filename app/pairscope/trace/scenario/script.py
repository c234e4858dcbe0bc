"""The lines so far, and who there is: what all parts of the making share."""

from __future__ import annotations

import collections

from pairscope.lab.model import Name
from pairscope.sentence import phrase
from pairscope.trace.recording import Index, Passage, Step, parted
from pairscope.trace.scenario.facts import Facts
from pairscope.trace.scenario.line import Line, constant, number
from pairscope.trace.scenario.turn import Turn
from pairscope.trace.scenario.world import Actor, Description, Names, Process, Table


class Script:
    """Of one recording."""

    def __init__(self, index: Index, facts: Facts) -> None:
        self.index, self.facts = index, facts
        self.lines: list[Line] = []
        self.left_out: dict[str, collections.Counter[str]] = {}
        """By the reason: how many of each call."""
        self.processes: dict[int, Process] = {}
        self.names = Names()
        self.untold: list[tuple[Process, str]] = []
        """Who was ended from outside, with the signal: told before the next line, if there is any."""
        self.outsider = ""
        """The name of who sends signals from outside; empty: nobody has to."""
        self.peers: dict[int, int] = {}
        """The other ends of sockets, by inodes."""
        self._tainted: set[str] = set()
        self._flying: dict[tuple[int, int], Description] = {}
        """By step and the sender's number: what was passed."""
        self._came: dict[int, list[Passage]] = {}
        for passage in index.passages:
            if passage.received_at:
                self._came.setdefault(passage.received_at, []).append(passage)

    # ---- lines

    def add(self, line: Line) -> None:
        """A line behind all others."""
        self.tell()
        self.lines.append(line)

    def before(self, line: Line | None, new: Line) -> None:
        """A line before another; None: behind all."""
        self.lines.insert(len(self.lines) if line is None else self.lines.index(line), new)

    def after(self, line: Line, new: Line) -> None:
        """A line behind another."""
        self.lines.insert(self.lines.index(line) + 1, new)

    def is_last(self, line: Line) -> bool:
        """Whether nothing has been done since."""
        return next((one for one in reversed(self.lines) if not one.waits), None) is line

    def leave(self, step: Step, why: str) -> None:
        """A step becomes no line."""
        self.left_out.setdefault(why, collections.Counter())[step.call] += step.count

    # ---- who there is

    def begin(self, process: int, parent: Process | None) -> Process:
        """A process that was there before: the first, or a child of another without anything of its own."""
        found = self.index.processes[process - 1]
        made = Process(process, found.pid, Table(), parent)
        made.main = Actor(self.names.of(found.name), made)
        if parent and parent.main:
            parent.children.append(made)
            made.beginning = Line(parent.main.name, "fork", binds=(made.main.name,))
            made.beginning.comment = phrase("was there before")
            self.add(made.beginning)
        self.processes[process] = made
        return made

    def find(self, pid: int) -> Process | None:
        """The process with this pid; None: it is not here."""
        return next((one for one in reversed(self.processes.values()) if one.pid == pid), None)

    def status(self, process: Process) -> int | None:
        """How it ended: its status, negative for a signal; None: it has not."""
        return self.index.processes[process.number - 1].status

    def actor(self, process: Process, tid: int) -> Actor:
        """Who acts for a task of a process; a thread is made where it first does."""
        assert process.main is not None
        if tid == process.pid:
            return process.main
        if tid not in process.threads:
            if process.unborn:
                line = process.unborn.pop(0)
                line.waits = False
            else:
                line = Line(process.main.name, "thread")
                if process.beginning:
                    self.after(process.beginning, line)
                else:
                    self.lines.insert(0, line)
            actor = Actor(self.names.of(process.main.name), process)
            line.binds = (actor.name,)
            process.threads[tid] = actor
        return process.threads[tid]

    def tell(self) -> None:
        """Who was ended by nobody here."""
        untold, self.untold = self.untold, []
        for process, signal in untold:
            living = [one for one in self.processes.values() if not one.doomed]
            others = [actor for one in living for actor in one.actors() if not actor.waits]
            if process.main:
                sender = others[0].name if others else self._outsider()
                line = Line(sender, "kill", [Name(process.main.name), constant(signal)], first=number(0))
                line.comment = phrase("ended from outside")
                self.lines.append(line)

    def _outsider(self) -> str:
        """Who sends a signal where nobody else can: a process that has nothing, made before all others do anything."""
        if not self.outsider:
            self.outsider = self.names.of("outside")
            first = next(iter(self.processes.values())).main
            assert first is not None
            made = Line(first.name, "fork", binds=(self.outsider,))
            made.comment = phrase("stands for whoever sends signals from outside")
            self.lines.insert(0, made)
        return self.outsider

    # ---- what is passed

    def fly(self, turn: Turn) -> None:
        """Notes what a call passes."""
        control = turn.given.get("control")
        for part in control if isinstance(control, list) else ():
            fds = part.get("fds") if isinstance(part, dict) else None
            for one in fds if isinstance(fds, list) else ():
                if isinstance(one, int) and one in turn.table.held:
                    self._flying[turn.at, one] = turn.table.held[one].of

    def flown(self, turn: Turn, found: int, back: int) -> Description:
        """What a descriptor that came stands for."""
        for passage in self._came.get(back, ()):
            if passage.received_as == found and (of := self._flying.get((passage.sent_at, passage.sent_as))):
                return of
        return Description("file")

    # ---- bytes

    def taint(self, on: object) -> None:
        """Other bytes are sent than were."""
        kind, inode = parted(on) if isinstance(on, str) else ("", 0)
        if kind == "pipe" or (isinstance(on, str) and not kind):
            self._tainted.add(str(on))
        elif inode in self.peers:
            self._tainted.add(f"socket:[{self.peers[inode]}]")
        else:
            self._tainted.add("*")

    def tainted(self, on: object) -> bool:
        """Whether other bytes come here than came."""
        return not isinstance(on, str) or "*" in self._tainted or on in self._tainted
