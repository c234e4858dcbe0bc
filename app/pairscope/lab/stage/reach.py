"""Whom a run's addresses lead to: the sockets that would get what is sent there, asked of the kernel, and whether all
of them are the run's own.

A port is a run's own only with its protocol and its host, and only as long as a socket of the run is bound to it: the
same number over another protocol, at another host, or after the socket was closed, is anybody's. proc_net(5),
/proc/net/{tcp,udp,tcp6,udp6,unix}.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path

from pairscope.lab.run import Object

_NETWORK = Path("/proc/self/net")
_LISTENS = "0A"
"""TCP_LISTEN, include/net/tcp_states.h: only such a socket answers a connection."""
_TYPES = {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp"}


class Ports:
    """What a run has bound, as far as it is asked for port 0."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, bytes], int] = {}

    def bound(self, protocol: str, host: bytes, port: int) -> None:
        """A bind has succeeded."""
        self._given[protocol, host] = port

    def last(self, protocol: str, host: bytes) -> int:
        """The port that a bind of this protocol and host was given last; 0: none was."""
        return self._given.get((protocol, host), 0)


def parted(address: bytes) -> tuple[bytes, int] | None:
    """Host and port of ``127.0.0.1:80`` or ``[::1]:80``; None: the address is a file's or an abstract name."""
    host, colon, port = address.rpartition(b":")
    return (host, int(port)) if colon and not host.startswith(b"\0") else None


def protocol(item: Object | None) -> str:
    """``tcp``, ``udp``, ``unix``, or nothing, of an object of a step's facts."""
    family = item.family if item else None
    if item is None or family not in ("AF_INET", "AF_INET6"):
        return "unix" if family == "AF_UNIX" else ""
    return _TYPES.get(item.type or "", "")


def leaves(item: Object, host: bytes) -> bool:
    """Whether the kernel would take this socket to that host at all: to another family's it answers with an error, but
    for UDP of AF_INET6, which reaches IPv4 through mapped addresses. ipv6(7)"""
    six = host.startswith(b"[")
    return (item.family == "AF_INET6") == six or (item.family == "AF_INET6" and item.type == "SOCK_DGRAM")


def own(objects: list[Object], over: str, host: bytes, port: int) -> bool:
    """Whether a socket in somebody's table is bound there, and open to others: one that was accepted has the address of
    the socket that it came to."""
    wanted = f"{host.decode()}:{port}"
    return any(
        item.address == wanted and protocol(item) == over and not (over == "tcp" and item.peer_address)
        for item in objects
    )


def receivers(over: str, host: bytes, port: int) -> set[int]:
    """Inodes of all sockets of this network that would get what is sent to a port of the loopback over ``tcp`` or
    ``udp``."""
    ip = ipaddress.ip_address(host.strip(b"[]").decode())
    places = {over + "6": {_hexadecimal(ip), _hexadecimal(ipaddress.IPv6Address(0))}}
    if ip.version == 4:
        places = {
            over: {_hexadecimal(ip), _hexadecimal(ipaddress.IPv4Address(0))},
            # Unless it is IPV6_V6ONLY, which nobody tells: ipv6(7).
            over + "6": {_hexadecimal(ipaddress.IPv6Address(f"::ffff:{ip}")), _hexadecimal(ipaddress.IPv6Address(0))},
        }
    found = set()
    for file, addresses in places.items():
        for words in (line.split() for line in _read(file).decode(errors="replace").splitlines()[1:]):
            at, _, number = words[1].partition(":")
            if int(number, 16) == port and at in addresses and (over == "udp" or words[3] == _LISTENS):
                found.add(int(words[9]))
    return found


def named(name: bytes) -> set[int]:
    """Inodes of the AF_UNIX sockets with this abstract name, which begins with a zero byte. Zero bytes are written as
    @: a name that differs in nothing else counts as this one."""
    shown = re.escape(name.replace(b"\0", b"@"))
    return {
        int(inode)
        for inode in re.findall(
            rb"^[0-9a-f]+: (?:[0-9A-F]+ ){5} *([0-9]+) " + shown + rb"$", _read("unix"), re.MULTILINE
        )
    }


def peer(item: Object | None) -> tuple[bytes, int] | None:
    """Host and port to which a UDP socket is connected; None: it is none, or to nobody."""
    if item is None or protocol(item) != "udp" or not item.peer_address:
        return None
    host, _, port = item.peer_address.rpartition(":")
    mapped = host.removeprefix("[::ffff:")
    return (mapped.rstrip("]") if mapped != host else host).encode(), int(port)


def _hexadecimal(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As these files have it: words of 32 bits, each in the machine's own order."""
    words = [ip.packed[at : at + 4] for at in range(0, len(ip.packed), 4)]
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _read(file: str) -> bytes:
    try:
        return (_NETWORK / file).read_bytes()
    except OSError:  # a kernel without IPv6, or a /proc without networks: what the run's own tables say has to do
        return b""
