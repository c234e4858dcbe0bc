"""The words of the command line, by gettext over the catalogues of the pages. The environment chooses the language, as
for every program: LANGUAGE, LC_ALL, LC_MESSAGES, LANG (gettext(3)); where no catalogue of it stands, English is spoken.

Click asks gettext for its own words. They come from the same catalogues, for it asks for no domain, which is
``messages``.
"""

from __future__ import annotations

import functools
import gettext as library
import inspect
from typing import Any

import click

from pairscope.files import CATALOGUES
from pairscope.sentence import Sentence

DOMAIN = "messages"

library.bindtextdomain(DOMAIN, str(CATALOGUES))


@functools.cache
def _catalogue() -> library.NullTranslations:
    return library.translation(DOMAIN, CATALOGUES, fallback=True)


def gettext(text: str, /, **values: Any) -> str:
    """The text in the reader's language, with its values."""
    told = _catalogue().gettext(text)
    return told % values if values else told


def ngettext(one: str, many: str, /, num: int, **values: Any) -> str:
    """The same of one or several things; their number is ``%(num)s``."""
    return _catalogue().ngettext(one, many, num) % {**values, "num": num}


def told(text: str) -> str:
    """What another part says, in the reader's language: a sentence by its template, and what was recorded."""
    if type(_catalogue()) is library.NullTranslations:
        return text  # nothing is imported to find templates that no catalogue has
    if isinstance(text, Sentence):
        return text.told(_catalogue().gettext, _catalogue().ngettext, told)
    from pairscope import recorded

    return recorded.translated(text, _catalogue().gettext, _catalogue().ngettext)


def helped(command: click.Command) -> click.Command:
    """A command and those below it, with their help in the reader's language."""
    command.help = gettext(inspect.cleandoc(command.help)) if command.help else command.help
    command.epilog = gettext(inspect.cleandoc(command.epilog)) if command.epilog else command.epilog
    for option in command.params:
        if isinstance(option, click.Option) and option.help:
            option.help = gettext(option.help)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        helped(below)
    return command
