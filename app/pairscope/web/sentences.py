"""Sentences that other parts of Pairscope say of themselves and pages show: gettext learns them here, as babel.cfg
asks.

They stand where they belong (a refusal in the vocabulary, a job's summary in its docstring), without gettext, which
those processes do not import. A page translates one as it shows it; those that are recorded with values in them it
knows again by their templates (recorded.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pairscope.work
from pairscope import recorded
from pairscope.ipc import vocabulary
from pairscope.lab.calls import CALLS
from pairscope.stack.guides import CHAPTERS
from pairscope.stack.step import NOT_RUN
from pairscope.store.filter import FIELDS
from pairscope.store.inventory import DESCRIPTIONS
from pairscope.web import problems


def all_of_them() -> Iterator[str | tuple[str, str]]:
    """Each once or more; of one or several both forms."""
    yield from recorded.templates()
    yield from recorded.PLURALS
    yield from (kind.meaning for kind in vocabulary.KINDS)
    yield from (call.summary for call in CALLS.values())
    yield from DESCRIPTIONS.values()
    yield from (kind.title for kind in problems.KINDS.values())
    yield from (field.explanation for fields in FIELDS.values() for field in fields)
    yield from _of_guides()
    for path in sorted((Path(pairscope.work.__file__).parent / "jobs").glob("*.py")):
        yield from _of_job(ast.parse(path.read_text()))


def _of_guides() -> Iterator[str]:
    """What the page of the guide says; a sign that is a program's own words (`code` alone) is not translated."""
    yield NOT_RUN
    for chapter in CHAPTERS:
        yield from (chapter.title, chapter.intro)
        for step in chapter.steps:
            for pair in (*step.wrong, *step.elsewhere):
                yield from pair
            yield from (step.title, step.purpose, step.unless, step.see)


def _of_job(tree: ast.Module) -> Iterator[str]:
    """The summaries and the parameters' meanings in a job's source: its code is a worker's alone to import."""
    for job in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        if any(isinstance(base, ast.Name) and base.id == "JobKind" for base in job.bases):
            yield (ast.get_docstring(job) or "").partition("\n")[0]
        for line in job.body:
            if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == ["parameters"]:
                yield from ast.literal_eval(line.value).values()


def extract(
    fileobj: Any, keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, str | tuple[str, str], list[str]]]:
    """As Babel calls it for this file, whose own words the other entries of babel.cfg would find if there were any."""
    for sentence in dict.fromkeys(all_of_them()):
        if isinstance(sentence, tuple):
            yield 1, "ngettext", sentence, []
        elif sentence and not re.fullmatch("`[^`]+`", sentence):
            yield 1, None, sentence, []
