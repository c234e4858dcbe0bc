"""What every process and every object holds, asked of the kernel while all stand still.

Nothing is consumed or moved, and every duplicate is closed before :func:`facts` returns: one that were kept would
withhold an end-of-file. Each group of values says ``how`` it is known: observed (asked of the kernel), reported (by an
actor), derived (computed here).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import dataclasses
import fcntl
import os
import select
import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pairscope.ipc import descriptor
from pairscope.lab.constants import NUMBERS, decode
from pairscope.lab.language import quoted
from pairscope.lab.named import SEALS
from pairscope.lab.reasons import Reason
from pairscope.lab.run import UNSET, Ahead, Credentials, Descriptor, Exit, Object, Piece, State, Task
from pairscope.lab.run import Carried as Flying
from pairscope.lab.run import Process as Told
from pairscope.lab.stage import peek, watch
from pairscope.lab.stage.actor import HIDDEN, NUMBERS_MAX
from pairscope.lab.stage.cast import Actor, Process
from pairscope.lab.stage.diag import Asker
from pairscope.lab.stage.queues import Carried, Queues, Sent

SHOWN = 1024
"""Bytes of one message, or of one stream, that the facts hold."""
MESSAGES = peek.MOST
IN_FLIGHT = 256
"""Descriptors in flight that one look asks the kernel about. What more there are is told by the run's own calls."""
_FILE = 1 << 20
"""Bytes of a file that are looked at: more than a run can write."""
_NETWORKS = (socket.AF_INET, socket.AF_INET6)
_PIDFD_GETFD = 438
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
    options: tuple[str, ...] = ()
    """Options of sockets that a call of the run sets, by their names."""
    fresh: set[tuple[int, int]] = dataclasses.field(default_factory=set)
    """(pid, number) that the calls since the last look have made: they say nothing of what was there before."""
    known: dict[int, set[int]] = dataclasses.field(default_factory=dict)
    """Inode to the descriptions that it had at the look before."""
    objects: dict[int, Object] = dataclasses.field(default_factory=dict)
    """Inode to what the look before has told."""
    unix: set[int] = dataclasses.field(default_factory=set)
    """Inodes of sockets of AF_UNIX, the ones that carry descriptors."""


@dataclasses.dataclass(slots=True)
class _Description:
    """One open file description, and a duplicate to ask it by."""

    own: int
    seen: descriptor.Object
    holders: list[tuple[int, int]]
    """(pid, number); of one that is only in flight none."""
    key: tuple[int, int]
    number: int = 0
    flies_in: dict[int, None] = dataclasses.field(default_factory=dict)
    """Inodes of the sockets in whose queues it was found in flight."""
    queue: _Queue | None = None
    """Of a socket, what waits in it."""


@dataclasses.dataclass(slots=True)
class _Queue:
    """What one look along a socket's queue has found."""

    waits: peek.Waits
    error: bool
    """An error waits, and the first look would take it away."""
    sent: list[Sent]
    """Its messages, by the run's own calls."""
    ends: bool
    """The end of what may come stands behind it."""
    carried: list[list[_Description]] | None
    """Of each part the descriptors that are in flight with it; None: not all that are could be asked about."""


def inode(pid: int, number: int) -> int:
    """Of the object behind a descriptor of another process; 0: there is none."""
    try:
        return os.stat(f"/proc/{pid}/fd/{number}").st_ino
    except OSError:
        return 0


@contextlib.contextmanager
def borrowed(process: Process, number: int) -> Iterator[socket.socket]:
    """A process's socket, for as long as everybody stands still. Raises OSError: there is no such descriptor, or it is
    no socket."""
    own = duplicate(process, number)
    try:
        sock = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with sock:
        yield sock


def duplicate(process: Process, number: int) -> int:
    """A descriptor of this process for what stands at a number of another's. Raises OSError. pidfd_getfd(2)"""
    own = int(_libc.syscall(_PIDFD_GETFD, process.pidfd, number, 0))
    if own < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd of {process.name}'s descriptor {number}")
    return own


def facts(processes: Iterable[Process], memory: Memory) -> State:
    """The state after a step. Raises OSError if the kernel refuses to let this process look."""
    processes = list(processes)
    groups: list[_Description] = []
    try:
        tables = {process.pid: _table(process, groups) for process in processes if not process.ended}
        for sender in memory.queues.ahead():
            said = memory.asker.ask(sender) if sender in memory.unix else None
            if peer := said.peer if said else memory.peers.get(sender, 0):
                memory.queues.accepted(sender, peer)
        _fly(groups, memory)
        _number(groups, memory)
        told = [_process(process, processes, tables.get(process.pid, [])) for process in processes]
        objects = _objects(groups, processes, memory, tables)
    finally:
        for group in groups:
            os.close(group.own)
    memory.before = {holder: (group.number, group.key[1]) for group in groups for holder in group.holders}
    memory.known = {}
    for group in groups:
        memory.known.setdefault(group.key[1], set()).add(group.number)
    memory.kinds |= {found.inode: found.type or found.kind for found in objects}
    memory.objects = {found.inode: found for found in objects}
    memory.queues.looked()
    memory.fresh.clear()
    memory.arrived.clear()
    return State(told, objects)


def _table(process: Process, groups: list[_Description]) -> list[tuple[int, _Description, dict[str, str]]]:
    """The descriptors of a process, each with the description it belongs to and its fdinfo."""
    rows = []
    for number in sorted(map(int, os.listdir(f"/proc/{process.pid}/fd"))):
        if number <= 2 and os.stat(f"/proc/{process.pid}/fd/{number}").st_rdev == os.makedev(1, 3):
            continue  # the standard streams that every actor is given
        if HIDDEN <= number < NUMBERS_MAX:
            continue
        status = os.stat(f"/proc/{process.pid}/fd/{number}")
        rows.append(
            (number, _group(process, number, (status.st_dev, status.st_ino), groups), _fdinfo(process.pid, number))
        )
    return rows


def _group(process: Process, number: int, key: tuple[int, int], groups: list[_Description]) -> _Description:
    for group in groups:
        if group.key == key and descriptor.prove(process.pid, number, group.own)[0] == "same":
            group.holders.append((process.pid, number))
            return group
    own = duplicate(process, number)
    groups.append(_Description(own, _look_at(own), [(process.pid, number)], key))
    return groups[-1]


def _look_at(own: int) -> descriptor.Object:
    """What a duplicate leads to. By O_PATH that is the file of a socket, and no socket: open(2)"""
    seen = descriptor.look(own)
    return seen._replace(object="file of a socket") if seen.object == "socket" and seen.flags & os.O_PATH else seen


def _fly(groups: list[_Description], memory: Memory) -> None:
    """Looks along the queues of all sockets, and takes in what is in flight in them; and so on in the queues of sockets
    that are in flight."""
    left = IN_FLIGHT
    for group in groups:  # it grows meanwhile
        if group.seen.object != "socket":
            continue
        with socket.socket(fileno=os.dup(group.own)) as sock:
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                flying = int(_fdinfo(os.getpid(), group.own).get("scm_fds", "0"))
                group.queue = _look_along(sock, group.key[1], memory, min(flying, left))
        if group.queue is None or not flying:
            continue
        carried = [[_adopt(own, group.key[1], groups) for own in fds] for fds in group.queue.waits.fds]
        left -= sum(map(len, carried))
        group.queue.carried = carried if sum(map(len, carried)) == flying else None


def _look_along(sock: socket.socket, inode: int, memory: Memory, descriptors: int) -> _Queue:
    borders = sock.type in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLPRI | select.POLLRDHUP)
    events = dict(poller.poll(0)).get(sock.fileno(), 0)
    queue = _Queue(
        peek.Waits(),
        bool(events & select.POLLERR),
        memory.queues.messages(inode),
        bool(events & (select.POLLRDHUP | select.POLLHUP)),
        None,
    )
    if events & (select.POLLIN | select.POLLPRI) and not queue.error:
        queue.waits = peek.along(
            sock, borders, sum(not one.size for one in queue.sent) if queue.ends else MESSAGES, descriptors
        )
    return queue


def _adopt(own: int, queue: int, groups: list[_Description]) -> _Description:
    """The description behind a duplicate of a descriptor that is in flight; the duplicate is closed, or becomes its
    own."""
    status = os.fstat(own)
    key = status.st_dev, status.st_ino
    for group in groups:
        if group.key == key and descriptor.prove(os.getpid(), own, group.own)[0] == "same":
            os.close(own)
            break
    else:
        group = _Description(own, _look_at(own), [], key)
        groups.append(group)
    group.flies_in[queue] = None
    return group


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
        # What is only in flight was held, or in flight, at the look before. The run's own calls say which one it was,
        # where it could be several.
        said = [
            one.description for queue in group.flies_in for one in memory.queues.all(queue) if one.inode == group.key[1]
        ]
        free = [
            number for number in (*said, *sorted(memory.known.get(group.key[1], ()))) if number and number not in taken
        ]
        if not group.number and not group.holders and free:
            group.number = free[0]
            taken.add(free[0])
    for group in groups:
        if not group.number:
            memory.descriptions += 1
            group.number = memory.descriptions


def _fdinfo(pid: int, number: int) -> dict[str, str]:
    # a file object costs three times as much, and there may be 500
    fd = os.open(f"/proc/{pid}/fdinfo/{number}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 4096).decode(errors="replace")
    finally:
        os.close(fd)
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _process(process: Process, everybody: list[Process], rows: list[tuple[int, _Description, dict[str, str]]]) -> Told:
    names: dict[int, list[str]] = {}
    for name, number in process.names.items():
        names.setdefault(number, []).append(name)
    number_of_parent = watch.parent(process.pid)
    parent = next((other.name for other in everybody if other.pid == number_of_parent), None)
    descriptors = [
        Descriptor(
            number,
            names.get(number, []),
            group.seen.object,
            group.key[1],
            group.seen.access,
            bool(int(info.get("flags", "0"), 8) & os.O_CLOEXEC),
            decode("O_", group.seen.flags & ~os.O_ACCMODE) if group.seen.flags & ~os.O_ACCMODE else "0",
            group.seen.offset,
            group.number,
        )
        for number, group, info in rows
    ]
    how = {"state": "observed", "descriptors": "observed", "description": "observed", "names": "derived"}
    process.hear()
    if process.handled:
        how["handled"] = "reported"
    handled = dict(process.handled) or UNSET
    if process.ended:
        stand = watch.look(process.pid, process.pid)
        state = "zombie" if stand.state == "Z" and parent else "ended"
        return Told(
            process.name, process.pid, parent, descriptors, how, state, exit=_exit(process.status), handled=handled
        )
    threads = [_task(actor) for actor in process.actors if not actor.ended]
    signals = watch.signals(process.pid)
    how["signals"] = "observed"
    return Told(
        process.name,
        process.pid,
        parent,
        descriptors,
        how,
        threads[0].state if threads else "running",
        threads=threads,
        blocked=(threads[0].blocked or None) if threads else None,
        signals=signals,
        handled=handled,
    )


def _exit(status: int | None) -> Exit:
    if status is None:
        return Exit(None, None)
    if os.WIFSIGNALED(status):
        return Exit(None, os.WTERMSIG(status))
    return Exit(os.WEXITSTATUS(status), None)


def _task(actor: Actor) -> Task:
    stand = watch.look(actor.process.pid, actor.tid)
    if stand.state in "Tt":
        return Task(actor.name, actor.tid, "stopped")
    if actor.pending:
        return Task(actor.name, actor.tid, "blocked", stand.told(actor.pending.step.call))
    return Task(actor.name, actor.tid, "waiting for its next step")


def _objects(
    groups: list[_Description],
    processes: list[Process],
    memory: Memory,
    tables: dict[int, list[tuple[int, _Description, dict[str, str]]]],
) -> list[Object]:
    infos = {id(group): info for rows in tables.values() for _, group, info in rows}
    look = _Look(memory, processes, {group.key[1] for group in groups if group.holders}, _ends(groups))
    objects: dict[tuple[int, ...], Object] = {}
    for group in groups:
        # All eventfds have one inode between them (fs/anon_inodes.c), so each description is an object there.
        key = (*group.key, group.number) if group.seen.object == "anonymous inode" else group.key
        told = objects.get(key)
        if told is None:
            told = objects[key] = Object(group.key[1], group.seen.object, group.seen.link, [], {}, held=False)
        told.descriptions.append(group.number)
        told.held = told.held or bool(group.holders)
        if group.flies_in and not group.holders:
            told.flies_in = list(dict.fromkeys([*(told.flies_in or ()), *group.flies_in]))
        _SEE.get(group.seen.object, _see_other)(
            told, group, infos.get(id(group)) or _fdinfo(os.getpid(), group.own), look
        )
    for told in objects.values():
        told.how["held"] = "observed"
        if told.flies_in:
            told.how["flies_in"] = "observed"
    found = list(objects.values())
    _see_ahead(found, memory)
    return [*found, *_beyond(found, look)]


def _see_ahead(found: list[Object], memory: Memory) -> None:
    """What was sent to those who have not been accepted: no descriptor leads to where it waits, so it is known from the
    run's own calls alone."""
    by_inode = {told.inode: told for told in found}
    for sender in memory.queues.ahead():
        told, sent = by_inode.get(sender), memory.queues.waiting(sender)
        # Of one that was closed meanwhile nobody can tell whether it has been accepted.
        doors = [one for one in found if one.listens and told and one.address == told.peer_address]
        if len(doors) != 1 or not sent or sender not in (doors[0].waiting_from or [sender]) or not doors[0].waiting:
            continue
        pieces = [
            Ahead(one.size, _shown(one.data), carried=[told_carried(which) for which in one.carried], source=sender)
            for one in sent[:MESSAGES]
        ]
        doors[0].ahead = [*(doors[0].ahead or ()), *pieces]
        doors[0].how["ahead"] = "derived"
    for door in found:
        carried = [one for piece in door.ahead or () for one in piece.carried or () if one]
        if carried and len(carried) == door.in_flight:  # the kernel counts those of all connections that wait
            door.carried, door.flying = list(carried), [one.number for one in carried]


def _beyond(found: list[Object], look: _Look) -> list[Object]:
    """What no table holds and no queue that can be looked along, and yet is there: sockets that hold each other in
    flight, until the kernel's garbage collector takes them (net/unix/garbage.c), and those that a call which is under
    way still uses. sock_diag knows them by inode; the rest is derived."""
    memory = look.memory
    present = {told.inode for told in found}
    users: dict[int, list[str]] = {}
    for process in look.processes:
        for actor in process.actors:
            if actor.pending and not actor.ended and actor.pending.inode:
                users.setdefault(actor.pending.inode, []).append(actor.name)
    beyond: list[Object] = []
    for inode, before in memory.objects.items():
        said = memory.asker.ask(inode) if inode in memory.unix and inode not in present else None
        if said is None:
            continue
        flies_in = [queue for queue in memory.queues.carrying(inode) if queue > 0]
        flies_in += [
            one.inode
            for one in found
            if any(which and which.inode == inode for piece in one.ahead or () for which in piece.carried or ())
        ]
        told = msgspec.structs.replace(
            before,
            held=False,
            flies_in=flies_in,
            peer=said.peer or None,
            peer_held=None if not said.peer else said.peer in look.held,
            shut=list(said.shut),
            how=dict.fromkeys(before.how, "derived")
            | {"held": "observed", "flies_in": "derived", "peer": "observed", "shut": "observed"},
        )
        if users.get(inode):
            told.used_by = users[inode]
            told.how["used_by"] = "derived"
        if not told.listens:
            told.queued, told.how["queued"] = said.queue[0], "observed"
            _add_sent(told, memory.queues.since(inode))
        beyond.append(told)
    lost = (
        {one.inode for told in beyond for one in told.carried or () if one and one.inode}
        - present
        - {told.inode for told in beyond}
    )
    for inode in sorted(lost & set(memory.objects)):
        before = memory.objects[inode]
        beyond.append(
            msgspec.structs.replace(
                before,
                held=False,
                flies_in=[
                    told.inode for told in beyond if any(one and one.inode == inode for one in told.carried or ())
                ],
                how=dict.fromkeys(before.how, "derived") | {"held": "observed", "flies_in": "derived"},
            )
        )
    return beyond


def _add_sent(told: Object, sent: list[Sent]) -> None:
    """What was sent since the last look stands behind what waited then: nobody can have received from there."""
    if not sent or not isinstance(told.contents, list):
        return
    contents = list(told.contents)
    for one in sent:
        carried: list[Flying | None] = [told_carried(which) for which in one.carried]
        if told.borders or not contents:
            contents.append(Piece(one.size, _shown(one.data), carried if told.borders else UNSET))
        else:
            last = contents[-1]
            data = base64.b64decode(last.data) + (one.data if last.bytes < SHOWN else b"")
            contents[-1] = msgspec.structs.replace(last, bytes=last.bytes + one.size, data=_shown(data))
        told.carried = [*(told.carried or ()), *carried]
        told.flying = [*(told.flying or ()), *(which.number for which in one.carried)]
        told.in_flight = (told.in_flight or 0) + len(carried)
    told.contents = contents[:MESSAGES]


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


def _see_socket(told: Object, group: _Description, info: dict[str, str], look: _Look) -> None:
    inode = group.key[1]
    with socket.socket(fileno=os.dup(group.own)) as sock:
        listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        told.family = decode("AF_", int(sock.family))
        told.type = decode("SOCK_", int(sock.type) & 0xF)
        told.listens = listens
        told.how = {"type": "observed", "in_flight": "observed", "queued": "observed", "contents": "observed"}
        if options := _options(sock, look.memory.options):
            told.options = options
            told.how["options"] = "observed"
        _see_peer(told, sock, inode, look)
        told.in_flight = int(info["scm_fds"]) if "scm_fds" in info else None
        told.queued = None if listens else peek.queued(group.own)
        parts = _see_flying(told, group, look.memory)
        if sock.family == socket.AF_UNIX:
            look.memory.unix.add(inode)
        if listens:
            told.contents, told.borders, told.why = None, False, Reason.CONNECTIONS.say()
            _see_waiting(told, sock, inode, look)
            return
        assert group.queue is not None
        _see_queue(told, sock.type in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET), group.queue, parts)


def _see_peer(told: Object, sock: socket.socket, inode: int, look: _Look) -> None:
    """The other end, the addresses, and whom the kernel takes the other end to be."""
    if sock.family == socket.AF_UNIX:
        said = look.memory.asker.ask(inode)
        told.how["peer"] = "derived"
        if said is not None:
            told.shut = list(said.shut)
            told.how["shut"] = "observed"
            if said.peer:
                look.memory.peers[inode] = said.peer
                told.how["peer"] = "observed"
    elif sock.family in _NETWORKS:
        told.how["peer"] = "derived"
        with contextlib.suppress(OSError):
            if peer := look.ends.get((sock.getpeername()[:2], sock.getsockname()[:2])):
                look.memory.peers[inode] = peer
    peer = look.memory.peers.get(inode)
    told.peer = peer
    told.peer_held = None if peer is None else peer in look.held
    for key, ask in (("address", sock.getsockname), ("peer_address", sock.getpeername)):
        with contextlib.suppress(OSError):
            if address := _address(ask()):
                setattr(told, key, address)
                told.how[key] = "observed"
    if sock.family == socket.AF_UNIX:
        pid, uid, gid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if pid:
            # Of a pair both ends name who made it.
            name = next((process.name for process in look.processes if process.pid == pid), None)
            told.credentials = Credentials(pid, uid, gid, name)
            told.how["credentials"] = "observed"


def _options(sock: socket.socket, names: Iterable[str]) -> dict[str, int | list[int]]:
    """What these options of a socket are, of those that it has: a number, or several."""
    found: dict[str, int | list[int]] = {}
    for name in names:
        with contextlib.suppress(OSError):
            value = sock.getsockopt(socket.SOL_SOCKET, NUMBERS[name], 16)
            numbers = [
                number for (number,) in struct.iter_unpack("=q" if len(value) == 16 else "=i", value[: len(value) & ~3])
            ]
            found[name] = numbers[0] if len(numbers) == 1 else numbers
    return found


def _address(found: Any) -> str:
    """As a scenario writes it; empty: there is none."""
    if isinstance(found, tuple):
        return f"[{found[0]}]:{found[1]}" if ":" in found[0] else f"{found[0]}:{found[1]}"
    # an abstract name comes as bytes, a file's with bytes that are no text as lone surrogates
    return quoted(os.fsencode(found))[1:-1]


def _see_waiting(told: Object, sock: socket.socket, inode: int, look: _Look) -> None:
    """The connections that nobody has accepted: how many, how many may wait, and from whom where the kernel says it."""
    told.waiting = told.backlog = told.waiting_from = None
    if sock.family == socket.AF_UNIX:
        if said := look.memory.asker.ask(inode):
            told.waiting, told.backlog = said.queue
            told.waiting_from = [one for one in said.waiting if one]
    elif sock.type == socket.SOCK_STREAM:
        with contextlib.suppress(OSError):
            # struct tcp_info, of a listening socket: tcpi_unacked is its queue, tcpi_sacked its bound. linux/tcp.h
            told.waiting, told.backlog = struct.unpack_from(
                "=II", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24
            )
    told.how["waiting"] = "observed"


def _see_flying(told: Object, group: _Description, memory: Memory) -> list[list[Flying]] | None:
    """Which descriptors are in flight to this socket: by the kernel, who sent them by the run's own calls. Gives those
    of each part of its queue; None: not known."""
    inode = group.key[1]
    if not told.in_flight:
        none = told.in_flight == 0
        told.flying, told.carried = [] if none else None, [] if none else None
        memory.queues.flying(inode, 0)
        return None
    sent = memory.queues.flying(inode, told.in_flight)
    told.how |= {"flying": "derived", "carried": "derived"}
    if group.queue is None or group.queue.carried is None:
        told.flying = None if sent is None else [one.number for one in sent]
        told.carried = None if sent is None else [told_carried(one) for one in sent]
        return None
    told.how["carried"] = "observed"
    seen = [one for part in group.queue.carried for one in part]
    if sent is None or any(one.inode not in (0, found.key[1]) for one, found in zip(sent, seen)):
        sent = tuple(Carried(0, 0, "", "", -1) for _ in seen)
    else:
        told.how |= {"sender": "derived", "number": "derived"}
    both = iter(zip(seen, sent))
    parts = [[told_carried(next(both)[1], one) for one in part] for part in group.queue.carried]
    carried = [one for part in parts for one in part]
    told.carried, told.flying = list(carried), [one.number for one in carried] if told.how.get("number") else None
    return parts


UNKNOWN = Flying(None, None, None, None, None)
"""A descriptor in flight of which nothing is known."""


def told_carried(one: Carried, seen: _Description | None = None) -> Flying:
    """`one`: by the calls of the run; `seen`: by the kernel, where it could be asked."""
    if seen is None:
        return Flying(one.description or None, one.inode or None, one.kind or None, one.sender, one.number)
    known = bool(one.sender)
    return Flying(
        seen.number,
        seen.key[1],
        seen.seen.object,
        one.sender if known else None,
        one.number if known else None,
    )


def _see_queue(told: Object, borders: bool, queue: _Queue, parts: list[list[Flying]] | None) -> None:
    """What waits to be read. Messages without a byte are seen once, and then by what was sent. `parts`: the descriptors
    in flight with each part."""
    told.borders = borders
    told.error = queue.error
    told.how["error"] = "observed"
    if queue.error:
        told.contents, told.why = None, Reason.ERROR_WAITS.say()
        return
    waits, sent = queue.waits, queue.sent
    if not borders:
        stretches = told.contents = _stretches(waits)
        if waits.loose:
            told.why = Reason.OOB_SOMEWHERE.say()
        elif told.family == "AF_UNIX" and (left := (told.queued or 0) - sum(piece.bytes for piece in stretches)) > 0:
            # The kernel keeps a count, and forgets to take off the byte that it throws away then. Measured on Linux
            # 6.18.
            told.why = Reason.OOB_PASSED.say(count=left)
        return
    found = waits.parts
    bodies = [data for data in found if data]
    if [len(data) for data in bodies] == [one.size for one in sent if one.size]:
        rest = iter(bodies)
        found = [next(rest) if one.size else b"" for one in sent]
        if parts is not None and len(parts) == len(sent):
            which = parts
        elif parts is not None and sum(map(len, parts)) == sum(len(each.carried) for each in sent):
            # the look ended at a message without a byte, and has seen all that is carried
            seen = iter([one for part in parts for one in part])
            which = [[next(seen) for _ in each.carried] for each in sent]
        else:
            which = [[told_carried(one) for one in each.carried] for each in sent]
        contents = [_piece(data) for data in found]
        if sum(map(len, which)) == (told.in_flight or 0):  # else not both can be right, and the kernel is
            contents = [_piece(data, ones) for data, ones in zip(found, which)]
            told.how.setdefault("carried", "derived")
        told.contents = contents[:MESSAGES]
        told.how["borders"] = "observed"
        if not all(found):
            told.how["empty"] = "derived"
    else:
        which = parts or [[] for _ in found]
        while queue.ends and found and not found[-1] and not which[len(found) - 1]:
            found = found[:-1]
        told.contents = [_piece(data, ones if parts is not None else None) for data, ones in zip(found, which)][
            :MESSAGES
        ]
        if waits.blind:
            told.why = Reason.BLIND.say()
    if len(found) > MESSAGES:
        told.why = Reason.MESSAGES.say(count=len(found), most=MESSAGES)


def _stretches(waits: peek.Waits) -> list[Piece]:
    """What waits in a stream: all of it as one, or what stands before, at and behind a byte that is out of band."""
    if waits.urgent is None:
        whole = b"".join(waits.parts)
        if waits.loose and len(waits.parts) > 1:  # a walk met it
            place = whole.index(waits.loose, len(waits.parts[0]))
            whole = whole[:place] + whole[place + 1 :]
        return ([_piece(whole)] if whole else []) + ([_piece(waits.loose, oob=True)] if waits.loose else [])
    before, after = b"".join(waits.parts[: waits.urgent]), b"".join(waits.parts[waits.urgent :])
    return [
        *([_piece(before)] if before else []),
        _piece(after[:1], oob=True),
        *([_piece(after[1:])] if after[1:] else []),
    ]


def _piece(data: bytes, carried: list[Flying] | None = None, oob: bool = False) -> Piece:
    return Piece(len(data), _shown(data), UNSET if carried is None else list(carried), oob or UNSET)


def _shown(data: bytes) -> str:
    return base64.b64encode(data[:SHOWN]).decode()


def _see_pipe(told: Object, group: _Description, info: dict[str, str], look: _Look) -> None:
    told.queued = peek.queued(group.own)
    told.capacity = fcntl.fcntl(
        group.own, fcntl.F_GETPIPE_SZ if hasattr(fcntl, "F_GETPIPE_SZ") else NUMBERS["F_GETPIPE_SZ"]
    )
    told.borders = told.borders or False
    told.how |= {"queued": "observed", "contents": "observed", "borders": "observed"}
    if group.seen.access == "write":
        told.borders = told.borders or bool(group.seen.flags & os.O_DIRECT)  # packets: pipe(2)
        told.contents = None if told.contents is UNSET else told.contents
        return
    told.contents = []
    if told.queued:
        found = peek.into(group.own, told.capacity)
        told.borders = told.borders or found.packets
        told.contents = [_piece(part) for part in found.parts[:MESSAGES]]
        if not found.whole:
            told.why = Reason.FIRST_BYTES.say(bytes=told.queued, count=sum(map(len, found.parts)))
        elif len(found.parts) > MESSAGES:
            told.why = Reason.PACKETS.say(count=len(found.parts), most=MESSAGES)


def _see_file(told: Object, group: _Description, info: dict[str, str], look: _Look) -> None:
    told.size = group.seen.size
    told.how = {"size": "observed", "seals": "observed", "contents": "observed"}
    if group.seen.object == "memfd":
        told.seals = SEALS.told(fcntl.fcntl(group.own, NUMBERS["F_GET_SEALS"]))
    with contextlib.suppress(OSError):
        # A description that is for writing alone, or for nothing (O_PATH), shows no byte; one of this process's own
        # does.
        own = (
            os.dup(group.own)
            if group.seen.access in ("read", "read-write")
            else os.open(f"/proc/self/fd/{group.own}", os.O_RDONLY | os.O_CLOEXEC)
        )
        try:
            data = os.pread(own, _FILE, 0)
        finally:
            os.close(own)
        told.contents = [Piece(group.seen.size, _shown(data))] if group.seen.size else []
        told.crc32 = zlib.crc32(data)


def _see_other(told: Object, group: _Description, info: dict[str, str], look: _Look) -> None:
    for key, said in (("eventfd-count", "count"), ("Pid", "process")):
        if key in info:
            setattr(told, said, int(info[key], 16 if key == "eventfd-count" else 10))
            told.kind = "eventfd" if said == "count" else "pidfd"
            told.how = {said: "observed"}


_SEE = {"socket": _see_socket, "pipe": _see_pipe, "regular file": _see_file, "memfd": _see_file}
