"""Waits until everybody stands still, and takes in what arrives meanwhile: answers, and ends.

A process that has ended is seen here and nowhere else: it is marked (``ended``), and the calls that its actors were in
are completed, as having never returned. So whoever gives an order need not think of it.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any

from pairscope.ipc import passing
from pairscope.lab.probes import tasks
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Completed, Result
from pairscope.lab.stage import actor as acting
from pairscope.lab.stage import answers, standing
from pairscope.lab.stage.cast import Actor, Process
from pairscope.lab.stage.errors import TimedOut
from pairscope.lab.stage.ledger import Ledger
from pairscope.lab.stage.scene import Scene

PIECE = 0.01
"""Seconds of one wait, of which there may be many."""
_WAITING = ("wait", "waitpid")


class Settling:
    """Of one run."""

    def __init__(self, scene: Scene, ledger: Ledger) -> None:
        self._scene, self._ledger = scene, ledger

    # ---- time

    def left(self) -> float:
        """Seconds that the run may still use; 0 or less: none."""
        for process in self._scene.processes:
            if not process.ended:
                self._scene.allowance.charge(process.pid)
        return self._scene.allowance.left

    def settle(self) -> None:
        """Waits until every living task sleeps where it should: in its blocked call, or at its control socket. Raises
        TimedOut.

        One pass over all in which nothing arrived means that nobody ran during it; two are asked for, so that a
        task that was woken in between by the kernel's own deferred work is seen too.
        """
        calm, wait = 0, 0.001
        while calm < 2:
            if self.left() <= 0:
                raise TimedOut(Reason.LATE.say(seconds=f"{self._scene.allowance.seconds:g}", why=self._late()))
            began = time.monotonic()
            moved = self._collect(wait)
            slept = min(wait, time.monotonic() - began)
            unsettled = None if moved else standing.unsettled(self._scene.actors.values())
            if moved or unsettled:
                calm, wait = 0, 0.0 if moved else 0.001
                if unsettled and unsettled[1].state != "R":
                    self._scene.allowance.idle(slept)
            else:
                calm, wait = calm + 1, 0.0

    def sleep(self, seconds: float) -> float:
        """Takes in what arrives meanwhile. Returns the seconds of it that were asked for: what a busy machine adds does
        not count."""
        began = time.monotonic()
        self._collect(seconds)
        return min(seconds, time.monotonic() - began)

    def await_return(self, who: Actor, seconds: float) -> None:
        """Waits for a blocked call to return, though nobody moves."""
        while who.pending and seconds > 0 and self.left() > 0:
            # In short pieces: on a busy machine each comes late, and so does what is waited for.
            slept = self.sleep(min(seconds, PIECE))
            self._scene.allowance.idle(slept)
            seconds -= slept
        self.settle()

    def _late(self) -> str:
        """Who still has to be waited for, in words."""
        allowance, actors = self._scene.allowance, self._scene.actors.values()
        unsettled = standing.unsettled(actors)
        if allowance.spent < allowance.seconds:
            return Reason.BUSY.say(seconds=f"{allowance.wall:g}")
        if unsettled:
            return Reason.RUNS.say(who=unsettled[0].name)
        return standing.blocked(actors) or Reason.ALL_STAND.say()

    # ---- what arrives

    def _collect(self, seconds: float) -> bool:
        """Takes in what has arrived, after waiting for it. Whether there was any."""
        poller = select.poll()
        by_fd: dict[int, Actor] = {}
        for actor in self._scene.actors.values():
            if not actor.ended:
                by_fd[actor.control.fileno()] = actor
                poller.register(actor.control, select.POLLIN)
        processes = {process.pidfd: process for process in self._scene.processes if not process.ended}
        for pidfd in processes:
            poller.register(pidfd, select.POLLIN)
        ready = [fd for fd, _ in poller.poll(max(0.0, seconds) * 1000)]
        moved = False
        for fd in ready:  # answers before ends: a process may have answered and then died
            if fd in by_fd:
                moved |= self._hear(by_fd[fd])
        for fd in ready:
            if fd in processes:
                moved = True
                if not self._awaited(processes[fd]):
                    self._lose(processes[fd])
        return moved

    def _hear(self, actor: Actor) -> bool:
        """Takes one answer in, or the end of a thread."""
        try:
            order = acting.receive(actor.control)
        except (OSError, passing.PassingError):
            order = None
        if order is not None:
            self._complete(actor, order[0])
            return True
        # Only exit ends a thread alone. One that is gone from any other call went with its process, and the call never
        # returned: _lose tells it.
        leaves = actor.thread and actor.pending is not None and actor.pending.step.call == "exit"
        if leaves and not actor.ended and not os.path.exists(f"/proc/{actor.process.pid}/task/{actor.tid}"):
            actor.ended = True
            self._complete(actor, {"value": 0, "errno": 0})
            return True
        return False

    def _awaited(self, process: Process) -> bool:
        """Whether a parent has taken leave of a dead process already, and will say in a moment how it ended: nobody
        else can any more."""
        if process.status is None:
            process.status = tasks.exit_status(process.pid)  # kept: a moment later its parent may have taken leave
        if process.status is not None:
            return False
        waiters = [
            actor
            for actor in self._scene.actors.values()
            if actor.pending and not actor.ended and actor.pending.step.call in _WAITING
            if actor.process is not process
        ]
        return not all(map(standing.stands, waiters))

    def _lose(self, process: Process) -> None:
        """A process has ended, with every thread of it."""
        for actor in process.actors:
            while not actor.ended and select.select([actor.control], [], [], 0)[0] and self._hear(actor):
                pass
        process.ended = True
        for actor in process.actors:
            if actor.ended:
                continue
            actor.ended = True
            if actor.pending:
                self._complete(actor, {"ended": True})

    def _complete(self, actor: Actor, answer: dict[str, Any]) -> None:
        """A call has returned, or its process has not survived it."""
        pending, actor.pending = actor.pending, None
        if pending is None:
            return
        actor.last = answers.outcome(pending.step.call, answer, actor.process.status)
        self._ledger.settle(actor, pending, actor.last.result, answer)
        if self._scene.steps:
            self._scene.steps[-1].completed[actor.name] = Completed(
                of=pending.index, **{name: getattr(actor.last.result, name) for name in Result.__struct_fields__}
            )
