"""Shows a recording of a real program in a browser, from its file alone."""

from __future__ import annotations

import secrets
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from pairscope.cli.command import Failure
from pairscope.cli.output import announce
from pairscope.cli.recording import opened
from pairscope.cli.words import gettext as _

HOST = "127.0.0.1"


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.argument("other", metavar="[OTHER]", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Listen there; 0: any port.")
def show(path: str, other: str | None, port: int) -> None:
    """Show a recording in a browser, or two beside each other.

    Of one: what was passed, and each step. With OTHER: what was passed in both, and in one of them alone. It prints an
    address, which is for you alone. Ctrl-C ends it.

    It listens on 127.0.0.1, and needs neither a pool nor a database.
    """
    from waitress.server import create_server

    from pairscope.trace.reading import Reading
    from pairscope.web.recording.alone import create_app

    with ExitStack() as stack:
        reading, *others = (Reading(stack.enter_context(opened(one))) for one in (path, other) if one is not None)
        key = secrets.token_urlsafe(16)
        try:
            listener = socket.create_server((HOST, port))
        except OSError as error:
            raise Failure(_("it cannot listen on port %(port)s: %(why)s", port=port, why=error.strerror)) from None
        app = create_app(reading, Path(path).name, key, (others[0], Path(other).name) if other else None)
        server = create_server(
            app, sockets=[listener], threads=1, ident=None, channel_timeout=30, connection_limit=50,
            max_request_body_size=1024,
        )  # fmt: skip
        announce(f"http://{HOST}:{listener.getsockname()[1]}/{key}/{'compare' if other else ''}")
        announce(_("Ctrl-C ends it."))
        try:
            server.run()
        except KeyboardInterrupt:
            sys.exit(0)
        finally:
            server.close()
