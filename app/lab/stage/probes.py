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
import struct
import termios
from typing import Any, Iterable, Iterator

from app.ipc import descriptor
from app.lab.constants import NUMBERS, decode
from app.lab.language import quoted
from app.lab.stage import watch
from app.lab.stage.actor import HIDDEN, NUMBERS_MAX
from app.lab.stage.cast import Actor, Process
from app.lab.stage.diag import Asker
from app.lab.stage.queues import Carried, Queues

SHOWN = 1024
"""Bytes of one message, or of one stream, that the facts hold."""
MESSAGES = 64
"""Messages of one queue that the facts list."""
_PEEK = 256 * 1024
"""More than a message of AF_UNIX can hold, fact of its send buffer."""
_NETWORKS = (socket.AF_INET, socket.AF_INET6)
_PIDFD_GETFD = 438
_SEALS = {1: "F_SEAL_SEAL", 2: "F_SEAL_SHRINK", 4: "F_SEAL_GROW", 8: "F_SEAL_WRITE", 16: "F_SEAL_FUTURE_WRITE"}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclasses.dataclass(slots=True)
class Memory:
    """What a run remembers from look to look, because the kernel cannot be asked for it."""

    peers: dict[int, int] = dataclasses.field(default_factory=dict)
    """Inode to inode, as last seen."""
    kinds: dict[int, str] = dataclasses.field(default_factory=dict)
    """Inode to the kind of object; of a socket, its type."""
    queues: Queues = dataclasses.field(default_factory=Queues)
    arrived: dict[tuple[int, int], tuple[int, int]] = dataclasses.field(default_factory=dict)
    """(pid, number) to (description, inode), of descriptors that were received since the last look."""
    asker: Asker = dataclasses.field(default_factory=Asker)
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
        objects = _objects(groups, processes, memory, tables)
    finally:
        for group in groups:
            os.close(group.own)
    memory.before = {holder: (group.number, group.key[1]) for group in groups for holder in group.holders}
    memory.kinds |= {found["inode"]: found.get("type") or found["kind"] for found in objects}
    memory.fresh.clear()
    memory.arrived.clear()
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
    """A description keeps its number while anybody's table holds it, and in flight."""
    taken: set[int] = set()
    for group in groups:
        for holder in group.holders:
            number, inode = memory.before.get(holder, (0, 0))
            if number and inode == group.key[1] and holder not in memory.fresh and number not in taken:
                group.number = number
                taken.add(number)
                break
    for group in groups:
        for holder in group.holders:
            number, inode = memory.arrived.get(holder, (0, 0))
            if not group.number and number and inode == group.key[1] and number not in taken:
                group.number = number
                taken.add(number)
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


def _objects(
    groups: list[_Description],
    processes: list[Process],
    memory: Memory,
    tables: dict[int, list[tuple[int, _Description, dict[str, str]]]],
) -> list[dict[str, Any]]:
    infos = {id(group): info for rows in tables.values() for _, group, info in rows}
    look = _Look(memory, processes, {group.key[1] for group in groups}, _ends(groups))
    objects: dict[tuple[int, int], dict[str, Any]] = {}
    for group in groups:
        told = objects.get(group.key)
        if told is None:
            told = objects[group.key] = {"inode": group.key[1], "kind": group.seen.object, "link": group.seen.link, "descriptions": [], "how": {}}
        told["descriptions"].append(group.number)
        _SEE.get(group.seen.object, _see_other)(told, group, infos[id(group)], look)
    return list(objects.values())


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """What one look knows beside the object at hand."""

    memory: Memory
    processes: list[Process]
    held: set[int]
    """Inodes of all objects that somebody's table holds."""
    ends: dict[tuple[Any, Any], int]
    """(own address, the other's) to inode, of connected sockets of the loopback."""


def _ends(groups: list[_Description]) -> dict[tuple[Any, Any], int]:
    found = {}
    for group in groups:
        if group.seen.object == "socket":
            with socket.socket(fileno=os.dup(group.own)) as sock, contextlib.suppress(OSError):
                if sock.family in _NETWORKS:
                    found[sock.getsockname()[:2], sock.getpeername()[:2]] = group.key[1]
    return found


def _see_socket(told: dict[str, Any], group: _Description, info: dict[str, str], look: _Look) -> None:
    inode = group.key[1]
    with socket.socket(fileno=os.dup(group.own)) as sock:
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        told |= {"family": decode("AF_", int(sock.family)), "type": decode("SOCK_", int(sock.type) & 0xF), "listens": listens}
        told["how"] = {"type": "observed", "in_flight": "observed", "queued": "observed", "contents": "observed"}
        _see_peer(told, sock, inode, look)
        told["in_flight"] = int(info["scm_fds"]) if "scm_fds" in info else None
        told["queued"] = None if listens else _queued(group.own)
        _see_flying(told, inode, look.memory)
        if listens:
            told |= {"contents": None, "borders": False, "why": "connections wait here, not bytes"}
            _see_waiting(told, sock, inode, look)
            return
        _see_queue(told, sock, inode, look.memory)


def _see_peer(told: dict[str, Any], sock: socket.socket, inode: int, look: _Look) -> None:
    """The other end, the addresses, and whom the kernel takes the other end to be."""
    if sock.family == socket.AF_UNIX:
        said = look.memory.asker.ask(inode)
        told["how"]["peer"] = "derived"
        if said is not None:
            told["shut"] = list(said.shut)
            told["how"]["shut"] = "observed"
            if said.peer:
                look.memory.peers[inode] = said.peer
                told["how"]["peer"] = "observed"
    elif sock.family in _NETWORKS:
        told["how"]["peer"] = "derived"
        with contextlib.suppress(OSError):
            if peer := look.ends.get((sock.getpeername()[:2], sock.getsockname()[:2])):
                look.memory.peers[inode] = peer
    peer = look.memory.peers.get(inode)
    told["peer"] = peer
    told["peer_held"] = None if peer is None else peer in look.held
    for key, ask in (("address", sock.getsockname), ("peer_address", sock.getpeername)):
        with contextlib.suppress(OSError):
            if said := _address(ask()):
                told[key] = said
                told["how"][key] = "observed"
    if sock.family == socket.AF_UNIX:
        pid, uid, gid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if pid:
            # Of a pair both ends name who made it.
            name = next((process.name for process in look.processes if process.pid == pid), None)
            told["credentials"] = {"pid": pid, "uid": uid, "gid": gid, "process": name}
            told["how"]["credentials"] = "observed"


def _address(found: Any) -> str:
    """As a scenario writes it; empty: there is none."""
    if isinstance(found, tuple):
        return f"[{found[0]}]:{found[1]}" if ":" in found[0] else f"{found[0]}:{found[1]}"
    return quoted(os.fsencode(found))[1:-1]  # an abstract name comes as bytes, a file's with bytes that are no text as lone surrogates


def _see_waiting(told: dict[str, Any], sock: socket.socket, inode: int, look: _Look) -> None:
    """The connections that nobody has accepted: how many, how many may wait, and from whom where the kernel says it."""
    told["waiting"] = told["backlog"] = told["waiting_from"] = None
    if sock.family == socket.AF_UNIX:
        if said := look.memory.asker.ask(inode):
            told["waiting"], told["backlog"] = said.queue
            told["waiting_from"] = [one for one in said.waiting if one]
    elif sock.type == socket.SOCK_STREAM:
        with contextlib.suppress(OSError):
            # struct tcp_info, of a listening socket: tcpi_unacked is its queue, tcpi_sacked its bound. linux/tcp.h
            told["waiting"], told["backlog"] = struct.unpack_from("=II", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)
    told["how"]["waiting"] = "observed"


def _see_flying(told: dict[str, Any], inode: int, memory: Memory) -> None:
    """Which descriptors are in flight to this socket, as far as the run's own calls tell."""
    if not told["in_flight"]:
        told["flying"] = told["carried"] = [] if told["in_flight"] == 0 else None
        memory.queues.flying(inode, 0)
        return
    flying = memory.queues.flying(inode, told["in_flight"])
    told["flying"] = None if flying is None else [one.number for one in flying]
    told["carried"] = None if flying is None else [_carried(one) for one in flying]
    told["how"] |= {"flying": "derived", "carried": "derived"}


def _carried(one: Carried) -> dict[str, Any]:
    return {"description": one.description or None, "inode": one.inode, "kind": one.kind, "sender": one.sender, "number": one.number}


def _see_queue(told: dict[str, Any], sock: socket.socket, inode: int, memory: Memory) -> None:
    """What waits to be read. Messages without a byte are seen once, and then by what was sent."""
    told["borders"] = borders = sock.type in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLRDHUP)
    events = dict(poller.poll(0)).get(sock.fileno(), 0)
    if events & select.POLLERR:
        told |= {"contents": None, "why": "an error waits here, and the first look would take it away"}
        return
    if not events & select.POLLIN:
        told["contents"] = []
        return
    sent = memory.queues.messages(inode)
    ends = bool(events & (select.POLLRDHUP | select.POLLHUP))
    found, blind = _walk(sock, borders, sum(not one.bytes for one in sent) if ends else MESSAGES)
    if not borders:
        whole = b"".join(found)
        told["contents"] = [_piece(whole)] if whole else []
        return
    bodies = [data for data in found if data]
    if [len(data) for data in bodies] == [one.bytes for one in sent if one.bytes]:
        left = iter(bodies)
        found = [next(left) if one.bytes else b"" for one in sent]
        told["contents"] = [_piece(data) | {"carried": [_carried(which) for which in one.carried]} for data, one in zip(found, sent)][:MESSAGES]
        told["how"] |= {"borders": "observed", "carried": "derived"}
        if not all(found):
            told["how"]["empty"] = "derived"
    else:
        while ends and found and not found[-1]:
            found.pop()
        told["contents"] = [_piece(data) for data in found[:MESSAGES]]
        if blind:
            told["why"] = "an empty message or the end stands here; what may lie behind it is not shown"
    if len(found) > MESSAGES:
        told["why"] = f"{len(found)} messages, of which {MESSAGES} are shown"


def _walk(sock: socket.socket, borders: bool, empties: int) -> tuple[list[bytes], bool]:
    """Looks along a queue without taking anything. Nothing that was read is an empty message, which the kernel shows once, or the end, which it
    shows for ever: `empties` says how often it may be passed. Gives what was found, and whether it stopped there."""
    flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
    walks = sock.family == socket.AF_UNIX
    before = sock.getsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"]) if walks else -1
    found: list[bytes] = []
    try:
        if walks:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], 0)
        while True:
            try:
                data = sock.recv(_PEEK, flags)
            except OSError:
                return found, False
            if not data and (not borders or not empties):
                return found, borders
            empties -= not data
            found.append(data)
            if not walks:
                return found, False
    finally:
        if walks:
            sock.setsockopt(socket.SOL_SOCKET, NUMBERS["SO_PEEK_OFF"], before)


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


def _see_pipe(told: dict[str, Any], group: _Description, info: dict[str, str], look: _Look) -> None:
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


def _see_file(told: dict[str, Any], group: _Description, info: dict[str, str], look: _Look) -> None:
    told["size"] = group.seen.size
    told["how"] = {"size": "observed", "seals": "observed", "contents": "observed"}
    if group.seen.object == "memfd":
        seals = fcntl.fcntl(group.own, NUMBERS["F_GET_SEALS"])
        told["seals"] = "|".join(name for bit, name in _SEALS.items() if seals & bit) or "0"
    if group.seen.access in ("read", "read-write"):
        told["contents"] = [_piece(os.pread(group.own, SHOWN, 0)) | {"bytes": group.seen.size}] if group.seen.size else []


def _see_other(told: dict[str, Any], group: _Description, info: dict[str, str], look: _Look) -> None:
    for key, said in (("eventfd-count", "count"), ("Pid", "process")):
        if key in info:
            told[said] = int(info[key], 16 if key == "eventfd-count" else 10)
            told["kind"] = "eventfd" if said == "count" else "pidfd"
            told["how"] = {said: "observed"}


_SEE = {"socket": _see_socket, "pipe": _see_pipe, "regular file": _see_file, "memfd": _see_file}
