"""Pairscope under a private Apache and a private MariaDB, until Ctrl-C: what ``pairscope lamp`` runs."""

from __future__ import annotations

import functools
import os
import secrets
import select
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from pairscope import config
from pairscope.files import SOURCE
from pairscope.lamp.place import PlaceError, choose
from pairscope.lamp.private import Private
from pairscope.lamp.server import ServerError
from pairscope.sentence import phrase

DEBIAN = Path("/usr/bin/python3")
Words = Callable[[str], str]
PAUSE = 5.0
"""Seconds before MariaDB is started again: long enough to see what pages say while it is away."""


def main(words: Words = str) -> int:
    """Exit status: 0 stopped when asked, 1 a server failed, 2 the instance cannot stand here.

    `words` says a sentence in the reader's language."""
    tell = functools.partial(_tell, words)
    if not DEBIAN.exists() or not DEBIAN.samefile(sys._base_executable):  # type: ignore[attr-defined]  # not documented
        why = phrase(
            "mod_wsgi is linked with %(python)s, but %(environment)s was made from another Python: remove it and start "
            "again.",
            python=DEBIAN,
            environment=sys.prefix,
        )
        print(words(why), file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    os.umask(0o022)  # other users pass through the directories; what is secret says its mode itself
    try:
        asked = config.embedded()
        port = free_port(os.environ.get("PORT"))
        place = choose(SOURCE, Path(sys.prefix), asked.state / "lamp", tell)
    except (PlaceError, ValueError) as error:
        print(words(error.args[0]), file=sys.stderr)
        return 2
    token = asked.operator_token or secrets.token_urlsafe(32)
    try:
        return run(Private(place, tell, port=port, workers=asked.workers, operator_token=token), words)
    finally:
        place.leave()


def run(instance: Private, words: Words) -> int:
    """Starts it, waits for a signal or for a server's failure, stops it; the exit status."""
    tell = functools.partial(_tell, words)
    try:
        instance.start()
        greet(instance, words)
        watch(instance, tell)
    except KeyboardInterrupt:
        tell(phrase("Stopping"))
    except ServerError as error:
        print(words(error.args[0]), file=sys.stderr)
        return 1
    finally:
        try:
            instance.stop()
        except KeyboardInterrupt:
            tell(phrase("Asked again: killing what still runs"))
        finally:
            instance.kill()
    tell(phrase("Stopped; nothing is left running"))
    return 0


def watch(instance: Private, tell: Callable[[str], None]) -> None:
    """Waits for ever; starts MariaDB again when it dies, as a box's systemd does. Raises ServerError if Apache ends."""
    while True:
        pidfds = [os.pidfd_open(instance.apache.pid), os.pidfd_open(instance.mariadb.pid)]
        try:
            select.select(pidfds, [], [])
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
        if instance.apache.wait(0):
            raise ServerError(
                phrase(
                    "Apache ended (%(ended)s). %(words)s",
                    ended=instance.apache.ended(),
                    words=instance.apache.last_words(),
                )
            )
        tell(
            phrase(
                "MariaDB ended (%(ended)s); it is started again in %(pause)s s",
                ended=instance.mariadb.ended(),
                pause=f"{PAUSE:g}",
            )
        )
        if instance.apache.wait(PAUSE):
            continue
        instance.mariadb.start()
        tell(phrase("MariaDB is back (pid %(pid)s)", pid=instance.mariadb.pid))


def greet(instance: Private, words: Words) -> None:
    """Says where everything is."""
    made, place = instance.installation, instance.place
    users: str = phrase("all of it as the user who started it")
    if place.web.user:
        users = phrase(
            "Apache and web as %(web)s, the pool as %(pool)s, MariaDB as %(database)s",
            web=place.web.user,
            pool=place.pool.user,
            database=place.database.user,
        )
    settings, code = shlex.quote(str(made.conf / "web.toml")), shlex.quote(str(place.code))
    python = shlex.quote(str(place.venv / "bin" / "python"))
    lines = (
        ("Pairscope", f"{made.base_url}/"),
        (phrase("Log in"), f"{made.base_url}/login?token={quote(made.operator_token, safe='')}"),
        (phrase("Tables"), f"mariadb --defaults-file={shlex.quote(str(instance.client))}"),
        (phrase("Command line"), f"PAIRSCOPE_SETTINGS={settings} PYTHONPATH={code} {python} -m pairscope status"),
        (phrase("Logs"), f"{made.log}/error.log {made.database_log}/mariadb.log"),
        (phrase("Runs"), words(users)),
    )
    print(
        "",
        *(f"    {words(label):<15}{value}" for label, value in lines),
        "",
        words(phrase("Ctrl-C stops it.")),
        sep="\n",
        flush=True,
    )


def free_port(wanted: str | None) -> int:
    """A loopback port: the wanted one; 0 or the default when it is taken: a free one. Raises ValueError."""
    if wanted and not (wanted.isdecimal() and int(wanted) < 65536):
        raise ValueError(phrase("PORT is %(value)r; expected a number from 0 to 65535.", value=wanted))
    for port in [int(wanted)] if wanted else [*range(8080, 8180), 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if wanted:
                    raise ValueError(
                        phrase(
                            "PORT is %(port)s: %(why)s. Without PORT the next free one is taken.",
                            port=wanted,
                            why=error.strerror,
                        )
                    ) from None
                continue
            return int(probe.getsockname()[1])
    raise ValueError(phrase("There is no free port on 127.0.0.1."))


def _tell(words: Words, what: str) -> None:
    """Progress, on standard error."""
    print(f"lamp: {words(what)}", file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
