"""What changed in an object between two moments, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.lab.run import Object, known
from pairscope.web.lab.difference import BORN, EMPTY, Difference, facts_of, value_of
from pairscope.web.lab.words import afloat, comma, piece, waiting
from pairscope.web.recorded import translated

_LISTENING = ("listens", "waiting", "backlog", "waiting_from", "ahead")
_FILE = ("size", "contents", "crc32")
_NOTHING = Object(0, "", "", [], {})
"""An object before it was there."""


class Objects:
    """Tells of the objects of the later moment; `names` has what each is called, by its inode."""

    def __init__(self, items: dict[int, Object], names: dict[int, str]) -> None:
        self._items, self._names = items, names

    def name(self, item: Object) -> str:
        """What an object is called; one without a name by its inode."""
        return self._names.get(item.inode, str(item.inode))

    def told(self, item: Object, old: Object | None) -> Iterator[Difference]:
        """Each difference of an object from how it was before; None: it was not there."""
        if item == old:
            return
        had, new = old or _NOTHING, old is None

        def differs(*keys: str) -> bool:
            return any(
                value_of(item, key) != value_of(had, key)
                and not (new and (key in BORN["object"] or value_of(item, key) in EMPTY.get(key, ())))
                for key in keys
            )

        name = self.name(item)
        if differs("held", "flies_in", "used_by"):
            yield Difference(
                self._afloat(item), frozenset(facts_of(item, "held", "flies_in", "used_by", "descriptions"))
            )
        if item.listens:
            yield from self._listening(item, had)
        elif had.listens:
            yield Difference(
                _("%(name)s does not listen any more", name=name),
                frozenset(facts_of(item, *_LISTENING, "error", "contents", "queued", "borders", "why")),
            )
        elif differs("size"):
            yield Difference(
                ngettext("%(name)s has %(num)s byte", "%(name)s has %(num)s bytes", item.size or 0, name=name),
                frozenset(facts_of(item, *_FILE)),
            )
        elif known(item.size) is not None and differs("contents", "crc32"):
            yield Difference(self._rewritten(item, had), frozenset(facts_of(item, *_FILE)))
        elif differs("queued", "contents"):
            yield Difference(_waits(name, item, had), frozenset(facts_of(item, "queued", "contents", "borders", "why")))
        elif differs("borders"):
            text = (
                _("what waits at %(name)s has borders now", name=name)
                if item.borders
                else _("what waits at %(name)s has no borders any more", name=name)
            )
            yield Difference(text, frozenset(facts_of(item, "borders", "why")))
        elif differs("why"):
            text = (
                _("of what waits at %(name)s: %(why)s", name=name, why=translated(item.why))
                if item.why
                else _("all that waits at %(name)s is shown again", name=name)
            )
            yield Difference(text, frozenset(facts_of(item, "why")))
        if differs("in_flight", "flying", "carried"):
            yield Difference(self._flying(item, had), frozenset(facts_of(item, "in_flight", "flying", "carried")))
        if differs("peer", "peer_held"):
            yield Difference(self._other_end(item, had), frozenset(facts_of(item, "peer", "peer_held")))
        for key, text in self._values(item, had):
            if differs(key) and text:
                yield Difference(text, frozenset(facts_of(item, key)))

    def _values(self, item: Object, had: Object) -> Iterator[tuple[str, str]]:
        """Keys whose value alone makes the sentence."""
        name = self.name(item)
        yield "count", _("%(name)s counts %(count)s", name=name, count=item.count)
        sealed = item.seals or "0"
        yield (
            "seals",
            _("%(name)s is sealed: %(seals)s", name=name, seals=sealed)
            if sealed != "0"
            else _("%(name)s has no seal any more", name=name),
        )
        yield "capacity", _("%(name)s has room for %(capacity)s bytes", name=name, capacity=item.capacity)
        for key, there, gone in (
            (
                "address",
                _("%(name)s has the address %(address)s", name=name, address=item.address),
                _("%(name)s has no address any more", name=name),
            ),
            (
                "peer_address",
                _("%(name)s is connected to %(address)s", name=name, address=item.peer_address),
                _("%(name)s is connected to no address any more", name=name),
            ),
        ):
            yield key, there if value_of(item, key) else gone
        shut = [{"read": _("for reading"), "write": _("for writing")}.get(word, word) for word in item.shut or ()]
        yield (
            "shut",
            _("%(name)s is shut %(directions)s", name=name, directions=comma(shut))
            if shut
            else _("%(name)s is not shut any more", name=name),
        )
        gone = _("no error waits at %(name)s any more", name=name) if had.error else ""
        yield "error", _("an error waits at %(name)s", name=name) if item.error else gone
        now, then = item.options or {}, had.options or {}
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
        said = item.credentials
        who = (said.process or said.pid) if said else ""
        if not said:
            yield "credentials", _("SO_PEERCRED of %(name)s names nobody any more", name=name)
        elif item.listens:
            yield "credentials", _("SO_PEERCRED of who connects to %(name)s will name %(who)s", who=who, name=name)
        else:
            yield "credentials", _("SO_PEERCRED of %(name)s names %(who)s", who=who, name=name)
        yield "process", _("the process that %(name)s stands for is gone, and has no number any more", name=name)

    def _rewritten(self, item: Object, had: Object) -> str:
        """A file that has as many bytes as before."""
        name = self.name(item)
        if known(item.contents) is None:
            return _("the bytes of %(name)s cannot be looked at any more", name=name)
        if known(had.contents) is None:
            return _("the bytes of %(name)s can be looked at", name=name)
        return _("%(name)s has other bytes, and as many as before", name=name)

    def _listening(self, item: Object, had: Object) -> Iterator[Difference]:
        name, waiting, most = self.name(item), item.waiting or 0, known(item.backlog)
        if not had.listens:
            text = _("%(name)s listens", name=name)
            if most is not None:
                text = ngettext(
                    "%(name)s listens, and %(num)s connection may wait",
                    "%(name)s listens, and %(num)s connections may wait",
                    most,
                    name=name,
                )
            yield Difference(
                text, frozenset(facts_of(item, *_LISTENING, "error", "contents", "queued", "borders", "why"))
            )
        elif most != known(had.backlog):
            text = ngettext(
                "at %(name)s %(num)s connection may wait",
                "at %(name)s %(num)s connections may wait",
                most or 0,
                name=name,
            )
            yield Difference(text, frozenset(facts_of(item, "backlog")))
        if waiting != (had.waiting or 0):
            text = ngettext(
                "%(num)s connection waits at %(name)s", "%(num)s connections wait at %(name)s", waiting, name=name
            )
            if most is not None and waiting > most:
                text = _("%(waits)s, and its queue is full", waits=text)
            elif not waiting:
                text = _("no connection waits at %(name)s any more", name=name)
            yield Difference(text, frozenset(facts_of(item, "waiting", "waiting_from")))
        if (item.ahead or []) != (had.ahead or []):
            size = sum(one.bytes for one in item.ahead or ())
            text = ngettext(
                "%(num)s byte waits at %(name)s for whoever accepts",
                "%(num)s bytes wait at %(name)s for whoever accepts",
                size,
                name=name,
            )
            yield Difference(
                text if size else _("nothing waits at %(name)s for whoever accepts any more", name=name),
                frozenset(facts_of(item, "ahead")),
            )
        if waiting == (had.waiting or 0) and (item.waiting_from or []) != (had.waiting_from or []):
            whose = comma(self._names.get(one, str(one)) for one in item.waiting_from or ())
            text = (
                _("the connections that wait at %(name)s come from %(whose)s", name=name, whose=whose)
                if whose
                else _("nobody holds the other end of what waits at %(name)s", name=name)
            )
            yield Difference(text, frozenset(facts_of(item, "waiting_from")))

    def _afloat(self, item: Object) -> str:
        """Where an object is that a table held, or did not."""
        name = self.name(item)
        if item.afloat:
            return _("nobody's table holds %(name)s: %(where)s", name=name, where=afloat(item, self._names))
        if item.flies_in:
            queues = comma(self._names.get(inode, str(inode)) for inode in item.flies_in)
            return _(
                "a description of %(name)s is in nobody's table: in flight, in the queue of %(queues)s",
                name=name,
                queues=queues,
            )
        return _("%(name)s is in somebody's table, by all its descriptions", name=name)

    def _flying(self, item: Object, had: Object) -> str:
        name, flying = self.name(item), item.in_flight or 0
        if not flying:
            return _("no descriptor is in flight to %(name)s any more", name=name)
        if flying == had.in_flight:
            return _("other descriptors are in flight to %(name)s", name=name)
        return ngettext(
            "%(num)s descriptor is in flight to %(name)s",
            "%(num)s descriptors are in flight to %(name)s",
            flying,
            name=name,
        )

    def _other_end(self, item: Object, had: Object) -> str:
        name, peer = self.name(item), known(item.peer)
        if peer != known(had.peer):
            return (
                _("the other end of %(name)s is %(other)s", name=name, other=self._names.get(peer, str(peer)))
                if peer
                else _("%(name)s has no other end any more", name=name)
            )
        if item.peer_held:
            return _("somebody holds the other end of %(name)s", name=name)
        if other := self._items.get(peer or 0):
            return _(
                "the other end of %(name)s is in nobody's table: %(where)s", name=name, where=afloat(other, self._names)
            )
        return _("nobody holds the other end of %(name)s any more", name=name)


def _held(item: Object) -> tuple[int, int]:
    """Messages (of a stream 0) and bytes that wait."""
    return len(item.contents) if item.borders and item.contents else 0, waiting(item)


def _waits(name: str, item: Object, had: Object) -> str:
    """What waits at a socket or in a pipe, where it has changed."""
    (count, size), then = _held(item), _held(had)
    contents, before = known(item.contents), known(had.contents)
    if contents is not None and contents == before:
        return _("FIONREAD says %(queued)s at %(name)s", queued=known(item.queued), name=name)
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
        if item.kind == "pipe":
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
    if [(one.bytes, one.data, one.oob) for one in before] == [(one.bytes, one.data, one.oob) for one in contents]:
        return _("%(waits)s, as before, and what rides with them has changed", waits=text)
    return _("%(waits)s, other than before: %(data)s", waits=text, data=shown)
