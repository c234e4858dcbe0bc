"""What the kernel tells of a socket, but for what waits in it: socket(7), unix(7), ip(7), tcp(7)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from pairscope.lab.constants import NUMBERS, decode
from pairscope.lab.language import quoted
from pairscope.lab.probes import peek
from pairscope.lab.probes.descriptions import Description
from pairscope.lab.probes.diag import Asker
from pairscope.lab.run import Credentials, Object

NETWORKS = (socket.AF_INET, socket.AF_INET6)
QUEUES = (socket.AF_UNIX, *NETWORKS)
"""Families whose queues can be looked at. A peek at AF_NETLINK, for one, has the kernel go on with a dump."""
_TCP_INFO = 104
"""Bytes of struct tcp_info that are asked for. linux/tcp.h"""


@dataclasses.dataclass(slots=True)
class Surroundings:
    """What is known beside the socket at hand. The caller keeps the first four from look to look."""

    asker: Asker
    peers: dict[int, int]
    """Inode to the inode of the other end, as last seen: once that is closed, nobody tells it."""
    unix: set[int]
    """Inodes of sockets of AF_UNIX, the ones that carry descriptors. It is added to."""
    options: Iterable[str]
    """Names of the options that are asked for."""
    processes: Mapping[int, str]
    """What the processes are called, by pid."""
    held: set[int]
    """Inodes of all objects that somebody's table holds."""
    ends: Mapping[tuple[Any, Any], int]
    """As :func:`ends` gives them."""


def listens(sock: socket.socket) -> bool:
    """Whether connections come to it: SO_ACCEPTCONN."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def borders(sock: socket.socket) -> bool:
    """Whether it keeps the borders of messages."""
    return sock.type != socket.SOCK_STREAM


def ends(descriptions: Iterable[Description]) -> dict[tuple[Any, Any], int]:
    """(own address, the other's) to inode, of connected sockets of AF_INET and AF_INET6: the two ends of a connection
    over the loopback find each other so."""
    found = {}
    for description in descriptions:
        sock = description.sock
        if sock is not None and sock.family in NETWORKS:
            with contextlib.suppress(OSError):
                found[sock.getsockname()[:2], sock.getpeername()[:2]] = description.inode
    return found


def describe(told: Object, description: Description, info: Mapping[str, str], around: Surroundings) -> None:
    """Fills in what `told` is, to whom it is connected, and how much waits in it."""
    sock = description.sock
    assert sock is not None
    told.listens = listens(sock)
    told.family = decode("AF_", int(sock.family))
    told.type = decode("SOCK_", int(sock.type) & 0xF)
    told.how = {"type": "observed", "in_flight": "observed", "queued": "observed", "contents": "observed"}
    if options := _options(sock, around.options):
        told.options = options
        told.how["options"] = "observed"
    _peer(told, sock, description.inode, around)
    told.in_flight = int(info["scm_fds"]) if "scm_fds" in info else None
    told.queued = None if told.listens else peek.queued(description.own)
    if sock.family == socket.AF_UNIX:
        around.unix.add(description.inode)


def _peer(told: Object, sock: socket.socket, inode: int, around: Surroundings) -> None:
    """The other end, the addresses, and whom the kernel takes the other end to be."""
    if sock.family == socket.AF_UNIX:
        said = around.asker.ask(inode)
        told.how["peer"] = "derived"
        if said is not None:
            told.shut = list(said.shut)
            told.how["shut"] = "observed"
            if said.peer:
                around.peers[inode] = said.peer
                told.how["peer"] = "observed"
    elif sock.family in NETWORKS:
        told.how["peer"] = "derived"
        with contextlib.suppress(OSError):
            if other := around.ends.get((sock.getpeername()[:2], sock.getsockname()[:2])):
                around.peers[inode] = other
    peer = around.peers.get(inode)
    told.peer = peer
    told.peer_held = None if peer is None else peer in around.held
    if sock.family not in QUEUES:
        return  # how an address of another family is written, nobody here knows
    for key, ask in (("address", sock.getsockname), ("peer_address", sock.getpeername)):
        with contextlib.suppress(OSError):
            if address := _address(ask()):
                setattr(told, key, address)
                told.how[key] = "observed"
    if sock.family == socket.AF_UNIX:
        pid, uid, gid = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if pid:
            # Of a pair both ends name who made it.
            told.credentials = Credentials(pid, uid, gid, around.processes.get(pid))
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


def describe_waiting(told: Object, description: Description, asker: Asker) -> None:
    """Of a listening socket: how many connections nobody has accepted, how many may wait, and where the kernel says it
    (AF_UNIX), the inodes that they come from."""
    sock = description.sock
    assert sock is not None
    told.waiting = told.backlog = told.waiting_from = None
    if sock.family == socket.AF_UNIX:
        if said := asker.ask(description.inode):
            told.waiting, told.backlog = said.queue
            told.waiting_from = [one for one in said.waiting if one]
    elif sock.family in NETWORKS and sock.type == socket.SOCK_STREAM:
        with contextlib.suppress(OSError):
            # struct tcp_info, of a listening socket: tcpi_unacked is its queue, tcpi_sacked its bound. linux/tcp.h
            told.waiting, told.backlog = struct.unpack_from(
                "=II", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO), 24
            )
    told.how["waiting"] = "observed"
