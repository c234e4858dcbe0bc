"""The rooms of the stage that need no process: numbers of descriptions, results of answers."""

from __future__ import annotations

import base64
import dataclasses
import signal
import struct

import pytest

from pairscope.lab.run import UNSET
from pairscope.lab.stage import answers
from pairscope.lab.stage.numbering import Numbering
from pairscope.lab.stage.queues import Carried

# ---- numbers of descriptions


@dataclasses.dataclass
class One:
    """A description, as far as its number goes."""

    inode: int
    holders: list[tuple[int, int]]
    flies_in: tuple[int, ...] = ()
    number: int = 0


def numbered(numbering: Numbering, *found: One, flying: dict[int, list[Carried]] | None = None) -> list[int]:
    numbering.assign(found, lambda queue: (flying or {}).get(queue, []))
    return [one.number for one in found]


def test_a_description_keeps_its_number_while_somebody_holds_it():
    numbering = Numbering()
    assert numbered(numbering, One(7, [(1, 3)]), One(7, [(1, 4)])) == [1, 2]
    assert numbered(numbering, One(7, [(1, 4), (2, 4)])) == [2]
    assert numbered(numbering, One(7, [(2, 4)]), One(7, [(1, 3)])) == [2, 3]


def test_a_number_that_a_call_has_made_anew_is_another_description():
    numbering = Numbering()
    assert numbered(numbering, One(7, [(1, 3)])) == [1]
    numbering.made([(1, 3)])
    assert numbered(numbering, One(7, [(1, 3)])) == [2]


def test_a_description_keeps_its_number_in_flight_and_where_it_is_received():
    numbering = Numbering()
    assert numbered(numbering, One(7, [(1, 3)]), One(7, [(1, 4)])) == [1, 2]
    ridden = Carried(2, 7, "memfd", "one", 4)
    assert numbered(numbering, One(7, [], (50,)), flying={50: [ridden]}) == [2]
    numbering.received((2, 9), 2, 7)
    assert numbered(numbering, One(7, [(2, 9)])) == [2]
    assert numbering.of((2, 9)) == (2, 7) and numbering.of((1, 3)) == (0, 0)


# ---- what an actor answers, as a run tells it


def test_a_process_that_did_not_survive_its_call_has_no_result_but_its_end():
    killed = answers.outcome("read", {"ended": True}, signal.SIGPIPE).result
    assert (killed.value, killed.killed, killed.ended) == (None, signal.SIGPIPE, "killed by SIGPIPE")
    left = answers.outcome("exit", {"ended": True}, 3 << 8).result
    assert (left.value, left.status, left.ended) == (3, 3, "exit status 3")
    unseen = answers.outcome("exit", {"ended": True}, None).result
    assert (unseen.value, unseen.status, unseen.killed) == (None, UNSET, UNSET)


def test_of_large_data_the_run_holds_the_beginning_and_the_judge_gets_all():
    data = bytes(answers.DATA_SHOWN + 1)
    came = answers.outcome("read", {"value": len(data), "errno": 0, "data": data}, None)
    assert came.raw == data and came.result.bytes == len(data)
    assert len(base64.b64decode(came.result.data or "")) == answers.DATA_SHOWN


@pytest.mark.parametrize(
    ("status", "key", "value"),
    [
        (signal.SIGTERM, "killed", signal.SIGTERM),
        (7 << 8, "status", 7),
        (signal.SIGSTOP << 8 | 0x7F, "stopped", signal.SIGSTOP),
        (0xFFFF, "continued", signal.SIGCONT),
    ],
)
def test_what_wait_tells_of_a_child_stands_in_its_result_once(status, key, value):
    result = answers.outcome("waitpid", {"value": 9, "errno": 0, "wait": status}, None).result
    found = {name: getattr(result, name) for name in ("killed", "status", "stopped", "continued")}
    assert {name: came for name, came in found.items() if came is not UNSET} == {key: value}


def test_an_option_is_a_number_or_several():
    def held(option: bytes) -> object:
        return answers.outcome("getsockopt", {"value": 0, "errno": 0, "option": option}, None).result.held

    assert held(struct.pack("=i", -1)) == -1
    assert held(struct.pack("=iII", 5, 6, 7)) == [5, 6, 7]
    assert held(struct.pack("=qq", 1, 500_000)) == [1, 500_000]
