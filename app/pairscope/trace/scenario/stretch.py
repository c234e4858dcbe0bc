"""Where a stretch of a recording begins as a scenario: where the first of the objects is made that its steps touch; and
who was there by then."""

from __future__ import annotations

import dataclasses

from pairscope.trace.file import Recording
from pairscope.trace.followed import ACCEPTS, BIRTHS
from pairscope.trace.recording import Step, parted
from pairscope.trace.scenario.calls import LINES
from pairscope.trace.scenario.facts import Facts

_MAKES = frozenset({"socketpair", "pipe", "pipe2", "socket", "memfd_create", *ACCEPTS})
_ACTS = frozenset({*LINES, "bind", "connect"})


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """Steps of a recording, both ends with them."""

    first: int
    last: int
    made: bool
    """Whether anything that they touch is made in the recording."""
    cast: tuple[tuple[int, int], ...]
    """The processes that are there before, each with the one that it is a child of; 0: it is the first."""


def stretch(recording: Recording, facts: Facts, first: int, last: int) -> Stretch:
    """The steps that these need. Raises NoRecording where a block is damaged."""
    made, needs, touched = _objects(recording, first, last)
    waiting, needed = list(touched), set(touched)
    while waiting:
        for other in needs.get(waiting.pop(), ()):
            if other not in needed:
                needed.add(other)
                waiting.append(other)
    begins = [made[one] for one in needed if one in made]
    begin = min([first, *begins])
    return Stretch(begin, last, bool(begins) or not touched, _cast(recording, facts, made, (begin, last)))


def _objects(recording: Recording, first: int, last: int) -> tuple[dict[str, int], dict[str, set[str]], set[str]]:
    """Where each object is made, what it needs, and which ones the steps touch."""
    made: dict[str, int] = {}
    needs: dict[str, set[str]] = {}
    touched: set[str] = set()
    for at, step in enumerate(recording.all(), 1):
        if at > last:
            break
        on = step.given.get("on")
        if step.call in _MAKES:
            for link in _links(step):
                made.setdefault(link, at)
                touched |= {link} if at >= first else set()
                if step.call in ACCEPTS and isinstance(on, str):
                    needs.setdefault(link, set()).add(on)
        for inode, queue in step.changed.queues.items():
            if queue and queue.peer:
                needs.setdefault(f"socket:[{inode}]", set()).add(f"socket:[{queue.peer}]")
        if at >= first and step.call in _ACTS and isinstance(on, str) and (parted(on)[0] or on.startswith("/")):
            touched.add(on)
    for passage in recording.index.passages:
        if first <= passage.sent_at <= last or first <= (passage.received_at or 0) <= last:
            touched.add(passage.object)
    return made, needs, touched


def _links(step: Step) -> list[str]:
    return [link for rows in step.changed.tables.values() for link in rows.values() if link]


def _cast(
    recording: Recording, facts: Facts, made: dict[str, int], steps: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """Who acts in these steps and was born before, and who had to fork them."""
    begin, last = steps
    before = {
        step.process
        for at, step in enumerate(recording.all(), 1)
        if begin <= at <= last
        and ((step.call in _ACTS and _here(step, made)) or step.call in BIRTHS)
        and not begin <= facts.births.get(step.process, 0) <= last
    } or {1}
    chains = {one: _chain(recording, one) for one in before}
    shared = set.intersection(*map(set, chains.values()))
    root = next((one for one in chains[min(before)] if one in shared), min(before))
    there = {root, *before}
    if shared:
        there |= {other for chain in chains.values() for other in chain[: chain.index(root)]}
    found = [(root, 0)]
    for one in sorted(there - {root}):
        parent = next((other for other in _chain(recording, one)[1:] if other in there), root)
        found.append((one, parent if any(parent == other for other, _ in found) else root))
    return tuple(found)


def _here(step: Step, made: dict[str, int]) -> bool:
    """Whether it is about something that is made in the recording, or that no inode tells apart."""
    on = step.given.get("on")
    return not isinstance(on, str) or not parted(on)[0] or on in made


def _chain(recording: Recording, process: int) -> list[int]:
    """A process and its ancestors."""
    chain: list[int] = []
    while process and process not in chain:
        chain.append(process)
        process = recording.index.processes[process - 1].parent
    return chain
