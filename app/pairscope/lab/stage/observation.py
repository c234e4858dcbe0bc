"""The state after a step: what every process and every object holds, asked of the kernel while all stand still.

It leaves the actors' hidden descriptors out, and their standard streams. Each group of values says ``how`` it is known:
observed (asked of the kernel), reported (by an actor), derived (by what the run itself has done).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from pairscope.lab.probes import in_flight, objects, sockets, tables, tasks
from pairscope.lab.probes.descriptions import Description, Descriptions, Entry
from pairscope.lab.probes.sockets import Surroundings
from pairscope.lab.run import UNSET, Exit, Object, State, Task
from pairscope.lab.run import Process as Told
from pairscope.lab.stage import contents
from pairscope.lab.stage.actor import HIDDEN, NUMBERS_MAX
from pairscope.lab.stage.beyond import beyond, tell_ahead
from pairscope.lab.stage.cast import Actor, Process
from pairscope.lab.stage.memory import Memory

_NULL = os.makedev(1, 3)
"""The device that every actor is given as its standard streams."""


def observe(processes: list[Process], memory: Memory) -> State:
    """What is held now; brings `memory` up to date. Every duplicate is closed at its return. Raises OSError if the
    kernel refuses to let this process look."""
    with Descriptions() as descriptions:
        tables_of = {
            process.pid: descriptions.table(process.pid, process.pidfd, _shown(process.pid))
            for process in processes
            if not process.ended
        }
        _accept(memory)
        in_flight.follow(descriptions, lambda inode: sum(not one.size for one in memory.queues.messages(inode)))
        memory.numbering.assign(descriptions.all, memory.queues.all)
        told = [_process(process, processes, tables_of.get(process.pid, [])) for process in processes]
        found = _objects(descriptions.all, processes, memory, tables_of.values())
    memory.kinds |= {one.inode: one.type or one.kind for one in found}
    memory.objects = {one.inode: one for one in found}
    memory.queues.begin_step()
    return State(told, found)


def _shown(pid: int) -> list[int]:
    """The numbers of a process that belong to the scenario."""
    numbers = (number for number in tables.numbers(pid) if not HIDDEN <= number < NUMBERS_MAX)
    return [number for number in numbers if number > 2 or os.stat(f"/proc/{pid}/fd/{number}").st_rdev != _NULL]


def _accept(memory: Memory) -> None:
    """Learns the other end of each connection that was accepted since the last look."""
    for sender in memory.queues.ahead():
        said = memory.asker.ask(sender) if sender in memory.unix else None
        if peer := said.peer if said else memory.peers.get(sender, 0):
            memory.queues.accepted(sender, peer)


def _process(process: Process, everybody: list[Process], entries: list[Entry]) -> Told:
    names: dict[int, list[str]] = {}
    for name, number in process.names.items():
        names.setdefault(number, []).append(name)
    number_of_parent = tasks.parent(process.pid)
    parent = next((other.name for other in everybody if other.pid == number_of_parent), None)
    descriptors = [entry.told(names.get(entry.number, ())) for entry in entries]
    how = {"state": "observed", "descriptors": "observed", "description": "observed", "names": "derived"}
    process.hear()
    if process.handled:
        how["handled"] = "reported"
    handled = dict(process.handled) or UNSET
    if process.ended:
        zombie = tasks.sample(process.pid, process.pid).state == "Z" and parent
        state = "zombie" if zombie else "ended"
        return Told(
            process.name, process.pid, parent, descriptors, how, state, exit=_exit(process.status), handled=handled
        )
    threads = [_task(actor) for actor in process.actors if not actor.ended]
    signals = tasks.signals(process.pid)
    how["signals"] = "observed"
    return Told(
        process.name,
        process.pid,
        parent,
        descriptors,
        how,
        threads[0].state if threads else "running",
        threads=threads,
        blocked=(threads[0].blocked or None) if threads else None,
        signals=signals,
        handled=handled,
    )


def _exit(status: int | None) -> Exit:
    if status is None:
        return Exit(None, None)
    if os.WIFSIGNALED(status):
        return Exit(None, os.WTERMSIG(status))
    return Exit(os.WEXITSTATUS(status), None)


def _task(actor: Actor) -> Task:
    sample = tasks.sample(actor.process.pid, actor.tid)
    if sample.stopped:
        return Task(actor.name, actor.tid, "stopped")
    if actor.pending:
        return Task(actor.name, actor.tid, "blocked", sample.blocked(actor.pending.step.call))
    return Task(actor.name, actor.tid, "waiting for its next step")


def _objects(
    descriptions: list[Description], processes: list[Process], memory: Memory, held: Iterable[list[Entry]]
) -> list[Object]:
    infos = {id(entry.description): entry.info for entries in held for entry in entries}
    around = Surroundings(
        memory.asker,
        memory.peers,
        memory.unix,
        memory.options,
        {process.pid: process.name for process in reversed(processes)},
        {one.inode for one in descriptions if one.holders},
        sockets.ends(descriptions),
    )
    by_key: dict[tuple[int, ...], Object] = {}
    for one in descriptions:
        key = objects.key(one)
        told = by_key.get(key)
        if told is None:
            told = by_key[key] = objects.empty(one)
        info = infos.get(id(one)) or tables.fdinfo(os.getpid(), one.own)
        objects.describe(told, one, info, around)
        if one.sock is not None:
            contents.tell(told, one, memory.queues)
            if told.listens:
                sockets.describe_waiting(told, one, memory.asker)
    for told in by_key.values():
        told.how["held"] = "observed"
        if told.flies_in:
            told.how["flies_in"] = "observed"
    found = list(by_key.values())
    tell_ahead(found, memory.queues)
    return [*found, *beyond(found, processes, around.held, memory)]
