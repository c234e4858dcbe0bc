"""The templates of ``deploy/``, and how a value is written in each of their languages."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pairscope.files import DEPLOY
from pairscope.lamp.installation import Installation
from pairscope.store.models import History, Own


def apache(value: object) -> str:
    """A quoted argument of a directive. Raises ValueError for what a configuration file cannot hold."""
    text = str(value)
    if "\n" in text or "${" in text:
        raise ValueError(f"{text!r} cannot stand in Apache's configuration")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def host(name: str) -> str:
    """A host name in a regular expression of a directive; one that begins with a dot stands for all below it, too.
    Raises ValueError for what is no host name."""
    if not re.fullmatch(r"[A-Za-z0-9.\[\]:_-]{1,253}", name):
        raise ValueError(f"{name!r} is no host name")
    return ("([^:/]+\\.)?" if name.startswith(".") else "") + re.escape(name.removeprefix("."))


def cnf(value: object) -> str:
    """A quoted value of an option file. Raises ValueError for what one cannot hold."""
    text = str(value)
    if "\n" in text or '"' in text:
        raise ValueError(f"{text!r} cannot stand in MariaDB's option file")
    return '"' + text.replace("\\", "\\\\") + '"'


def sql(value: object) -> str:
    """A string literal, for every sql_mode but NO_BACKSLASH_ESCAPES."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def toml(value: object) -> str:
    """A TOML value: true or false, a number, a path, a string or a list of strings. A JSON string is a basic string of
    TOML."""
    if isinstance(value, (list, tuple)):
        value = list(value)
    elif not isinstance(value, int):  # a bool is an int
        value = str(value)
    return json.dumps(value).replace("\x7f", "\\u007f")


_environment = Environment(  # noqa: S701  # configuration files; each value goes through a filter of its language
    loader=FileSystemLoader(DEPLOY), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
)
_environment.filters.update(
    apache=apache, cnf=cnf, host=host, sql=sql, toml=toml, python=lambda value: repr(str(value))
)


def fill(name: str, installation: Installation, **more: Any) -> str:
    """The text of ``deploy/NAME.j2`` for this installation. Raises UndefinedError for a name that nobody gave."""
    names = [field.name for field in dataclasses.fields(installation)]
    names += [name for name, value in vars(Installation).items() if isinstance(value, property)]
    values = {name: getattr(installation, name) for name in names}
    tables = {"history_tables": list(History.metadata.tables), "own_tables": list(Own.metadata.tables)}
    return _environment.get_template(f"{name}.j2").render(values | tables | more)
