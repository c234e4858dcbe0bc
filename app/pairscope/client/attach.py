"""The way in: a pair of one's own with the supervisor, by its control socket."""

from __future__ import annotations

import socket

from pairscope.client.away import Away, PoolAway, late
from pairscope.config import Settings
from pairscope.ipc.address import short
from pairscope.ipc.channel import Channel, ChannelBroken, ChannelClosed
from pairscope.ipc.passing import PassingError, close_all, receive
from pairscope.ipc.payloads import Enter, Welcome

TIMEOUT = 10.0
"""Seconds that a request waits for its answer, unless it says another time."""


def connect(settings: Settings, role: str) -> tuple[Channel, Welcome]:
    """A pair of one's own with the supervisor, on which it has welcomed this process as `role`. Raises PoolAway."""
    channel = attach(settings)
    try:
        channel.post("enter", Enter(role), timeout=TIMEOUT)
        arrivals = channel.wait(TIMEOUT)
    except (ChannelClosed, ChannelBroken, TimeoutError) as error:
        channel.close()
        raise PoolAway(Away.CONNECTING.say(fault=error)) from None
    if not arrivals or arrivals[0].kind.name != "welcome":
        channel.close()
        said = arrivals[0].payload.reason if arrivals else Away.NOTHING.say(seconds=f"{TIMEOUT:.0f}")
        raise PoolAway(Away.NOT_IN.say(why=said))
    return channel, arrivals[0].payload


def attach(settings: Settings) -> Channel:
    """A pair of one's own with the supervisor, on which nothing has been said. Raises PoolAway."""
    path = settings.control
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(TIMEOUT)
            with short(path) as address:
                connection.connect(address)
            packet = receive(connection)
    except TimeoutError:
        raise late(settings, Away.NO_ANSWER.say(path=path, seconds=f"{TIMEOUT:.0f}")) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise PoolAway(Away.NOBODY.say(path=path)) from None
    except (OSError, PassingError) as error:
        raise PoolAway(Away.OUT_OF_REACH.say(path=path, fault=error)) from None
    if packet is None:
        raise PoolAway(Away.CLOSED.say(path=path))
    said, fds, _ = packet
    if len(fds) != 1:
        close_all(fds)
        raise PoolAway(said.decode("utf-8", "replace"))
    return Channel(socket.socket(fileno=fds[0]), hears="supervisor")
