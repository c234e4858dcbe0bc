"""What every process and every object holds, asked of the kernel while all stand still.

Nothing is consumed or moved, and every duplicate is closed before :func:`facts` returns: one that were kept would withhold
an end-of-file. Each group of values says ``how`` it is known: observed (asked of the kernel), reported (by an actor), derived (computed here).
"""

from __future__ import annotations

import array
import base64
import contextlib
import ctypes
import dataclasses
import fcntl
import os
import select
import socket
import termios
from typing import Any, Iterable, Iterator

from app.ipc import descriptor
from app.lab.constants import NUMBERS, decode
from app.lab.stage import watch
from app.lab.stage.actor import HIDDEN, NUMBERS_MAX
from app.lab.stage.cast import Actor, Process

SHOWN = 1024
"""Bytes of one message, or of one stream, that the facts hold."""
MESSAGES = 64
"""Messages of one queue that the facts list."""
_PEEK = 256 * 1024
"""More than a message of AF_UNIX can hold, fact of its send buffer."""
_PIDFD_GETFD = 438
_SEALS = {1: "F_SEAL_SEAL", 2: "F_SEAL_SHRINK", 4: "F_SEAL_GROW", 8: "F_SEAL_WRITE", 16: "F_SEAL_FUTURE_WRITE"}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclasses.dataclass(slots=True)
class Memory:
    """What a run remembers from look to look, because the kernel cannot be asked for it."""

    peers: dict[int, int] = dataclasses.field(default_factory=dict)
    """Inode to inode, for the sockets that socketpair made."""
    before: dict[tuple[int, int], tuple[int, int]] = dataclasses.field(default_factory=dict)
    """(pid, number) to (description, inode), at the look before."""
    descriptions: int = 0
    """How many descriptions have been numbered."""
    fresh: set[tuple[int, int]] = dataclasses.field(default_factory=set)
    """(pid, number) that the calls since the last look have made: they say nothing of what was there before."""


@dataclasses.dataclass(slots=True)
class _Description:
    """One open file description, and a duplicate to ask it by."""

    own: int
    seen: descriptor.Object
    holders: list[tuple[int, int]]
    key: tuple[int, int]
    number: int = 0


def inode(pid: int, number: int) -> int:
    """Of the object behind a descriptor of another process; 0: there is none."""
    try:
        return os.stat(f"/proc/{pid}/fd/{number}").st_ino
    except OSError:
        return 0


@contextlib.contextmanager
def borrowed(process: Process, number: int) -> Iterator[socket.socket]:
    """A process's socket, for as long as everybody stands still. Raises OSError: there is no such descriptor, or it is no socket."""
    own = _duplicate(process, number)
    try:
        sock = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with sock:
        yield sock


def _duplicate(process: Process, number: int) -> int:
    own = int(_libc.syscall(_PIDFD_GETFD, process.pidfd, number, 0))
    if own < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd of {process.name}'s descriptor {number}")
    return own


def facts(processes: Iterable[Process], memory: Memory) -> dict[str, Any]:
    """The facts after a step, JSON-able. Raises OSError if the kernel refuses to let this process look."""
    processes = list(processes)
    groups: list[_Description] = []
    try:
        tables = {process.pid: _table(process, groups) for process in processes if not process.ended}
        _number(groups, memory)
        told = [_process(process, processes, tables.get(process.pid, [])) for process in processes]
        objects = _objects(groups, memory, tables)
    finally:
        for group in groups:
            os.close(group.own)
    memory.before = {holder: (group.number, group.key[1]) for group in groups for holder in group.holders}
    memory.fresh.clear()
    return {"processes": told, "objects": objects}


def _table(process: Process, groups: list[_Description]) -> list[tuple[int, _Description, dict[str, str]]]:
    """The descriptors of a process, each with the description it belongs to and its fdinfo."""
    rows = []
    for number in sorted(map(int, os.listdir(f"/proc/{process.pid}/fd"))):
        if number <= 2 and os.stat(f"/proc/{process.pid}/fd/{number}").st_rdev == os.makedev(1, 3):
            continue  # the standard streams that every actor is given
        if HIDDEN <= number < NUMBERS_MAX:
            continue
        status = os.stat(f"/proc/{process.pid}/fd/{number}")
        rows.append((number, _group(process, number, (status.st_dev, status.st_ino), groups), _fdinfo(process.pid, number)))
    return rows


def _group(process: Process, number: int, key: tuple[int, int], groups: list[_Description]) -> _Description:
    for group in groups:
        if group.key == key and descriptor.prove(process.pid, number, group.own)[0] == "same":
            group.holders.append((process.pid, number))
            return group
    own = _duplicate(process, number)
    groups.append(_Description(own, descriptor.look(own), [(process.pid, number)], key))
    return groups[-1]


def _number(groups: list[_Description], memory: Memory) -> None:
    """A description keeps its number while anybody's table holds it."""
    taken: set[int] = set()
    for group in groups:
        for holder in group.holders:
            number, inode = memory.before.get(holder, (0, 0))
            if number and inode == group.key[1] and holder not in memory.fresh and number not in taken:
                group.number = number
                taken.add(number)
                break
    for group in groups:
        if not group.number:
            memory.descriptions += 1
            group.number = memory.descriptions


def _fdinfo(pid: int, number: int) -> dict[str, str]:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8", errors="replace") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def _process(process: Process, everybody: list[Process], rows: list[tuple[int, _Description, dict[str, str]]]) -> dict[str, Any]:
    names: dict[int, list[str]] = {}
    for name, number in process.names.items():
        names.setdefault(number, []).append(name)
    parent = watch.parent(process.pid)
    told: dict[str, Any] = {
        "name": process.name,
        "pid": process.pid,
        "parent": next((other.name for other in everybody if other.pid == parent), None),
        "descriptors": [
            {
                "number": number,
                "names": names.get(number, []),
                "object": group.seen.object,
                "inode": group.key[1],
                "access": group.seen.access,
                "cloexec": bool(int(info.get("flags", "0"), 8) & os.O_CLOEXEC),
                "flags": decode("O_", group.seen.flags & ~os.O_ACCMODE) if group.seen.flags & ~os.O_ACCMODE else "0",
                "offset": group.seen.offset,
                "description": group.number,
            }
            for number, group, info in rows
        ],
        "how": {"state": "observed", "descriptors": "observed", "description": "observed", "names": "derived"},
    }
    if process.ended:
        stand = watch.look(process.pid, process.pid)
        told["state"] = "zombie" if stand.state == "Z" and told["parent"] else "ended"
        told["exit"] = _exit(process.status)
    else:
        threads = [_task(actor) for actor in process.actors if not actor.ended]
        told["threads"] = threads
        told["state"] = threads[0]["state"] if threads else "running"
        told["blocked"] = threads[0].get("blocked") if threads else None
    return told


def _exit(status: int | None) -> dict[str, int | None]:
    if status is None:
        return {"status": None, "killed": None}
    if os.WIFSIGNALED(status):
        return {"status": None, "killed": os.WTERMSIG(status)}
    return {"status": os.WEXITSTATUS(status), "killed": None}


def _task(actor: Actor) -> dict[str, Any]:
    stand = watch.look(actor.process.pid, actor.tid)
    told: dict[str, Any] = {"name": actor.name, "tid": actor.tid, "state": "waiting for its next step"}
    if stand.state in "Tt":
        told["state"] = "stopped"
    elif actor.pending:
        told["state"] = "blocked"
        told["blocked"] = stand.told(actor.pending.step.call)
    return told


def _objects(groups: list[_Description], memory: Memory, tables: dict[int, list[tuple[int, _Description, dict[str, str]]]]) -> list[dict[str, Any]]:
    infos = {id(group): info for rows in tables.values() for _, group, info in rows}
    held = {group.key[1] for group in groups}
    objects: dict[tuple[int, int], dict[str, Any]] = {}
    for group in groups:
        told = objects.get(group.key)
        if told is None:
            told = objects[group.key] = {"inode": group.key[1], "kind": group.seen.object, "link": group.seen.link, "descriptions": [], "how": {}}
        told["descriptions"].append(group.number)
        _SEE.get(group.seen.object, _see_other)(told, group, infos[id(group)], memory, held)
    return list(objects.values())


def _see_socket(told: dict[str, Any], group: _Description, info: dict[str, str], memory: Memory, held: set[int]) -> None:
    sock = socket.socket(fileno=os.dup(group.own))
    try:
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        told |= {"family": decode("AF_", int(sock.family)), "type": decode("SOCK_", int(sock.type) & 0xF), "listens": listens}
        peer = memory.peers.get(group.key[1])
        told["peer"] = peer
        told["peer_held"] = None if peer is None else peer in held
        told["in_flight"] = int(info["scm_fds"]) if "scm_fds" in info else None
        told["queued"] = None if listens else _queued(group.own)
        told["how"] = {"type": "observed", "peer": "derived", "in_flight": "observed", "queued": "observed", "contents": "observed"}
        told["contents"], told["borders"], why = (None, False, "connections wait here, not bytes") if listens else _peek(sock)
        if why:
            told["why"] = why
    finally:
        sock.close()


def _peek(sock: socket.socket) -> tuple[list[dict[str, Any]] | None, bool, str]:
    """What waits to be read: a list, whether its entries are messages, and why there is no list."""
    borders = sock.type in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    events = dict(poller.poll(0)).get(sock.fileno(), 0)
    if events & select.POLLERR:
        return None, borders, "an error waits here, and the first look would take it away"
    if not events & select.POLLIN:
        return [], borders, ""
    flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
    walks = sock.family == socket.AF_UNIX
    before = sock.getsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"]) if walks else -1
    found: list[bytes] = []
    total = 0
    try:
        if walks:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], 0)
        while True:
            try:
                data = sock.recv(_PEEK, flags)
            except (BlockingIOError, OSError):
                break
            total += len(data)
            # Nothing from a stream is its end; an empty message cannot be told from the end, so the walk stops there too.
            if not data:
                break
            found.append(data)
            if not walks:
                break
    finally:
        if walks:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], before)
    if not borders:
        found = [b"".join(found)] if total else []
    return [_piece(data) for data in found[:MESSAGES]], borders, f"{len(found)} messages, of which {MESSAGES} are shown" if len(found) > MESSAGES else ""


def _piece(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "data": base64.b64encode(data[:SHOWN]).decode()}


def _queued(fd: int) -> int | None:
    """Bytes that wait to be read: FIONREAD. Of datagrams, of the first alone. unix(7)"""
    room = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, room)
    except OSError:
        return None
    return room[0]


def _see_pipe(told: dict[str, Any], group: _Description, info: dict[str, str], memory: Memory, held: set[int]) -> None:
    told["queued"] = _queued(group.own)
    told["capacity"] = fcntl.fcntl(group.own, fcntl.F_GETPIPE_SZ if hasattr(fcntl, "F_GETPIPE_SZ") else NUMBERS["F_GETPIPE_SZ"])
    told["borders"] = False
    told["how"] = {"queued": "observed", "contents": "observed"}
    if group.seen.access == "write":
        told.setdefault("contents", None)
        return
    told["contents"] = []
    if told["queued"]:
        # tee(2) copies what is in a pipe and leaves it there.
        out, into = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            copied = _libc.tee(group.own, into, ctypes.c_size_t(SHOWN), 2)  # SPLICE_F_NONBLOCK
            data = os.read(out, SHOWN) if copied > 0 else b""
            told["contents"] = [{"bytes": told["queued"], "data": base64.b64encode(data).decode()}]
        finally:
            os.close(out)
            os.close(into)


def _see_file(told: dict[str, Any], group: _Description, info: dict[str, str], memory: Memory, held: set[int]) -> None:
    told["size"] = group.seen.size
    told["how"] = {"size": "observed", "seals": "observed", "contents": "observed"}
    if group.seen.object == "memfd":
        seals = fcntl.fcntl(group.own, NUMBERS["F_GET_SEALS"])
        told["seals"] = "|".join(name for bit, name in _SEALS.items() if seals & bit) or "0"
    if group.seen.access in ("read", "read-write"):
        told["contents"] = [_piece(os.pread(group.own, SHOWN, 0)) | {"bytes": group.seen.size}] if group.seen.size else []


def _see_other(told: dict[str, Any], group: _Description, info: dict[str, str], memory: Memory, held: set[int]) -> None:
    for key, said in (("eventfd-count", "count"), ("Pid", "process")):
        if key in info:
            told[said] = int(info[key], 16 if key == "eventfd-count" else 10)
            told["kind"] = "eventfd" if said == "count" else "pidfd"
            told["how"] = {said: "observed"}


_SEE = {"socket": _see_socket, "pipe": _see_pipe, "regular file": _see_file, "memfd": _see_file}
