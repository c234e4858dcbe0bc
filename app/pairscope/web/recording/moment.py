"""A moment of a recording as the lab's picture: the processes and objects that this step and its neighbours touch.

Names and links are others' texts, so what would change the look of a page is written out before they are drawn.

The whole would be tens of processes with hundreds of descriptors. What is shown of a process are the numbers that these
steps name, and whatever leads to an object that they touch.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from pairscope.lab.run import Blocked, Descriptor, Exit, Object, Process
from pairscope.trace.comparing import program
from pairscope.trace.lines import quoted
from pairscope.trace.reading import Reading
from pairscope.trace.recording import Passage, State, parted
from pairscope.web.lab.drawing.moment import paint
from pairscope.web.lab.drawing.plan import NARROW, WIDE
from pairscope.web.lab.drawing.things import Port, Thing
from pairscope.web.lab.reading import Fresh
from pairscope.web.lab.words import process_state
from pairscope.web.words import clip, visible

BESIDE = 3
"""Neighbours on each side whose processes and objects are in the picture."""
_PROCESSES, _OBJECTS, _SLOTS = 6, 8, 12
_EACH = 32
"""Processes of a picture that has each of them."""


@dataclasses.dataclass
class Excerpt:
    """What is shown of a moment."""

    processes: list[Process]
    things: list[Thing]
    fresh: Fresh
    left_out: dict[str, int]
    """By program: processes that have a part in these steps, or hold what they touch, and are not drawn."""

    @property
    def picture(self) -> Markup:
        """For wide screens and for a phone."""
        said = " ".join(_told(process) for process in self.processes)
        return Markup("").join(
            paint(self.processes, self.things, self.fresh, plan, _("After this step"), said) for plan in (WIDE, NARROW)
        )


def excerpt(reading: Reading, number: int, shown: Sequence[int], *, each: bool = False) -> Excerpt:
    """The moment after a step. `shown`: the step and its neighbours, by number; `each`: with every process that has a
    part in it."""
    before, state = reading.state(number - 1) if number else State({}, {}), reading.state(number)
    near = sorted(shown, key=lambda other: abs(other - number))
    involved: dict[int, None] = {}
    touched: dict[str, None] = {}
    for other in near:
        row = reading.row(other)
        involved.setdefault(row.process)
        touched |= dict.fromkeys(row.objects)
        involved |= dict.fromkeys(passage.sender for passage in reading.sent(other))
        involved |= dict.fromkeys(passage.receiver for passage in reading.came(other) if passage.receiver)
        if isinstance(child := reading.step(other).gave.get("process"), int) and 1 <= child <= len(
            reading.index.processes
        ):
            involved.setdefault(child)
    links = _with_peers(touched, state)
    for process in range(1, len(reading.index.processes) + 1):
        if reading.lives(process, number) and any(
            link in links for link in reading.rows_of(process, state, number).values()
        ):
            involved.setdefault(process)
    there = [process for process in involved if reading.lives(process, number) or reading.ended(process, number)]
    drawn = sorted(there[: _EACH if each else _PROCESSES])
    left_out = Counter(program(reading.process(process).name) for process in there if process not in drawn)
    numbers = {process: _numbers(reading, process, near) for process in drawn}
    fresh = Fresh(set(), set(), set(), set())
    boxes = []
    for process in drawn:
        had = reading.rows_of(process, before, number - 1) if number else {}
        boxes.append(_process(reading, process, number, state, had, links, numbers[process], fresh))
    if number:
        fresh.processes.add(visible(reading.process(reading.row(number).process).name))
    return Excerpt(boxes, _things(reading, number, state, links, boxes, before), fresh, left_out)


def _with_peers(touched: Iterable[str], state: State) -> dict[str, None]:
    """What was touched, as far as the picture has room, each socket with its other end behind it."""
    found: dict[str, None] = {}
    for link in touched:
        if len(found) >= 2 * _OBJECTS:
            break
        found.setdefault(link)
        queue = state.queues.get(node_of(link))
        if queue and queue.peer:
            found.setdefault(f"socket:[{queue.peer}]")
    return found


def node_of(link: str) -> int:
    """The inode of ``socket:[1234]`` or ``pipe:[1234]``; of other things a number less than 0, the same for the same
    link."""
    inode = parted(link)[1]
    if inode:
        return inode
    return -1 - zlib.crc32(link.encode("utf-8", "replace"))


def _numbers(reading: Reading, process: int, near: Sequence[int]) -> set[int]:
    """The numbers that steps name of a process's table."""
    found: set[int] = set()
    for other in near:
        row = reading.row(other)
        if row.process == process:
            step = reading.step(other)
            for key in ("fd", "to", "target"):
                value = step.given.get(key)
                found |= {value} if isinstance(value, int) else set()
            for rows in step.changed.tables.values() if row.call != "exit" else ():
                found |= set(rows)
        found |= {passage.sent_as for passage in reading.sent(other) if passage.sender == process}
        found |= {
            passage.received_as
            for passage in reading.came(other)
            if passage.receiver == process and passage.received_as is not None
        }
    return found


def _process(
    reading: Reading, process: int, number: int, state: State, had: dict[int, str], links: dict[str, None],
    named: set[int], fresh: Fresh,
) -> Process:  # fmt: skip
    who = reading.process(process)
    name = visible(who.name)
    if reading.ended(process, number):
        status = who.status
        ended = Exit(
            status if status is not None and status >= 0 else None,
            -status if status is not None and status < 0 else None,
        )
        return Process(name, who.pid, None, [], {}, "ended", exit=ended)
    rows = reading.rows_of(process, state, number)
    shown = sorted(
        (key for key, link in rows.items() if key in named or link in links), key=lambda key: (key not in named, key)
    )
    for key in shown[:_SLOTS]:
        if had.get(key) != rows[key]:
            fresh.slots.add((name, key))
    fresh.gone.update((name, key) for key in had if key not in rows and key in named)
    descriptors = [_descriptor(key, rows[key], links) for key in sorted(shown[:_SLOTS])]
    asleep = next((wait for wait in reading.asleep(number) if wait.process == process), None)
    blocked = Blocked(asleep.call, 0, [], "", "S") if asleep else None
    return Process(name, who.pid, None, descriptors, {}, "blocked" if asleep else "running", blocked=blocked)


def _descriptor(number: int, link: str, links: dict[str, None]) -> Descriptor:
    label = [] if link in links else [short(link)]
    return Descriptor(number, label, visible(link), node_of(link), "", False, "", 0, node_of(link))


def short(link: str) -> str:
    """What a descriptor leads to, in few letters."""
    if link.startswith("anon_inode:"):
        return link.removeprefix("anon_inode:").strip("[]")
    if node_of(link) > 0:
        return link.partition(":")[0]
    return link.rpartition("/")[2] or link


def _things(
    reading: Reading, number: int, state: State, links: dict[str, None], boxes: list[Process], before: State
) -> list[Thing]:
    held = {row.inode for box in boxes for row in box.descriptors}
    flying = _flying(reading, number, state)
    things: list[Thing] = []
    done: set[str] = set()
    for link in links:
        node = node_of(link)
        queue = state.queues.get(node)
        if link in done or len(things) >= _OBJECTS:
            continue
        if node not in held and not (queue and queue.peer in held) and node not in flying["objects"]:
            continue
        if queue and queue.peer:
            peer = f"socket:[{queue.peer}]"
            done |= {link, peer}
            ends = sorted((node, queue.peer))
            ports = [_port(end, state, flying["queues"]) for end in ends]
            things.append(
                Thing(_("socket pair"), "", ports, any(state.queues.get(end) != before.queues.get(end) for end in ends))
            )
            continue
        done.add(link)
        if node > 0 and link.startswith("socket"):
            waits = _("%(count)s wait", count=queue.queued) if queue and queue.queued else ""
            things.append(
                Thing(_("socket"), waits, [Port((node, None), f"{node}", _in_flight(node, flying), None)], False)
            )
        elif node > 0:
            things.append(Thing(_("pipe"), "", [Port((node, None), f"{node}", _in_flight(node, flying), None)], False))
        elif link.startswith("anon_inode:"):
            things.append(Thing(short(link), "", [Port((node, None), "", _in_flight(node, flying), None)], False))
        else:
            things.append(
                Thing(_("file"), "", [Port((node, None), clip(short(link), 24), _in_flight(node, flying), None)], False)
            )
    return things


def _flying(reading: Reading, number: int, state: State) -> dict[str, dict[int, list[int]]]:
    """What is in flight after a step: by the queue that it waits in, and by the object, the numbers of its senders."""
    queues: dict[int, list[int]] = {}
    objects: dict[int, list[int]] = {}
    for passage in reading.in_flight(number):
        objects.setdefault(node_of(passage.object), []).append(passage.sent_as)
        for link in reading.row(passage.sent_at).objects[:1]:
            queue = state.queues.get(node_of(link))
            queues.setdefault(queue.peer if queue else 0, []).append(passage.sent_as)
    return {"queues": queues, "objects": objects}


def _in_flight(node: int, flying: dict[str, dict[int, list[int]]]) -> str:
    return _("in flight") if node in flying["objects"] else ""


def _port(inode: int, state: State, flying: dict[int, list[int]]) -> Port:
    queue = state.queues.get(inode)
    if queue is None:
        return Port((inode, None), f"{inode}", _("closed"), None, absent=True)
    numbers = flying.get(inode, [])
    held = Object(
        inode, "socket", "", [], {}, queued=queue.queued, in_flight=max(0, queue.in_flight), flying=list(numbers)
    )  # fmt: skip
    return Port((inode, None), f"{inode}", "", held)


def _told(process: Process) -> str:
    """A process in words, for those who cannot see the picture."""
    held = ", ".join(f"{row.number} {short(row.object)}" for row in process.descriptors)
    return f"{process.name}: {process_state(process)[1]}; {held or _('no descriptor')}."


# ---- a step in words


def told(reading: Reading, number: int) -> list[str]:
    """What a step changed, in words."""
    step = reading.step(number)
    found = []
    for passage in reading.sent(number):
        found.append(_sent(reading, passage))
    for passage in reading.came(number):
        found.append(_came(reading, passage))
    child = step.gave.get("process")
    if isinstance(child, int) and 1 <= child <= len(reading.index.processes):
        found.append(
            _("%(name)s is born, process %(pid)s", name=reading.process(child).name, pid=reading.process(child).pid)
        )
    if step.call != "exit" and child is None:
        for rows in step.changed.tables.values():
            came = [f"{key} → {link}" for key, link in rows.items() if link]
            gone = [str(key) for key, link in rows.items() if not link]
            if came and not reading.came(number):
                found.append(
                    ngettext("descriptor %(what)s", "descriptors %(what)s", len(came), what=", ".join(came[:8]))
                )
            if gone:
                found.append(
                    ngettext(
                        "descriptor %(which)s is closed",
                        "descriptors %(which)s are closed",
                        len(gone),
                        which=", ".join(gone[:16]),
                    )
                )
    before = reading.state(number - 1).queues
    for inode, queue in step.changed.queues.items():
        had = before.get(inode)
        if queue is None:
            found.append(_("socket %(inode)s is gone", inode=inode))
        elif had is not None and (had.queued, had.in_flight) != (queue.queued, queue.in_flight):
            found.append(
                _(
                    "socket %(inode)s now holds unread: %(bytes)s B, descriptors: %(fds)s",
                    inode=inode, bytes=queue.queued, fds=queue.in_flight if queue.in_flight >= 0 else "?",
                )
            )  # fmt: skip
    return found


def _sent(reading: Reading, passage: Passage) -> str:
    return _(
        "%(name)s's descriptor %(number)s is sent: %(object)s",
        name=reading.process(passage.sender).name, number=passage.sent_as, object=passage.object,
    )  # fmt: skip


def _came(reading: Reading, passage: Passage) -> str:
    if passage.receiver is None or passage.received_as is None:
        return _(
            "descriptor %(number)s of step %(step)s is dropped by the kernel",
            number=passage.sent_as,
            step=passage.sent_at,
        )
    return _(
        "%(name)s gets descriptor %(number)s: what %(sender)s sent as %(sent)s at step %(step)s",
        name=reading.process(passage.receiver).name, number=passage.received_as,
        sender=reading.process(passage.sender).name, sent=passage.sent_as, step=passage.sent_at,
    )  # fmt: skip


def panes(reading: Reading, number: int, streams: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """The bytes that a step moved: title, what is kept of them as a text, and how many there were. `streams`: what
    leads to standard output (1) and to standard error (2)."""
    step = reading.step(number)
    on = step.given.get("on")
    sent = {0: _("sent"), 1: _("written to standard output"), 2: _("written to standard error")}[
        streams.get(on, 0) if isinstance(on, str) else 0
    ]
    found: list[tuple[str, str, int]] = []

    def take(title: str, value: object) -> None:
        if isinstance(value, dict) and isinstance(value.get("bytes"), int) and value["bytes"] > 0:
            head = value.get("head")
            kept = quoted(head, value["bytes"], most=4096) if isinstance(head, bytes) and head else ""
            found.append((title, kept, value["bytes"]))
        elif isinstance(value, list):
            for one in value[:16]:
                take(title, one)

    for key in ("data", "iov"):
        take(sent, step.given.get(key))
    take(_("received"), step.gave.get("data"))
    return found
