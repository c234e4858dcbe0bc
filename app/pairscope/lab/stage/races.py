"""Which steps are open: the kernel chose one of several outcomes, and another run may show another. docs/lab.md lists
the kinds. Pure.

Everything is read from the steps themselves, so the rule is the same for the run as it is made and for one that is
looked at later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from pairscope.lab.run import NOTHING, Descriptor, Process, Result, State, Step, Way

Kind = Literal["readers", "writers", "children", "stopped", "collector"]
_READING = ("read", "recv", "recvmsg", "accept")
_WRITING = ("write", "send", "sendmsg")
Queue = tuple[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    """A call that blocks."""

    actor: str
    index: int
    takes: bool
    """False: it only looks, as poll does."""
    queues: frozenset[Queue]


def found(steps: list[Step]) -> list[Way]:
    """In which ways the last of `steps` is open. Empty: in none that is recognised."""
    return [*_rivals(steps), *_children(steps), *_stopped(steps), *_collected(steps)]


# ---- several calls that wait for one queue


def _rivals(steps: list[Step]) -> Iterator[Way]:
    step = steps[-1]
    waiting = _waiting(steps[:-1])
    for queue in sorted({queue for one in waiting for queue in one.queues}, key=str):
        rivals = [one for one in waiting if queue in one.queues and not _interrupted(step, one)]
        if len(rivals) < 2 or not any(one.takes for one in rivals):
            continue
        results = [_gave(step.completed[one.actor]) for one in rivals if _returned(step, one)]
        writers = queue[0] == "to"
        if not results and not (writers and _drained(steps, queue[1])):
            continue
        alike = len(results) == len(rivals) and all(result == results[0] for result in results)
        if alike and (not writers or results[0][1]):
            continue  # end of file or an error for all: whoever was first
        what = [queue[1]] if isinstance(queue[1], int) and queue[1] > 0 else []
        yield Way("writers" if writers else "readers", [one.actor for one in rivals], what)


def _waiting(steps: list[Step]) -> list[_Waiting]:
    """The calls that are blocked after these steps."""
    calls: dict[str, int] = {}
    for index, step in enumerate(steps):
        for actor, result in step.completed.items():
            if calls.get(actor) == result.of:
                del calls[actor]
        if step.result and step.result.blocked and not step.returned:
            calls[step.actor] = index
    return [
        _Waiting(actor, index, steps[index].call != "poll", frozenset(_queues(steps[index], actor)))
        for actor, index in calls.items()
    ]


def _queues(step: Step, actor: str) -> Iterator[Queue]:
    """For what a blocked call waits: what comes ``from`` an object, room in what goes ``to`` one, a connection ``at``
    an address, a ``child``."""
    call, arguments = step.call, step.arguments
    state = _state(step)
    process = state.process_of(actor)
    if process is None or not arguments:
        return
    if call in ("wait", "waitpid"):
        yield "child", process.name
    elif call == "connect":
        yield "at", str(arguments[1])
    elif call in _READING or call == "poll":
        for fd in arguments[0] if isinstance(arguments[0], list) else [arguments[0]]:
            if inode := _inode(process, fd):
                yield "from", inode
    elif call in _WRITING and (inode := _inode(process, arguments[0])):
        yield (
            "to",
            next((item.peer for item in state.objects if item.inode == inode), None) or inode,
        )


def _state(step: Step) -> State:
    return step.after or NOTHING


def _inode(process: Process, fd: Any) -> int:
    """Of what a descriptor leads to; of an eventfd, which shares its inode with all others, less than 0, by its
    description."""
    found: Descriptor | None = next((row for row in process.descriptors if row.number == fd), None)
    if found is None:
        return 0
    return -found.description if found.object == "anonymous inode" else found.inode


def _returned(step: Step, one: _Waiting) -> bool:
    result = step.completed.get(one.actor)
    return result is not None and result.of == one.index


def _interrupted(step: Step, one: _Waiting) -> bool:
    """A signal ended the call, or its process: that is nobody's choice."""
    return _returned(step, one) and bool((result := step.completed[one.actor]).ended or result.errno == "EINTR")


def _gave(result: Result) -> tuple[Any, ...]:
    return (
        result.value,
        result.errno,
        result.data,
        result.made or None,
        result.status,
        result.killed,
    )


def _drained(steps: list[Step], inode: int) -> bool:
    """Whether the last step made room in an object."""
    step = steps[-1]
    if (
        step.call in _READING
        and not step.returned
        and step.result
        and (step.result.value or 0) > 0
        and not step.result.errno
    ):
        process = _state(step).process_of(step.actor)
        if process and step.arguments and _inode(process, step.arguments[0]) == inode:
            return True
    before, after = ([item for item in _state(one).objects if item.inode == inode] for one in (steps[-2], step))
    return [(item.queued, item.contents) for item in before] != [(item.queued, item.contents) for item in after]


def _children(steps: list[Step]) -> Iterator[Way]:
    """A wait for any child, where several have ended: wait(2) promises no order."""
    step = steps[-1]
    if (
        step.call not in ("wait", "waitpid")
        or step.returned
        or not step.result
        or (step.result.value or 0) <= 0
        or len(steps) < 2
    ):
        return
    whose = _state(step).process_of(step.actor)
    ended = [
        one.name for one in _state(steps[-2]).processes if one.state == "zombie" and whose and one.parent == whose.name
    ]
    if len(ended) > 1 and (not step.arguments or step.arguments[0] in (-1, 0)):
        yield Way("children", ended, [])


def _stopped(steps: list[Step]) -> Iterator[Way]:
    """A thread that stops its own process: another thread takes the signal, and meanwhile the sender's call may have
    returned or not. kernel/signal.c"""
    step = steps[-1]
    process = (
        _state(step).process_of(step.actor)
        if step.call in ("kill", "pidfd_send_signal") and not step.returned
        else None
    )
    if process and process.name != step.actor and process.state == "stopped":
        yield Way("stopped", [step.actor], [])


# ---- what only the garbage collector can free


def _collected(steps: list[Step]) -> Iterator[Way]:
    """Descriptors that are in flight to each other alone: the kernel frees them when its collector comes by, on a
    thread of its own. net/unix/garbage.c"""
    before, after = (_state(one).objects if one else [] for one in (steps[-2] if len(steps) > 1 else None, steps[-1]))
    carries: dict[int, set[int]] = {}
    for item in [*before, *after]:
        carried = [
            *(item.carried or ()),
            *(one for piece in item.contents or () for one in piece.carried or ()),
        ]
        carries.setdefault(item.inode, set()).update(one.inode for one in carried if one and one.inode)
    reached, new = set[int](), {item.inode for item in after if not item.afloat or item.used_by}
    while new:
        reached |= new
        new = {inner for outer in new for inner in carries.get(outer, ())} - reached
    lost = {
        inode
        for inode in [*carries, *(inner for inners in carries.values() for inner in inners)]
        if inode not in reached
    }
    while left := {inode for inode in lost if not any(inode in carries.get(outer, ()) for outer in lost)}:
        lost -= left  # it is in nobody's queue, so its last close has freed it at once, with all that it carried
    if lost:
        yield Way("collector", [], sorted(lost))
