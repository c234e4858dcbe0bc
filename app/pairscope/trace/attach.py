"""Follows what runs already: a process with its threads and its descendants. It gets no filter, so each of its calls
stops it twice; and it lives on when the recording ends, however that ends.

It is let go by the end of the thread that traces it: so nobody is interrupted once more, which would make calls fail
with EINTR (epoll_wait(2)). ptrace(2), "Attaching and detaching"
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pairscope.ipc import descriptor
from pairscope.sentence import phrase
from pairscope.trace import ptrace
from pairscope.trace.births import Births, group_of
from pairscope.trace.flights import Flights
from pairscope.trace.launch import Refused, not_traced, yama
from pairscope.trace.sentences import Unseen
from pairscope.trace.tasks import Process, Scene
from pairscope.trace.telling import Telling
from pairscope.trace.turnstile import STOPPING, WAKES, Interrupted, Turnstile

_PATIENCE = 2.0
"""Seconds in which tasks have to stand still; one that waits for a disk takes longer, and is told when it comes."""
_ROUNDS = 100
"""Times that it is looked for who was born meanwhile."""
_RING = "anon_inode:[io_uring]"
UNIX = b"\x01\x00"
"""AF_UNIX, as an address begins."""


def first(pid: int) -> None:
    """Traces the first task of a process: whether it may be followed at all. Raises Refused."""
    if pid == os.getpid():
        raise Refused(phrase("the recorder cannot follow itself"))
    if not os.path.exists(f"/proc/{pid}"):
        raise Refused(phrase("there is no process %(pid)s", pid=pid))
    if group_of(pid) != pid:
        raise Refused(
            phrase("%(tid)s is a thread of process %(pid)s; expected the process", tid=pid, pid=group_of(pid))
        )
    if why := _seize(pid):
        raise Refused(refused(pid, why))


def attach(
    pid: int, scene: Scene, births: Births, telling: Telling, turnstile: Turnstile, flights: Flights
) -> list[str]:
    """Follows a process, of which :func:`first` has the first task, from here on. It gives sentences: who could not be
    followed. Raises Refused where it has ended meanwhile, Interrupted."""
    scene.run = ptrace.SYSCALL
    turnstile.begun = True
    missing: dict[int, str] = {}
    met: dict[int, Process] = {}
    for _ in range(_ROUNDS):
        found = False
        for one, parent in _tree(pid):
            for tid in _tasks(one):
                if tid in scene.tasks or one in missing or (tid != pid and _is_ours(tid)):
                    continue
                if tid != pid and (why := _seize(tid)):
                    missing[one] = Unseen.NOT_FOLLOWED.say(pid=one, why=why)
                    continue
                task = births.found(tid, one, met.get(one), met.get(parent))
                met[one] = task.process
                turnstile.arriving[task] = None
                with contextlib.suppress(ptrace.Gone):
                    ptrace.interrupt(tid)
                found = True
        if not found:
            break
    if not scene.tasks:
        raise Refused(phrase("there is no process %(pid)s", pid=pid))
    _gather(turnstile)
    _names(pid, flights)
    for process in met.values():
        _told(process, scene, telling)
        turnstile.io_uring |= any(_RING in task.table.links.values() for task in process.tasks)
    _scatter(turnstile)
    return list(missing.values())


def _gather(turnstile: Turnstile) -> None:
    """Waits for those that arrive to stand still. Raises Interrupted."""
    until = time.monotonic() + _PATIENCE
    while turnstile.arriving and time.monotonic() < until:
        if not turnstile.take():
            came = signal.sigtimedwait(WAKES, 0.05)
            if came is not None and came.si_signo != signal.SIGCHLD:
                raise Interrupted
    turnstile.arriving.clear()


def _scatter(turnstile: Turnstile) -> None:
    """Lets them go on; who was stopped by a signal stays so."""
    for task, number in turnstile.arrived.items():
        with contextlib.suppress(ptrace.Gone):
            if number in STOPPING:
                ptrace.resume(task.tid, ptrace.LISTEN)
            else:
                turnstile.go(task)
    turnstile.arrived.clear()


def let_go(scene: Scene) -> int:
    """Gives those that are held back the signals that they would have had; the kernel lets everybody go when this
    thread ends. How many processes run on."""
    for task, number, _ in scene.returned:
        if number:
            with contextlib.suppress(ptrace.Gone):
                ptrace.resume(task.tid, ptrace.DETACH, number)
    for task in scene.tasks.values():
        task.close()
    return sum(bool(process.tasks) for process in scene.processes)


def _told(process: Process, scene: Scene, telling: Telling) -> None:
    """A step that tells what a process holds at the beginning."""
    tasks = list(process.tasks)
    if not tasks:
        return  # it has ended meanwhile
    changed: dict[int, dict[int, str | None]] = {}
    for task in tasks:
        for table in scene.tables:
            if table.known and table.tid and descriptor.shares_table(task.tid, table.tid):
                telling.joins(task, table)
                break
        else:
            rows = telling.unshared(task)
            changed |= {task.table.number: rows} if rows else {}
    telling.noted(tasks[0], "attached", changed)


def _names(pid: int, flights: Flights) -> None:
    """Which addresses sockets of AF_UNIX are bound to already: proc_pid_net(5)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/net/unix").read_bytes().splitlines()[1:]:
            words = line.split(None, 7)
            if len(words) == 8 and words[6].isdigit():
                name = b"\0" + words[7][1:] if words[7].startswith(b"@") else words[7]
                flights.bound(pid, int(words[6]), UNIX + name)


def _tree(pid: int) -> list[tuple[int, int]]:
    """A process and its descendants, each with its parent; without this process itself."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{name}/stat").read_bytes()
            children.setdefault(int(stat[stat.rindex(b")") + 2 :].split()[1]), []).append(int(name))
    found, after = [], [(pid, 0)]
    while after:
        one, parent = after.pop(0)
        if one != os.getpid():
            found.append((one, parent))
            after += [(child, one) for child in children.get(one, ())]
    return found


def _tasks(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from sorted(map(int, os.listdir(f"/proc/{pid}/task")))


def _status(tid: int, key: str) -> str:
    """A line of proc_pid_status(5); empty: there is none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{tid}/status").read_text(errors="replace").splitlines():
            if line.startswith(f"{key}:"):
                return line.partition(":")[2].strip()
    return ""


def _is_ours(tid: int) -> bool:
    """Whether it is traced by this thread: a child of one who is, which the kernel tells of."""
    return _status(tid, "TracerPid") == str(threading.get_native_id())


def _seize(tid: int) -> str:
    """Why a task may not be traced; empty: it is, or has gone."""
    try:
        ptrace.seize(tid, launched=False)
    except ptrace.Gone:
        return "" if os.path.exists(f"/proc/{tid}") else "No such process"
    except OSError as error:
        return error.strerror or ""
    return ""


def refused(pid: int, why: str) -> str:
    """Why a process may not be followed; a sentence."""
    if not os.path.exists(f"/proc/{pid}"):
        return phrase("there is no process %(pid)s", pid=pid)
    if (tracer := _status(pid, "TracerPid")) not in ("", "0"):
        return phrase(
            "process %(pid)s is traced already, by process %(tracer)s; one process has one tracer",
            pid=pid,
            tracer=tracer,
        )
    scope = yama()
    if scope in ("2", "3") and (os.geteuid() or scope == "3"):
        return not_traced(why)
    owner = (_status(pid, "Uid").split() or ["0"])[0]
    if os.geteuid() and int(owner) != os.geteuid():
        return phrase(
            "process %(pid)s belongs to %(owner)s; expected one of your own, or to be root",
            pid=pid,
            owner=_login(int(owner)),
        )
    if os.geteuid() and scope == "1":
        return phrase(
            "kernel.yama.ptrace_scope is 1: an ordinary user may follow only what the recorder itself starts; expected "
            "pairscope record -o FILE -- COMMAND, or to be root"
        )
    if os.geteuid() and not os.access(f"/proc/{pid}/fd", os.R_OK):
        return phrase("process %(pid)s hides itself from other processes of its user (prctl PR_SET_DUMPABLE)", pid=pid)
    return phrase(
        "process %(pid)s cannot be followed (%(why)s): it is a part of the kernel, or who confines this process (a "
        "container) does not allow ptrace",
        pid=pid,
        why=why,
    )


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command(pid: int) -> list[str]:
    """The command of a process: proc_pid_cmdline(5). Of one that shows none, its name."""
    with contextlib.suppress(OSError):
        if words := Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0"):
            return [os.fsdecode(word) for word in words if word] or [_status(pid, "Name")]
    return []
