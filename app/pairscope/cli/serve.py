"""The embedded run: migrations, the pool as a child, the web server, in one command that leaves nothing behind.

One thread, one loop: waitress's own, in which the pool's pidfd and the signals stand beside the sockets; requests are
served by waitress's threads. The pool is in a session of its own, so that Ctrl-C reaches this process alone, which
then stops it; a kill -9 of this process stops it, too (leash.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from waitress import wasyncore
from waitress.server import TcpWSGIServer

import pairscope
from pairscope import config
from pairscope.cli.bounded import PLACES
from pairscope.cli.bounded import server as bounded_server
from pairscope.cli.child import Keeper, Pool, Station, Watched
from pairscope.cli.command import USAGE, Failure
from pairscope.cli.output import announce
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told
from pairscope.client.readiness import checks
from pairscope.config import Settings
from pairscope.pool import snapshot as snapshots

HOST = "127.0.0.1"
PORT = 8080
PORTS = 100
"""Tried after the default one."""
THREADS = 12
LOOK = 0.05
"""Seconds between two looks at the snapshot while the pool starts."""
IDLE = 30.0
PATIENCE = 20.0
"""Seconds after which the address is printed though something is not ready, with what that is."""
STOP_PATIENCE = 20.0
"""Seconds that the pool gets to stop in order."""


@click.command()
@click.option(
    "--host",
    envvar="PAIRSCOPE_HOST",
    default=HOST,
    help=f"Address to listen on.  [env: PAIRSCOPE_HOST; default: {HOST}]",
)
@click.option("--port", envvar="PORT", help=f"Default: {PORT}, or the next free one; 0: any.  [env: PORT]")
def serve(host: str, port: str | None) -> None:
    """Start the pool and the web server on this machine. It prints the address and the login link. Ctrl-C stops both.

    The login link works until the server stops, for as many logins as you like; each start has a new one, unless
    PAIRSCOPE_OPERATOR_TOKEN sets it.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="pairscope web: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a request that waits for a thread is no news
    settings = config.load()
    if not settings.operator_token:
        settings = dataclasses.replace(settings, operator_token=secrets.token_urlsafe(32))
    place = _address(host)
    with Hold(settings.state) as hold, _listen(str(place), _port(port)) as listener:
        if not place.is_loopback:
            logging.warning(
                _(
                    "it listens on %(address)s, where others reach it. This server is for one person on one machine: "
                    "it has no TLS, twelve threads and %(most)s connections for all, and no bound for each address. "
                    "For a network, use Apache: script/lamp and deploy/provision.sh.",
                    address=place,
                    most=PLACES,
                )
            )
            settings = dataclasses.replace(settings, trusted_hosts=(*settings.trusted_hosts, str(place)))
        shown = HOST if place.is_unspecified else str(place)
        address = f"http://{shown}:{listener.getsockname()[1]}/"
        hold.write(address)
        Run(settings, listener, address).run()


def _address(text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        raise Failure(
            _(
                "PAIRSCOPE_HOST is %(value)r; expected an IPv4 address of this machine, such as %(such)s",
                value=text,
                such=HOST,
            ),
            USAGE,
        ) from None


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise Failure(_("PORT is %(text)r; expected a number from 0 to 65535", text=text), USAGE)
    return int(text)


class Hold:
    """One server for each state directory, by a lock that goes with the process. fcntl(2)."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = open(state / "serve.lock", "a+")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            who = self._file.read().strip() or _("another server that is starting")
            self._file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise Failure(
                _(
                    "%(state)s is served by %(who)s; stop that one, or set PAIRSCOPE_STATE to another directory",
                    state=state,
                    who=who,
                )
            ) from None

    def write(self, address: str) -> None:
        """Says who holds it, for the next one that tries."""
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} at {address}\n")
        self._file.flush()

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.truncate(0)
        self._file.close()


def _listen(host: str, port: int | None) -> socket.socket:
    """The listening socket: on `port`, or on the default one or the next that is free."""
    candidates = range(PORT, PORT + PORTS) if port is None else (port,)
    for candidate in candidates:
        try:
            return socket.create_server((host, candidate), backlog=1024)
        except PermissionError:
            raise Failure(_("PORT is %(port)s: ports below 1024 are root's; choose another", port=candidate)) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Failure(
                    _("PAIRSCOPE_HOST is %(host)s, which is no address of this machine", host=host), USAGE
                ) from None
            if error.errno != errno.EADDRINUSE:
                raise
    if port is None:
        raise Failure(_("no port from %(first)s to %(last)s is free; set PORT", first=PORT, last=PORT + PORTS - 1))
    raise Failure(
        _(
            "PORT is %(port)s, and another program listens there; choose another, or leave it unset for the next free "
            "one",
            port=port,
        ),
        USAGE,
    )


class Run:
    """One run of the embedded server, from the migrations to the end of the last process."""

    def __init__(self, settings: Settings, listener: socket.socket, address: str) -> None:
        self._settings = settings
        self._listener = listener
        self._address = address
        self._poll: dict[int, Any] = {}
        self._pool = Pool(settings, self._poll)
        self._children: list[Keeper] = [
            self._pool,
            *(Station(settings, self._poll) for _ in range(settings.lab_stations)),
        ]
        self._server: TcpWSGIServer | None = None
        self._signals = 0
        self._announced = False

    def run(self) -> None:
        """Serves until a signal comes; then stops everything in order."""
        with self._wake_on_signals():
            try:
                self._start()
                self._serve()
            finally:
                self._stop()

    def _start(self) -> None:
        from pairscope.store.migrate import upgrade

        announce(
            _("Pairscope %(version)s, state in %(state)s", version=pairscope.__version__, state=self._settings.state)
        )
        applied = upgrade(self._settings)
        announce(
            _("Database: %(count)s migrations applied", count=len(applied)) if applied else _("Database: up to date")
        )
        if self._signals:
            return
        announce(_("Starting the pool with %(workers)s workers ...", workers=self._settings.workers))
        for child in self._children:
            child.start()
        # The pool starts meanwhile: importing Flask takes as long.
        from pairscope.web.application import create_app
        from pairscope.web.compression import Compressed
        from pairscope.web.upload import FORM_MAX

        self._settings.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.tempdir = str(self._settings.spool)  # where waitress keeps a body while it comes: /tmp may be memory
        application = Compressed(create_app(self._settings))
        self._server = bounded_server(
            application,
            self._listener,
            self._settings.upload_max + FORM_MAX,
            THREADS,
            self._poll,
            proxied=bool(self._settings.trusted_proxies),
        )

    def _serve(self) -> None:
        patience = time.monotonic() + PATIENCE
        while not self._signals:
            now = time.monotonic()
            for child in self._children:
                if child.due is not None and child.due <= now:
                    child.start()
            if not self._pool.ready:
                self._tell_readiness(out_of_patience=now > patience)
            wait = IDLE if self._pool.ready else LOOK
            for child in self._children:
                if child.due is not None:
                    wait = min(wait, max(0.0, child.due - now))
            self._turn(wait)

    def _tell_readiness(self, *, out_of_patience: bool) -> None:
        """Says so when everything is ready, or what is not."""
        said = snapshots.read(self._settings, time.time_ns())
        found = checks(said if said is not None and said.supervisor.pid == self._pool.pid else None)
        if all(check.ok for check in found.values()):
            self._pool.is_ready()
            announce(_("The pool is back.") if self._announced else _("Ready: %(found)s.", found=", ".join(found)))
        elif self._announced or not out_of_patience:
            return
        else:
            announce(
                _(
                    "Not ready yet: %(what)s",
                    what="; ".join(f"{name}: {told(check.detail)}" for name, check in found.items() if not check.ok),
                )
            )
        if not self._announced:
            self._announced = True
            way_in = _("Log in")
            token = quote(self._settings.operator_token, safe="")
            announce(
                f"\n    {'Pairscope':15}{self._address}\n"
                f"    {way_in:15}{self._address}login?token={token}\n\n" + _("Ctrl-C stops it.")
            )

    def _stop(self) -> None:
        """Takes no new request, lets the pool stop in order, and lets requests end that were waiting for it."""
        announce(_("Stopping ..."))
        signals, deadline = self._signals, time.monotonic() + STOP_PATIENCE
        if self._server is not None:
            wasyncore.dispatcher.close(self._server)  # the listening socket alone
        for child in self._children:
            child.stop()
        while any(child.runs for child in self._children):
            if self._signals > signals or time.monotonic() > deadline:
                announce(_("The pool is killed."))
                for child in self._children:
                    child.stop(signal.SIGKILL)
                deadline = float("inf")
            self._turn(LOOK)
        if self._server is not None:
            self._server.task_dispatcher.shutdown(timeout=2)
            self._turn(0)
        wasyncore.close_all(self._poll)
        announce(_("Stopped."))

    def _turn(self, seconds: float) -> None:
        """One turn of waitress's loop: requests, the pool's death, signals."""
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._poll, count=1)

    @contextlib.contextmanager
    def _wake_on_signals(self) -> Iterator[None]:
        """Counts the signals that mean stop, and wakes the loop for each: poll(2) is begun again after a handler."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            Watched(ours.fileno(), self._poll, lambda: [ours.recv(64)])
            before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
            handlers = {
                number: signal.signal(number, self._count) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            }
            try:
                yield
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(before)

    def _count(self, _number: int, _frame: Any) -> None:
        self._signals += 1
