"""The ledger: what calls do to names, descriptions and queues, written down when they are made and when they return.

The kernel does not tell who sent a descriptor, nor which of two numbers came first. So a call is entered while
everybody still stands where the last look saw them, and settled when it has returned.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from pairscope.lab.calls import CALLS, cmsg
from pairscope.lab.calls.sendmsg import control_data
from pairscope.lab.model import Number
from pairscope.lab.probes import peek, tables
from pairscope.lab.run import UNSET, Result, State
from pairscope.lab.run import Carried as Flying
from pairscope.lab.run import Step as Taken
from pairscope.lab.stage import answers, contents
from pairscope.lab.stage.cast import Actor, Pending
from pairscope.lab.stage.queues import Carried
from pairscope.lab.stage.scene import Scene

SENDING, RECEIVING = ("write", "send", "sendmsg"), ("read", "recv", "recvmsg")


def passed(named: dict[str, Any]) -> list[int]:
    """The descriptors that a sendmsg with these named arguments passes: those in its control data as the kernel reads
    them, whatever its arguments claim."""
    data, length = control_data(**named)
    return answers.rights(cmsg.parts(data[:length].ljust(length, b"\0")))


class Ledger:
    """Of one run."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._memory = scene.memory

    # ---- a call is made

    def enter(self, who: Actor, pending: Pending, arguments: list[Any], named: dict[str, Any]) -> None:
        """Notes in `pending` what a call may do to the queues. Everybody still stands where the last look saw them."""
        call = pending.step.call
        if call in SENDING + RECEIVING and isinstance(arguments[0], int):
            pending.inode = tables.inode(who.process.pid, arguments[0])
        flags = arguments[2] if call == "recv" else named.get("flags", 0)
        pending.peeks = bool(call in ("recv", "recvmsg") and flags & socket.MSG_PEEK)
        to = self._receiver(pending.inode)
        if call not in SENDING or not to:
            return
        # other families pass none
        fds = passed(named) if call == "sendmsg" and abs(to) in self._memory.unix else []
        texts = named["iov"] if call == "sendmsg" else [arguments[1]]
        size = sum(len(text[0]) * text[1] for text in texts if isinstance(text, list))
        if call == "write" and len(arguments) > 2:
            size = arguments[2]
        most = min(size, peek.SHOWN)
        data = b"".join(bytes(text[0]) * min(text[1], peek.SHOWN) for text in texts if isinstance(text, list))[:most]
        carried = tuple(self._carry(who, fd) for fd in fds)
        pending.sent = self._memory.queues.sending(to, self._memory.kinds.get(abs(to), ""), size, data, carried)

    def _receiver(self, inode: int) -> int:
        """The socket in whose queue lands what is sent from this one; less than 0, the sender's own: nobody has
        accepted the connection; 0: not known."""
        if to := self._memory.peers.get(inode):
            return to
        seen = self._memory.objects.get(inode)
        connects = seen and seen.peer_address and seen.type in ("SOCK_STREAM", "SOCK_SEQPACKET") and not seen.listens
        return -inode if connects else 0

    def _carry(self, who: Actor, number: int) -> Carried:
        description, inode = self._memory.numbering.of((who.process.pid, number))
        kind = self._memory.kinds.get(inode, "")
        return Carried(description, inode, "socket" if kind.startswith("SOCK_") else kind, who.process.name, number)

    # ---- a call has returned

    def settle(self, who: Actor, pending: Pending, result: Result, answer: dict[str, Any]) -> None:
        """Enters what a call has bound, made, sent and received. `answer` is the actor's own, of which `result` is
        told."""
        if "port" in answer:
            host = answer["address"].rpartition(b":")[0]
            self._scene.ports.bound(answer["protocol"], host, answer["port"])
        if "wait" in answer and (os.WIFSIGNALED(answer["wait"]) or os.WIFEXITED(answer["wait"])):
            for process in self._scene.processes:
                if process.pid == answer["value"]:
                    process.status = answer["wait"]
        self._bind(who, pending, result)
        self._note(who, pending, result)

    def _bind(self, who: Actor, pending: Pending, result: Result) -> None:
        """Gives names to the descriptors that a call made, and remembers which sockets are each other's ends."""
        step, made = pending.step, result.made or []
        if CALLS[step.call].binds != "process":
            who.process.names.update(zip(step.binds, made))
        # dup2(2): to a number that is the same it does nothing
        if not (step.call == "dup2" and result.value == pending.first):
            self._memory.numbering.made((who.process.pid, number) for number in made)
        if step.call == "socketpair" and len(made) == 2:
            here, there = (tables.inode(who.process.pid, number) for number in made)
            self._memory.peers |= {here: there, there: here}

    def _note(self, who: Actor, pending: Pending, result: Result) -> None:
        """What a call has done to the queues."""
        value = None if result.errno else result.value
        if pending.sent:
            self._memory.queues.returned(pending.sent, value)
        if pending.step.call not in RECEIVING or value is None or value < 0:
            return
        size = pending.step.arguments[1] if pending.step.call == "read" else None
        if isinstance(size, Number) and not size.value:
            return  # read(2) of nothing takes nothing
        fds = result.fds or []
        if not pending.peeks and pending.inode:
            self._scene.received.append((who.name, result, pending.inode))
        for fd, carried in zip(fds, self._memory.queues.received(pending.inode, len(fds), pending.peeks)):
            self._memory.numbering.received((who.process.pid, fd), carried.description, carried.inode)

    # ---- a step is over

    def brought(self) -> dict[int, list[Flying]]:
        """By the inodes of the sockets that were received from in this step: all descriptors that this step has sent
        there. Asked before the next look, which begins anew."""
        return {
            inode: [contents.told_carried(one) for one in self._memory.queues.brought(inode)]
            for *_, inode in self._scene.received
        }

    def tell_lost(self, entry: Taken, state: State, brought: dict[int, list[Flying]]) -> None:
        """Which descriptors have left a queue and were given to nobody: those for which a receiver had no room, or no
        control buffer at all, the kernel has closed. recvmsg(2), MSG_CTRUNC; unix(7). `state`: what this step's look
        has found."""
        then, now = ({item.inode: item for item in facts.objects} for facts in (self._scene.state, state))
        received = [*self._scene.received]
        self._scene.received.clear()
        for name, result, inode in received:
            left = now[inode].in_flight if inode in now else None
            if left is UNSET or left is None or [at for *_, at in received].count(inode) > 1:
                continue  # nobody says, or two have received, and which of them lost what is not known
            had = then.get(inode)
            carried = (had.carried or [contents.UNKNOWN] * (had.in_flight or 0)) if had else []
            gone = [one or contents.UNKNOWN for one in carried + brought[inode]][: -left or None]
            if lost := gone[len(answers.rights(result.message.parts if result.message else [])) :]:
                result.lost = lost
                if name in entry.completed:
                    entry.completed[name].lost = lost
