"""The floor as the snapshot shows it."""

from __future__ import annotations

import os
from collections import Counter

from pairscope import __version__
from pairscope.ipc.sentences import Waits
from pairscope.pool import snapshot as views
from pairscope.pool.floor import Floor
from pairscope.pool.lifecycle import State
from pairscope.pool.members import Hand, Member
from pairscope.pool.unread import BYTES_ALL, BYTES_EACH

STALL = 3.0
"""Seconds after which a recorder that commits nothing of what waits is said to be stalled. A batch takes a tenth of
one; with a snapshot each half second it is seen within five, from when the record came."""


def view(floor: Floor, at: int) -> views.Snapshot:
    """What the snapshot says at that time (ns since 1970)."""
    progress = floor.progress
    drained = progress.position if progress is not None else 0
    lag = floor.journal.behind(drained if progress is not None else floor.first_position)
    recorder = floor.recorder
    state, stalled = "ok", ""
    if recorder is None:
        state = "dead"
    elif stopped(recorder.pid):
        state, stalled = "stopped", Waits.STOPPED.value
    elif recorder.state is State.STARTING or progress is None:
        state = "starting"
    elif progress.database != "ok":
        state = "away"
    elif stalled := progress.stalled or _late(floor, lag, at):
        state = "stalled"
    housekeeping = Counter(floor.housekeeping)
    members: list[Member] = [
        *floor.clients,
        *floor.stations.values(),
        *floor.workers.values(),
        *([recorder] if recorder else []),
    ]
    messages = floor.tap.closed_messages
    unread = floor.unread
    for member in members:
        housekeeping.update(member.channel.housekeeping)
        messages += member.messages
    return views.Snapshot(
        at=at,
        node=floor.settings.node,
        node_name=floor.settings.node_name,
        epoch=floor.journal.epoch,
        version=__version__,
        state="running" if floor.stopping is None else "stopping",
        relieved=floor.relieved,
        supervisor=views.SupervisorView(
            floor.serials["supervisor"], os.getpid(), floor.born, views.held(), views.pid_namespace()
        ),
        workers=[_hand(worker) for worker in floor.workers.values()],
        stations=[_hand(station) for station in floor.stations.values()],
        wanted=floor.wanted,
        workers_max=floor.settings.workers_max,
        recorder=views.RecorderView(
            serial=recorder.serial if recorder else 0,
            pid=recorder.pid if recorder else 0,
            state=state,
            database=progress.database if progress is not None else Waits.NOT_HEARD.value,
            position=drained,
            rows=progress.rows if progress is not None else 0,
            lag=lag,
            lag_ns=max(0, at - floor.marks[0][1]) if lag > 0 and floor.marks else 0,
            heard=floor.progress_heard,
            quarantined=progress.quarantined if progress is not None else 0,
            history=progress.history if progress is not None else 0,
            bound=progress.bound if progress is not None else floor.settings.history_rows,
            gaps=progress.gaps if progress is not None else 0,
            gap=progress.gap if progress is not None else "",
            stalled=stalled,
        ),
        journal=views.JournalView(
            floor.journal.position,
            floor.journal.first,
            floor.journal.bytes,
            floor.settings.journal_limit,
            floor.journal.segments,
            floor.refusals,
            floor.settings.journal_sync,
            drained,
            floor.stuck,
        ),
        clients=[
            views.ClientView(
                member.serial,
                member.role,
                member.pid,
                member.uid,
                member.messages,
                member.unread_bytes,
                member.unread_fds,
            )
            for member in (*floor.clients, *floor.stations.values())
            if member.role
        ],
        jobs=views.JobsView(floor.board.waiting, floor.board.running, **floor.board.counts),
        results=views.ResultsView(
            len(floor.results),
            floor.results.bytes,
            floor.results.most_bytes,
            int(floor.results.age),
            floor.results.most,
        ),
        messages=views.MessagesView(messages, dict(sorted(housekeeping.items()))),
        transfers=floor.tap.transfers,
        unread=views.UnreadView(
            unread.bytes, BYTES_EACH, BYTES_ALL, unread.fds, unread.fds_each, unread.fds_all, unread.let_go
        ),
        connections=views.ConnectionsView(floor.comers.held(), floor.comers.most),
        catalogue=list(floor.catalogue.values()),
    )


def _late(floor: Floor, lag: int, at: int) -> str:
    """What to say of a recorder that says nothing is wrong and commits nothing, although something waits; empty: it
    does."""
    since = max(floor.moved, floor.marks[0][1] if floor.marks else at)
    late = (at - since) / 1e9
    return Waits.NOTHING_COMMITTED.say(seconds=f"{late:.0f}", count=lag) if lag and late > STALL else ""


def _hand(worker: Hand) -> views.WorkerView:
    state = worker.state.value
    if worker.state is State.READY:
        state = "busy" if worker.in_flight else "idle"
    in_flight = [entry for entry in worker.in_flight if not entry.moved]
    head = in_flight[0] if in_flight else None
    return views.WorkerView(
        worker.serial,
        worker.pid,
        state,
        worker.born,
        worker.ready,
        str(head.id) if head else "",
        head.kind if head else "",
        worker.sandbox,
        worker.detail,
        worker.done,
        worker.failed,
        len(in_flight),
        stopped(worker.pid),
    )


def stopped(pid: int) -> bool | None:
    """Whether a signal has stopped that process; None where that is not to be seen. Its name, in parentheses, may hold
    some of its own."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return None if views.exists(pid) else False  # another user's under ProtectProc=invisible, or one that has gone


def user(pid: int) -> int:
    """The effective uid of that process; -1 where that is not to be seen. proc(5): status, "Uid". The owner of
    /proc/PID would be root's for a process that is not dumpable."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next((int(line.split()[2]) for line in file if line.startswith(b"Uid:")), -1)
    except OSError:
        return -1
