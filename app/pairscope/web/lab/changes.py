"""What differs between the facts of two steps: each difference once, in one sentence, with the facts that it tells of.

A fact has a path: ``("process", name, key)``, ``("thread", process, name)``, ``("descriptor", process, number, key)``,
``("object", inode, key)``. Tellers go over the things of a run and give what they know of; whatever none of them has
told is told last and plainly, by its key. So nothing that changed can go untold, whichever facts are added to a run;
the tests ask that nothing is left for that last way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.web.lab.words import afloat, comma, piece, process_state, thread_state, waiting
from pairscope.web.recorded import translated

Path = tuple[Any, ...]
Facts = dict[Path, Any]

BORN = {
    "process": {"pid", "parent", "state", "blocked", "threads", "exit", "signals", "handled"},
    "descriptor": {"names", "object", "inode", "access", "cloexec", "flags", "offset", "description"},
    "object": {
        "kind", "link", "descriptions", "family", "type", "listens", "borders", "why", "peer", "peer_held",
        "credentials", "capacity", "options", "process",
    },
}  # fmt: skip
"""Keys that are told by saying that a thing is there: what it is, and how things of its kind begin."""
EMPTY: dict[str, tuple[Any, ...]] = {
    "queued": (0, None), "contents": ([], None), "in_flight": (0, None), "flying": ([], None), "carried": ([], None),
    "shut": ([], None), "error": (False,),
    "waiting": (0, None), "waiting_from": ([], None), "backlog": (None,), "size": (0,), "crc32": (0,), "count": (0,),
    "seals": ("0", "F_SEAL_SEAL"),
    "address": (None, "0.0.0.0:0", "[::]:0"), "peer_address": (None,),
    "held": (True, None), "flies_in": ([], None), "used_by": ([], None), "ahead": ([], None),
}  # fmt: skip
"""What else an object has that holds nothing yet: no word is made of these."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One change, in words."""

    text: str
    covers: frozenset[Path]
    """The facts that it tells of, of those that changed."""
    known: bool = True
    """False: no teller knows this fact, and it is told by its key."""


def flatten(facts: dict[str, Any]) -> Facts:
    """Every fact by its path, but for `how` it is known."""
    found: Facts = {}
    for process in facts["processes"]:
        name = process["name"]
        found |= {
            ("process", name, key): value
            for key, value in process.items()
            if key not in ("name", "how", "descriptors", "threads")
        }
        found |= {("thread", name, thread["name"]): thread for thread in process.get("threads") or ()}
        for row in process["descriptors"]:
            found |= {("descriptor", name, row["number"], key): value for key, value in row.items() if key != "number"}
    for item in facts["objects"]:
        found |= {("object", item["inode"], key): value for key, value in item.items() if key not in ("inode", "how")}
    return found


def differences(before: dict[str, Any], after: dict[str, Any], names: dict[int, str]) -> list[Difference]:
    """Every difference; `names` has what an object is called, by its inode."""
    old, new = flatten(before), flatten(after)
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

    def __init__(
        self, before: dict[str, Any], after: dict[str, Any], changed: set[Path], names: dict[int, str]
    ) -> None:
        self._before, self._after, self._changed, self._names = before, after, changed, names
        self._was = {process["name"]: process for process in before["processes"]}
        self._had = {item["inode"]: item for item in before["objects"]}
        self._items = {item["inode"]: item for item in after["objects"]}
        self._introduced: set[int] = set()

    def all(self) -> Iterator[Difference]:
        for process in self._after["processes"]:
            old = self._was.get(process["name"])
            first = not self._was and process is self._after["processes"][0]
            yield from self._process(process, old, first)
            if old or first:
                yield from self._descriptors(process, old or {"descriptors": []})
        yield from self._descriptions()
        for inode, item in self._items.items():
            if inode not in self._had and inode not in self._introduced:
                yield Difference(
                    _("%(name)s is there: %(kind)s", name=self._name(item), kind=item["kind"]),
                    frozenset(self._born(inode)),
                )
            yield from self._object(item, self._had.get(inode))
        for inode, item in self._had.items():
            if inode not in self._items:
                text = _("nobody's table holds %(name)s any more", name=self._name(item))
                if not item.get("held", True):
                    text = _("%(name)s is gone: nobody can receive it any more", name=self._name(item))
                yield Difference(text, frozenset(_of(item, *item)))

    def _name(self, item: dict[str, Any]) -> str:
        return self._names.get(item["inode"], str(item["inode"]))

    def _born(self, inode: int) -> set[Path]:
        """What is told of an object by saying that it is there: all but what it holds already. Of one that was there:
        that another description leads to it."""
        if inode in self._had or inode not in self._items:
            return {("object", inode, "descriptions")}
        self._introduced.add(inode)
        item = self._items[inode]
        return _of(item, *BORN["object"], *(key for key, empty in EMPTY.items() if item.get(key) in empty))

    # ---- processes

    def _process(self, process: dict[str, Any], old: dict[str, Any] | None, first: bool) -> Iterator[Difference]:
        name = process["name"]
        threads = {thread["name"]: thread for thread in process.get("threads") or ()}
        if old is None:
            covers = {("process", name, key) for key in BORN["process"]} | {
                ("thread", name, thread) for thread in threads
            }
            text = _("the run begins with %(name)s", name=name)
            if not first:
                covers |= {
                    ("descriptor", name, row["number"], key)
                    for row in process["descriptors"]
                    for key in BORN["descriptor"]
                }
                text = ngettext(
                    "%(name)s is born, with %(num)s descriptor",
                    "%(name)s is born, with %(num)s descriptors",
                    len(process["descriptors"]),
                    name=name,
                )
            yield Difference(text, frozenset(covers))
            return
        before = {thread["name"]: thread for thread in old.get("threads") or ()}
        own = {("process", name, key) for key in ("state", "blocked", "exit")} | {("thread", name, name)}
        over = process["state"] in ("zombie", "ended")
        if over:
            own |= {("thread", name, thread) for thread in before} | {
                ("process", name, key) for key in ("parent", "signals")
            }
        yield from self._handled(process, old)
        if own & self._changed:
            yield Difference(f"{name}: {_stands(old, process, process_state(process)[1])}", frozenset(own))
        if over:
            return
        if old.get("parent") != process.get("parent"):
            text = (
                _("%(name)s is a child of %(parent)s now", name=name, parent=process["parent"])
                if process.get("parent")
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
    def _handled(process: dict[str, Any], old: dict[str, Any]) -> Iterator[Difference]:
        before = old.get("handled") or {}
        for signal, count in (process.get("handled") or {}).items():
            if more := count - before.get(signal, 0):
                text = ngettext(
                    "%(name)s's handler of %(signal)s has run",
                    "%(name)s's handler of %(signal)s has run %(num)s times",
                    more,
                    name=process["name"],
                    signal=signal,
                )
                yield Difference(text, frozenset({("process", process["name"], "handled")}))

    @staticmethod
    def _signals(process: dict[str, Any], old: dict[str, Any]) -> Iterator[Difference]:
        now, then, name = process.get("signals") or {}, old.get("signals") or {}, process["name"]
        covers = frozenset({("process", name, "signals")})
        for key in ("caught", "ignored", "pending"):
            more = comma(one for one in now.get(key) or () if one not in (then.get(key) or ()))
            less = comma(one for one in then.get(key) or () if one not in (now.get(key) or ()))
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

    def _descriptors(self, process: dict[str, Any], old: dict[str, Any]) -> Iterator[Difference]:
        name = process["name"]
        rows, before = ({row["number"]: row for row in one["descriptors"]} for one in (process, old))
        for number, row in rows.items():
            other, called = before.get(number), _called(row)
            covers = {("descriptor", name, number, key) for key in BORN["descriptor"]}
            if other is None:
                text = _(
                    "%(name)s has descriptor %(number)s%(called)s: %(object)s",
                    name=name,
                    number=number,
                    called=called,
                    object=row["object"],
                )
                yield Difference(text, frozenset(covers | self._born(row["inode"])))
                continue
            if other["description"] != row["description"] or other["inode"] != row["inode"]:
                text = _(
                    "%(name)s's descriptor %(number)s%(called)s is another %(object)s now",
                    name=name,
                    number=number,
                    called=called,
                    object=row["object"],
                )
                covers |= self._born(row["inode"]) | self._born(other["inode"])
                yield Difference(text, frozenset(covers - {("descriptor", name, number, "cloexec")}))
            elif other["names"] != row["names"]:
                text = (
                    _(
                        "%(name)s's descriptor %(number)s is called %(names)s now",
                        name=name,
                        number=number,
                        names=comma(row["names"]),
                    )
                    if row["names"]
                    else _("%(name)s's descriptor %(number)s has no name any more", name=name, number=number)
                )
                yield Difference(text, frozenset({("descriptor", name, number, "names")}))
            if other["cloexec"] != row["cloexec"]:
                text = _(
                    "FD_CLOEXEC of %(name)s's %(number)s%(called)s is %(set)s",
                    name=name,
                    number=number,
                    called=called,
                    set=_on(row["cloexec"]),
                )
                yield Difference(text, frozenset({("descriptor", name, number, "cloexec")}))
        if gone := [number for number in before if number not in rows]:
            covers = {("descriptor", name, number, key) for number in gone for key in before[number]}
            covers |= {("object", before[number]["inode"], "descriptions") for number in gone}
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
        before = {
            (process["name"], row["number"]): row
            for process in self._before["processes"]
            for row in process["descriptors"]
        }
        groups: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
        for process in self._after["processes"]:
            for row in process["descriptors"]:
                old = before.get((process["name"], row["number"]))
                if old is not None and (old["description"], old["inode"]) == (row["description"], row["inode"]):
                    for key in ("flags", "offset"):
                        if old[key] != row[key]:
                            groups.setdefault((key, row["description"], old[key], row[key]), []).append(
                                (process["name"], row)
                            )
        for (key, _description, was, now), rows in groups.items():
            covers = frozenset(("descriptor", name, row["number"], key) for name, row in rows)
            where = comma(
                _("%(name)s's %(number)s%(called)s", name=name, number=row["number"], called=_called(row))
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

    # ---- objects

    def _object(self, item: dict[str, Any], old: dict[str, Any] | None) -> Iterator[Difference]:
        had, new = old or {}, old is None

        def differs(*keys: str) -> bool:
            return any(
                item.get(key) != had.get(key)
                and not (new and (key in BORN["object"] or item.get(key) in EMPTY.get(key, ())))
                for key in keys
            )

        name = self._name(item)
        if differs("held", "flies_in", "used_by"):
            yield Difference(self._afloat(item), frozenset(_of(item, "held", "flies_in", "used_by", "descriptions")))
        if item.get("listens"):
            yield from self._listening(item, had)
        elif had.get("listens"):
            yield Difference(
                _("%(name)s does not listen any more", name=name),
                frozenset(_of(item, *_LISTENING, "error", "contents", "queued", "borders", "why")),
            )
        elif differs("size"):
            yield Difference(
                ngettext("%(name)s has %(num)s byte", "%(name)s has %(num)s bytes", item["size"], name=name),
                frozenset(_of(item, *_FILE)),
            )
        elif "size" in item and differs("contents", "crc32"):
            yield Difference(self._rewritten(item, had), frozenset(_of(item, *_FILE)))
        elif differs("queued", "contents"):
            yield Difference(_waits(name, item, had), frozenset(_of(item, "queued", "contents", "borders", "why")))
        elif differs("borders"):
            text = (
                _("what waits at %(name)s has borders now", name=name)
                if item.get("borders")
                else _("what waits at %(name)s has no borders any more", name=name)
            )
            yield Difference(text, frozenset(_of(item, "borders", "why")))
        elif differs("why"):
            text = (
                _("of what waits at %(name)s: %(why)s", name=name, why=translated(item["why"]))
                if item.get("why")
                else _("all that waits at %(name)s is shown again", name=name)
            )
            yield Difference(text, frozenset(_of(item, "why")))
        if differs("in_flight", "flying", "carried"):
            yield Difference(self._flying(item, had), frozenset(_of(item, "in_flight", "flying", "carried")))
        if differs("peer", "peer_held"):
            yield Difference(self._other_end(item, had), frozenset(_of(item, "peer", "peer_held")))
        for key, text in self._values(item, had):
            if differs(key) and text:
                yield Difference(text, frozenset(_of(item, key)))

    def _values(self, item: dict[str, Any], had: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Keys whose value alone makes the sentence."""
        name = self._name(item)
        yield "count", _("%(name)s counts %(count)s", name=name, count=item.get("count"))
        sealed = item.get("seals") or "0"
        yield (
            "seals",
            _("%(name)s is sealed: %(seals)s", name=name, seals=sealed)
            if sealed != "0"
            else _("%(name)s has no seal any more", name=name),
        )
        yield "capacity", _("%(name)s has room for %(capacity)s bytes", name=name, capacity=item.get("capacity"))
        for key, there, gone in (
            (
                "address",
                _("%(name)s has the address %(address)s", name=name, address=item.get("address")),
                _("%(name)s has no address any more", name=name),
            ),
            (
                "peer_address",
                _("%(name)s is connected to %(address)s", name=name, address=item.get("peer_address")),
                _("%(name)s is connected to no address any more", name=name),
            ),
        ):
            yield key, there if item.get(key) else gone
        shut = [
            {"read": _("for reading"), "write": _("for writing")}.get(word, word) for word in item.get("shut") or ()
        ]
        yield (
            "shut",
            _("%(name)s is shut %(directions)s", name=name, directions=comma(shut))
            if shut
            else _("%(name)s is not shut any more", name=name),
        )
        gone = _("no error waits at %(name)s any more", name=name) if had.get("error") else ""
        yield "error", _("an error waits at %(name)s", name=name) if item.get("error") else gone
        now, then = item.get("options") or {}, had.get("options") or {}
        yield (
            "options",
            comma(
                _("%(option)s of %(name)s is %(value)s", option=key, name=name, value=now[key])
                if key in now
                else _("%(name)s has no %(option)s any more", name=name, option=key)
                for key in dict.fromkeys([*now, *then])
                if now.get(key) != then.get(key)
            ),
        )
        said = item.get("credentials")
        who = (said.get("process") or said["pid"]) if said else ""
        if not said:
            yield "credentials", _("SO_PEERCRED of %(name)s names nobody any more", name=name)
        elif item.get("listens"):
            yield "credentials", _("SO_PEERCRED of who connects to %(name)s will name %(who)s", who=who, name=name)
        else:
            yield "credentials", _("SO_PEERCRED of %(name)s names %(who)s", who=who, name=name)
        yield "process", _("the process that %(name)s stands for is gone, and has no number any more", name=name)

    def _rewritten(self, item: dict[str, Any], had: dict[str, Any]) -> str:
        """A file that has as many bytes as before."""
        name = self._name(item)
        if item.get("contents") is None:
            return _("the bytes of %(name)s cannot be looked at any more", name=name)
        if had.get("contents") is None:
            return _("the bytes of %(name)s can be looked at", name=name)
        return _("%(name)s has other bytes, and as many as before", name=name)

    def _listening(self, item: dict[str, Any], had: dict[str, Any]) -> Iterator[Difference]:
        name, waiting, most = self._name(item), item.get("waiting") or 0, item.get("backlog")
        if not had.get("listens"):
            text = _("%(name)s listens", name=name)
            if most is not None:
                text = ngettext(
                    "%(name)s listens, and %(num)s connection may wait",
                    "%(name)s listens, and %(num)s connections may wait",
                    most,
                    name=name,
                )
            yield Difference(text, frozenset(_of(item, *_LISTENING, "error", "contents", "queued", "borders", "why")))
        elif most != had.get("backlog"):
            text = ngettext(
                "at %(name)s %(num)s connection may wait",
                "at %(name)s %(num)s connections may wait",
                most or 0,
                name=name,
            )
            yield Difference(text, frozenset(_of(item, "backlog")))
        if waiting != (had.get("waiting") or 0):
            text = ngettext(
                "%(num)s connection waits at %(name)s", "%(num)s connections wait at %(name)s", waiting, name=name
            )
            if most is not None and waiting > most:
                text = _("%(waits)s, and its queue is full", waits=text)
            elif not waiting:
                text = _("no connection waits at %(name)s any more", name=name)
            yield Difference(text, frozenset(_of(item, "waiting", "waiting_from")))
        if (item.get("ahead") or []) != (had.get("ahead") or []):
            size = sum(one["bytes"] for one in item.get("ahead") or ())
            text = ngettext(
                "%(num)s byte waits at %(name)s for whoever accepts",
                "%(num)s bytes wait at %(name)s for whoever accepts",
                size,
                name=name,
            )
            yield Difference(
                text if size else _("nothing waits at %(name)s for whoever accepts any more", name=name),
                frozenset(_of(item, "ahead")),
            )
        if waiting == (had.get("waiting") or 0) and (item.get("waiting_from") or []) != (had.get("waiting_from") or []):
            whose = comma(self._names.get(one, str(one)) for one in item.get("waiting_from") or ())
            text = (
                _("the connections that wait at %(name)s come from %(whose)s", name=name, whose=whose)
                if whose
                else _("nobody holds the other end of what waits at %(name)s", name=name)
            )
            yield Difference(text, frozenset(_of(item, "waiting_from")))

    def _afloat(self, item: dict[str, Any]) -> str:
        """Where an object is that a table held, or did not."""
        name = self._name(item)
        if not item.get("held", True):
            return _("nobody's table holds %(name)s: %(where)s", name=name, where=afloat(item, self._names))
        if item.get("flies_in"):
            queues = comma(self._names.get(inode, str(inode)) for inode in item["flies_in"])
            return _(
                "a description of %(name)s is in nobody's table: in flight, in the queue of %(queues)s",
                name=name,
                queues=queues,
            )
        return _("%(name)s is in somebody's table, by all its descriptions", name=name)

    def _flying(self, item: dict[str, Any], had: dict[str, Any]) -> str:
        name, flying = self._name(item), item.get("in_flight") or 0
        if not flying:
            return _("no descriptor is in flight to %(name)s any more", name=name)
        if flying == had.get("in_flight"):
            return _("other descriptors are in flight to %(name)s", name=name)
        return ngettext(
            "%(num)s descriptor is in flight to %(name)s",
            "%(num)s descriptors are in flight to %(name)s",
            flying,
            name=name,
        )

    def _other_end(self, item: dict[str, Any], had: dict[str, Any]) -> str:
        name, peer = self._name(item), item.get("peer")
        if peer != had.get("peer"):
            return (
                _("the other end of %(name)s is %(other)s", name=name, other=self._names.get(peer, str(peer)))
                if peer
                else _("%(name)s has no other end any more", name=name)
            )
        if item.get("peer_held"):
            return _("somebody holds the other end of %(name)s", name=name)
        if other := self._items.get(peer or 0):
            return _(
                "the other end of %(name)s is in nobody's table: %(where)s", name=name, where=afloat(other, self._names)
            )
        return _("nobody holds the other end of %(name)s any more", name=name)


_LISTENING = ("listens", "waiting", "backlog", "waiting_from", "ahead")
_FILE = ("size", "contents", "crc32")


def _of(item: dict[str, Any], *keys: str) -> set[Path]:
    return {("object", item["inode"], key) for key in keys}


def _stands(old: dict[str, Any], now: dict[str, Any], text: str) -> str:
    """The state of a process or a thread; of one that was blocked in the same call before, where in it."""
    was, is_ = old.get("blocked") or {}, now.get("blocked") or {}
    if was and is_ and was["call"] == is_["call"] and old["state"] == now["state"]:
        return _("%(state)s, and stands at %(wchan)s now", state=text, wchan=is_["wchan"] or "?")
    return text


def _called(row: dict[str, Any]) -> str:
    return f" ({row['names'][-1]})" if row["names"] else ""


def _on(value: bool) -> str:
    return _("on") if value else _("off")


def _flags(text: str) -> set[str]:
    return set(text.split("|")) - {"0"}


def _held(item: dict[str, Any]) -> tuple[int, int]:
    """Messages (of a stream 0) and bytes that wait."""
    contents = item.get("contents")
    return len(contents) if item.get("borders") and contents else 0, waiting(item) if item else 0


def _waits(name: str, item: dict[str, Any], had: dict[str, Any]) -> str:
    """What waits at a socket or in a pipe, where it has changed."""
    (count, size), then, contents, before = _held(item), _held(had), item.get("contents"), had.get("contents")
    if contents is not None and contents == before:
        return _("FIONREAD says %(queued)s at %(name)s", queued=item.get("queued"), name=name)
    if not count and not size:
        if any(then):
            return _("nothing waits at %(name)s any more", name=name)
        return (
            _("nothing waits at %(name)s", name=name)
            if contents is not None
            else _("what waits at %(name)s cannot be looked at", name=name)
        )
    if count:
        bytes_ = ngettext("%(num)s byte", "%(num)s bytes", size)
        if item["kind"] == "pipe":
            text = ngettext(
                "%(num)s packet waits at %(name)s, of %(bytes)s",
                "%(num)s packets wait at %(name)s, of %(bytes)s",
                count,
                name=name,
                bytes=bytes_,
            )
        else:
            text = ngettext(
                "%(num)s message waits at %(name)s, of %(bytes)s",
                "%(num)s messages wait at %(name)s, of %(bytes)s",
                count,
                name=name,
                bytes=bytes_,
            )
    else:
        text = ngettext("%(num)s byte waits at %(name)s", "%(num)s bytes wait at %(name)s", size, name=name)
    if contents is None and before is not None:
        return _("%(waits)s, and cannot be looked at any more", waits=text)
    if (count, size) != then or contents is None:
        return text
    shown = comma(map(piece, contents[:3]))
    if before is None:
        return _("%(waits)s: %(data)s", waits=text, data=shown)
    if [(one["bytes"], one["data"], one.get("oob")) for one in before] == [
        (one["bytes"], one["data"], one.get("oob")) for one in contents
    ]:
        return _("%(waits)s, as before, and what rides with them has changed", waits=text)
    return _("%(waits)s, other than before: %(data)s", waits=text, data=shown)
