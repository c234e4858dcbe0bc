"""A check: a look at what a step of the guide has made, or at what the guide needs."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from pairscope.config import Settings
from pairscope.files import DEPLOY, SOURCE
from pairscope.pool import snapshot as snapshots
from pairscope.sentence import phrase
from pairscope.stack import system
from pairscope.stack.guides import CHAPTERS
from pairscope.stack.step import Finding, Verdict, bad, good


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a check may look at."""

    settings: Settings
    said: snapshots.Snapshot | None
    box: dict[str, Any] | None
    """What the box has chosen; None: this is none, but the embedded run or a private instance."""
    engine: Engine | None
    """Of the database; None: it is SQLite."""
    away: list[str] = dataclasses.field(default_factory=list)
    """Why the database cannot be asked, once that is known: nobody waits for it twice."""

    def asks(self) -> bool:
        """Whether there is a database that answers."""
        return self.engine is not None and not self.away

    def typed(self, command: str) -> str:
        """A command as a person would type it here. The guide's are a box's, which has the command pairscope and one
        MariaDB."""
        if self.box is not None:
            return command.replace("localhost:PORT", f"localhost:{self.box.get('port', 8080)}")
        embedded = self.settings.source == "embedded"
        if command.startswith("pairscope "):
            name, place = (
                ("PAIRSCOPE_STATE", str(self.settings.state))
                if embedded
                else ("PAIRSCOPE_SETTINGS", self.settings.source)
            )
            program = Path(sys.prefix) / "bin" / "pairscope"
            if embedded and program.exists():
                typed = shlex.quote(str(program))
            else:  # a private instance's environment may be a copy, whose programs name the Python of the first one
                python = shlex.quote(str(Path(sys.prefix) / "bin" / "python"))
                typed = f"PYTHONPATH={shlex.quote(str(SOURCE))} {python} -m pairscope"
            return f"{name}={shlex.quote(place)} {typed} {command.removeprefix('pairscope ')}"
        if command.startswith("mariadb ") and (client := self.settings.client) is not None:
            return f"mariadb --defaults-file={shlex.quote(str(client))} {command.removeprefix('mariadb ')}"
        return command


Look = Callable[[Scene], Iterator[Finding]]
CHECKS: list[tuple[str, str, str, Look]] = []
"""(chapter, step or nothing, what a person would type, the look) in the order of the page."""
TITLES = {step.id: step.title for chapter in CHAPTERS for step in chapter.steps}


def check(chapter: str, step: str, command: str) -> Callable[[Look], Look]:
    """Marks a function as a look at a step of the guide. Of the command, a page replaces http://localhost:PORT/ by its
    own address."""

    def mark(look: Look) -> Look:
        assert not step or step in TITLES, step
        CHECKS.append((chapter, step, command, look))
        return look

    return mark


def standing(what: str, path: Path, user: str, group: str, mode: int) -> Finding:
    """Whether a file or a directory is whose it should be, and as closed."""
    expected = f"{user}:{group} {mode:o}"
    try:
        observed = system.standing(path)
    except FileNotFoundError:
        return bad(
            what,
            expected,
            phrase("missing"),
            phrase("The guide makes %(path)s, and it is not there: deploy/provision.sh makes it.", path=path),
        )
    if observed == expected:
        return good(what, expected, observed)
    return bad(
        what,
        expected,
        observed,
        phrase(
            "The guide says %(path)s is %(expected)s, it is %(observed)s: deploy/provision.sh puts it right.",
            path=path,
            expected=expected,
            observed=observed,
        ),
    )


def copied(what: str, name: str, path: Path) -> Finding:
    """Whether a file of the system is the one of deploy/."""
    if not path.exists():
        return bad(
            what,
            str(path),
            phrase("missing"),
            phrase("The guide installs %(path)s, and it is not there: deploy/provision.sh installs it.", path=path),
            Verdict.RECOMMENDED,
        )
    if system.read(path) == system.read(DEPLOY / name):
        return good(what, str(path), phrase("as deploy/%(name)s", name=name))
    return bad(
        what,
        str(path),
        phrase("changed"),
        phrase(
            "%(path)s is not what deploy/%(name)s says: deploy/provision.sh installs it again.", path=path, name=name
        ),
        Verdict.RECOMMENDED,
    )
