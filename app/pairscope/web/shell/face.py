"""What every page and every live update has at hand: navigation, theme, words for states, shapes of values."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, current_app, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

import pairscope as package
from pairscope.ipc.sentences import IN_RESULTS
from pairscope.ipc.vocabulary import CALLERS
from pairscope.store import queries
from pairscope.store.models import IN_ORDER, KILLED_FOR, Job, Process
from pairscope.store.told import told
from pairscope.web import access, payload, reach
from pairscope.web.drawing.shapes import GLYPHS, glyph_of
from pairscope.web.drawing.system import worker_state
from pairscope.web.lab.reading import verdict
from pairscope.web.recorded import translated
from pairscope.web.shell import pushed, strip
from pairscope.web.words import ago, clip, duration, number, size, state_of

THEMES = ("light", "dark")

ICONS = {
    "pages.overview": "M2 12.5a6 6 0 1 1 12 0M8 12.500l2.800-4",
    "pages.messages": "M2 4.500h12v7H2zM5 8h6",
    "pages.transfers": "M1.500 5.500h9m-2.500-2.500 2.500 2.500-2.500 2.500M14.500 11h-9m2.500-2.500L5.500 11 8 13.500",
    "pages.workers": "M2.500 2.500h4.500v4.500H2.500zM9 2.500h4.500v4.500H9z"
    "M2.500 9h4.500v4.500H2.500zM9 9h4.500v4.500H9z",
    "pages.jobs": "M3 3v10M3 4.500h6M3 8h10M3 11.500h7.500",
    "pages.lab": "M6 2h4M6.500 2v4.500L2.500 13a.7.7 0 0 0 .6 1h9.800a.7.7 0 0 0 .6-1L9.500 6.500V2M4.500 10h7",
    "pages.stack": "M8 2 14 5 8 8 2 5zM2 8l6 3 6-3M2 11l6 3 6-3",
    "pages.database": "M2.500 4c0-1.200 2.500-2 5.500-2s5.500.8 5.500 2"
    "-2.500 2-5.500 2-5.500-.8-5.500-2v8c0 1.200 2.500 2 5.500 "
    "2s5.500-.8 5.500-2V4M2.500 8c0 1.200 2.500 2 5.500 2s5.500-.8 5.500-2",
}


def navigation() -> list[tuple[str, str, str]]:
    """The rail: endpoint, label, icon."""
    labels = (
        _("Overview"),
        _("Messages"),
        _("Transfers"),
        _("Workers"),
        _("Jobs"),
        _("Lab"),
        _("Stack"),
        _("Database"),
    )
    return [(endpoint, label, icon) for (endpoint, icon), label in zip(ICONS.items(), labels)]


def sandbox_state(level: str) -> tuple[str, str]:
    """How well a worker or a run is confined: shape and word."""
    return {
        "landlock+seccomp": ("good", "Landlock + seccomp"),
        "seccomp": ("attention", _("seccomp only")),
        "landlock": ("attention", _("Landlock only")),
        "none": ("failed", _("none")),
    }.get(level, ("unknown", _("not said yet")))


def process_state(process: Process) -> tuple[str, str]:
    """How a process of history stands: shape and word. Without a pool nobody knows of those whose end is not recorded,
    nor of another node's.

    Of a client only its pair's end is seen: the process may live on.
    """
    if process.ended is None:
        return (
            ("good", _("alive"))
            if process.node == reach.settings().node and reach.snapshot()
            else ("unknown", _("not known"))
        )
    if process.asked or process.role in CALLERS or process.exit in IN_ORDER:
        return "unknown", _("ended")
    if process.exit.startswith(KILLED_FOR):
        return "attention", _("killed")
    return "failed", _("died")


def width_of(count: int) -> int:
    """A message's width class: the logarithm of its size, 0 to 9."""
    return min(9, max(0, (count.bit_length() - 5) // 2 + 1))


def result_of(job: Job) -> dict[str, Any]:
    """A job's result; empty where there is none."""
    return told(job.result)


def facts_of(found: dict[str, Any], before: str = "", brief: bool = False) -> list[tuple[str, str]]:
    """A result as names and words, nested ones with a dot; `brief` without the exact number beside a rounded size."""
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        title = before + name.removesuffix(_unit(name)).replace("_", " ")
        if isinstance(value, dict):
            rows += facts_of(value, f"{title} · ", brief)
        else:
            rows.append((title, _value(name, value, brief)))
    return rows


UNITS = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000, "_seconds": 1_000_000_000}
"""Endings of the names of durations, and their ns."""


def _unit(name: str) -> str:
    return next((unit for unit in UNITS if name.endswith(unit)), "")


def _value(name: str, value: Any, brief: bool) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None:
        return "–"
    if isinstance(value, int) and (name in ("bytes", "stored", "size") or name.endswith("_bytes")):
        return size(value) if brief or value < 1024 else f"{size(value)} ({number(value)})"
    if isinstance(value, (int, float)) and (unit := _unit(name)):
        return duration(value * UNITS[unit])
    if name == "verdict" and isinstance(value, str):
        return verdict(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return number(value)
    return translated(value) if name in IN_RESULTS and isinstance(value, str) else str(value)


def summary_of(job: Job) -> str:
    """A job's end in one line."""
    if job.reason:
        return clip(translated(job.reason), 80)
    return clip(
        " · ".join(f"{name} {value}" for name, value in facts_of(result_of(job), brief=True) if value != "–"), 80
    )


def theme() -> str:
    """The remembered appearance, or empty: as the system says."""
    chosen = request.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def may_read() -> bool:
    """Whether this visitor may see what the pages tell: a login page or an error for a stranger tells nothing."""
    return reach.settings().public_read or access.is_operator()


def _everywhere() -> dict[str, Any]:
    return {
        "theme": theme(),
        "section": request.endpoint,
        "language": str(get_locale() or "en"),
        "api_description": url_for("api.openapi") if "api.openapi" in current_app.view_functions else "",
    }


def register(app: Flask) -> None:
    """Makes all of it known to the templates."""
    settings = app.extensions["pairscope"].settings
    app.context_processor(_everywhere)
    app.jinja_env.filters["places"] = queries.places
    app.jinja_env.globals.update(
        navigation=navigation,
        health_of=strip.health,
        state_of=state_of,
        sandbox_state=sandbox_state,
        process_state=process_state,
        worker_state=worker_state,
        may_read=may_read,
        push=pushed.push,
        verdict_of=verdict,
        width_of=width_of,
        gist=payload.gist,
        summary_of=summary_of,
        duration=duration,
        glyph_path=lambda device, inode: GLYPHS[glyph_of(device, inode)],
        glyph_number=lambda number: GLYPHS[number % len(GLYPHS)],
        own_node=settings.node,
        version=package.__version__,
        memfd_max=settings.memfd_max,
        upload_max=settings.upload_max,
        journal_limit=settings.journal_limit,
        clock_now=lambda: time.time_ns() // 1_000_000,
        now_ago=lambda: ago(time.time_ns()),
        strip_signature=strip.signature,
    )
