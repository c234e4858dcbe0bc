"""A run's values in the words of a page: what a call gave, in which state a process is, what waits in an object."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from pairscope.lab import values
from pairscope.lab.constants import NUMBERS, signal_name
from pairscope.lab.run import (
    Blocked,
    Carried,
    Descriptor,
    Exit,
    Object,
    Piece,
    Process,
    Result,
    State,
    Step,
    Task,
    Way,
    known,
)
from pairscope.web.recorded import translated
from pairscope.web.words import clip


def outcome(step: Step, state: State, result: Result, names: Mapping[int, str]) -> str:
    """What a step's call gave, as strace would say it: ``= 17``, ``= -1 EAGAIN``, ``blocks``. `state`: after the
    step; `names` are the processes', by pid."""
    if result.fault:
        return _("the actor could not make the call: %(why)s", why=result.fault)
    if result.blocked:
        return _("blocks")
    if result.ended:
        return (
            _("killed by %(signal)s", signal=signal_name(result.killed)) if result.killed else translated(result.ended)
        )
    if result.errno:
        return f"= -1 {result.errno} ({os.strerror(NUMBERS.get(result.errno, 0))})"
    text = f"= {result.value}"
    if meaning := values.meaning(step, result, names):
        text += f" ({meaning})"
    data = data_of(result)
    if data is not None and (data or result.value == 0):
        text += f"  {quoted(data)}"
    if result.fds:
        text += "  " + ngettext(
            "and descriptor %(which)s", "and descriptors %(which)s", len(result.fds), which=_numbers(result.fds)
        )
    elif result.made:
        text += "  " + ngettext("made %(which)s", "made %(which)s", len(result.made), which=_numbers(result.made))
    said = {"process": _("process %s"), "user": _("user %s"), "group": _("group %s"), "nobody": _("no process")}
    for key, word in values.beside(step, state, result, names, said).items():
        text += f"  {key} {word}"
    if lost := result.lost:
        which = comma(_of_whom(one) for one in lost)
        text += "  " + ngettext(
            "%(num)s descriptor closed by the kernel on receipt: %(which)s",
            "%(num)s descriptors closed by the kernel on receipt: %(which)s",
            len(lost),
            which=which,
        )
    return text


def _of_whom(one: Carried) -> str:
    """A descriptor that was sent, by its sender's number; as far as that is known."""
    if one.sender is None:
        return one.kind or _("not known which")
    return _("%(sender)s's %(number)s (%(kind)s)", sender=one.sender, number=one.number, kind=one.kind or "?")


def data_of(result: Result) -> bytes | None:
    """The bytes that a call read."""
    return base64.b64decode(result.data) if result.data is not None else None


def quoted(data: bytes, length: int = 48) -> str:
    """Bytes as a C string, cut where they are long."""
    shown = "".join(
        _LETTERS.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data[:length]
    )
    return f'"{shown}"' + ("…" if len(data) > length else "")


_LETTERS = {10: "\\n", 9: "\\t", 13: "\\r", 34: '\\"', 92: "\\\\", 0: "\\0"}


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + ("…" if len(numbers) > 6 else "")


def comma(words: Iterable[Any]) -> str:
    """The words of a list."""
    return ", ".join(map(str, words))


def piece(found: Piece, length: int = 24) -> str:
    """The beginning of a message or a stream in quotes; a byte that is out of band is marked."""
    shown = quoted(base64.b64decode(found.data), length)
    return shown + " " + _("out of band") if found.oob else shown


def process_state(process: Process) -> tuple[str, str]:
    """A process's shape and word."""
    state = process.state
    if state == "blocked":
        return "attention", _("blocked in %(call)s", call=process.blocked.call if process.blocked else "?")
    if state in ("zombie", "ended"):
        ended = process.exit or Exit(None, None)
        if ended.killed is not None:
            return "failed", _("killed by %(signal)s", signal=signal_name(ended.killed))
        word = _("exited %(status)s", status="?" if ended.status is None else ended.status)
        return "unknown", _("zombie, %(how)s", how=word) if state == "zombie" else word
    if state == "stopped":
        return "attention", _("stopped")
    return "good", _("runs")


def thread_state(thread: Task) -> str:
    """The same of one of its threads, as a word."""
    if thread.state == "blocked":
        return _("blocked in %(call)s", call=thread.blocked.call if thread.blocked else "?")
    return _("stopped") if thread.state == "stopped" else _("runs")


def open_way(way: Way, names: Mapping[int, str]) -> str:
    """In which way a step is open, as a sentence; `names` are the objects', by inode."""
    who, what = _and(way.who), _and(names.get(inode, str(inode)) for inode in way.what)
    if way.kind == "readers":
        if what:
            return _(
                "%(who)s wait at %(what)s; which of them gets what comes is the kernel's choice.", who=who, what=what
            )
        return _("%(who)s wait for the same; which of them gets it is the kernel's choice.", who=who)
    if way.kind == "writers":
        return _("%(who)s wait for room at %(what)s; whose bytes come next is the kernel's choice.", who=who, what=what)
    if way.kind == "children":
        return _("%(who)s have ended; of which child a wait for any takes leave first is the kernel's choice.", who=who)
    if way.kind == "stopped":
        return _(
            "%(who)s stops its own process by a signal that another of its threads takes; whether its call "
            "returns before is the kernel's choice.",
            who=who,
        )
    if way.kind == "collector":
        return _(
            "Nobody can reach %(what)s any more, but the queues that carry it; when the kernel's garbage "
            "collector frees it is open.",
            what=what,
        )
    return _("The kernel may choose otherwise (%(kind)s).", kind=way.kind)


def _and(words: Iterable[str]) -> str:
    listed = list(words)
    return _("%(some)s and %(last)s", some=comma(listed[:-1]), last=listed[-1]) if len(listed) > 1 else comma(listed)


def afloat(item: Object, names: Mapping[int, str]) -> str:
    """Where an object is that nobody's table holds; empty: somebody's does."""
    if not item.afloat:
        return ""
    if item.used_by:
        return _("%(who)s still uses it, in a call that is under way", who=", ".join(item.used_by))
    queues = ", ".join(names.get(inode, str(inode)) for inode in item.flies_in or ())
    if not queues:
        return _("the kernel still has it")
    return _("in flight, in the queue of %(queues)s", queues=queues)


def flags(row: Descriptor) -> str:
    """The status flags of a description, without the one that the kernel sets by itself on machines of 64 bits."""
    return " ".join(flag for flag in row.flags.split("|") if flag not in ("0", "O_LARGEFILE"))


def standing(blocked: Blocked) -> str:
    """Where the kernel says that a blocked task stands: /proc/PID/syscall and wchan."""
    return f"syscall {blocked.syscall}({', '.join(blocked.arguments[:3])}, …)  wchan {blocked.wchan or '0'}"


def waiting(item: Object | None) -> int:
    """Bytes that wait to be read from an object."""
    if item is None:
        return 0
    # the kernel counts of datagrams the first alone, and of TCP none behind an urgent byte
    contents = known(item.contents)
    if item.kind == "socket" and contents is not None:
        return sum(message.bytes for message in contents)
    return item.queued or 0


def messages(item: Object) -> list[tuple[int, str]]:
    """What waits in an object: the bytes of each message (of a stream: all), and how they begin; a byte that is out of
    band is marked."""
    return [(entry.bytes, piece(entry, 40)) for entry in item.contents or []]


def gist(item: Object, length: int = 60) -> str:
    """What an object holds, in a line."""
    parts = [clip(text, length) for _count, text in messages(item)[:4]]
    return " · ".join(parts)
