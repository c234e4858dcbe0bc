"""Viewers: what live reports of connections that Apache handed to it becomes part of the record."""

from __future__ import annotations

import time

from pairscope.ipc.channel import Arrival, ChannelBroken
from pairscope.ipc.sentences import Broken, Unproved
from pairscope.ipc.vocabulary import Role
from pairscope.journal.records import HandedOver, Transfer
from pairscope.pool.floor import Floor
from pairscope.pool.guests import RESERVE
from pairscope.pool.members import Member

MOST = 40
"""Rows a second, whatever is reported. Live reports 20 in each of its own seconds, which begin at another time."""


class Viewers:
    """Its method `viewer` handles that kind of message, which is housekeeping: what is recorded is what it tells of."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._begun = 0.0
        self._count = 0

    def viewer(self, member: Member, arrival: Arrival, _: None) -> None:
        if member.role != Role.LIVE.value:
            raise ChannelBroken(Broken.NO_LIVE.say(name=member.role))
        now = time.monotonic()
        if now >= self._begun + 1.0:
            self._begun, self._count = now, 0
        self._count += 1
        floor, told = self._floor, arrival.payload
        if self._count > MOST or floor.journal.beyond(RESERVE):
            return
        access, link = "read-write", f"socket:[{told.inode}]"
        transfer = Transfer(
            0, -1, told.fd, "socket", told.device, told.inode, access, told.flags, -1, 0, link, "unproved",
            Unproved.UNTOLD.value,
        )  # fmt: skip
        at = min(told.received, time.monotonic_ns()) + floor.tap.offset
        ends = (told.apache, member.role, member.serial, member.pid)
        floor.tap.records.append(HandedOver(floor.issuer.another(), "viewer", at, "apache", *ends, transfer))
        floor.tap.transfers += 1
        floor.tap.closed_messages += 1
