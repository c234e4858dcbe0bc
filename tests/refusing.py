"""A MariaDB that says 'not now': a relay in front of the real one that answers commands with an error, as a Galera node
or a proxy does."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PING = b"\x0e"
"""COM_PING: a Galera node answers it, whatever it refuses."""
EXECUTE = b"\x17"
"""COM_STMT_EXECUTE: how the recorder writes rows. MySQL's manual, "Command Phase"."""


def is_work(command: bytes) -> bool:
    """Every command but a ping."""
    return not command.startswith(PING)


class Refusing:
    """While `number` is not 0, each command that `what` chooses is answered with that error and never reaches the
    server."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.number = 0
        self.words = "not now"
        self.what: Callable[[bytes], bool] = is_work
        """Chooses by a command's bytes; its first is the command."""
        self.greets = True
        """False: a new connection gets the error in the place of the greeting."""
        self.refused = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @contextmanager
    def refusing(self, number: int, what: Callable[[bytes], bool] = is_work, greets: bool = True) -> Iterator[None]:
        """Refuses for the time of the block."""
        self.what, self.greets, self.number = what, greets, number
        try:
            yield
        finally:
            self.number, self.greets = 0, True

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        listener = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _relay(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter | None = None
        try:
            if self.number and not self.greets:
                to_client.write(self._error(0))
                return
            server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            answers = asyncio.create_task(self._copy(server, to_client))
            try:
                while True:
                    header = await client.readexactly(4)
                    packet = await client.readexactly(int.from_bytes(header[:3], "little"))
                    # a login is no command: it goes on with the greeting's number
                    if self.number and header[3] == 0 and self.what(packet):
                        self.refused += 1
                        to_client.write(self._error(1))
                    else:
                        to_server.write(header + packet)
            finally:
                answers.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for writer in (to_client, to_server):
                if writer is not None:
                    writer.close()

    async def _copy(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await server.read(65536):
            to_client.write(data)
        to_client.close()

    def _error(self, sequence: int) -> bytes:
        body = b"\xff" + struct.pack("<H", self.number) + b"#HY000" + self.words.encode()
        return len(body).to_bytes(3, "little") + bytes((sequence,)) + body


@contextmanager
def refusing_relay(target: int) -> Iterator[Refusing]:
    made = Refusing(target)
    try:
        yield made
    finally:
        made.close()
