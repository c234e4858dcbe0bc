"""The guard: refuses a step that would reach the stage's own descriptors or anybody outside of the run, before it is
made. :mod:`pairscope.lab.stage.reach` says whom an address leads to, :mod:`pairscope.lab.stage.bounds` has the lab's
limits."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any

from pairscope.lab.calls import CALLS
from pairscope.lab.constants import NUMBERS
from pairscope.lab.language import quoted
from pairscope.lab.model import Step
from pairscope.lab.probes import tables, tasks
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Descriptor, Object
from pairscope.lab.stage import bounds, reach
from pairscope.lab.stage.actor import HIDDEN, NUMBERS_MAX
from pairscope.lab.stage.cast import Actor
from pairscope.lab.stage.errors import refused
from pairscope.lab.stage.ledger import SENDING, passed
from pairscope.lab.stage.scene import Scene

_DUPLICATING = [NUMBERS[name] for name in ("F_DUPFD", "F_DUPFD_CLOEXEC")]


class Guard:
    """Of one run. What it allows or refuses follows from what the last look found, and from what the kernel says of
    the machine's sockets now. In a network of the run's own no address leads to a stranger, and the kernel answers."""

    def __init__(self, scene: Scene, own_network: bool, abstract: bool) -> None:
        """`abstract`: whether the run may use abstract names. Where they are the whole machine's, a run's would meet
        others'."""
        self._scene = scene
        self._own_network = own_network
        self._abstract = abstract

    def check(self, who: Actor, step: Step, arguments: list[Any], named: dict[str, Any]) -> None:
        """Raises RunRefused. Puts the port that the kernel chose into the place of a connect's port 0, and notes which
        signals a step sends and how long a socket's option lets a call wait."""
        self._check_numbers(step, arguments, named)
        first = arguments[0] if arguments else None
        if isinstance(first, int) or step.call == "poll":
            row, item = self._seen(who, first)
            if limit := bounds.asks(step.call, arguments, row, item):
                raise refused(step, limit)
        match step.call:
            case "connect" | "bind":
                self._check_name(step, arguments)
                if step.call == "connect":
                    self._check_connect(who, step, arguments)
                elif not self._own_network:
                    self._check_bind(who, step, arguments)
            case "listen" if not self._own_network:
                self._check_listener(who, step, arguments[0])
            case "setsockopt":
                self._note_timeout(arguments)
            case "pidfd_send_signal":
                self._scene.signals.add(arguments[1])
                self._check_pidfd(step, self._seen(who, first)[1])
            case "kill":
                self._scene.signals.add(arguments[1])
                self._check_number(step, arguments[0])
            case "pidfd_open":
                self._check_number(step, arguments[0])
            case call if call in SENDING and isinstance(first, int) and not self._own_network:
                self._check_datagram(who, step, first)

    def _seen(self, who: Actor, fd: Any) -> tuple[Descriptor | None, Object | None]:
        """The descriptor, and what it stands for, as the last look found them; None: there was none."""
        facts = self._scene.state
        table = next((process.descriptors for process in facts.processes if process.name == who.process.name), [])
        row = next((row for row in table if isinstance(fd, int) and row.number == fd & 0xFFFF_FFFF), None)
        # By its description: several eventfds have one inode between them.
        return row, next((item for item in facts.objects if row and row.description in item.descriptions), None)

    def _strangers(self, inodes: set[int]) -> set[int]:
        """Those sockets that were never this run's: sockets' inodes are counted up, so one that was seen is the
        same."""
        return inodes - self._scene.memory.kinds.keys()

    def _check_numbers(self, step: Step, arguments: list[Any], named: dict[str, Any]) -> None:
        """Refuses what names a hidden number, in raw control data too, or would put something beside them."""
        told = [
            one
            for argument, value in zip(CALLS[step.call].arguments, arguments)
            if argument.takes == "fd"
            for one in (value if isinstance(value, list) else [value])
        ]
        told += [*named.get("fds", ()), *(passed(named) if step.call == "sendmsg" else ())]
        if any(HIDDEN <= one & 0xFFFFFFFF < NUMBERS_MAX for one in told):
            raise refused(step, Reason.NUMBERS_ITS_OWN.say(first=HIDDEN, last=NUMBERS_MAX - 1))
        if (
            step.call == "fcntl"
            and arguments[1] in _DUPLICATING
            and len(arguments) > 2
            and arguments[2] & 0xFFFFFFFF >= HIDDEN - 8
        ):
            raise refused(step, Reason.NUMBER_ITS_OWN.say(first=HIDDEN - 8))

    def _check_name(self, step: Step, arguments: list[Any]) -> None:
        """Refuses an abstract name where they are the whole machine's; no name at all asks the kernel for one, unix(7),
        autobind."""
        address = arguments[1][0] * arguments[1][1]
        if not self._abstract and address[:1] in (b"", b"\0"):
            raise refused(step, Reason.NAME_SHARED)

    def _check_connect(self, who: Actor, step: Step, arguments: list[Any]) -> None:
        """Gives a connect to port 0 the port that a bind was given. Refuses one that would lead to anybody outside of
        the run."""
        address = arguments[1][0] * arguments[1][1]
        _, item = self._seen(who, arguments[0])
        place = reach.parted(address)
        if place is None:
            if address.startswith(b"\0") and self._strangers(reach.named(address)):
                raise refused(step, Reason.NAME.say(name=quoted(address)))
            return
        host, port = place
        over, ports = reach.protocol(item), self._scene.ports
        if self._own_network:
            to = port or ports.last(over, host)
        elif item and over in ("tcp", "udp") and reach.leaves(item, host):
            to = port or ports.last(over, host)
            found = reach.receivers(over, host, to) if to else set()
            ours = bool(found - self._strangers(found)) or reach.own(self._scene.state.objects, over, host, to)
            if not ours or self._strangers(found):
                why = Reason.PORT_SHARED if ours else Reason.PORT_OVER
                raise refused(step, why.say(port=port, host=host.decode(), protocol=over.upper()))
        else:  # the kernel will not take it there; all the same no other port is named to it
            last = ports.last("tcp", host), ports.last("udp", host)
            to = port or last[0] or last[1]
            if to not in last or not to:
                raise refused(step, Reason.PORT.say(port=port, host=host.decode()))
        arguments[1] = [host + b":%d" % to, 1]

    def _check_bind(self, who: Actor, step: Step, arguments: list[Any]) -> None:
        """Refuses to share a stranger's port, and what is sent to it: options of both sockets allow that. socket(7),
        SO_REUSEPORT"""
        place, (_, item) = reach.parted(arguments[1][0] * arguments[1][1]), self._seen(who, arguments[0])
        over = reach.protocol(item)
        if not place or not place[1] or over not in ("tcp", "udp"):
            return
        with contextlib.suppress(OSError), tables.borrowed(who.process.pidfd, arguments[0]) as sock:
            shares = any(
                sock.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
            )
            if shares and self._strangers(reach.receivers(over, *place)):
                why = Reason.PORT_TAKEN.say(port=place[1], host=place[0].decode(), protocol=over.upper())
                raise refused(step, why)

    def _check_datagram(self, who: Actor, step: Step, fd: int) -> None:
        """Refuses to send to a port that was the run's when the socket was connected, and is a stranger's now."""
        if (place := reach.peer(self._seen(who, fd)[1])) and self._strangers(reach.receivers("udp", *place)):
            raise refused(step, Reason.PORT_GONE.say(port=place[1], host=place[0].decode(), protocol="UDP"))

    def _check_listener(self, who: Actor, step: Step, fd: int) -> None:
        """Refuses what would take connections from every network: listen(2) gives a socket without an address that of
        all."""
        with contextlib.suppress(OSError), tables.borrowed(who.process.pidfd, fd) as sock:
            if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockname()[0] in ("0.0.0.0", "::"):
                raise refused(step, Reason.EVERY_NETWORK)

    def _check_pidfd(self, step: Step, item: Object | None) -> None:
        """Refuses a descriptor that stands for a stranger: SO_PEERPIDFD gives one of whoever has connected. A number of
        0 or less is nobody's any more."""
        pid = (item.process if item else 0) or 0
        if pid > 0 and all(process.pid != pid for process in self._scene.processes):
            raise refused(step, Reason.STRANGER.say(pid=pid))

    def _check_number(self, step: Step, pid: int) -> None:
        """Refuses a process's number that has been given to somebody else since."""
        process = next(process for process in self._scene.processes if process.pid == pid)
        if process.dead() and os.path.exists(f"/proc/{pid}") and tasks.exit_status(pid) is None:
            raise refused(step, Reason.PID_GONE.say(who=process.name, pid=pid))

    def _note_timeout(self, arguments: list[Any]) -> None:
        """How long the socket's calls may wait from now on: SO_RCVTIMEO and SO_SNDTIMEO, struct timeval."""
        if arguments[2] not in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO) or not isinstance(arguments[3], list):
            return
        body = arguments[3][0] * arguments[3][1]
        if len(body) == 16:
            seconds, micro = struct.unpack("=qq", body)
            self._scene.timeout = max(self._scene.timeout, min(self._scene.allowance.seconds, seconds + micro / 1e6))
