"""Has the pool run a program that comes as its source, and says whether it can: docs/programs.md."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from flask_babel import gettext as _

from pairscope.program import request as asked
from pairscope.program.request import Unran
from pairscope.program.sentences import Unrun
from pairscope.trace.file import MAGIC
from pairscope.trace.recording import SOURCE_MOST
from pairscope.web import reach
from pairscope.web.access import place
from pairscope.web.lab.job import in_the_pool
from pairscope.web.problems import Problem
from pairscope.web.recorded import translated

PATIENCE = 45.0
"""Seconds that a request waits: for those before it, for the compiler's ten, and for the twenty of a program. Apache
gives up after 60."""


class Offer(NamedTuple):
    """Whether programs are run here. Sentences; empty: yes."""

    none: str
    """Why none is."""
    no_c: str
    """Why none in C is."""


def offer() -> Offer:
    """What the stations of the lab have said of themselves, and the settings of this installation."""
    if reach.settings().lab_programs == "off":
        return Offer(translated(str(Unrun.OFF.say())), "")
    snapshot = reach.snapshot()
    stations = snapshot.stations if snapshot else []
    if not stations:
        return Offer(_("no lab station is connected to the pool"), "")
    told = [
        Offer(
            *(
                translated(said) if isinstance(said := one.detail.get(key), str) else ""
                for key in ("programs", "compiler")
            )
        )
        for one in stations
        if one.state != "starting"
    ]
    return min(told, default=Offer("", ""))


class Form(NamedTuple):
    """A program as it stands in the editor."""

    language: str = "c"
    source: str = ""
    arguments: str = ""
    """As a shell takes words."""
    input: str = ""
    name: str = ""
    """Of what it was made from; empty: of nothing."""


def words(form: Form) -> list[str]:
    """Its arguments. Raises Problem."""
    try:
        return shlex.split(form.arguments)
    except ValueError:
        raise Problem(
            "wrong-program",
            _(
                "The arguments are %(text)s; expected words as a shell takes them, each quotation mark closed.",
                text=form.arguments[:100],
            ),
        ) from None


def check(form: Form) -> None:
    """Raises Problem for what no station takes."""
    if form.language not in ("c", "python"):
        raise Problem(
            "wrong-program",
            _("The language is %(language)s; expected c or python.", language=repr(form.language[:20])),
        )
    for what, text in ((_("The source"), form.source), (_("The standard input"), form.input)):
        if len(text) > SOURCE_MOST:
            raise Problem(
                "wrong-program",
                _(
                    "%(what)s has %(size)s characters; expected at most %(most)s.",
                    what=what, size=len(text), most=SOURCE_MOST,
                ),
            )  # fmt: skip
    if not form.source.strip():
        raise Problem("wrong-program", _("There is no source; expected a program in C or in Python."))
    try:
        asked.decoded(asked.encoded(form.language, form.source, words(form), form.input))
    except asked.Wrong as error:
        raise Problem("wrong-program", _("It cannot be run: %(why)s.", why=translated(str(error)))) from None
    except UnicodeEncodeError:
        raise Problem("wrong-program", _("It holds half a character; expected text.")) from None


def perform(form: Form) -> bytes | Unran:
    """Has a station run it: its recording, or why nothing ran. Raises Problem, PoolRefused, PoolAway."""
    check(form)
    standing = offer()
    if why := standing.none or (standing.no_c if form.language == "c" else ""):
        raise Problem("no-programs", _("It cannot be run: %(why)s.", why=why))
    with place("run"):
        reach.give_up()  # as for a run of a scenario: it takes seconds, in which others want the database
        text = asked.encoded(form.language, form.source, words(form), form.input)
        data = in_the_pool("program", text, form.name or _("a program"), PATIENCE)[1]
    return data if data.startswith(MAGIC) else asked.unran(data)
