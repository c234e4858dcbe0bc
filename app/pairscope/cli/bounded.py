"""Waitress with bounded bodies: what exceeds the bound is read to its end and thrown away, and the application says
413.

Waitress alone answers in its own words and closes: a browser that is still sending sees a reset connection and no
answer.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from typing import Any

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer, create_server

PATIENCE = 8
"""A body of more than so many times the bound is not read to its end."""


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

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self.body_rcv.buf = Body(self.adj.inbuf_overflow, self.bound)


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
    )
    # Of several sockets it would be another class, which hands no class of channels on: bodies would have no bound.
    assert isinstance(made, TcpWSGIServer)
    parser = type("Parser", (Parser,), {"bound": bound})
    made.channel_class = type("Channel", (HTTPChannel,), {"parser_class": parser})
    return made
