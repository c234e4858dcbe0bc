"""Pairscope under an Apache and a MariaDB of its own, from the command line."""

from __future__ import annotations

import click

from pairscope.cli.words import told


@click.command()
@click.pass_context
def lamp(context: click.Context) -> None:
    """Start Pairscope under an Apache and a MariaDB of its own. It listens on 127.0.0.1. Ctrl-C stops all of it.

    The programs must be installed; script/packages lamp of a checkout does that. The port is that of PORT, or 8080, or
    the next free one; all data stand under the directory lamp of PAIRSCOPE_STATE.
    """
    from pairscope.lamp.serve import main

    context.exit(main(told))
