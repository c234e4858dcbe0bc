"""A run as strace would have told it: the calls of all processes in the order in which they were made. strace(1)

Calls have the kernel's names, as on x86_64; how each is written stands in its file (:mod:`pairscope.lab.calls.strace`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.strace import Traced
from pairscope.lab.constants import NUMBERS, signal_name
from pairscope.lab.given import integer
from pairscope.lab.language import parse
from pairscope.lab.model import Scenario, Step
from pairscope.lab.run import UNSET, Completed, Result, Run, State
from pairscope.lab.run import Step as Taken

COLUMN = 40
"""Where results stand."""


def transcript(run: Run) -> str:
    """The run in strace's manner."""
    return "".join(line + "\n" for line in _Teller(run, parse(run.text)).lines())


class _Teller:
    def __init__(self, run: Run, scenario: Scenario) -> None:
        self._run = run
        self._steps = scenario.steps
        self._pids: dict[str, int] = {}
        """Of each actor: of a thread its own number."""
        self._process: dict[str, str] = {}
        """Of each actor: the name of its process."""
        for process in (process for number in range(1, len(run.steps) + 1) for process in run.state(number).processes):
            self._pids.setdefault(process.name, process.pid)
            self._process.setdefault(process.name, process.name)
            for task in process.threads or ():
                self._pids[task.name] = task.tid
                self._process[task.name] = process.name
        self._ended: set[str] = set()
        self._broken = {pair for index, step in enumerate(run.steps) for pair in self._died_of_it(index, step)}
        """(actor, index of its step): the calls that brought SIGPIPE on their process and did not return."""

    def lines(self) -> Iterable[str]:
        for index, step in enumerate(self._run.steps):
            if step.result is None:
                return
            if not step.returned:
                yield from self._call(index, step, step.result)
            for actor, result in step.completed.items():
                # That of the step itself stands with it, unless the call was begun before.
                yield from self._back(actor, result)
            if CALLS[step.call].signals and not step.returned and not step.result.errno:
                yield from self._signalled(self._steps[index], step.actor)
            yield from self._ends(step, self._run.state(index + 1))

    def _call(self, index: int, step: Taken, result: Result) -> Iterable[str]:
        own, actor = self._steps[index], step.actor
        if result.blocked:
            later: Result = next(
                (found for other in self._run.steps for found in other.completed.values() if found.of == index),
                result,
            )
            yield self._said(
                actor, f"{CALLS[own.call].sysno}({self._arguments(own, step, later, unfinished=True)} <unfinished ...>"
            )
            return
        yield from self._whole(actor, index, result, f"{CALLS[own.call].sysno}({self._arguments(own, step, result)})")

    def _back(self, actor: str, result: Completed) -> Iterable[str]:
        """The return of a call that was blocked."""
        step, own = self._run.steps[result.of], self._steps[result.of]
        begun = self._arguments(own, step, result, unfinished=True)
        rest = "" if result.ended else self._arguments(own, step, result)[len(begun) :].lstrip() if begun else ""
        yield from self._whole(actor, result.of, result, f"<... {CALLS[own.call].sysno} resumed>{rest})")

    def _whole(self, actor: str, index: int, result: Result, text: str) -> Iterable[str]:
        own, step = self._steps[index], self._run.steps[index]
        line = self._said(actor, text)
        pipe = self._pipes(index, actor, result)
        yield f"{line:<{COLUMN}} = " + (
            "-1 EPIPE (Broken pipe)" if result.ended and pipe else self._value(own, step, result)
        )
        if pipe:
            yield self._said(
                actor,
                f"--- SIGPIPE {{si_signo=SIGPIPE, si_code=SI_USER, "
                f"si_pid={self._pids.get(self._process.get(actor, actor), 0)}}} ---",
            )
        if not result.errno and (born := CALLS[own.call].born(self._traced(own, step, result))) is not None:
            yield f"strace: Process {born} attached"

    def _said(self, actor: str, text: str) -> str:
        return f"[pid {self._pids.get(actor, 0):5}] {text}" if len(self._pids) > 1 else text

    def _signalled(self, own: Step, actor: str) -> Iterable[str]:
        """What a signal that was sent by the process's name brought on it. Nobody sees SIGKILL come: it is told by the
        end."""
        if CALLS[own.call].arguments[0].takes != "process":
            return
        number, name = integer(own.arguments[1]) or 0, getattr(own.arguments[0], "text", "")
        if name in self._pids and number not in (0, signal.SIGKILL):
            sender = self._pids.get(self._process.get(actor, actor), 0)
            yield self._said(
                self._process[name],
                f"--- {signal_name(number)} {{si_signo={signal_name(number)}, si_code=SI_USER, si_pid={sender}}} ---",
            )

    def _died_of_it(self, index: int, step: Taken) -> Iterable[tuple[str, int]]:
        """Of the calls that SIGPIPE has ended in this step, those that brought it: of each process one. The others'
        threads died with theirs in calls of their own."""
        own, arguments = self._steps[index], step.arguments
        if CALLS[own.call].signals and arguments[1:2] == [signal.SIGPIPE]:
            return
        ended: list[tuple[str, int, Result]] = [(actor, result.of, result) for actor, result in step.completed.items()]
        if step.result and not step.returned:
            ended.insert(0, (step.actor, index, step.result))
        found: dict[str, tuple[str, int]] = {}
        for actor, of, result in ended:
            if result.ended and result.killed == signal.SIGPIPE and CALLS[self._steps[of].call].breaks_pipe:
                found.setdefault(self._process.get(actor, actor), (actor, of))
        yield from found.values()

    def _pipes(self, index: int, actor: str, result: Result) -> bool:
        """Whether the call brought SIGPIPE on its process: streams and pipes do, unless they are asked not to."""
        own = self._steps[index]
        call = CALLS[own.call]
        if not call.breaks_pipe:
            return False
        if result.ended:
            return (actor, index) in self._broken
        if result.errno != "EPIPE" or call.sent_flags(own) & NUMBERS["MSG_NOSIGNAL"]:
            return False
        after, fd = self._run.state(index + 1), self._run.steps[index].arguments[0]
        held = [
            row.inode
            for process in after.processes
            if process.name == self._process.get(actor)
            for row in process.descriptors
            if row.number == fd
        ]
        return any(
            found.kind == "pipe" or found.type == "SOCK_STREAM" for found in after.objects if found.inode in held
        )

    def _ends(self, step: Taken, state: State) -> Iterable[str]:
        """Who has ended by this step, and whom the kernel told of it."""
        if not CALLS[step.call].returns and not step.returned and self._process.get(step.actor, "") != step.actor:
            yield self._said(step.actor, "+++ exited with 0 +++")
        processes = {process.name: process for process in state.processes}
        for name, process in processes.items():
            if process.exit is UNSET or name in self._ended:
                continue
            self._ended.add(name)
            status, killed = process.exit.status, process.exit.killed
            how = f"killed by {signal_name(killed)}" if killed else f"exited with {'?' if status is None else status}"
            yield self._said(name, f"+++ {how} +++")
            parent = processes.get(process.parent or "")
            if parent and parent.exit is UNSET:
                code, value = (
                    ("CLD_KILLED", signal_name(killed)) if killed else ("CLD_EXITED", "?" if status is None else status)
                )
                yield self._said(
                    parent.name,
                    f"--- SIGCHLD {{si_signo=SIGCHLD, si_code={code}, si_pid={process.pid}, si_status={value}}} ---",
                )

    # ---- a call

    def _traced(self, own: Step, step: Taken, result: Result, unfinished: bool = False) -> Traced:
        return Traced(own, step, result, self._pids, unfinished)

    def _value(self, own: Step, step: Taken, result: Result) -> str:
        call = CALLS[own.call]
        if result.ended or result.fault or not call.returns:
            return "?"
        if result.errno:
            return f"-1 {result.errno} ({os.strerror(NUMBERS.get(result.errno, 0))})"
        return call.strace_value(self._traced(own, step, result)) if call.kernels_value else "?"

    def _arguments(self, own: Step, step: Taken, result: Result, unfinished: bool = False) -> str:
        """All arguments; `unfinished`: those that are known before the call has given anything, up to the first that is
        not."""
        words: list[str] = []
        for argument in CALLS[own.call].strace(self._traced(own, step, result, unfinished)):
            if argument is None:
                return ", ".join(words) + ("," if words else "")
            words.append(argument)
        return ", ".join(words)
