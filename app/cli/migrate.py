"""The tables, brought up to date."""

from __future__ import annotations

import click

from app import config
from app.cli import as_json
from app.cli.output import put_json
from app.store.migrate import upgrade


@click.command()
@as_json
def migrate(as_json: bool) -> None:
    """Create or upgrade the tables: history's and web's own. Does nothing where nothing is to be done."""
    applied = upgrade(config.load())
    if as_json:
        put_json({"applied": applied})
    elif applied:
        print(f"Applied: {', '.join(applied)}")
    else:
        print("The tables are up to date.")
