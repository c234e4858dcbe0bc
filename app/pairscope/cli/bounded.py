"""Waitress with bounded bodies and connections. What exceeds the bound of a body is read to its end and thrown away,
and the application says 413. When all places are taken, the connection that has been quiet for longest makes room.

Waitress alone answers in its own words and closes: a browser that is still sending sees a reset connection and no
answer. At its bound of connections it takes no further one, for as long as those that it has like to idle: two minutes
each.
"""

from __future__ import annotations

import functools
import io
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer, create_server
from waitress.task import WSGITask

PATIENCE = 8
"""A body of more than so many times the bound is not read to its end."""
PLACES = 100
"""Connections at a time."""
_WORDS = b"All places are taken. Try again in a moment.\n"
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Cache-Control: no-store\r\nRetry-After: 2\r\nConnection: close\r\n\r\n%s"
) % (len(_WORDS), _WORDS)
"""To who comes while every place is held by a request in hand."""


class Body(OverflowableBuffer):
    """A request's body: counted whole, kept up to `bound` bytes."""

    def __init__(self, overflow: int, bound: int) -> None:
        super().__init__(overflow)
        self._bound = bound
        self._thrown = 0

    def __len__(self) -> int:
        return self._thrown or super().__len__()

    def append(self, data: bytes) -> None:
        if not self._thrown and super().__len__() + len(data) <= self._bound:
            super().append(data)
            return
        if not self._thrown:
            self._thrown = super().__len__()
            self.close()
            self.buf, self.strbuf, self.overflowed = None, b"", False
        self._thrown += len(data)

    def getfile(self) -> Any:
        return io.BytesIO() if self._thrown else super().getfile()


class Parser(HTTPRequestParser):
    bound = 0
    arrived = 0
    """When its headers had come, us since 1970."""

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        self.arrived = time.time_ns() // 1000
        if self.body_rcv is not None:
            self.body_rcv.buf = Body(self.adj.inbuf_overflow, self.bound)


class Task(WSGITask):
    """A request, with when it came: pairscope.web.access.places reads it."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["pairscope.arrived"] = str(getattr(self.request, "arrived", ""))
        return environ


def server(
    application: Callable[..., Any],
    listener: socket.socket,
    bound: int,
    threads: int,
    poll: dict[int, Any],
    proxied: bool = False,
) -> TcpWSGIServer:
    """A server on a listening socket that keeps at most `bound` bytes of a body. Its descriptors stand in `poll`.
    `proxied`: the application itself decides whom it believes what a proxy says."""
    made = create_server(
        application,
        map=poll,
        sockets=[listener],
        threads=threads,
        ident="pairscope",
        max_request_body_size=PATIENCE * bound,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=not proxied,
        channel_request_lookahead=1,  # it goes on reading, so it learns who has left and drops what nobody waits for
        connection_limit=2 * PLACES + len(poll),  # waitress' own bound, which is never reached
    )
    # Of several sockets it would be another class, which hands no class of channels on: bodies would have no bound.
    assert isinstance(made, TcpWSGIServer)
    parser = type("Parser", (Parser,), {"bound": bound})
    made.channel_class = type("Channel", (HTTPChannel,), {"parser_class": parser, "task_class": Task})
    made.handle_accept = functools.partial(_accept, made)  # type: ignore[method-assign]  # its class is waitress' choice
    return made


def _accept(made: TcpWSGIServer) -> None:
    """Takes a connection. If all places are taken, the quietest one without a request in hand goes first; if there is
    none, the new one is refused at once."""
    channels: dict[int, HTTPChannel] = made.active_channels  # type: ignore[assignment]  # its stubs say: one channel
    if len(channels) >= PLACES:
        quiet = [channel for channel in channels.values() if not channel.requests]
        if not quiet:
            assert made.socket is not None
            with suppress(OSError):
                connection, _address = made.socket.accept()
                with connection:
                    connection.setblocking(False)
                    connection.send(FULL)
            return
        min(quiet, key=lambda channel: channel.last_activity).handle_close()
    TcpWSGIServer.handle_accept(made)
