"""The way in: a pair of one's own with the supervisor, by its control socket."""

from __future__ import annotations

import os
import socket
import time

from pairscope.client.away import Away, PoolAway, late
from pairscope.config import Settings
from pairscope.ipc.address import short
from pairscope.ipc.channel import Channel, ChannelBroken, ChannelClosed
from pairscope.ipc.passing import Packet, PassingError, close_all, receive
from pairscope.ipc.payloads import Enter, Welcome

TIMEOUT = 10.0
"""Seconds that a request waits for its answer, unless it says another time."""
STALE_AFTER = 2.5
"""Seconds after which whoever waits looks whether another supervisor listens by now."""
KNOCK = 0.5
"""The same for whoever is not in yet."""
AGAIN: Packet = (b"", [], 0)


def connect(settings: Settings, role: str, timeout: float = TIMEOUT) -> tuple[Channel, Welcome]:
    """A pair of one's own with the supervisor, on which it has welcomed this process as `role`. Each step waits
    `timeout` seconds. Raises PoolAway."""
    channel = attach(settings, timeout)
    try:
        channel.post("enter", Enter(role), timeout=timeout)
        arrivals = channel.wait(timeout)
    except (ChannelClosed, ChannelBroken, TimeoutError) as error:
        channel.close()
        raise PoolAway(Away.CONNECTING.say(fault=error)) from None
    if not arrivals or arrivals[0].kind.name != "welcome":
        channel.close()
        said = arrivals[0].payload.reason if arrivals else Away.NOTHING.say(seconds=f"{timeout:.0f}")
        raise PoolAway(Away.NOT_IN.say(why=said))
    return channel, arrivals[0].payload


def attach(settings: Settings, timeout: float = TIMEOUT) -> Channel:
    """A pair of one's own with the supervisor, on which nothing has been said. Raises PoolAway."""
    path = settings.control
    deadline = time.monotonic() + timeout
    while True:
        door = _door(settings)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(timeout)
                with short(path) as address:
                    connection.connect(address)
                packet = _first_word(settings, connection, door, deadline)
        except TimeoutError:
            raise late(settings, Away.NO_ANSWER.say(path=path, seconds=f"{timeout:.0f}")) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise PoolAway(Away.NOBODY.say(path=path)) from None
        except (OSError, PassingError) as error:
            raise PoolAway(Away.OUT_OF_REACH.say(path=path, fault=error)) from None
        if packet != AGAIN:
            break
    if packet is None:
        raise PoolAway(Away.CLOSED.say(path=path))
    said, fds, _ = packet
    if len(fds) != 1:
        close_all(fds)
        raise PoolAway(said.decode("utf-8", "replace"))
    channel = Channel(socket.socket(fileno=fds[0]), hears="supervisor")
    channel.door = door
    return channel


def _first_word(settings: Settings, connection: socket.socket, door: int, deadline: float) -> Packet | None:
    """What the supervisor says; AGAIN if another one listens by now. Raises TimeoutError."""
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(min(KNOCK, left))
        try:
            return receive(connection)
        except TimeoutError:
            if replaced(settings, door):
                return AGAIN
    raise TimeoutError


def replaced(settings: Settings, door: int) -> bool:
    """Whether another supervisor listens now than the one of that control socket.

    One that was killed may be kept from its end by a descriptor whose close waits (docs/security.md). Until then its
    sockets look as if it lived.
    """
    return bool(door) and _door(settings) not in (0, door)


def _door(settings: Settings) -> int:
    try:
        return os.stat(settings.control).st_ino
    except OSError:
        return 0
