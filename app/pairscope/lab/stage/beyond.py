"""What no descriptor leads to, and is there all the same: derived from the run's own calls, and from what sock_diag
still knows."""

from __future__ import annotations

import base64

import msgspec

from pairscope.lab.probes.peek import MOST, SHOWN, shown
from pairscope.lab.run import UNSET, Ahead, Object, Piece
from pairscope.lab.run import Carried as Flying
from pairscope.lab.stage.cast import Process
from pairscope.lab.stage.contents import told_carried
from pairscope.lab.stage.memory import Memory
from pairscope.lab.stage.queues import Queues, Sent


def tell_ahead(found: list[Object], queues: Queues) -> None:
    """What was sent to those who have not been accepted: no descriptor leads to where it waits, so it is known from the
    run's own calls alone."""
    by_inode = {told.inode: told for told in found}
    for sender in queues.ahead():
        told, sent = by_inode.get(sender), queues.waiting(sender)
        # Of one that was closed meanwhile nobody can tell whether it has been accepted.
        doors = [one for one in found if one.listens and told and one.address == told.peer_address]
        if len(doors) != 1 or not sent or sender not in (doors[0].waiting_from or [sender]) or not doors[0].waiting:
            continue
        pieces = [
            Ahead(one.size, shown(one.data), carried=[told_carried(which) for which in one.carried], source=sender)
            for one in sent[:MOST]
        ]
        doors[0].ahead = [*(doors[0].ahead or ()), *pieces]
        doors[0].how["ahead"] = "derived"
    for door in found:
        carried = [one for piece in door.ahead or () for one in piece.carried or () if one]
        if carried and len(carried) == door.in_flight:  # the kernel counts those of all connections that wait
            door.carried, door.flying = list(carried), [one.number for one in carried]


def beyond(found: list[Object], processes: list[Process], held: set[int], memory: Memory) -> list[Object]:
    """What no table holds and no queue that can be walked: sockets that hold each other in flight, until the kernel's
    garbage collector takes them (net/unix/garbage.c), and those that a call which is under way still uses. sock_diag
    knows them by inode; the rest is derived. `held`: inodes of all that somebody's table holds."""
    present = {told.inode for told in found}
    users: dict[int, list[str]] = {}
    for process in processes:
        for actor in process.actors:
            if actor.pending and not actor.ended and actor.pending.inode:
                users.setdefault(actor.pending.inode, []).append(actor.name)
    more: list[Object] = []
    for inode, before in memory.objects.items():
        said = memory.asker.ask(inode) if inode in memory.unix and inode not in present else None
        if said is None:
            continue
        flies_in = [queue for queue in memory.queues.carrying(inode) if queue > 0]
        flies_in += [
            one.inode
            for one in found
            if any(which and which.inode == inode for piece in one.ahead or () for which in piece.carried or ())
        ]
        told = msgspec.structs.replace(
            before,
            held=False,
            flies_in=flies_in,
            peer=said.peer or None,
            peer_held=None if not said.peer else said.peer in held,
            shut=list(said.shut),
            how=dict.fromkeys(before.how, "derived")
            | {"held": "observed", "flies_in": "derived", "peer": "observed", "shut": "observed"},
        )
        if users.get(inode):
            told.used_by = users[inode]
            told.how["used_by"] = "derived"
        if not told.listens:
            told.queued, told.how["queued"] = said.queue[0], "observed"
            _add_sent(told, memory.queues.since(inode))
        more.append(told)
    lost = (
        {one.inode for told in more for one in told.carried or () if one and one.inode}
        - present
        - {told.inode for told in more}
    )
    for inode in sorted(lost & set(memory.objects)):
        before = memory.objects[inode]
        more.append(
            msgspec.structs.replace(
                before,
                held=False,
                flies_in=[told.inode for told in more if any(one and one.inode == inode for one in told.carried or ())],
                how=dict.fromkeys(before.how, "derived") | {"held": "observed", "flies_in": "derived"},
            )
        )
    return more


def _add_sent(told: Object, sent: list[Sent]) -> None:
    """What was sent since the last look stands behind what waited then: nobody can have received from there."""
    if not sent or not isinstance(told.contents, list):
        return
    contents = list(told.contents)
    for one in sent:
        carried: list[Flying | None] = [told_carried(which) for which in one.carried]
        if told.borders or not contents:
            contents.append(Piece(one.size, shown(one.data), carried if told.borders else UNSET))
        else:
            last = contents[-1]
            data = base64.b64decode(last.data) + (one.data if last.bytes < SHOWN else b"")
            contents[-1] = msgspec.structs.replace(last, bytes=last.bytes + one.size, data=shown(data))
        told.carried = [*(told.carried or ()), *carried]
        told.flying = [*(told.flying or ()), *(which.number for which in one.carried)]
        told.in_flight = (told.in_flight or 0) + len(carried)
    told.contents = contents[:MOST]
