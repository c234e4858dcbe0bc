"""Who comes and goes: the first actor, those that a fork or a thread brings, and the end of all."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from pathlib import Path

from pairscope.lab.calls import CALLS
from pairscope.lab.model import Step
from pairscope.lab.probes import tables, tasks
from pairscope.lab.reasons import Reason
from pairscope.lab.stage import actor as acting
from pairscope.lab.stage import bounds, confine, standing
from pairscope.lab.stage.cast import Actor, Process
from pairscope.lab.stage.errors import RunRefused, TimedOut, refused
from pairscope.lab.stage.scene import Scene
from pairscope.lab.stage.settling import PIECE, Settling


class Births:
    """Of one run: the one owner of the lists of its actors and processes."""

    def __init__(self, scene: Scene, settling: Settling) -> None:
        self._scene, self._settling = scene, settling

    def begin(self, name: str, scratch: Path, account: tuple[int, int] | None, sandbox: confine.Sandbox | None) -> None:
        """Forks the first actor, which works in `scratch`, becomes `account` (uid and gid) and enters `sandbox`. Raises
        RunRefused, TimedOut."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lifeline, end = socket.socketpair()
        pid = os.fork()
        if not pid:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (acting.NUMBERS_MAX, acting.NUMBERS_MAX))
                acting.begin(theirs.fileno(), end.fileno(), str(scratch), account, sandbox)
            finally:
                os._exit(70)
        theirs.close()
        end.close()
        process = Process(name, pid, os.pidfd_open(pid), lifeline, {})
        self._scene.processes.append(process)
        self._enter(Actor(name, process, ours, thread=False))

    def pairs(self, step: Step) -> tuple[list[socket.socket], list[socket.socket]]:
        """The socketpairs that a new actor lives by, our ends and theirs: control, and for a process its lifeline. None
        if the step brings nobody. Raises RunRefused."""
        if CALLS[step.call].binds != "process":
            return [], []
        if len(self._scene.actors) >= bounds.PROCESSES_MAX:
            raise refused(step, Reason.PROCESSES.say(most=bounds.PROCESSES_MAX))
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]
        if step.call == "fork":
            pairs.append(socket.socketpair())
        ours, theirs = (list(ends) for ends in zip(*pairs))
        return ours, theirs

    def bring(self, who: Actor, step: Step, ends: list[socket.socket]) -> None:
        """Takes on what a fork or a thread has made. Of `ends`, control and lifeline, it takes those that are needed
        out of the list. Raises TimedOut."""
        while who.pending and not who.ended:
            if self._settling.left() <= 0:
                raise TimedOut(
                    Reason.LINE.say(line=step.place.line, why=Reason.NO_RETURN.say(call=step.call, who=who.name))
                )
            slept = self._settling.sleep(PIECE)
            if who.pending and standing.where(who).state != "R":
                self._scene.allowance.idle(slept)
        result = who.last.result if who.last else None
        if result is None or result.errno or result.value is None:
            return
        process = who.process
        control = ends.pop(0)
        if step.call == "fork":
            pid = result.value
            process = Process(step.binds[0], pid, os.pidfd_open(pid), ends.pop(0), dict(who.process.names))
            self._scene.processes.append(process)
        self._enter(Actor(step.binds[0], process, control, thread=step.call == "thread"))

    def _enter(self, actor: Actor) -> None:
        """Takes an actor on, once it has greeted."""
        self._scene.actors[actor.name] = actor
        actor.process.actors.append(actor)
        poller = select.poll()
        poller.register(actor.control, select.POLLIN)
        while not poller.poll(PIECE * 1000) and self._settling.left() > 0:
            if tasks.sample(actor.process.pid, actor.process.pid).state != "R":
                self._scene.allowance.idle(PIECE)
        greeting = acting.receive(actor.control) if poller.poll(0) else None
        if greeting is None:
            raise TimedOut(Reason.NO_LIFE.say(who=actor.name))
        if "fault" in greeting[0]:
            raise RunRefused(Reason.NO_BEGINNING.say(who=actor.name, fault=greeting[0]["fault"]))
        actor.tid, actor.hidden = greeting[0]["tid"], greeting[0]["hidden"]
        if not actor.thread:
            actor.process.ears = tables.duplicate(actor.process.pidfd, greeting[0]["ears"])

    def clear(self) -> None:
        """Kills and reaps every process of the run, and closes what was held of them."""
        processes = self._scene.processes
        if processes:
            # The first actor leads a group that no call of a scenario leaves, and its number is taken until it is
            # reaped here.
            group = processes[0].pid
            os.kill(group, signal.SIGKILL)  # it may not have come so far as to lead
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            os.waitpid(group, 0)
            with contextlib.suppress(ChildProcessError):
                while True:  # whoever has lost its parent is this process's child
                    os.waitpid(-group, 0)
        for process in processes:
            os.close(process.pidfd)
            if process.ears is not None:
                os.close(process.ears)
            process.lifeline.close()
        for actor in self._scene.actors.values():
            actor.control.close()
