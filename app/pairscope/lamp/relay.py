"""While a daemon of web imports the application, the daemon before answers for it.

The import takes 0.7 s of processor time, which is five seconds where others need the machine. So a daemon serves at
once (:class:`Application`). Until its own application is there, it relays each request to the daemon before, which has
an open door from its end on (:meth:`Application.leave`). Both have the same user, and the door stands in a directory of
that user alone. What a restart brings anew is not kept back: the door's name tells settings and code (:func:`edition`),
so a daemon with others finds no door, and its visitors wait for the import.

A request crosses as its environ (marshal). A piece of no bytes says that it is taken: who hears none asks again, for
nothing was done. Then crosses its body in pieces; the answer as status and headers, and its body in pieces. A piece has
its length before it, and one of no bytes ends a body. Standard library only: this is imported before all else.
"""

from __future__ import annotations

import contextlib
import io
import marshal
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from pairscope.ipc.address import short

Wsgi = Callable[..., Iterable[bytes]]
Environ = dict[str, Any]

PIECE = 1 << 16
SLOW_PIECE = 1 << 12
"""Of a body: who sends it slowly is asked for no more than this before the answer is looked for."""
STAYS = 10.0
"""Seconds that a daemon which leaves waits for those that it may answer for."""

_length = struct.Struct(">I")


class BrokenOffError(OSError):
    """The other daemon has ended in the midst of a request."""


class NotTakenError(OSError):
    """The other daemon has ended before it took the request."""


def edition(settings: Path, code: Path) -> str:
    """What a daemon would answer with, in 32 letters: the settings' text, and when a file of the code last changed."""
    found = sha256(settings.read_bytes())
    for directory, _inner, names in os.walk(code):
        if not directory.endswith("__pycache__"):
            last = max((os.stat(f"{directory}/{name}").st_mtime_ns for name in names), default=0)
            found.update(f"{directory} {len(names)} {last}\n".encode())
    return found.hexdigest()[:32]


class Application:
    """The application of a daemon from its first moment on. PEP 3333."""

    def __init__(self, make: Callable[[], Wsgi], door: Path) -> None:
        self._make, self._path = make, door
        self._made: Wsgi | None = None
        self._ended = threading.Event()
        """The import has ended, well or not."""
        self._door: Door | None = None

    def start(self) -> None:
        """Begins to import the application."""
        for other in self._path.parent.glob(f"{self._path.name.rpartition('-')[0]}-*"):
            if other != self._path:  # of other settings or code: nobody asks there any more
                other.unlink(missing_ok=True)
        threading.Thread(target=self._import, daemon=True).start()

    def _import(self) -> None:
        # The daemon before stays while somebody has a connection to it.
        before = _connected(self._path)
        try:
            self._made = self._make()
        finally:  # an exception stands in the log: threading's hook writes it
            self._ended.set()
            if before:
                before.close()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and (method := environ.pop("HTTP_PAIRSCOPE_METHOD", "")):
            environ["REQUEST_METHOD"] = method  # Apache asks again: deploy/apache/site.conf.j2
        if self._made is None:
            while not self._ended.is_set():
                if (before := _connected(self._path)) is not None:
                    with contextlib.suppress(NotTakenError):
                        return _relayed(before, environ, start_response)
                self._ended.wait(0.1)  # it may open its door yet
            if self._made is None:
                raise RuntimeError("the application could not be imported: see above")
        return self._made(environ, start_response)

    @property
    def made(self) -> Any:
        """The application itself; None while it is imported."""
        return self._made

    def leave(self) -> Callable[[], bool]:
        """This daemon leaves: it answers for the next one. Returns what tells whether it is needed yet."""
        if self._made is None:
            return lambda: False
        begun, door = time.monotonic(), Door(self._path, self._made)
        self._door = door
        return lambda: time.monotonic() < begun + STAYS or door.busy > 0

    def idle(self) -> bool:
        """Nobody is answered for another daemon."""
        return self._door is None or not self._door.busy

    def close(self) -> None:
        """Closes the door."""
        if self._door:
            self._door.close()


class Door:
    """Where a daemon that leaves takes requests of the next one."""

    def __init__(self, path: Path, application: Wsgi) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.busy = 0
        """Connections."""
        self._listener = socket.socket(socket.AF_UNIX)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with short(fresh) as address:
            self._listener.bind(address)
        fresh.chmod(0o600)
        self._listener.listen(1024)
        fresh.rename(path)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):  # it is closed
            while True:
                connection, _ = self._listener.accept()
                self._count(1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Nobody comes in any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _count(self, more: int) -> None:
        with self._lock:
            self.busy += more

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError), connection.makefile("rb") as hears:
                if said := _piece(hears):
                    _say(connection, b"")
                    _answer(connection, hears, marshal.loads(said), self._application)  # noqa: S302  # of the same user
        finally:
            self._count(-1)


def _connected(path: Path) -> socket.socket | None:
    """A connection to the daemon before; None: there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with short(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


# ---- on the side of the daemon that imports


def _relayed(before: socket.socket, environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
    hears = before.makefile("rb")
    try:
        said = {name: value for name, value in environ.items() if isinstance(value, (str, int, tuple))}
        # It has not waited for a thread of the daemon that answers.
        said["mod_wsgi.queue_start"] = str(time.time_ns() // 1000)
        with contextlib.suppress(OSError):
            _say(before, marshal.dumps(said))
        if _piece(hears) is None:
            raise NotTakenError("the daemon before has ended")
        if environ.get("CONTENT_LENGTH", "") not in ("", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
            _send_body(before, environ["wsgi.input"])
        else:
            with contextlib.suppress(OSError):  # an answer may have come
                _say(before, b"")
        told = _piece(hears)
        if not told:
            raise BrokenOffError("the daemon before has ended, and has not answered")
        start_response(*marshal.loads(told))  # noqa: S302
    except BaseException:
        hears.close()
        before.close()
        raise
    return _rest(before, hears)


def _send_body(before: socket.socket, body: Any) -> None:
    """All of it, or less if the answer begins before."""
    while not select.select([before], [], [], 0)[0]:
        try:
            piece = body.read(SLOW_PIECE)
        except OSError:  # the visitor has gone, which is for the application to know
            return before.shutdown(socket.SHUT_WR)
        try:
            _say(before, piece)
        except OSError:
            return  # an answer may have come
        if not piece:
            return


def _rest(before: socket.socket, hears: io.BufferedReader) -> Iterator[bytes]:
    with before, hears:
        while piece := _piece(hears):
            yield piece
        if piece is None:
            raise BrokenOffError("the daemon before has ended in the midst of an answer")


# ---- on the side of the daemon that leaves


class _Body(io.RawIOBase):
    """The body of a request, read piece by piece."""

    def __init__(self, hears: io.BufferedReader) -> None:
        self._hears, self._left, self._ended = hears, b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left and not self._ended:
            piece = _piece(self._hears)
            if piece is None:
                raise BrokenOffError("the visitor has gone in the midst of the body")
            self._left, self._ended = piece, not piece
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _answer(connection: socket.socket, hears: io.BufferedReader, environ: Environ, application: Wsgi) -> None:
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [(status, [(str(name), str(value)) for name, value in headers])]
        return write

    def write(piece: bytes) -> None:
        if head:
            _say(connection, marshal.dumps(head.pop()))
        for begin in range(0, len(piece), PIECE):
            _say(connection, piece[begin : begin + PIECE])

    environ["wsgi.input"] = io.BufferedReader(_Body(hears), PIECE)
    environ["wsgi.errors"] = sys.stderr
    answer = application(environ, start_response)
    try:
        for piece in answer:
            write(piece)
        write(b"")
        _say(connection, b"")
    finally:
        if hasattr(answer, "close"):
            cast(Any, answer).close()


# ---- pieces


def _say(connection: socket.socket, piece: bytes) -> None:
    connection.sendall(_length.pack(len(piece)) + piece)


def _piece(hears: io.BufferedReader) -> bytes | None:
    """The next one; None: the other end has gone."""
    try:
        begin = hears.read(_length.size)
        if len(begin) < _length.size:
            return None
        (length,) = _length.unpack(begin)
        piece = hears.read(length)
    except OSError:
        return None
    return piece if len(piece) == length else None
