"""The stack: what every layer is really like, and the guide that says how it should be."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, render_template
from flask_babel import gettext as _
from markupsafe import Markup, escape

from pairscope.stack import checks
from pairscope.stack.guides import CHAPTERS, shown
from pairscope.stack.step import NOT_RUN, Verdict
from pairscope.web.access import reader_required
from pairscope.web.checks import rows
from pairscope.web.pages.routes import blueprint

SHAPES = {
    Verdict.GOOD: "good",
    Verdict.RECOMMENDED: "attention",
    Verdict.CRITICAL: "failed",
    Verdict.UNUSED: "unknown",
    Verdict.UNKNOWN: "unknown",
}


@blueprint.get("/stack")
@reader_required
def stack() -> Any:
    """The steps of the box with what their checks find now."""
    report, seen = rows()
    titles = {chapter.id: _(chapter.title) for chapter in CHAPTERS}
    order = ("linux", "apache", "mysql", "python", "pool")
    return render_template(
        "stack.html",
        report=report,
        chapters=[(name, titles[name], [row for row in seen if row.chapter == name]) for name in order],
        drifts=[row for row in seen if row.verdict in (Verdict.CRITICAL, Verdict.RECOMMENDED)],
        counts=[(verdict, SHAPES[verdict], sum(row.verdict is verdict for row in seen)) for verdict in Verdict],
        shape_of=SHAPES,
        words=_words(),
        text=_text(report, seen),
        section="pages.stack",
    )


def _words() -> dict[Verdict, str]:
    return {
        Verdict.GOOD: _("good"),
        Verdict.RECOMMENDED: _("recommended"),
        Verdict.CRITICAL: _("critical"),
        Verdict.UNKNOWN: _("not seen"),
        Verdict.UNUSED: _("not used"),
    }


def _text(report: checks.Report, seen: list[checks.Row]) -> str:
    """The report to copy, in English: it is for somebody else, who need not read the copier's language."""
    lines = []
    for row in seen:
        lines.append(
            f"{row.verdict.value:12} {row.chapter}: {row.title}: {row.observed} (expected {row.expected})"
            + (f" -- {row.drift}" if row.drift else "")
        )
        lines += [f"{'':12}   {line}" for line in row.detail]
    return "\n".join(lines)


@blueprint.get("/stack/report.txt")
@reader_required
def stack_text() -> Response:
    """The report as plain text."""
    return Response(_text(*rows()) + "\n", content_type="text/plain; charset=utf-8")


@blueprint.get("/stack/guide")
@reader_required
def guide() -> Any:
    """Every step of the guides, as they stand in deploy/."""
    _report, seen = rows()
    worst: dict[str, Verdict] = {}
    for row in seen:
        worst[row.step] = max((worst.get(row.step, Verdict.GOOD), row.verdict), key=list(SHAPES).index)
    return render_template(
        "stack_guide.html",
        chapters=CHAPTERS,
        shown=shown,
        plain=_plain,
        prose=_prose,
        not_run=_(NOT_RUN),
        verdicts=worst,
        words=_words(),
        shape_of=SHAPES,
        section="pages.stack",
    )


def _plain(text: str) -> str:
    """A title of the guide, or an introduction."""
    return shown(_(text))


def _prose(text: str) -> Markup:
    """A sentence of the guide, whose `words` are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_plain(text)))))  # noqa: S704  # escaped before
