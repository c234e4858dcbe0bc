"""What waits in a socket, and which descriptors are in flight to it: what the kernel shows, put together with what the
run itself has sent.

The kernel is believed first. The run's own calls add what it does not tell: who sent a descriptor, by which number, and
where a message without a byte stands.
"""

from __future__ import annotations

from pairscope.lab.probes import sockets
from pairscope.lab.probes.descriptions import Description, Queue
from pairscope.lab.probes.peek import MOST, Waits, piece
from pairscope.lab.reasons import Reason
from pairscope.lab.run import Carried as Flying
from pairscope.lab.run import Object, Piece
from pairscope.lab.stage.queues import Carried, Queues, Sent

UNKNOWN = Flying(None, None, None, None, None)
"""A descriptor in flight of which nothing is known."""


def tell(told: Object, description: Description, queues: Queues) -> None:
    """Fills in what waits in this socket and is in flight to it."""
    assert description.sock is not None
    parts = _tell_flying(told, description, queues)
    if told.listens:
        told.contents, told.borders, told.why = None, False, Reason.CONNECTIONS.say()
    elif description.queue is None:
        told.contents, told.borders = None, sockets.borders(description.sock)
        told.why = Reason.FAMILY.say()
    else:
        borders = sockets.borders(description.sock)
        _tell_queue(told, borders, description.queue, queues.messages(description.inode), parts)


def told_carried(one: Carried, seen: Description | None = None) -> Flying:
    """`one`: by the calls of the run; `seen`: by the kernel, where it could be asked."""
    if seen is None:
        return Flying(one.description or None, one.inode or None, one.kind or None, one.sender, one.number)
    known = bool(one.sender)
    return Flying(
        seen.number,
        seen.inode,
        seen.seen.object,
        one.sender if known else None,
        one.number if known else None,
    )


def _tell_flying(told: Object, description: Description, queues: Queues) -> list[list[Flying]] | None:
    """Which descriptors are in flight to this socket: by the kernel, who sent them by the run's own calls. Gives those
    of each part of its queue; None: not known."""
    if not told.in_flight:
        none = told.in_flight == 0
        told.flying, told.carried = [] if none else None, [] if none else None
        queues.flying(description.inode, 0)
        return None
    sent = queues.flying(description.inode, told.in_flight)
    told.how |= {"flying": "derived", "carried": "derived"}
    if description.queue is None or description.queue.carried is None:
        told.flying = None if sent is None else [one.number for one in sent]
        told.carried = None if sent is None else [told_carried(one) for one in sent]
        return None
    told.how["carried"] = "observed"
    seen = [one for part in description.queue.carried for one in part]
    if sent is None or any(one.inode not in (0, found.inode) for one, found in zip(sent, seen)):
        sent = tuple(Carried(0, 0, "", "", -1) for _ in seen)
    else:
        told.how |= {"sender": "derived", "number": "derived"}
    both = iter(zip(seen, sent))
    parts = [[told_carried(next(both)[1], one) for one in part] for part in description.queue.carried]
    carried = [one for part in parts for one in part]
    told.carried, told.flying = list(carried), [one.number for one in carried] if told.how.get("number") else None
    return parts


def _tell_queue(told: Object, borders: bool, queue: Queue, sent: list[Sent], parts: list[list[Flying]] | None) -> None:
    """What waits to be read. `sent`: its messages, by the run's own calls. `parts`: the descriptors in flight with each
    part."""
    told.borders = borders
    told.error = queue.error
    told.how["error"] = "observed"
    if queue.error:
        told.contents, told.why = None, Reason.ERROR_WAITS.say()
    elif borders:
        _tell_messages(told, queue, sent, parts)
    else:
        _tell_stream(told, queue.waits)


def _tell_stream(told: Object, waits: Waits) -> None:
    stretches = told.contents = _stretches(waits)
    if waits.loose:
        told.why = Reason.OOB_SOMEWHERE.say()
    elif told.family == "AF_UNIX" and (left := (told.queued or 0) - sum(one.bytes for one in stretches)) > 0:
        # The kernel keeps a count, and forgets to take off the byte that it throws away then. Measured on Linux 6.18.
        told.why = Reason.OOB_PASSED.say(count=left)


def _tell_messages(told: Object, queue: Queue, sent: list[Sent], parts: list[list[Flying]] | None) -> None:
    """Messages without a byte are seen once, and then by what was sent."""
    found = queue.waits.parts
    bodies = [data for data in found if data]
    if [len(data) for data in bodies] == [one.size for one in sent if one.size]:
        rest = iter(bodies)
        found = [next(rest) if one.size else b"" for one in sent]
        which = _shared_out(sent, parts)
        contents = [piece(data) for data in found]
        if sum(map(len, which)) == (told.in_flight or 0):  # else not both can be right, and the kernel is
            contents = [piece(data, ones) for data, ones in zip(found, which)]
            told.how.setdefault("carried", "derived")
        told.contents = contents[:MOST]
        told.how["borders"] = "observed"
        if not all(found):
            told.how["empty"] = "derived"
    else:
        which = parts or [[] for _ in found]
        while queue.ends and found and not found[-1] and not which[len(found) - 1]:
            found = found[:-1]
        told.contents = [piece(data, ones if parts is not None else None) for data, ones in zip(found, which)][:MOST]
        if queue.waits.blind:
            told.why = Reason.BLIND.say()
    if len(found) > MOST:
        told.why = Reason.MESSAGES.say(count=len(found), most=MOST)


def _shared_out(sent: list[Sent], parts: list[list[Flying]] | None) -> list[list[Flying]]:
    """The descriptors in flight with each message that was sent."""
    if parts is not None and len(parts) == len(sent):
        return parts
    if parts is not None and sum(map(len, parts)) == sum(len(each.carried) for each in sent):
        # the walk ended at a message without a byte, and has seen all that is carried
        seen = iter([one for part in parts for one in part])
        return [[next(seen) for _ in each.carried] for each in sent]
    return [[told_carried(one) for one in each.carried] for each in sent]


def _stretches(waits: Waits) -> list[Piece]:
    """What waits in a stream: all of it as one, or what stands before, at and behind a byte that is out of band."""
    if waits.urgent is None:
        whole = b"".join(waits.parts)
        if waits.loose and len(waits.parts) > 1:  # a walk met it
            place = whole.index(waits.loose, len(waits.parts[0]))
            whole = whole[:place] + whole[place + 1 :]
        return ([piece(whole)] if whole else []) + ([piece(waits.loose, oob=True)] if waits.loose else [])
    before, after = b"".join(waits.parts[: waits.urgent]), b"".join(waits.parts[waits.urgent :])
    return [
        *([piece(before)] if before else []),
        piece(after[:1], oob=True),
        *([piece(after[1:])] if after[1:] else []),
    ]
