"""The stage manager: has the steps of a scenario taken one by one, looks after each, and judges.

It guesses nothing from time: a call is answered, its process has ended, or the kernel says that the task sleeps in that
very call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.options import SETTABLE
from pairscope.lab.constants import NUMBERS, number
from pairscope.lab.language import format as canonical
from pairscope.lab.model import Constants, Number, Scenario, Step, Text
from pairscope.lab.reasons import Reason
from pairscope.lab.run import FORMAT, Run, Verdict
from pairscope.lab.run import Step as Taken
from pairscope.lab.stage import bounds, confine, expect, races, standing
from pairscope.lab.stage.allowance import Allowance
from pairscope.lab.stage.apart import apart
from pairscope.lab.stage.births import Births
from pairscope.lab.stage.cast import Outcome
from pairscope.lab.stage.errors import RunRefused, TimedOut, Unmade, refused
from pairscope.lab.stage.guard import Guard
from pairscope.lab.stage.ledger import Ledger
from pairscope.lab.stage.observation import observe
from pairscope.lab.stage.orders import Orders
from pairscope.lab.stage.scene import Scene
from pairscope.lab.stage.settling import Settling

SECONDS = 5.0
"""Of processor time and of idle time: a run takes no more."""
WALL = 120.0
"""Seconds after which a run ends in any case: the machine gives it not even a twentieth of what it needs."""
USER = "nobody"
"""Whom the actors become where the manager is root."""
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_libc = ctypes.CDLL(None, use_errno=True)


def run(
    scenario: Scenario,
    directory: Path | None = None,
    *,
    user: str = USER,
    sandbox: confine.Sandbox | None = None,
    after_step: Callable[[Taken], None] | None = None,
) -> Run:
    """Runs the scenario and gives the run, whatever came of it. Leaves no process, descriptor or file.

    `directory`: the scratch directory, which the caller made and removes; None: one of this function's own, if the
    scenario needs one. `user`: whom the actors become where this process is root, so that what is shown is what happens
    to everybody else. `sandbox`: that this process has entered, and its actors will enter further; None: there is none.
    `after_step` is called with each step, its facts included, while everybody stands still. Raises KeyError if there is
    no such user.
    """
    account = None
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        account = entry.pw_uid, entry.pw_gid
    made = directory is None and uses_files(scenario)
    scratch = Path(tempfile.mkdtemp(prefix="lab")) if made else directory or Path("/")
    if account and made:
        os.chown(scratch, *account)
    subreaper = ctypes.c_int(0)
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(subreaper), 0, 0, 0)
    # whoever loses a parent becomes a child of this process, and is reaped
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    manager = _Manager(scenario, sandbox)
    try:
        # a sandbox leaves no way to the lock: its runner holds it
        with contextlib.nullcontext() if sandbox else apart(scenario):
            return manager.run(scratch, account, after_step or (lambda step: None))
    finally:
        manager.clear()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, subreaper.value, 0, 0, 0)
        if made:
            shutil.rmtree(scratch, ignore_errors=True)


def unplayed(scenario: Scenario, reason: str) -> Run:
    """The run of a scenario that could not begin."""
    return _told_run(scenario, "refused", reason, confine.absent(), time.time(), 0, [])


def _told_run(
    scenario: Scenario,
    verdict: Verdict,
    reason: str,
    sandbox: dict[str, Any],
    started: float,
    took_ns: int,
    steps: list[Taken],
) -> Run:
    return Run(
        format=FORMAT,
        text=canonical(scenario),
        about=[list(pair) for pair in scenario.about],
        verdict=verdict,
        reason=reason,
        kernel=os.uname().release,
        machine=os.uname().machine,
        sandbox=sandbox,
        started=started,
        took_ns=took_ns,
        steps=steps,
    )


def uses_files(scenario: Scenario) -> bool:
    """Whether a call names a file of the scratch directory."""
    return any(
        argument.takes == "file"
        or (
            argument.takes == "address"
            and isinstance(value, Text)
            and not value.data.startswith(b"\0")
            and b":" not in value.data
        )
        for step in scenario.steps
        for argument, value in zip(CALLS[step.call].arguments, step.arguments)
    )


class _Manager:
    """Of one run. It makes the scene and the rooms that share it."""

    def __init__(self, scenario: Scenario, sandbox: confine.Sandbox | None) -> None:
        self._scene = scene = Scene(scenario, Allowance(SECONDS, WALL))
        self._sandbox = sandbox
        own = sandbox is not None and sandbox.own_network
        guard = Guard(scene, own_network=own, abstract=own or sandbox is None)
        ledger = Ledger(scene)
        settling = Settling(scene, ledger)
        self._ledger = ledger
        self._births = Births(scene, settling)
        self._orders = Orders(scene, guard, ledger, settling, self._births)

    def run(
        self,
        scratch: Path,
        account: tuple[int, int] | None,
        after_step: Callable[[Taken], None],
    ) -> Run:
        """Carries everything out. What refuses the run, or is too late, is caught here alone."""
        scene = self._scene
        started, began = time.time(), time.monotonic_ns()
        scene.allowance = Allowance(SECONDS, WALL)
        verdict: Verdict = "held"
        reason = ""
        try:
            self._prepare()
            self._births.begin(scene.scenario.steps[0].actor, scratch, account, self._sandbox)
            for index, step in enumerate(scene.scenario.steps):
                entry = self._take(index, step)
                after_step(entry)
                if entry.verdict == expect.FAILED and verdict == "held":
                    verdict, reason = "failed", Reason.LINE.say(line=entry.line, why=entry.reason)
                if entry.result is None:
                    break
        except RunRefused as refusal:
            verdict, reason = "refused", str(refusal)
        except TimedOut as late:
            verdict, reason = "timed out", str(late)
        except OSError as error:
            line = scene.steps[-1].line if scene.steps else 1
            verdict, reason = "refused", Reason.LINE.say(line=line, why=Reason.NO_GOING_ON.say(fault=error))
        if verdict in ("held", "failed"):
            verdict, reason = self._end(verdict, reason)
        told = self._sandbox.told if self._sandbox else confine.absent()
        return _told_run(scene.scenario, verdict, reason, told, started, time.monotonic_ns() - began, scene.steps)

    def clear(self) -> None:
        """Ends every process of the run, and closes what it held."""
        self._scene.memory.asker.close()
        self._births.clear()

    def _prepare(self) -> None:
        """Refuses what is no run, and notes which options of sockets will be looked at: those that a step sets."""
        steps = self._scene.scenario.steps
        if not steps:
            raise RunRefused(Reason.NO_STEP.say())
        if len(steps) > bounds.STEPS_MAX:
            raise RunRefused(Reason.STEPS.say(count=len(steps), most=bounds.STEPS_MAX))
        set_ = {
            number(value) if isinstance(value, Constants) else value.value
            for step in steps
            if step.call == "setsockopt" and isinstance(value := step.arguments[2], (Constants, Number))
        }
        self._scene.memory.options = tuple(name for name in SETTABLE if NUMBERS[name] in set_)

    def _end(self, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
        """The verdict and its reason, once those who are blocked at the end are told."""
        actors = self._scene.actors.values()
        blocked = standing.blocked(actors)
        if not blocked:
            return verdict, reason
        deadlocked = standing.deadlocked(actors)
        held = Reason.NOBODY_MOVES.say(why=blocked) if deadlocked else blocked
        reason = "; ".join(filter(None, (reason, Reason.AT_THE_END.say(why=held))))
        return "failed" if deadlocked and not standing.foreseen(actors) else verdict, reason

    def _take(self, index: int, step: Step) -> Taken:
        """One step: made, judged and looked at. Raises RunRefused, TimedOut, OSError; then the step stands in the run
        as far as it came."""
        entry = Taken(
            line=step.place.line,
            actor=step.actor,
            call=step.call,
            returned=step.returned,
            arguments=[],
            result=None,
            completed={},
            expected=expect.told(step.expectation) if step.expectation else None,
            verdict=expect.NONE,
            reason="",
            after=None,
        )
        self._scene.steps.append(entry)
        try:
            outcome = self._orders.hear(step) if step.returned else self._orders.take(index, step, entry)
        except Unmade as unmade:
            outcome = str(unmade)
        if isinstance(outcome, str):
            entry.verdict, entry.reason = expect.FAILED, outcome
        else:
            self._judge(step, entry, outcome)
        self._refuse_killed(step, entry)
        self._observe(step, entry)
        return entry

    def _judge(self, step: Step, entry: Taken, outcome: Outcome) -> None:
        """Holds what came against what was expected. A limit of the lab that stands behind it refuses the run."""
        if limit := bounds.met(step.call, outcome.result):
            entry.reason = limit
            raise refused(step, limit)
        entry.result = outcome.result
        if outcome.result.fault:
            entry.verdict, entry.reason = expect.FAILED, expect.observed(outcome.result, None)
            return
        who = self._scene.actors[step.actor]
        names = {process.pid: process.name for process in self._scene.processes}
        try:
            entry.verdict, entry.reason = expect.check(
                step.expectation,
                entry,
                outcome.result,
                outcome.raw,
                lambda value: self._orders.resolve(who, value),
                names,
            )
        except Unmade as unmade:
            entry.verdict, entry.reason = expect.FAILED, str(unmade)

    def _refuse_killed(self, step: Step, entry: Taken) -> None:
        """Refuses the run if the kernel has killed somebody because of a limit of the lab."""
        for dead in self._scene.processes:
            if limit := bounds.killed(dead.status, self._scene.signals):
                entry.result, entry.verdict = None, expect.NONE
                entry.reason = Reason.LIMIT_KILLED.say(who=dead.name, why=limit)
                raise refused(step, entry.reason)

    def _observe(self, step: Step, entry: Taken) -> None:
        """What everybody holds after the step, and in which ways the step was open."""
        scene = self._scene
        brought = self._ledger.brought()
        entry.after = observe(scene.processes, scene.memory)
        self._ledger.tell_lost(entry, entry.after, brought)
        scene.state = entry.after
        if ways := races.found(scene.steps):
            entry.open = ways
        for process in entry.after.processes:
            if (count := len(process.descriptors)) > bounds.DESCRIPTORS_MAX:
                why = Reason.DESCRIPTORS.say(who=process.name, count=count, most=bounds.DESCRIPTORS_MAX)
                raise refused(step, why)
