"""Takes the stops of all tasks in, and lets one task at a time into a call: docs/recorder.md, "How it sees"."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Collection

from pairscope.trace import followed, ptrace
from pairscope.trace.births import Births, kill, name_of
from pairscope.trace.flights import SEND, Flights
from pairscope.trace.ptrace import Gone
from pairscope.trace.sockets import Sockets
from pairscope.trace.tasks import Call, Scene, Task
from pairscope.trace.telling import RESTART_BLOCK, RESTARTS, Telling, touched

WAKES = frozenset({signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that this process blocks, and waits for."""
_WALL = 0x40000000
STOPPING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_SETTLES = 0.01
"""Seconds that somebody who was released has to come out of his call, before the next one is let in."""
_PATIENCE = 400
"""Looks at a task inside that neither sleeps nor returns (it waits for a disk), before the next one is let in."""
_SWEEP = 0.02
"""Seconds after which it is seen anew whether what is in flight still is."""
_ENDING = 5.0
"""Seconds that killed processes have to end."""


class Interrupted(Exception):
    """A signal asks the recorder to end."""


class Turnstile:
    def __init__(self, scene: Scene, telling: Telling, births: Births, flights: Flights, sockets: Sockets) -> None:
        self._scene, self._telling, self._births = scene, telling, births
        self._flights, self._sockets = flights, sockets
        self._early: set[int] = set()
        """Children that stand still before their parents told of them."""
        self._looks = 0
        self._swept = 0.0
        self.begun = False
        """Whether the command has become the program."""
        self.io_uring = False
        self.arriving: dict[Task, None] = {}
        """Who is traced and does not stand still yet."""
        self.arrived: dict[Task, int] = {}
        """Who stands still for the first time, and the signal that has stopped it before."""

    def go(self, task: Task, number: int = 0) -> None:
        """Lets a task compute, up to its next stop, with a signal. Raises Gone."""
        ptrace.resume(task.tid, self._scene.run, number)

    # ---- turns

    def turn(self, left: float) -> None:
        """Goes on by one event, or waits for one, `left` seconds at most. Raises Interrupted."""
        scene = self._scene
        if scene.inside is None and self._flights.flying and time.monotonic() - self._swept > _SWEEP:
            self._sweep()  # others may be busy without end while somebody waits for an end that a duplicate withholds
        if scene.inside is None and scene.queue:
            self._admit(scene.queue.popleft())
        if self.take(-1):
            return
        if scene.inside is not None:
            self._watch(scene.inside)
        elif scene.tasks:
            self._wait(min(left, _SWEEP) if self._flights.flying else left)

    def _wait(self, seconds: float) -> None:
        came = signal.sigtimedwait(WAKES, max(0.0, seconds))
        if came is None:
            self._sweep()
        elif came.si_signo != signal.SIGCHLD:
            raise Interrupted

    def _sweep(self) -> None:
        self._flights.reconcile(self._scene.writer.steps, self._busy)
        self._swept = time.monotonic()

    def _watch(self, task: Task) -> None:
        """Sees whether the one inside sleeps."""
        self._looks += 1
        if self._looks > 1:
            state = task.asleep()
            if (state == "S" or self._looks > _PATIENCE) and not self.take(-1) and self._scene.inside is task:
                self._leaves(task)
                return
        if self._looks > 50:
            came = signal.sigtimedwait(WAKES, 0.0005)
            if came is not None and came.si_signo != signal.SIGCHLD:
                raise Interrupted
        else:
            os.sched_yield()

    def _leaves(self, task: Task) -> None:
        """The one inside has fallen asleep in its call."""
        call = task.call
        if task.state == "inside" and call is not None:
            self._settle({call.inode, self._sockets.peer(call.inode)})
            task.state = "sleeps"
            self._scene.sleeping[task] = None
            self._telling.sleeps(task, call)
        self._scene.inside = None
        self._tell_returned()

    def _admit(self, task: Task) -> None:
        scene, call = self._scene, task.call
        assert call is not None
        self._looks = 0
        call.began_us = scene.now_us()
        try:
            if call.name == "exit":
                self._births.left(task)
                scene.inside, task.state = task, "ends"
                self.go(task)
                return
            if call.name in SEND:
                self._flights.admit(task, call, self._telling.memory(task))
            scene.inside, task.state = task, "inside"
            ptrace.resume(task.tid, ptrace.SYSCALL)
        except (Gone, OSError):
            scene.inside = None

    def _settle(self, inodes: Collection[int]) -> None:
        """Lets those come out of their calls whom the one inside has released."""
        for task in list(self._scene.sleeping):
            call = task.call
            if call is None or not call.inode or call.inode not in inodes:
                continue
            until = time.monotonic() + _SETTLES
            while task in self._scene.sleeping and task.asleep() != "S" and time.monotonic() < until:
                if not self.take(task.tid):
                    os.sched_yield()

    def _busy(self, inode: int) -> bool:
        """Whether somebody is taking something out of this socket at this moment, or may be accepting it: the kernel
        knows it before the return of accept(2) is told."""
        scene = self._scene
        if inode not in scene.holders.met and any(
            task.call is not None and task.call.name in followed.ACCEPTS and task.asleep() != "S"
            for task in itertools.chain((task for task, *_ in scene.returned), scene.sleeping)
        ):
            return True
        inside = scene.inside
        if inside is not None and inside.call is not None and inside.call.inode == inode:
            return True  # it may have taken what is not told yet
        return any(task.call is not None and task.call.inode == inode for task, *_ in scene.returned) or any(
            task.call is not None
            and task.call.inode == inode
            and task.call.name in followed.CONSUMES
            and task.asleep() != "S"
            for task in scene.sleeping
        )

    # ---- stops

    def take(self, which: int = -1) -> bool:
        """Takes one event in, of one task or (-1) of any. False: there is none."""
        try:
            tid, status = os.waitpid(which, _WALL | os.WNOHANG)
        except ChildProcessError:
            if which == -1:
                self._scene.tasks.clear()
                self._scene.inside = None
            return False
        if not tid:
            return False
        task = self._scene.tasks.get(tid)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self._early.discard(tid)
            if task is not None:
                self.arriving.pop(task, None)
                self.arrived.pop(task, None)
                self._reaped(task, os.waitstatus_to_exitcode(status))
        elif task is None:
            self._early.add(tid)
        else:
            try:
                self._stopped(task, os.WSTOPSIG(status), status >> 16)
            except Gone:
                pass
        return True

    def _stopped(self, task: Task, number: int, event: int) -> None:
        if event == ptrace.SECCOMP or number == ptrace.SYSCALL_STOP:
            call = ptrace.call(task.tid)
            if isinstance(call, ptrace.Entry):
                self._entered(task, call)
            else:
                self._returned(task, call)
        elif event in (ptrace.FORK, ptrace.VFORK, ptrace.CLONE):
            child = self._births.born(task, ptrace.message(task.tid))
            if child.tid in self._early:
                self._early.discard(child.tid)
                child.state = "runs"
                self.go(child)
            self.go(task)
        elif event == ptrace.EXEC:
            self.begun = True
            task = self._births.became(task, ptrace.message(task.tid))
            task.call = None
            task.state = "runs"
            self._flights.reconcile(self._scene.writer.steps, self._busy)
            self.go(task)
        elif event == ptrace.EXIT:
            self._ending(task)
        elif event == ptrace.STOP:
            if task in self.arriving:
                del self.arriving[task]
                self.arrived[task] = number
            elif number in STOPPING and task.state != "new":
                ptrace.resume(task.tid, ptrace.LISTEN)
            else:
                if task.state == "new":
                    task.state = "runs"
                self.go(task)
        elif event:
            self.go(task)
        elif self._scene.inside is not None and self._scene.inside is not task:
            self._scene.returned.append((task, number, 0))
        else:
            self._telling.signal(task, number)
            self.go(task, number)

    def _entered(self, task: Task, entry: ptrace.Entry) -> None:
        name = self._scene.names.get(entry.number)
        if entry.arch != followed.ARCH or entry.number & followed.X32:
            if not task.process.foreign:
                task.process.foreign = True
                self._telling.noted(task, "foreign")
        elif name == "restart_syscall" and task.again is not None:
            task.call, task.again = task.again, None
            task.state = "sleeps"
            self._scene.sleeping[task] = None
            ptrace.resume(task.tid, ptrace.SYSCALL)
            return
        elif name in ("exit", "exit_group"):
            task.last = self._scene.line(task)
        elif name is not None and name != "restart_syscall":
            if self._called(task, name, entry.words):
                return
        self.go(task)

    def _called(self, task: Task, name: str, words: tuple[int, ...]) -> bool:
        """A call of the list, at its entry. False: it is no step."""
        if not self.begun and name not in ("execve", "execveat"):
            return False
        call = self._telling.begin(task, name, words)
        if call is None:
            return False
        call.line = self._scene.line(task)
        task.call = call
        if name not in followed.APART:
            task.state = "held"
            self._scene.queue.append(task)
            return True
        if name in followed.BIRTHS:
            call.raw["flags"] = self._births.traced(task, name, words, self._telling.memory(task))
            call.given["flags"] = call.raw["flags"]
        call.began_us = self._scene.now_us()
        task.state = "apart"
        ptrace.resume(task.tid, ptrace.SYSCALL)
        return True

    def _returned(self, task: Task, value: int) -> None:
        """A task stands at the exit of its call."""
        call, scene = task.call, self._scene
        if call is None or call.told:
            task.call, task.state = None, "runs"
            self.go(task)
        elif scene.inside is not None and scene.inside is not task:
            scene.sleeping.pop(task, None)
            task.state = "returned"
            scene.returned.append((task, 0, value))
        else:
            self._finish(task, call, value)

    def _finish(self, task: Task, call: Call, value: int) -> None:
        scene = self._scene
        mine = scene.inside is task
        near = {call.inode, self._sockets.peer(call.inode)} - {0}
        if mine:
            self._settle(near)
            if call.name == "connect":
                self._settle(
                    {one.call.inode for one in scene.sleeping if one.call and one.call.name in followed.ACCEPTS}
                )
        if not self.begun:
            task.call = None
            self.go(task)
            return
        self.io_uring |= call.name == "io_uring_setup" and value >= 0
        self._telling.returns(task, call, value)
        scene.sleeping.pop(task, None)
        task.call, task.state = None, "runs"
        if value == RESTART_BLOCK:
            task.again = call
        if self._flights.flying and value not in RESTARTS:
            everywhere = call.name in followed.CLOSES or call.name in followed.ACCEPTS
            self._flights.reconcile(scene.writer.steps, self._busy, None if everywhere else near)
        try:
            self.go(task)
        except Gone:
            pass
        if mine:
            scene.inside = None
            self._tell_returned()

    def _tell_returned(self) -> None:
        """Tells what was held back, now that its cause is told."""
        scene = self._scene
        while scene.returned:
            task, number, value = scene.returned.popleft()
            if number:
                self._telling.signal(task, number)
                try:
                    self.go(task, number)
                except Gone:
                    pass
            elif task.call is not None:
                self._finish(task, task.call, value)

    # ---- ends

    def _ending(self, task: Task) -> None:
        """A task is about to end, and still has all that it held."""
        scene = self._scene
        call, was_inside = task.call, scene.inside is task
        if call is not None and task.state in ("inside", "apart", "sleeps", "returned") and self.begun:
            self._telling.died(task, call)
        last = list(task.process.tasks) == [task]
        if last:
            task.process.name = name_of(task.process.pid)  # prctl(2) PR_SET_NAME may have changed it
        self._births.left(task)
        if last and self.begun:
            # At the turnstile: who is released by what it closes is told behind it. It still has its table.
            task.table.tasks[task] = task.process.tasks[task] = None
            task.call, task.state = Call("exit", ()), "held"
            scene.queue.appendleft(task)
        else:
            task.call, task.state = None, "ends"
            self.go(task)
        if was_inside:
            self._tell_returned()

    def _reaped(self, task: Task, status: int) -> None:
        scene, process = self._scene, task.process
        inside = scene.inside is task
        if task in process.tasks or task.state != "ends":
            self._births.left(task)
        scene.tasks.pop(task.tid, None)
        task.close()
        if task.tid == process.pid:
            process.status = status
        if not process.tasks and process.status is not None and self.begun:
            table = task.table
            inodes = touched(table) if not table.tasks else set()
            ends = inodes | {self._sockets.peer(inode) for inode in inodes} - {0}
            if inside:
                scene.inside = task
                self._settle(ends)
            rows = table.empty() if not table.tasks else {}
            self._telling.ended(task, process.status, {table.number: rows} if rows else {}, inodes)
            self._flights.reconcile(scene.writer.steps, self._busy)
        if inside:
            scene.inside = None
            self._tell_returned()

    def kill(self) -> int:
        """Ends all that still run. How many processes that were."""
        running = [process for process in self._scene.processes if process.status is None]
        for pid in (*(process.pid for process in running), *self._early):
            kill(pid)
        until = time.monotonic() + _ENDING
        while time.monotonic() < until:
            try:
                tid, status = os.waitpid(-1, _WALL | os.WNOHANG)
            except ChildProcessError:
                break
            if not tid:
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)
            elif os.WIFSTOPPED(status):
                kill(tid)
                try:
                    ptrace.resume(tid)
                except (Gone, OSError):
                    pass
        for task in self._scene.tasks.values():
            task.close()
        return len(running)
