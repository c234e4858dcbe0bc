"""What of history needs a login where outputs are not public: the beginnings of payloads, names of files, what jobs
found and made.

A session that :func:`withhold` was told of gives none of it out, whoever asks and whatever for: a row that it loads has
an empty value there and says so in ``withheld``, and a filter that would tell such a value by what it lets through is
refused. So no page, list, export or search has to remember it, and one that is written later cannot forget it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, attributes, object_session

from pairscope.ipc.vocabulary import LAB
from pairscope.sentence import phrase
from pairscope.store.filter import Filter, FilterError
from pairscope.store.models import History

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "messages": ("preview",),
    "transfers": ("link",),
    "jobs": ("name", "reason", "result", "output_name"),
    "quarantine": ("reason", "record"),
}
"""By table, what is withheld. A record that was put aside holds any of them, and the reason quotes it."""
_OPEN_LINK = re.compile(r"(pipe|socket):\[\d+\]|anon_inode:.*|/memfd:(upload|scenario) \(deleted\)", re.DOTALL)
"""What is behind a descriptor without a name that somebody gave: `pairscope submit` calls a memfd as its file."""
_OPEN_REASON = re.compile(
    r"(through \w+ \d+|(worker|lab) \d+ died with the job in hand: |it exceeded its deadline of [\d.e+]+ s|"
    r"it needed more memory than a worker may have|the pool stopped before it began).*",
    re.DOTALL,
)
"""Why a job ended, where the pool says it; what a job says itself may quote its input."""
_KEY = "withhold"


def withhold(session: Session) -> None:
    """From now on this session gives out nothing of COLUMNS."""
    session.info[_KEY] = True


def is_withheld(session: Session) -> bool:
    return bool(session.info.get(_KEY))


def refuse(session: Session, filter: Filter) -> None:
    """Raises FilterError if the filter looks into what the session withholds: its rows would tell what is there."""
    if not is_withheld(session):
        return
    table = "processes" if filter.table == "workers" else filter.table
    for column, place in filter.reads.items():
        if column in COLUMNS.get(table, ()):
            raise FilterError(
                phrase(
                    "text is looked for in what is shown after a login only; log in, or ask by a field, such as "
                    "%(example)s",
                    example={"jobs": "state:failed", "transfers": "object:memfd"}.get(table, "kind:task"),
                ),
                place,
            )


@event.listens_for(History, "load", propagate=True)
def _loaded(row: History, _context: object) -> None:
    _empty(row)


@event.listens_for(History, "refresh", propagate=True)
def _refreshed(row: History, _context: object, _attributes: object) -> None:
    _empty(row)  # after a rollback a row is read anew


def _empty(row: History) -> None:
    session = object_session(row)
    if session is None or not is_withheld(session):
        return
    gone = taken(row.__table__.name, row.__dict__, row.unreadable)
    for name, instead in gone.items():
        attributes.set_committed_value(row, name, instead)
    row.withheld = frozenset(gone.keys() | row.withheld)  # type: ignore[misc]  # this row's own, as the next one
    # Why a value cannot be shown quotes it.
    row.unreadable = {name: why for name, why in row.unreadable.items() if name not in gone}  # type: ignore[misc]


def taken(table: str, held: Mapping[str, Any], unreadable: Collection[str]) -> dict[str, Any]:
    """Of a row's values, by column, those that are withheld, each with the empty one that stands in its place."""
    if table not in COLUMNS or (table == "jobs" and held.get("kind") == LAB):
        return {}  # runs of the lab are open: their job is one
    found = {}
    for name in COLUMNS[table]:
        value = held.get(name)
        if name in unreadable or (value and not _is_open(table, name, value)):
            found[name] = b"" if isinstance(value, bytes) else ""
    return found


def _is_open(table: str, name: str, value: Any) -> bool:
    pattern = {("transfers", "link"): _OPEN_LINK, ("jobs", "reason"): _OPEN_REASON}.get((table, name))
    return pattern is not None and isinstance(value, str) and pattern.fullmatch(value) is not None
