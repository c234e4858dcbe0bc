"""A run as a file: C, Python, a transcript, JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pairscope.lab import exports
from pairscope.lab.language import parse


class Form(NamedTuple):
    """One form of export."""

    label: str
    suffix: str
    media: str
    make: Callable[[dict[str, Any]], str | bytes]


FORMS: dict[str, Form] = {
    "c": Form("C", ".c", "text/x-c; charset=utf-8", lambda run: exports.c(parse(run["text"]))),
    "python": Form("Python", ".py", "text/x-python; charset=utf-8", lambda run: exports.python(parse(run["text"]))),
    "transcript": Form("strace", ".txt", "text/plain; charset=utf-8", exports.transcript),
    "json": Form("JSON", ".run.json", "application/json", exports.json),
}
