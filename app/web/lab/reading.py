"""A run read for people: what a step did, what changed by it, what every process and object held after it."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
import signal
from functools import cached_property
from typing import Any, Iterator

from flask_babel import gettext as _
from flask_babel import ngettext

from app.lab.constants import NUMBERS
from app.web.words import clip

SHAPES = {"held": "good", "failed": "failed", "none": "unknown", "refused": "attention", "timed out": "attention"}


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the scenario's text."""

    number: int
    tokens: list[tuple[str, str]]
    """Class and text: ``about``, ``comment``, ``actor``, ``call``, ``string``, ``binds``, ``expected``, or nothing."""
    step: int | None
    """Its step, from 1."""

    @property
    def returned(self) -> bool:
        """Whether it stands for what a call that had blocked gave, as in ``child: (read returns)``: to read it is to know that the call blocks."""
        return next((text for kind, text in self.tokens if kind != "actor" and text.strip(" :")), "").startswith("(")


@dataclasses.dataclass(frozen=True)
class Blocked:
    """A call that blocked, from its step to the one that released it."""

    actor: str
    call: str
    first: int
    last: int | None
    """None: it was never released."""


class Reading:
    """A run, and ways to read it. Steps are counted from 1; step 0 is the moment before the first."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run
        self.steps: list[dict[str, Any]] = run["steps"]
        self.count = len(self.steps)

    def said(self, word: str) -> str:
        """What ``@word`` says in the scenario."""
        return " ".join(text for key, text in self.run["about"] if key == word)

    @property
    def title(self) -> str:
        return self.said("title") or _("A scenario without a title")

    def step(self, number: int) -> dict[str, Any]:
        return self.steps[number - 1]

    def facts(self, number: int) -> dict[str, Any]:
        """What was held after a step."""
        return (self.steps[number - 1]["after"] if 0 < number <= self.count else None) or {"processes": [], "objects": []}

    @property
    def first(self) -> int:
        """The step that is shown first: the one that failed; of a run that came to another end than its own the last; else the first."""
        failed = next((number for number, step in enumerate(self.steps, 1) if step["verdict"] == "failed"), 0)
        return failed or (min(1, self.count) if self.run["verdict"] in ("held", "none") else self.count)

    @property
    def reason(self) -> list[tuple[str, Line | None]]:
        """Why the run ended as it did, in pieces; with a line of the text where a piece names a line that is a step."""
        by_number = {line.number: line for line in self.lines if line.step}
        parts = re.split(r"(\bline \d+\b)", self.run["reason"])
        return [(part, by_number.get(int(part[5:])) if index % 2 else None) for index, part in enumerate(parts) if part]

    # ---- the text

    @cached_property
    def lines(self) -> list[Line]:
        """The scenario's text."""
        by_line = {step["line"]: index for index, step in enumerate(self.steps, 1)}
        found, steps = [], 0
        for number, text in enumerate(self.run["text"].splitlines(), 1):
            step = by_line.get(number)
            if not self.steps and _STEP.match(text):  # it has not been run: its steps are counted here
                steps += 1
                step = steps
            found.append(Line(number, list(_tokens(text)), step))
        return found

    def source(self, number: int) -> str:
        """The line of a step, without what is expected."""
        step = self.step(number)
        lines = self.run["text"].splitlines()
        line = lines[step["line"] - 1] if 0 < step["line"] <= len(lines) else f"{step['actor']}: {step['call']}"
        return re.sub(r"\s+", " ", "".join(text for kind, text in _tokens(line) if kind not in ("expected", "comment"))).strip()

    # ---- what a step did

    def outcome(self, number: int) -> str:
        """What the call of a step gave, as strace would say it."""
        step = self.step(number)
        return outcome(step["result"]) if step["result"] else _("was not made: %(why)s", why=step["reason"])

    def expected(self, number: int) -> str:
        """What the scenario expected of a step; empty: nothing."""
        wanted = self.step(number)["expected"]
        if not wanted:
            return ""
        return " ".join(filter(None, (wanted["first"], *(f"{key}={value}" for key, value in wanted["keys"].items()))))

    def released(self, number: int) -> list[tuple[str, int, str]]:
        """The calls that a step released: actor, the step at which it had blocked, what it gave."""
        step = self.step(number)
        return [(actor, result["of"] + 1, outcome(result)) for actor, result in step["completed"].items() if result["of"] + 1 != number]

    @cached_property
    def blocks(self) -> list[Blocked]:
        """Every call that blocked."""
        open_: dict[str, tuple[str, int]] = {}
        found = []
        for number, step in enumerate(self.steps, 1):
            for actor, result in step["completed"].items():
                if actor in open_ and result["of"] + 1 < number:
                    call, first = open_.pop(actor)
                    found.append(Blocked(actor, call, first, number))
            if step["result"] and step["result"]["blocked"] and not step["returned"]:
                open_[step["actor"]] = step["call"], number
        return found + [Blocked(actor, call, first, None) for actor, (call, first) in open_.items()]

    @cached_property
    def actors(self) -> list[str]:
        """In the order in which they first speak or are made."""
        seen: dict[str, None] = {}
        for step in self.steps:
            seen.setdefault(step["actor"])
            for process in (step["after"] or {}).get("processes", []):
                for thread in process.get("threads") or [process]:
                    seen.setdefault(thread["name"])
        return list(seen)

    def volatile(self) -> set[str]:
        """Numbers that the kernel gave and gives otherwise in each run: pids, inodes, ports."""
        found: set[Any] = set()
        for number, step in enumerate(self.steps, 1):
            facts = self.facts(number)
            for process in facts["processes"]:
                found |= {process["pid"], *(thread["tid"] for thread in process.get("threads") or ())}
                found |= {row["inode"] for row in process["descriptors"]}
            found |= {item["inode"] for item in facts["objects"]}
            found |= {result["port"] for result in (step["result"], *step["completed"].values()) if result and result.get("port")}
        return {str(value) for value in found if value}

    # ---- what changed

    def changes(self, number: int) -> list[str]:
        """What a step changed, in words."""
        before, after = self.facts(number - 1), self.facts(number)
        return [*_processes_changed(before, after), *_objects_changed(before, after, self.names(number))]

    def fresh(self, number: int) -> "Fresh":
        """What a step changed, for a drawing to accent."""
        before, after = self.facts(number - 1), self.facts(number)
        slots_before = {(p["name"], d["number"]): (d["inode"], d["description"]) for p in before["processes"] for d in p["descriptors"]}
        slots_after = {(p["name"], d["number"]): (d["inode"], d["description"]) for p in after["processes"] for d in p["descriptors"]}
        states_before = {p["name"]: _state_key(p) for p in before["processes"]}
        objects_before = {o["inode"]: o for o in before["objects"]}
        return Fresh(
            slots={key for key, value in slots_after.items() if slots_before.get(key) != value},
            gone={key for key in slots_before if key not in slots_after},
            processes={p["name"] for p in after["processes"] if states_before.get(p["name"]) != _state_key(p)},
            objects={o["inode"] for o in after["objects"] if _holds(objects_before.get(o["inode"])) != _holds(o)},
        )

    def names(self, number: int) -> dict[int, str]:
        """What an object is called: by the first name that a descriptor to it was given."""
        found: dict[int, str] = {}
        for upto in range(1, number + 1):
            for process in self.facts(upto)["processes"]:
                for row in process["descriptors"]:
                    if row["names"]:
                        found.setdefault(row["inode"], row["names"][-1])
        return found

    @cached_property
    def order(self) -> list[int]:
        """Every object that was ever seen, by inode, in the order of appearance; the ends of a pair side by side."""
        seen: dict[int, None] = {}
        for step in self.steps:
            for item in (step["after"] or {}).get("objects", []):
                if item["inode"] not in seen:
                    seen.setdefault(item["inode"])
                    if item.get("peer"):
                        seen.setdefault(item["peer"])
        return list(seen)


@dataclasses.dataclass(frozen=True)
class Fresh:
    """What a step changed."""

    slots: set[tuple[str, int]]
    gone: set[tuple[str, int]]
    processes: set[str]
    objects: set[int]


# ---- words


def outcome(result: dict[str, Any]) -> str:
    """A result as strace says it: ``= 17``, ``= -1 EAGAIN``, ``blocks``."""
    if result.get("fault"):
        return _("the actor could not make the call: %(why)s", why=result["fault"])
    if result["blocked"]:
        return _("blocks")
    if result.get("ended"):
        return result["ended"]
    if result["errno"]:
        return f"= -1 {result['errno']} ({os.strerror(NUMBERS.get(result['errno'], 0))})"
    text = f"= {result['value']}"
    data = data_of(result)
    if data is not None and (data or result["value"] == 0):
        text += f"  {quoted(data)}"
    if result.get("fds"):
        text += "  " + ngettext("and descriptor %(which)s", "and descriptors %(which)s", len(result["fds"]), which=_numbers(result["fds"]))
    elif result.get("made"):
        text += "  " + ngettext("made %(which)s", "made %(which)s", len(result["made"]), which=_numbers(result["made"]))
    for key in ("status", "killed", "revents", "held", "port"):
        if result.get(key) is not None and not (key == "held" and data is not None and len(data) != 8):
            text += f"  {key} {_told(key, result[key])}"
    return text


def data_of(result: dict[str, Any]) -> bytes | None:
    """The bytes that a call read."""
    return base64.b64decode(result["data"]) if result.get("data") is not None else None


def quoted(data: bytes, length: int = 48) -> str:
    """Bytes as a C string, cut where they are long."""
    shown = "".join(_LETTERS.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in data[:length])
    return f'"{shown}"' + ("…" if len(data) > length else "")


_LETTERS = {10: "\\n", 9: "\\t", 13: "\\r", 34: '\\"', 92: "\\\\", 0: "\\0"}


def _numbers(values: list[int]) -> str:
    return ", ".join(map(str, values[:6])) + ("…" if len(values) > 6 else "")


def _told(key: str, value: Any) -> str:
    if key == "killed":
        return signal.Signals(value).name if value in set(signal.Signals) else str(value)
    return str(value)


_TOKEN = re.compile(
    r"""(?P<comment>\#.*$)|(?P<string>x?"(?:[^"\\]|\\.)*")|(?P<binds>->(?:\s*[a-z]\w*)+)|(?P<expected>=>.*$)|(?P<space>\s+)|(?P<word>[^\s"#]+)"""
)


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    """The parts of a line, each with its class."""
    if line.lstrip().startswith("@"):
        word, _space, rest = line.partition(" ")
        yield "about", word
        yield "said", line[len(word) :]
        return
    calls = 0
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup or ""
        text = match.group()
        if kind == "word":
            kind = "actor" if not calls else "call" if calls == 1 else ""
            calls += 1
        yield ("", " ") if kind == "space" and calls else ("" if kind == "space" else kind, text)


_STEP = re.compile(r"\s*[a-z]\w*\s*:")


def process_state(process: dict[str, Any]) -> tuple[str, str]:
    """A process's shape and word."""
    state = process["state"]
    if state == "blocked":
        return "attention", _("blocked in %(call)s", call=process["blocked"]["call"])
    if state in ("zombie", "ended"):
        ended = process["exit"]
        if ended["killed"] is not None:
            return "failed", _("killed by %(signal)s", signal=_told("killed", ended["killed"]))
        word = _("exited %(status)s", status="?" if ended["status"] is None else ended["status"])
        return "unknown", _("zombie, %(how)s", how=word) if state == "zombie" else word
    if state == "stopped":
        return "attention", _("stopped")
    return "good", _("runs")


def _state_key(process: dict[str, Any]) -> Any:
    return process["state"], (process.get("blocked") or {}).get("call"), str(process.get("exit"))


def _holds(item: dict[str, Any] | None) -> Any:
    if item is None:
        return None
    return (
        item.get("queued"), str(item.get("contents")), item.get("in_flight"), item.get("size"), item.get("count"), item.get("seals"), item.get("peer_held"),
        item.get("held", True), item.get("flies_in"),
    )  # fmt: skip


def _processes_changed(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    was = {process["name"]: process for process in before["processes"]}
    for process in after["processes"]:
        name = process["name"]
        old = was.get(name)
        if old is None:
            if was:
                yield _("%(name)s is born, with %(count)s descriptors", name=name, count=len(process["descriptors"]))
            rows_before: dict[int, Any] = {} if not was else {row["number"]: row for row in process["descriptors"]}
        else:
            rows_before = {row["number"]: row for row in old["descriptors"]}
            if _state_key(old) != _state_key(process):
                yield f"{name}: {process_state(process)[1]}"
        rows = {row["number"]: row for row in process["descriptors"]}
        for number, row in rows.items():
            other = rows_before.get(number)
            called = f" ({row['names'][-1]})" if row["names"] else ""
            if other is None:
                yield _("%(name)s has descriptor %(number)s%(called)s: %(object)s", name=name, number=number, called=called, object=row["object"])
            elif other["description"] != row["description"] or other["inode"] != row["inode"]:
                yield _("%(name)s's descriptor %(number)s%(called)s is another %(object)s now", name=name, number=number, called=called, object=row["object"])
            elif other["offset"] != row["offset"] and row["object"] in ("regular file", "memfd"):
                yield _("the offset behind %(name)s's %(number)s%(called)s is %(offset)s now", name=name, number=number, called=called, offset=row["offset"])
            elif other["cloexec"] != row["cloexec"]:
                yield _("FD_CLOEXEC of %(name)s's %(number)s%(called)s is %(set)s", name=name, number=number, called=called, set=_("on") if row["cloexec"] else _("off"))
        gone = [number for number in rows_before if number not in rows]
        if gone and old is not None:
            yield ngettext("%(name)s holds descriptor %(which)s no more", "%(name)s holds descriptors %(which)s no more", len(gone), name=name, which=_numbers(gone))


def _objects_changed(before: dict[str, Any], after: dict[str, Any], names: dict[int, str]) -> Iterator[str]:
    was = {item["inode"]: item for item in before["objects"]}
    now = {item["inode"]: item for item in after["objects"]}
    for item in after["objects"]:
        old = was.get(item["inode"])
        name = names.get(item["inode"], str(item["inode"]))
        if not item.get("held", True) and (old is None or afloat(old, names) != afloat(item, names)):
            yield _("nobody's table holds %(name)s: %(where)s", name=name, where=afloat(item, names))
        if (queued := waiting(item)) != (held := waiting(old)) and (queued or held):
            yield ngettext("%(num)s byte waits at %(name)s", "%(num)s bytes wait at %(name)s", queued, name=name) if queued else _("nothing waits at %(name)s any more", name=name)
        flying = item.get("in_flight") or 0
        if flying != ((old or {}).get("in_flight") or 0):
            yield (
                ngettext("%(num)s descriptor is in flight to %(name)s", "%(num)s descriptors are in flight to %(name)s", flying, name=name)
                if flying
                else _("no descriptor is in flight to %(name)s any more", name=name)
            )
        if old is not None and old.get("size") != item.get("size"):
            yield _("%(name)s has %(size)s bytes", name=name, size=item["size"])
        if old is not None and old.get("count") != item.get("count"):
            yield _("%(name)s counts %(count)s", name=name, count=item["count"])
        if old is not None and old.get("seals") != item.get("seals"):
            yield _("%(name)s is sealed: %(seals)s", name=name, seals=item["seals"])
        other = now.get(item.get("peer") or 0)
        if old is not None and old.get("peer_held") and item.get("peer_held") is False:
            if other is None:
                yield _("nobody holds the other end of %(name)s any more", name=name)
            else:
                yield _("the other end of %(name)s is in nobody's table: %(where)s", name=name, where=afloat(other, names))
    for inode, item in was.items():
        if inode not in now and not item.get("held", True):
            yield _("%(name)s is gone: nobody can receive it any more", name=names.get(inode, str(inode)))
        elif inode not in now:
            yield _("nobody's table holds %(name)s any more", name=names.get(inode, str(inode)))


def afloat(item: dict[str, Any], names: dict[int, str]) -> str:
    """Where an object is that nobody's table holds; empty: somebody's does."""
    if item.get("held", True):
        return ""
    if item.get("used_by"):
        return _("%(who)s still uses it, in a call that is under way", who=", ".join(item["used_by"]))
    queues = ", ".join(names.get(inode, str(inode)) for inode in item.get("flies_in") or ())
    if not queues:
        return _("the kernel still has it")
    return _("in flight, in the queue of %(queues)s", queues=queues)


def flags(row: dict[str, Any]) -> str:
    """The status flags of a description, without the one that the kernel sets by itself on machines of 64 bits."""
    return " ".join(flag for flag in row["flags"].split("|") if flag not in ("0", "O_LARGEFILE"))


def standing(blocked: dict[str, Any]) -> str:
    """Where the kernel says that a blocked task stands: /proc/PID/syscall and wchan."""
    return f"syscall {blocked['syscall']}({', '.join(blocked['arguments'][:3])}, …)  wchan {blocked['wchan'] or '0'}"


def waiting(item: dict[str, Any] | None) -> int:
    """Bytes that wait to be read from an object."""
    if item is None:
        return 0
    if item["kind"] == "socket" and item.get("contents") is not None:  # the kernel counts of datagrams the first alone, and of TCP none behind an urgent byte
        return sum(message["bytes"] for message in item["contents"])
    return item.get("queued") or 0


def messages(item: dict[str, Any]) -> list[tuple[int, str]]:
    """What waits in an object: the bytes of each message (of a stream: all), and how they begin; a byte that is out of band is marked."""
    return [
        (entry["bytes"], quoted(base64.b64decode(entry["data"]), 40) + (f" {_('out of band')}" if entry.get("oob") else ""))
        for entry in item.get("contents") or []
    ]


def gist(item: dict[str, Any], length: int = 60) -> str:
    """What an object holds, in a line."""
    parts = [clip(text, length) for _count, text in messages(item)[:4]]
    return " · ".join(parts)
