"""Who comes, by fork and clone; who becomes another program, by exec; who ends."""

from __future__ import annotations

import contextlib
import os

from pairscope.lab.calls.decoding import Memory
from pairscope.trace import ptrace
from pairscope.trace.followed import BIRTHS, CLONE_FILES, CLONE_UNTRACED
from pairscope.trace.tasks import Call, Process, Scene, Table, Task
from pairscope.trace.telling import Telling


class Births:
    """Keeps tasks, processes and tables as they come and go."""

    def __init__(self, scene: Scene, telling: Telling) -> None:
        self._scene, self._telling = scene, telling

    def first(self, pid: int) -> Task:
        """The program's first task. It is not the program yet."""
        table = self._scene.table()
        process = self._process(pid, None)
        return self._task(pid, process, table)

    def found(self, tid: int, pid: int, process: Process | None, parent: Process | None) -> Task:
        """A task that ran before. Its table is not known yet."""
        process = process or self._process(pid, parent)
        task = self._task(tid, process, self._scene.table())
        task.state = "runs"
        return task

    def _process(self, pid: int, parent: Process | None) -> Process:
        process = Process(len(self._scene.processes) + 1, pid, name_of(pid), parent.number if parent else 0, 0)
        self._scene.processes.append(process)
        return process

    def _task(self, tid: int, process: Process, table: Table) -> Task:
        task = Task(tid, process, table)
        task.table.tasks[task] = None
        process.tasks[task] = None
        self._scene.tasks[tid] = task
        return task

    def traced(self, task: Task, name: str, words: tuple[int, ...], memory: Memory) -> int:
        """The flags of a clone at its entry, of which CLONE_UNTRACED is cleared: such a child would run away from the
        recorder, with a filter that nobody answers."""
        if name == "clone":
            if words[0] & CLONE_UNTRACED:
                ptrace.set_first_argument(task.tid, words[0] & ~CLONE_UNTRACED)
            return words[0]
        if name != "clone3":
            return 0
        with contextlib.suppress(OSError):
            flags = int.from_bytes(memory(words[0], 8), "little")
            if flags & CLONE_UNTRACED:
                with open(f"/proc/{task.tid}/mem", "r+b", buffering=0) as file:
                    file.seek(words[0])
                    file.write((flags & ~CLONE_UNTRACED).to_bytes(8, "little"))
            return flags
        return 0

    def born(self, parent: Task, tid: int) -> Task:
        """A child that the kernel tells of."""
        call = parent.call or Call("clone", ())
        group = group_of(tid)
        flags = call.raw.get("flags", 0) if call.name in BIRTHS else 0
        changed: dict[int, dict[int, str | None]] = {}
        table = parent.table
        if not flags & CLONE_FILES:
            table = self._scene.table()
        process = parent.process if group == parent.process.pid else self._process(group, parent.process)
        task = self._task(tid, process, table)
        if table is not parent.table:
            if not parent.table.known:
                self._telling.listed(parent)
            rows = table.copied(parent.table)
            changed = {table.number: rows} if rows else {}
        self._telling.born(parent, call, process, changed)
        return task

    def became(self, task: Task, former: int) -> Task:
        """exec: of all threads one is left, and has the number of the first."""
        scene, process = self._scene, task.process
        if former != task.tid and former in scene.tasks:
            gone, task = task, scene.tasks.pop(former)
            self.left(gone)
            gone.close()
            task.close()
            task.tid = process.pid
            scene.tasks[task.tid] = task
        for other in list(process.tasks):
            if other is not task:
                self.left(other)
                scene.tasks.pop(other.tid, None)
                other.close()
        process.name = name_of(process.pid)
        process.hidden = False
        rows = self._telling.unshared(task) if len(task.table.tasks) > 1 else self._telling.listed(task)
        call = task.call or Call("execve", ())
        self._telling.became(task, call, rows)
        return task

    def left(self, task: Task) -> None:
        """A task is about to end, or was ended by an exec."""
        task.table.tasks.pop(task, None)
        task.process.tasks.pop(task, None)
        scene = self._scene
        scene.sleeping.pop(task, None)
        if task in scene.queue:
            scene.queue.remove(task)
        scene.returned = type(scene.returned)(one for one in scene.returned if one[0] is not task)
        if scene.inside is task:
            scene.inside = None


def name_of(pid: int) -> str:
    """What the kernel calls it: proc_pid_comm(5)."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().removesuffix(b"\n").decode("utf-8", "backslashreplace")[:60]
    except OSError:
        return "?"


def group_of(tid: int) -> int:
    """The process that a task belongs to; the task itself, where it has gone."""
    try:
        with open(f"/proc/{tid}/status", "rb") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(b"Tgid:"))
    except (OSError, StopIteration):
        return tid


def names(processes: list[Process]) -> list[str]:
    """A name for each: what it was called last; several of one name are counted."""
    seen: dict[str, int] = {}
    found = []
    for process in processes:
        seen[process.name] = many = seen.get(process.name, 0) + 1
        found.append(process.name if many == 1 else f"{process.name}#{many}")
    return found


def kill(pid: int) -> None:
    """Ends a process at once."""
    with contextlib.suppress(OSError):
        os.kill(pid, 9)
