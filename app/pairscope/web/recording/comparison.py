"""The page of two recordings: what was passed in both, and in one of them alone. docs/recorder.md, "Two recordings"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import render_template, request
from flask_babel import gettext as _

from pairscope.trace.comparing import Difference, calls, compare, counted
from pairscope.web.problems import Problem
from pairscope.web.recording.pages import PAGE, Shown, Ways, page_from

MOST_CALLS = 60
"""Rows of calls."""
MOST = 100_000
"""Passages of one that are compared: 2 s."""


def comparison(both: Sequence[tuple[Shown, Ways]], **more: Any) -> str:
    """`both`: the first and the second one, each with where its pages are; `more`: what else the template has."""
    (one, _ways), (other, _other_ways) = both
    for shown in (one, other):
        if (many := len(shown.reading.index.passages)) > MOST:
            raise Problem(
                "bad-request",
                _(
                    "%(name)s has %(many)s passages; a page compares at most %(most)s. "
                    "'pairscope record --compare' has no such bound.",
                    name=shown.name, many=many, most=MOST,
                ),
            )  # fmt: skip
    pairs = compare(one.reading.index, other.reading.index)
    changes = [pair for pair in pairs if pair.kind != "same"]
    differing = request.args.get("only") == "changes"
    listed = changes if differing else pairs
    first = page_from(len(listed))
    counts = calls(one.reading.calls(), other.reading.calls())
    return render_template(
        "recording/compare.html",
        both=both,
        count=counted(pairs),
        changes=len(changes),
        differing=differing,
        pairs=listed[first : first + PAGE],
        before=max(0, first - PAGE) if first else None,
        after=first + PAGE if first + PAGE < len(listed) else None,
        calls=counts[:MOST_CALLS],
        more_calls=len(counts) - MOST_CALLS,
        words=words(),
        **more,
    )


def words() -> dict[Difference, str]:
    """What differs between two passages."""
    return {
        "order": _("the order"),
        "sent": _("the sender's number"),
        "end": _("what became of it"),
        "receiver": _("who received it"),
        "received": _("the receiver's number"),
        "object": _("the object"),
        "proof": _("the proof"),
    }
