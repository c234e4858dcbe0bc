"""Two recordings by what was passed in them: docs/recorder.md, "Two recordings". Pure.

Order counts among what one process passes to another. Which of two other pairs passes first is chance, and is not
compared. Within such a pair the longest common order is found, by Myers' algorithm (1986, "An O(ND) difference
algorithm"), up to a number of differences: difflib takes the square of equal passages, and they are what is usual.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Literal

from pairscope.trace.recording import Index, Passage, parted

Kind = Literal["same", "changed", "first", "second"]
"""``first`` and ``second``: it is in one of them alone."""
Difference = Literal["order", "sent", "end", "receiver", "received", "object", "proof"]
DIFFERENCES = 200
"""Between two processes, up to which order counts. Behind them what is equal is taken in turn."""
_END = 1 << 63
_COUNTED = re.compile(r"#[0-9]+\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A passage of the first recording, of the second, or of both."""

    one: Passage | None
    other: Passage | None
    differs: tuple[Difference, ...] = ()

    @property
    def kind(self) -> Kind:
        if self.one is None:
            return "second"
        if self.other is None:
            return "first"
        return "changed" if self.differs else "same"


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """How often a process made a call in each recording."""

    process: str
    call: str
    """Empty: the process is in one of them alone, with so many calls of any kind."""
    first: int
    second: int


def program(name: str) -> str:
    """The program of a process: ``nginx`` of ``nginx#2``, the second one of that name."""
    return _COUNTED.sub("", name) or name


def compare(one: Index, other: Index) -> list[Pair]:
    """What was passed in both, and in one of them alone, in the order of the first."""
    ways: dict[tuple[str, str, bool], tuple[list[_Side], list[_Side]]] = {}
    for which, index in enumerate((one, other)):
        for place, passage in enumerate(index.passages):
            side = _Side(place, passage, _name(index, passage.sender), _name(index, passage.receiver))
            ways.setdefault(side.way, ([], []))[which].append(side)
    matched: list[tuple[_Side, _Side]] = []
    rest, other_rest = [], []
    for sides, other_sides in ways.values():
        pairs, left, other_left = _aligned(sides, other_sides)
        matched += pairs
        rest += left
        other_rest += other_left
    ordered = set(matched)
    # What chance gave to another receiver, or nobody got, is found by its sender and its number.
    rest.sort(key=lambda side: side.place)
    other_rest.sort(key=lambda side: side.place)
    pairs, rest, other_rest = _in_turn(rest, other_rest, lambda side: side.sending)
    return _in_order([*matched, *pairs], rest, other_rest, ordered)


def counted(pairs: Iterable[Pair]) -> dict[Kind, int]:
    """How many of each kind."""
    found: dict[Kind, int] = {"same": 0, "changed": 0, "first": 0, "second": 0}
    for pair in pairs:
        found[pair.kind] += 1
    return found


def calls(one: Mapping[tuple[str, str], int], other: Mapping[tuple[str, str], int]) -> list[Count]:
    """Which calls of which process are more in one of them. `one`, `other`: how often, by process and call."""
    processes = Counter(process for process, _call in one), Counter(process for process, _call in other)
    found = []
    for process in dict.fromkeys(process for process, _call in (*one, *other)):
        if not all(process in side for side in processes):
            many, other_many = (sum(n for key, n in side.items() if key[0] == process) for side in (one, other))
            found.append(Count(process, "", many, other_many))
            continue
        for call in dict.fromkeys(call for name, call in (*one, *other) if name == process):
            key = process, call
            if one.get(key, 0) != other.get(key, 0):
                found.append(Count(process, call, one.get(key, 0), other.get(key, 0)))
    return found


# ---- one of them


def _name(index: Index, process: int | None) -> str:
    return index.processes[process - 1].name if process and process <= len(index.processes) else ""


def _bare(link: str) -> str:
    """An object without its inode, which is another one in every run."""
    return parted(link)[0] or link


def _sort(link: str) -> str:
    """What kind of object it is; where a file stands is not of it."""
    return _bare(link) if not link.startswith("/") else "memfd" if link.startswith("/memfd:") else "file"


@dataclasses.dataclass(eq=False, slots=True)
class _Side:
    """A passage of one of them, with what it is found by."""

    place: int
    passage: Passage
    sender: str
    receiver: str

    @property
    def way(self) -> tuple[str, str, bool]:
        return self.sender, self.receiver, self.passage.end == "peeked"

    @property
    def exact(self) -> Hashable:
        one = self.passage
        return one.sent_as, one.received_as, _bare(one.object), one.end

    @property
    def sort(self) -> Hashable:
        return _sort(self.passage.object)

    @property
    def sending(self) -> Hashable:
        return self.sender, self.passage.sent_as, _sort(self.passage.object), self.passage.end == "peeked"


_Pairs = list[tuple[_Side, _Side]]


# ---- both


def _aligned(sides: Sequence[_Side], others: Sequence[_Side]) -> tuple[_Pairs, list[_Side], list[_Side]]:
    """What one process passed to another in two runs: what is the same, and what is left of each. Between two that are
    equal the rest is taken in turn, first what is equal, then what is of one kind."""
    numbers: dict[Hashable, int] = {}
    keys, other_keys = ([numbers.setdefault(side.exact, len(numbers)) for side in one] for one in (sides, others))
    pairs: _Pairs = []
    rest: list[_Side] = []
    other_rest: list[_Side] = []
    a_from = b_from = 0
    for a, b in (*_common(keys, other_keys), (len(sides), len(others))):
        left, other_left = list(sides[a_from:a]), list(others[b_from:b])
        for key in (lambda side: side.exact, lambda side: side.sort):
            more, left, other_left = _in_turn(left, other_left, key)
            pairs += more
        rest += left
        other_rest += other_left
        if a < len(sides):
            pairs.append((sides[a], others[b]))
        a_from, b_from = a + 1, b + 1
    return pairs, rest, other_rest


def _common(ones: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    """The places of the longest sequence that both have in this order; of its beginning, where there are more than
    DIFFERENCES."""
    count, other_count = len(ones), len(others)
    far = {1: 0}
    """By diagonal (the first place less the second), how far a way with so many differences comes in the first."""
    history: list[dict[int, int]] = []
    ends: tuple[int, int] = (0, 0)
    for differences in range(DIFFERENCES + 1):
        history.append(dict(far))
        best = -1
        for diagonal in range(-differences, differences + 1, 2):
            down = diagonal == -differences or (
                diagonal != differences and far.get(diagonal - 1, -1) < far.get(diagonal + 1, -1)
            )
            a = far[diagonal + 1] if down else far[diagonal - 1] + 1
            b = a - diagonal
            while a < count and b < other_count and ones[a] == others[b]:
                a, b = a + 1, b + 1
            far[diagonal] = a
            if a <= count and b <= other_count and a + b > best:
                best, ends = a + b, (a, b)
        if ends == (count, other_count):
            break
    return _way_back(history, ends)


def _way_back(history: Sequence[dict[int, int]], ends: tuple[int, int]) -> list[tuple[int, int]]:
    """The equal places on the way that comes to `ends`."""
    a, b = ends
    found: list[tuple[int, int]] = []
    for differences in range(len(history) - 1, -1, -1):
        far, diagonal = history[differences], a - b
        down = diagonal == -differences or (
            diagonal != differences and far.get(diagonal - 1, -1) < far.get(diagonal + 1, -1)
        )
        from_a = far[diagonal + 1] if down else far[diagonal - 1] + 1
        while a > from_a:
            a, b = a - 1, b - 1
            found.append((a, b))
        if differences:
            a, b = (a, b - 1) if down else (a - 1, b)
    return found[::-1]


def _in_turn(
    sides: Sequence[_Side], others: Sequence[_Side], key: Callable[[_Side], Hashable]
) -> tuple[_Pairs, list[_Side], list[_Side]]:
    """Pairs the first of a key with the first of it, and so on. What is left of each."""
    waiting: defaultdict[Hashable, deque[_Side]] = defaultdict(deque)
    for side in others:
        waiting[key(side)].append(side)
    pairs: _Pairs = []
    rest: list[_Side] = []
    for side in sides:
        if same := waiting.get(key(side)):
            pairs.append((side, same.popleft()))
        else:
            rest.append(side)
    taken = {other for _side, other in pairs}
    return pairs, rest, [side for side in others if side not in taken]


def _in_order(
    matched: _Pairs, rest: Iterable[_Side], other_rest: Iterable[_Side], ordered: set[tuple[_Side, _Side]]
) -> list[Pair]:
    """As the first recording has it; what is in the second alone before what both have behind it there."""
    found = [
        ((side.place, 1, 0), Pair(side.passage, other.passage, _differs(side, other, (side, other) not in ordered)))
        for side, other in matched
    ]
    found += [((side.place, 1, 0), Pair(side.passage, None)) for side in rest]
    places = sorted((other.place, side.place) for side, other in matched)
    for side in other_rest:
        behind = bisect.bisect(places, (side.place, 0))
        at = places[behind][1] if behind < len(places) else _END
        found.append(((at, 0, side.place), Pair(None, side.passage)))
    return [pair for _place, pair in sorted(found, key=lambda one: one[0])]


def _differs(side: _Side, other: _Side, moved: bool) -> tuple[Difference, ...]:
    one, two = side.passage, other.passage
    found: list[Difference] = []
    if moved and side.way == other.way:
        found.append("order")
    if one.sent_as != two.sent_as:
        found.append("sent")
    if _bare(one.object) != _bare(two.object):
        found.append("object")
    if one.end != two.end:  # a receiver, a number and a proof come with it
        return (*found, "end")
    if side.receiver != other.receiver:
        found.append("receiver")
    if one.received_as != two.received_as:
        found.append("received")
    if one.proof != two.proof:
        found.append("proof")
    return tuple(found)
