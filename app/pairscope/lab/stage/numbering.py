"""The numbers that a run gives to open file descriptions: a description keeps its number while somebody's table holds
it, and while it is in flight. Pure.

The kernel has no name for a description: kcmp(2) compares two at one moment. So the number is carried over from look to
look, by who held it before, and by what the calls since then have made and received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pairscope.lab.stage.queues import Carried

Holder = tuple[int, int]
"""Pid and number of a descriptor."""


class Numbered(Protocol):
    """A description, as far as its number goes."""

    number: int
    """0: it has none yet."""

    @property
    def inode(self) -> int: ...

    @property
    def holders(self) -> Sequence[Holder]: ...

    @property
    def flies_in(self) -> Iterable[int]: ...


class Numbering:
    """Of one run."""

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[Holder, tuple[int, int]] = {}
        """Each descriptor's description and inode, at the look before."""
        self._known: dict[int, set[int]] = {}
        """By inode the descriptions that it had at the look before."""
        self._made: set[Holder] = set()
        """Descriptors that the calls since the last look have made: they say nothing of what was there before."""
        self._received: dict[Holder, tuple[int, int]] = {}
        """Description and inode of those that were received since the last look."""

    def of(self, holder: Holder) -> tuple[int, int]:
        """Description and inode of a descriptor at the look before; zeros: there was none."""
        return self._before.get(holder, (0, 0))

    def made(self, holders: Iterable[Holder]) -> None:
        """A call has made these descriptors."""
        self._made.update(holders)

    def received(self, holder: Holder, description: int, inode: int) -> None:
        """A call has received this descriptor, and by the run's own calls that is what it leads to; zeros: not
        known."""
        self._received[holder] = description, inode

    def assign(self, found: Sequence[Numbered], flying: Callable[[int], Iterable[Carried]]) -> None:
        """Numbers all that one look has found. `flying`: the descriptors that by the run's own calls may be in flight
        to the socket of an inode."""
        taken: set[int] = set()

        def give(one: Numbered, number: int) -> None:
            one.number = number
            taken.add(number)

        for one in found:
            for holder in one.holders:
                number, inode = self.of(holder)
                if number and inode == one.inode and holder not in self._made and number not in taken:
                    give(one, number)
                    break
        for one in found:
            for holder in one.holders:
                number, inode = self._received.get(holder, (0, 0))
                if not one.number and number and inode == one.inode and number not in taken:
                    give(one, number)
        for one in found:
            if one.number or one.holders:
                continue
            # What is only in flight was held, or in flight, at the look before. The run's own calls say which one it
            # was, where it could be several.
            said = [each.description for queue in one.flies_in for each in flying(queue) if each.inode == one.inode]
            for number in (*said, *sorted(self._known.get(one.inode, ()))):
                if number and number not in taken:
                    give(one, number)
                    break
        for one in found:
            if not one.number:
                self._count += 1
                one.number = self._count
        self._keep(found)

    def _keep(self, found: Sequence[Numbered]) -> None:
        self._before = {holder: (one.number, one.inode) for one in found for holder in one.holders}
        self._known = {}
        for one in found:
            self._known.setdefault(one.inode, set()).add(one.number)
        self._made.clear()
        self._received.clear()
