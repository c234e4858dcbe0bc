"""A call as a step: what it was given, what it gave, and what it changed in tables and queues."""

from __future__ import annotations

import contextlib
import errno
import functools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pairscope.lab.calls.decoding import Data, Memory, Return, string
from pairscope.lab.constants import errno_name, signal_name
from pairscope.lab.given import narrow
from pairscope.trace import decoding, followed, kinds, ptrace
from pairscope.trace.decoding import control_at, controls, headers
from pairscope.trace.flights import PEEK, RECEIVE, SEND, Flights, rights
from pairscope.trace.recording import Delta, Queue, Step, Told
from pairscope.trace.sockets import Sockets
from pairscope.trace.tasks import Call, Process, Scene, Table, Task, inode_of

_ARGUMENTS = 64
"""Arguments of execve that are kept."""
RESTARTS = range(-516, -511)
"""What a call gives to the kernel alone, which takes it up again: ERESTARTSYS and its like, linux/errno.h."""
RESTART_BLOCK = -516
_OPTION = 16
"""Bytes of an option's value that are kept: struct timeval. socket(7)"""
_PAIRS = frozenset({"socketpair", "pipe", "pipe2"})


def plain(value: Any) -> Any:
    """A value of the lab's decoding as a recording has it."""
    if isinstance(value, Data):
        return {"bytes": value.length} | ({"head": value.head} if value.head else {})
    if isinstance(value, Mapping):
        return {key: controls(part) if key == "control" else plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


class Telling:
    """Makes the steps."""

    def __init__(self, scene: Scene, sockets: Sockets, flights: Flights, *, arguments: bool) -> None:
        self._scene, self._sockets, self._flights = scene, sockets, flights
        self._arguments = arguments
        self._untold = Delta()
        """What steps have changed that are not told."""

    def memory(self, task: Task) -> Memory:
        """Reads a task's memory, and notes where that is hidden."""
        return functools.partial(self._read, task)

    @staticmethod
    def _read(task: Task, address: int, length: int) -> bytes:
        try:
            return ptrace.read(task.tid, address, length)
        except OSError as error:
            if error.errno == errno.EPERM:
                task.process.hidden = True
            raise

    # ---- at the entry

    def begin(self, task: Task, name: str, words: tuple[int, ...]) -> Call | None:
        """A call at its entry; None: it is no step."""
        links = task.table.links
        fd = -1 if name in followed.NO_NUMBER else narrow(words[0])
        if name in followed.BY_NUMBER and not task.process.hidden:
            second = followed.SECOND.get(name)
            if fd not in links and (second is None or narrow(words[second]) not in links):
                return None
        if name == "fcntl" and narrow(words[1]) not in followed.FCNTL:
            return None
        on = links.get(fd, "")
        call = Call(name, words, fd=fd, inode=inode_of(on), on=on)
        memory = self.memory(task)
        with contextlib.suppress(OSError, struct.error):
            call.raw = self._given(name, words, memory)
        call.given = plain(call.raw)
        if on:
            call.given["on"] = on
        if name == "sendmsg" and "control" in call.given:
            with contextlib.suppress(OSError):
                call.given["control"] = controls(control_at(memory, words[1]))
        return call

    def _given(self, name: str, words: Sequence[int], memory: Memory) -> Told:
        if name in ("execve", "execveat"):
            at = name == "execveat"
            told: Told = {"path": string(memory, words[at])}
            return told | ({"arguments": _strings(memory, words[1 + at])} if self._arguments else {})
        if decoder := followed.DECODED.get(name):
            # The value of an option is no payload.
            kept = max(self._scene.kept, _OPTION) if name == "setsockopt" else self._scene.kept
            return dict(decoder.by_registers(words, memory, kept))
        return decoding.given(name, words, memory, self._scene.kept)

    # ---- steps

    def sleeps(self, task: Task, call: Call) -> None:
        """It has not returned, and waits."""
        call.blocked = True
        changed = self._sockets.look(call.inode) if call.inode else {}
        call.step = self._add(task, call, {}, blocked=True, changed=Delta({}, changed))

    def returns(self, task: Task, call: Call, value: int) -> None:
        """What it gave."""
        if call.told:
            return
        gave = self._gave(task, call, value)
        rows = self._rows(task, call, value, gave)
        number = self._scene.writer.steps + 1
        if call.name in RECEIVE and value >= 0:
            self._received(task, call, value, number, rows)
        self._connections(task, call, value)
        queues = self._sockets.look(call.inode) if call.inode and gave.get("errno") != "EAGAIN" else {}
        tables = {task.table.number: rows} if rows else {}
        told = self._add(task, call, gave, of=call.step if call.blocked else 0, changed=Delta(tables, queues))
        call.step = call.step or told
        if call.name in SEND:
            self._flights.done(call, value)

    def died(self, task: Task, call: Call) -> None:
        """A call from which its caller does not return."""
        if not call.told:
            told = self._add(task, call, {"ended": True}, of=call.step if call.blocked else 0)
            call.step = call.step or told
            call.told = True
        if call.name in SEND:
            self._flights.done(call, -1)

    def born(self, task: Task, call: Call, child: Process, changed: dict[int, dict[int, str | None]]) -> None:
        """A birth, told before the child does anything."""
        gave = {"value": child.pid, "process": child.number}
        call.step = child.born = self._add(task, call, gave, changed=Delta(changed, {}))
        call.told = True

    def became(self, task: Task, call: Call, rows: dict[int, str | None]) -> None:
        """A process has become another program."""
        changed = {task.table.number: rows} if rows else {}
        call.step = self._add(task, call, {"value": 0}, changed=Delta(changed, {}))
        call.told = True

    def signal(self, task: Task, number: int) -> None:
        """A signal reaches a task."""
        call = Call("signal", (), line=self._scene.line(task, call=False))
        self._add(task, call, {"signal": signal_name(number)})

    def noted(self, task: Task, name: str, changed: dict[int, dict[int, str | None]] | None = None) -> None:
        """Something that is told and is no call, with what tables hold since."""
        self._add(task, Call(name, ()), {}, changed=Delta(changed or {}, {}))

    def ended(self, task: Task, status: int, emptied: dict[int, dict[int, str | None]], inodes: Iterable[int]) -> None:
        """The end of a process. `status`: negative for a signal."""
        gave = {"status": status} if status >= 0 else {"killed": signal_name(-status)}
        queues: dict[int, Queue | None] = {}
        for inode in inodes:
            queues |= self._sockets.look(inode)
        self._add(task, Call("exit", (), line=task.last), gave, changed=Delta(emptied, queues))

    def _add(
        self, task: Task, call: Call, gave: Told, *, of: int = 0, blocked: bool = False, changed: Delta | None = None
    ) -> int:
        only = self._scene.only
        if only is not None and not call.passes and not kinds.wanted(call.name, call.on, only):
            self._untold = merged(self._untold, changed or Delta())
            return 0
        if self._untold.tables or self._untold.queues:
            changed, self._untold = merged(self._untold, changed or Delta()), Delta()
        now = self._scene.now_us()
        began = call.began_us or now
        return self._scene.writer.add(
            Step(
                at_us=now if of else began, process=task.process.number, tid=task.tid, call=call.name,
                given=call.given if not of else {}, gave=gave, took_us=0 if blocked else max(0, now - began),
                blocked=blocked, of=of, hidden=task.process.hidden, changed=changed or Delta(), line=call.line,
            )
        )  # fmt: skip

    # ---- at the return

    def _gave(self, task: Task, call: Call, value: int) -> Told:
        if value in RESTARTS:
            return {"again": True}
        if -4096 < value < 0:
            return {"errno": errno_name(-value)}
        gave: Told = {"value": value}
        decoder, memory = followed.DECODED.get(call.name), self.memory(task)
        if decoder is not None:
            back = Return(call.raw, call.words, value, memory, self._scene.kept)
            with contextlib.suppress(OSError, struct.error, KeyError, TypeError, ValueError):
                gave |= plain({key: part for key, part in decoder.gave(back).items() if part != []})
        else:
            with contextlib.suppress(OSError, struct.error, KeyError, TypeError):
                gave |= plain(decoding.gave(call.name, Return(call.raw, call.words, value, memory, self._scene.kept)))
        return gave

    def _rows(self, task: Task, call: Call, value: int, gave: Told) -> dict[int, str | None]:
        """What has changed in the table of who made the call."""
        table, words = task.table, call.words
        if call.name == "close":
            return table.refresh([call.fd])
        if value < 0:
            return {}
        if call.name == "close_range":
            return self.listed(task) if not words[2] & followed.CLOSE_RANGE_UNSHARE else self.unshared(task)
        if call.name == "unshare":
            return self.unshared(task) if words[0] & followed.CLONE_FILES else {}
        if call.name in _PAIRS:
            made = gave.get("made", [])
            rows = table.refresh(made)
            if call.name == "socketpair" and len(made) == 2:
                self._sockets.pair(*(inode_of(table.links.get(number, "")) for number in made))
            return rows
        if call.name in followed.GIVES_NUMBER or (call.name == "fcntl" and narrow(words[1]) in followed.F_DUPFD):
            return table.refresh([value], passed=call.fd in table.links and call.name in ("dup", "fcntl"))
        return {}

    def listed(self, task: Task) -> dict[int, str | None]:
        """A table, listed anew. It may be hidden."""
        try:
            return task.table.listed()
        except OSError as error:
            task.process.hidden |= error.errno in (errno.EACCES, errno.EPERM)
            return {}

    def joins(self, task: Task, table: Table) -> None:
        """A task has the table of others."""
        if task.table is not table:
            del task.table.tasks[task]
            task.table = table
            table.tasks[task] = None

    def unshared(self, task: Task) -> dict[int, str | None]:
        """The task has a table of its own from here on."""
        if len(task.table.tasks) > 1:
            before, task.table = task.table, self._scene.table()
            del before.tasks[task]
            task.table.tasks[task] = None
            task.table.copied(before)
        return self.listed(task)

    def _received(self, task: Task, call: Call, value: int, step: int, rows: dict[int, str | None]) -> None:
        memory = self.memory(task)
        flags = call.raw.get("flags", 0)
        for address in headers(call.name, call.words, value):
            with contextlib.suppress(OSError, struct.error):
                if numbers := rights(control_at(memory, address)):
                    call.passes = True
                    rows |= task.table.refresh(numbers, passed=True)
                    self._flights.receive(task, call, numbers, step, peek=bool(flags & PEEK))

    def _connections(self, task: Task, call: Call, value: int) -> None:
        """Who is bound, connected and accepted."""
        if call.name == "bind" and call.inode and not value:
            with contextlib.suppress(OSError):
                self._flights.bound(
                    task.tid, call.inode, self.memory(task)(call.words[1], min(call.words[2] & 0xFFFFFFFF, 128))
                )
        if call.name == "connect" and call.inode and not value:
            self._flights.connected(call.inode)
        if call.name in followed.ACCEPTS and value >= 0:
            self._flights.accepted(call.inode, inode_of(task.table.links.get(value, "")))


def _strings(memory: Memory, address: int) -> list[bytes]:
    """The texts that an array of pointers leads to, as far as they are kept."""
    found: list[bytes] = []
    with contextlib.suppress(OSError, struct.error):
        while address and len(found) < _ARGUMENTS:
            (pointer,) = struct.unpack("=Q", memory(address + 8 * len(found), 8))
            text = string(memory, pointer) if pointer else None
            if not isinstance(text, Data):
                break
            found.append(text.head[:1024])
    return found


def merged(one: Delta, other: Delta) -> Delta:
    """What two steps have changed, as one."""
    tables = {number: dict(rows) for number, rows in one.tables.items()}
    for number, rows in other.tables.items():
        tables.setdefault(number, {}).update(rows)
    return Delta(tables, {**one.queues, **other.queues})


def touched(table: Table) -> set[int]:
    """Inodes of the sockets and pipes that a table holds."""
    return {inode for link in table.links.values() if (inode := inode_of(link))}
