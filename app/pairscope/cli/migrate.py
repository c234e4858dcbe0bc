"""The tables, brought up to date."""

from __future__ import annotations

import click

from pairscope import config
from pairscope.cli.command import Failure, as_json
from pairscope.cli.output import put_json
from pairscope.cli.words import gettext as _
from pairscope.store.migrate import HISTORY, OWN, is_current, upgrade


@click.command()
@click.option("--check", is_flag=True, help="Only say whether there is anything to do: exit status 1 if so.")
@as_json
def migrate(check: bool, as_json: bool) -> None:
    """Create or upgrade the tables: history's and web's own. Does nothing where nothing is to be done."""
    if check:
        settings = config.load()
        if not (is_current(settings.migrate_url, HISTORY) and is_current(settings.web_url, OWN)):
            raise Failure(_("the tables are not up to date: pairscope migrate"))
        return print(_("The tables are up to date."))
    applied = upgrade(config.load())
    if as_json:
        put_json({"applied": applied})
    elif applied:
        print(_("Applied: %(applied)s", applied=", ".join(applied)))
    else:
        print(_("The tables are up to date."))
    return None
