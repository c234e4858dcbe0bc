"""Pairscope under a private Apache and a private MariaDB, until Ctrl-C: what ``pairscope lamp`` runs."""

from __future__ import annotations

import os
import secrets
import select
import shlex
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from pairscope import config
from pairscope.files import SOURCE
from pairscope.lamp.place import PlaceError, choose
from pairscope.lamp.private import Private
from pairscope.lamp.server import ServerError

DEBIAN = Path("/usr/bin/python3")
PAUSE = 5.0
"""Seconds before MariaDB is started again: long enough to see what pages say while it is away."""


def main() -> int:
    """Exit status: 0 stopped when asked, 1 a server failed, 2 the instance cannot stand here."""
    if not DEBIAN.exists() or not DEBIAN.samefile(sys._base_executable):  # type: ignore[attr-defined]  # not documented
        print(
            f"mod_wsgi is linked with {DEBIAN}, but {sys.prefix} was made from another Python: "
            "remove it and start again.",
            file=sys.stderr,
        )
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    os.umask(0o022)  # other users pass through the directories; what is secret says its mode itself
    try:
        asked = config.embedded()
        port = free_port(os.environ.get("PORT"))
        place = choose(SOURCE, Path(sys.prefix), asked.state / "lamp", tell)
    except (PlaceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    token = asked.operator_token or secrets.token_urlsafe(32)
    try:
        return run(Private(place, tell, port=port, workers=asked.workers, operator_token=token))
    finally:
        place.leave()


def run(instance: Private) -> int:
    """Starts it, waits for a signal or for a server's failure, stops it; the exit status."""
    try:
        instance.start()
        greet(instance)
        watch(instance)
    except KeyboardInterrupt:
        tell("Stopping")
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        try:
            instance.stop()
        except KeyboardInterrupt:
            tell("Asked again: killing what still runs")
        finally:
            instance.kill()
    tell("Stopped; nothing is left running")
    return 0


def watch(instance: Private) -> None:
    """Waits for ever; starts MariaDB again when it dies, as a box's systemd does. Raises ServerError if Apache ends."""
    while True:
        pidfds = [os.pidfd_open(instance.apache.pid), os.pidfd_open(instance.mariadb.pid)]
        try:
            select.select(pidfds, [], [])
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
        if instance.apache.wait(0):
            raise ServerError(f"Apache ended ({instance.apache.ended()}). {instance.apache.last_words()}")
        tell(f"MariaDB ended ({instance.mariadb.ended()}); it is started again in {PAUSE:g} s")
        if instance.apache.wait(PAUSE):
            continue
        instance.mariadb.start()
        tell(f"MariaDB is back (pid {instance.mariadb.pid})")


def greet(instance: Private) -> None:
    """Says where everything is."""
    made, place = instance.installation, instance.place
    users = "all of it as the user who started it"
    if place.web.user:
        users = f"Apache and web as {place.web.user}, the pool as {place.pool.user}, MariaDB as {place.database.user}"
    settings, code = shlex.quote(str(made.conf / "web.toml")), shlex.quote(str(place.code))
    python = shlex.quote(str(place.venv / "bin" / "python"))
    lines = (
        ("Pairscope", f"{made.base_url}/"),
        ("Log in", f"{made.base_url}/login?token={quote(made.operator_token, safe='')}"),
        ("Tables", f"mariadb --defaults-file={shlex.quote(str(instance.client))}"),
        ("Command line", f"PAIRSCOPE_SETTINGS={settings} PYTHONPATH={code} {python} -m pairscope status"),
        ("Logs", f"{made.log}/error.log {made.database_log}/mariadb.log"),
        ("Runs", users),
    )
    print("", *(f"    {label:<15}{value}" for label, value in lines), "", "Ctrl-C stops it.", sep="\n", flush=True)


def free_port(wanted: str | None) -> int:
    """A loopback port: the wanted one; 0 or the default when it is taken: a free one. Raises ValueError."""
    if wanted and not (wanted.isdecimal() and int(wanted) < 65536):
        raise ValueError(f"PORT is {wanted!r}; expected a number from 0 to 65535.")
    for port in [int(wanted)] if wanted else [*range(8080, 8180), 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if wanted:
                    raise ValueError(
                        f"PORT is {wanted}: {error.strerror}. Without PORT the next free one is taken."
                    ) from None
                continue
            return int(probe.getsockname()[1])
    raise ValueError("There is no free port on 127.0.0.1.")


def tell(what: str) -> None:
    """Progress, on standard error."""
    print(f"lamp: {what}", file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
