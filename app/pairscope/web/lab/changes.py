"""What differs between the facts of two steps: each difference once, in one sentence, with the facts that it tells of.

Tellers go over the processes, here, and over the objects, in objects.py, and give what they know of; whatever none of
them has told is told last and plainly, by its key. So nothing that changed can go untold, whichever facts are added to
a run; the tests ask that nothing is left for that last way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.lab.run import Blocked, Descriptor, Process, State, Task
from pairscope.web.lab.difference import BORN, EMPTY, Difference, Path, facts_of, flatten, value_of
from pairscope.web.lab.objects import Objects
from pairscope.web.lab.words import comma, process_state, thread_state
from pairscope.web.words import noun


def differences(before: State, after: State, names: dict[int, str]) -> list[Difference]:
    """Every difference; `names` has what an object is called, by its inode."""
    old, new = flatten(before, after), flatten(after, before)
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    found = [
        dataclasses.replace(one, covers=one.covers & changed)
        for one in _Teller(before, after, changed, names).all()
        if one.covers & changed
    ]
    left = changed - {path for one in found for path in one.covers}
    # What is in flight comes and goes without a table.
    for path in sorted(left, key=str):
        if path[0] == "object" and path[2] == "descriptions":
            count, name = len(new[path]), names.get(path[1], str(path[1]))
            text = ngettext(
                "%(num)s open file description leads to %(name)s now",
                "%(num)s open file descriptions lead to %(name)s now",
                count,
                name=name,
            )
            found.append(Difference(text, frozenset({path})))
            left.remove(path)
    return found + [_plainly(path, new.get(path), names) for path in sorted(left, key=str)]


def _plainly(path: Path, value: Any, names: dict[int, str]) -> Difference:
    subject = names.get(path[1], str(path[1])) if path[0] == "object" else " ".join(map(str, path[1:-1]))
    return Difference(
        _("%(what)s of %(name)s is %(value)s now", what=path[-1], name=subject, value=value), frozenset({path}), False
    )


class _Teller:
    """Two moments side by side."""

    def __init__(self, before: State, after: State, changed: set[Path], names: dict[int, str]) -> None:
        self._before, self._after, self._changed, self._names = before, after, changed, names
        self._was = {process.name: process for process in before.processes}
        self._had = {item.inode: item for item in before.objects}
        self._items = {item.inode: item for item in after.objects}
        self._objects = Objects(self._items, names)
        self._introduced: set[int] = set()

    def all(self) -> Iterator[Difference]:
        for process in self._after.processes:
            old = self._was.get(process.name)
            first = not self._was and process is self._after.processes[0]
            yield from self._process(process, old, first)
            if old or first:
                yield from self._descriptors(process, old.descriptors if old else [])
        yield from self._descriptions()
        for inode, item in self._items.items():
            if inode not in self._had and inode not in self._introduced:
                yield Difference(
                    _("%(name)s is there: %(kind)s", name=self._objects.name(item), kind=noun(item.kind)),
                    frozenset(self._born(inode)),
                )
            yield from self._objects.told(item, self._had.get(inode))
        for inode, item in self._had.items():
            if inode not in self._items:
                text = _("nobody's table holds %(name)s any more", name=self._objects.name(item))
                if item.afloat:
                    text = _("%(name)s is gone: nobody can receive it any more", name=self._objects.name(item))
                yield Difference(text, frozenset(facts_of(item, *item.__struct_fields__)))

    def _born(self, inode: int) -> set[Path]:
        """What is told of an object by saying that it is there: all but what it holds already. Of one that was there:
        that another description leads to it."""
        if inode in self._had or inode not in self._items:
            return {("object", inode, "descriptions")}
        self._introduced.add(inode)
        item = self._items[inode]
        return facts_of(item, *BORN["object"], *(key for key, empty in EMPTY.items() if value_of(item, key) in empty))

    # ---- processes

    def _process(self, process: Process, old: Process | None, first: bool) -> Iterator[Difference]:
        name = process.name
        threads = {thread.name: thread for thread in process.threads or ()}
        if old is None:
            covers: set[Path] = {("process", name, key) for key in BORN["process"]} | {
                ("thread", name, thread) for thread in threads
            }
            text = _("the run begins with %(name)s", name=name)
            if not first:
                covers |= {
                    ("descriptor", name, row.number, key) for row in process.descriptors for key in BORN["descriptor"]
                }
                text = ngettext(
                    "%(name)s is born, with %(num)s descriptor",
                    "%(name)s is born, with %(num)s descriptors",
                    len(process.descriptors),
                    name=name,
                )
            yield Difference(text, frozenset(covers))
            return
        before = {thread.name: thread for thread in old.threads or ()}
        own = {("process", name, key) for key in ("state", "blocked", "exit")} | {("thread", name, name)}
        over = process.state in ("zombie", "ended")
        if over:
            own |= {("thread", name, thread) for thread in before} | {
                ("process", name, key) for key in ("parent", "signals")
            }
        yield from self._handled(process, old)
        if own & self._changed:
            yield Difference(f"{name}: {_stands(old, process, process_state(process)[1])}", frozenset(own))
        if over:
            return
        if old.parent != process.parent:
            text = (
                _("%(name)s is a child of %(parent)s now", name=name, parent=process.parent)
                if process.parent
                else _("%(name)s has lost its parent", name=name)
            )
            yield Difference(text, frozenset({("process", name, "parent")}))
        for thread in dict.fromkeys([*threads, *before]):
            if thread == name and thread in threads:
                continue  # what is told of the process
            if thread not in before:
                text = _("%(name)s is a new thread of %(process)s", name=thread, process=name)
            elif thread not in threads:
                text = _("the thread %(name)s has ended", name=thread)
            else:
                text = f"{thread}: {_stands(before[thread], threads[thread], thread_state(threads[thread]))}"
            yield Difference(text, frozenset({("thread", name, thread)}))
        yield from self._signals(process, old)

    @staticmethod
    def _handled(process: Process, old: Process) -> Iterator[Difference]:
        before = old.handled or {}
        for signal, count in (process.handled or {}).items():
            if more := count - before.get(signal, 0):
                text = ngettext(
                    "%(name)s's handler of %(signal)s has run",
                    "%(name)s's handler of %(signal)s has run %(num)s times",
                    more,
                    name=process.name,
                    signal=signal,
                )
                yield Difference(text, frozenset({("process", process.name, "handled")}))

    @staticmethod
    def _signals(process: Process, old: Process) -> Iterator[Difference]:
        now, then, name = process.signals or None, old.signals or None, process.name
        covers = frozenset({("process", name, "signals")})
        for key in ("caught", "ignored", "pending"):
            has: list[str] = getattr(now, key, [])
            had: list[str] = getattr(then, key, [])
            more = comma(one for one in has if one not in had)
            less = comma(one for one in had if one not in has)
            if more:
                text = {
                    "caught": _("%(name)s catches %(signals)s", name=name, signals=more),
                    "ignored": _("%(name)s ignores %(signals)s", name=name, signals=more),
                    "pending": _("%(signals)s waits for %(name)s", name=name, signals=more),
                }[key]
                yield Difference(text, covers)
            if less:
                text = {
                    "caught": _("%(name)s does not catch %(signals)s any more", name=name, signals=less),
                    "ignored": _("%(name)s does not ignore %(signals)s any more", name=name, signals=less),
                    "pending": _("%(signals)s does not wait for %(name)s any more", name=name, signals=less),
                }[key]
                yield Difference(text, covers)

    # ---- descriptors

    def _descriptors(self, process: Process, old: list[Descriptor]) -> Iterator[Difference]:
        name = process.name
        rows, before = ({row.number: row for row in table} for table in (process.descriptors, old))
        for number, row in rows.items():
            other, called = before.get(number), _called(row)
            covers: set[Path] = {("descriptor", name, number, key) for key in BORN["descriptor"]}
            if other is None:
                text = _(
                    "%(name)s has descriptor %(number)s%(called)s: %(object)s",
                    name=name,
                    number=number,
                    called=called,
                    object=noun(row.object),
                )
                yield Difference(text, frozenset(covers | self._born(row.inode)))
                continue
            if other.description != row.description or other.inode != row.inode:
                text = _(
                    "%(name)s's descriptor %(number)s%(called)s is another %(object)s now",
                    name=name,
                    number=number,
                    called=called,
                    object=noun(row.object),
                )
                covers |= self._born(row.inode) | self._born(other.inode)
                yield Difference(text, frozenset(covers - {("descriptor", name, number, "cloexec")}))
            elif other.names != row.names:
                text = (
                    _(
                        "%(name)s's descriptor %(number)s is called %(names)s now",
                        name=name,
                        number=number,
                        names=comma(row.names),
                    )
                    if row.names
                    else _("%(name)s's descriptor %(number)s has no name any more", name=name, number=number)
                )
                yield Difference(text, frozenset({("descriptor", name, number, "names")}))
            if other.cloexec != row.cloexec:
                text = _(
                    "FD_CLOEXEC of %(name)s's %(number)s%(called)s is %(set)s",
                    name=name,
                    number=number,
                    called=called,
                    set=_on(row.cloexec),
                )
                yield Difference(text, frozenset({("descriptor", name, number, "cloexec")}))
        if gone := [number for number in before if number not in rows]:
            covers = {("descriptor", name, number, key) for number in gone for key in before[number].__struct_fields__}
            covers |= {("object", before[number].inode, "descriptions") for number in gone}
            text = ngettext(
                "%(name)s holds descriptor %(which)s no more",
                "%(name)s holds descriptors %(which)s no more",
                len(gone),
                name=name,
                which=comma(gone),
            )
            yield Difference(text, frozenset(covers))

    def _descriptions(self) -> Iterator[Difference]:
        """What belongs to an open file description is told once, with all the descriptors that lead there."""
        before = {(process.name, row.number): row for process in self._before.processes for row in process.descriptors}
        groups: dict[tuple[Any, ...], list[tuple[str, Descriptor]]] = {}
        for process in self._after.processes:
            for row in process.descriptors:
                old = before.get((process.name, row.number))
                if old is not None and (old.description, old.inode) == (row.description, row.inode):
                    for key in ("flags", "offset"):
                        was, now = getattr(old, key), getattr(row, key)
                        if was != now:
                            groups.setdefault((key, row.description, was, now), []).append((process.name, row))
        for (key, _description, was, now), rows in groups.items():
            covers = frozenset(("descriptor", name, row.number, key) for name, row in rows)
            where = comma(
                _("%(name)s's %(number)s%(called)s", name=name, number=row.number, called=_called(row))
                for name, row in rows
            )
            if key == "offset":
                yield Difference(_("the offset behind %(where)s is %(offset)s now", where=where, offset=now), covers)
                continue
            for on, some in ((True, _flags(now) - _flags(was)), (False, _flags(was) - _flags(now))):
                if some:
                    yield Difference(
                        _(
                            "%(flags)s of the description behind %(where)s is %(set)s",
                            flags=comma(sorted(some)),
                            where=where,
                            set=_on(on),
                        ),
                        covers,
                    )


def _stands(old: Process | Task, now: Process | Task, text: str) -> str:
    """The state of a process or a thread; of one that was blocked in the same call before, where in it."""
    was: Blocked | None = old.blocked or None
    is_: Blocked | None = now.blocked or None
    if was and is_ and was.call == is_.call and old.state == now.state:
        return _("%(state)s, and stands at %(wchan)s now", state=text, wchan=is_.wchan or "?")
    return text


def _called(row: Descriptor) -> str:
    return f" ({row.names[-1]})" if row.names else ""


def _on(value: bool) -> str:
    return _("on") if value else _("off")


def _flags(text: str) -> set[str]:
    return set(text.split("|")) - {"0"}
