"""What gettext learns of the command line beside what stands in its sources, as web/babel.cfg asks: the helps of all
commands, and Click's own words."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pairscope.cli import COMMANDS, main

Found = tuple[int, str | None, str | tuple[str, ...], list[str]]


def extract(fileobj: Any, keywords: Any, comment_tags: Any, options: Any) -> Iterator[Found]:
    """As Babel calls it for this file."""
    group = click.Context(main)
    yield from _helps(main)
    for name in COMMANDS:
        if (command := main.get_command(group, name)) is not None:
            yield from _helps(command)
    for path in sorted(Path(click.__file__).parent.glob("*.py")):
        yield from _asked(ast.parse(path.read_text()))


def _helps(command: click.Command) -> Iterator[Found]:
    for text in (command.help, command.epilog):
        if text:
            yield 1, None, inspect.cleandoc(text), []
    for option in command.params:
        if isinstance(option, click.Option) and option.help:
            yield 1, None, option.help, []
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _helps(below)


def _asked(tree: ast.AST) -> Iterator[Found]:
    """What Click's source asks gettext for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("_", "ngettext"):
            texts = tuple(str(text.value) for text in node.args[:2] if isinstance(text, ast.Constant))
            if len(texts) == 1:
                yield 1, None, texts[0], []
            elif texts:
                yield 1, "ngettext", texts, []
