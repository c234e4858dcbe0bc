"""Open steps: where the kernel chose one of several outcomes, a run says so, and many runs are counted by their
outcomes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pairscope.lab import exports, gallery
from pairscope.lab.exports import tally
from pairscope.lab.language import parse
from pairscope.lab.stage import manager
from tests.runs import plain, typed
from tests.test_lab_gallery import once

pytestmark = pytest.mark.process

PAIR = "m: socketpair AF_UNIX SOCK_STREAM 0 -> a b\nm: fork -> p\nm: fork -> q\n"
READERS = PAIR + 'p: read a 8 => blocks\nq: read a 8 => blocks\nm: write b "hello"\n'


def opened(text: str) -> list[tuple[int, str, list[str]]]:
    """The open steps of a run: number, kind, who."""
    run = plain(manager.run(parse(text)))
    assert run["verdict"] in ("held", "failed"), run["reason"]
    assert plain(exports.load(exports.json(typed(run)))) == run
    return [
        (number, way["kind"], way["who"]) for number, step in enumerate(run["steps"], 1) for way in step.get("open", ())
    ]


def test_which_of_two_readers_gets_a_message_is_open():
    assert opened(READERS) == [(6, "readers", ["p", "q"])]


def test_two_eventfds_are_two_queues_though_they_have_one_inode():
    text = "m: eventfd 0 0 -> e\nm: eventfd 0 0 -> f\nm: fork -> p\nm: fork -> q\n"
    one = 'm: write e x"0100000000000000"\n'
    assert opened(text + "p: read e 8 => blocks\nq: read f 8 => blocks\n" + one) == []
    assert opened(text + "p: read e 8 => blocks\nq: read e 8 => blocks\n" + one) == [(7, "readers", ["p", "q"])]


def test_whether_a_threads_call_returns_before_it_has_stopped_its_own_process_is_open():
    assert opened("m: fork -> p\np: thread -> t\nt: kill p SIGSTOP\n") == [(3, "stopped", ["t"])]
    assert opened("m: fork -> p\np: thread -> t\np: kill p SIGSTOP\n") == []
    assert opened("m: fork -> p\np: thread -> t\nm: kill p SIGTSTP\n") == []


def test_that_two_readers_both_see_the_end_is_not_open():
    assert opened(PAIR + "p: close b\nq: close b\np: read a 8 => blocks\nq: read a 8 => blocks\nm: close b\n") == []


def test_one_reader_whom_a_signal_ends_leaves_nothing_open():
    assert opened(PAIR + "p: read a 8 => blocks\nq: read a 8 => blocks\nm: kill p SIGKILL\n") == []
    assert opened(PAIR + 'p: read a 8 => blocks\nq: read a 8 => blocks\nm: kill p SIGKILL\nm: write b "x"\n') == []


def test_whether_one_who_polls_still_sees_what_another_reads_is_open():
    assert opened(PAIR + 'p: poll a POLLIN -1 => blocks\nq: read a 8 => blocks\nm: write b "x"\n') == [
        (6, "readers", ["p", "q"])
    ]
    assert opened(PAIR + 'p: poll a POLLIN -1 => blocks\nq: poll a POLLIN -1 => blocks\nm: write b "x"\n') == []


def test_whose_bytes_come_next_of_two_blocked_writers_is_open():
    text = (
        "m: pipe -> r w\n"
        "m: fork -> p\n"
        "m: fork -> q\n"
        'p: write w "p" * 100000 => blocks\n'
        'q: write w "q" * 100000 => blocks\n'
    )
    assert opened(text + "m: read r 100000\nm: read r 100000\n")[0] == (6, "writers", ["p", "q"])
    assert opened(text + "m: close r\np: close r\n") == []


def test_which_of_two_who_connect_gets_the_free_place_is_open():
    text = "".join(
        f'{who}: socket AF_UNIX SOCK_STREAM 0 -> c\n{who}: connect c "s"{" => blocks" if who != "m" else ""}\n'
        for who in ("m", "p", "q")
    )
    text = 'm: socket AF_UNIX SOCK_STREAM 0 -> s\nm: bind s "s"\nm: listen s 0\nm: fork -> p\nm: fork -> q\n' + text
    assert opened(text + "m: accept s -> g\n") == [(12, "readers", ["p", "q"])]


def test_what_only_the_garbage_collector_can_free_is_open_from_the_step_that_lost_it():
    lone = 'm: socketpair AF_UNIX SOCK_DGRAM 0 -> a b\nm: sendmsg a iov=["x"] fds=[b]\nm: close b\n'
    assert opened(lone)[0] == (3, "collector", [])
    ring = (
        "m: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
        'm: sendmsg a iov=["x"] fds=[a]\n'
        'm: sendmsg b iov=["x"] fds=[b]\n'
        "m: close a\n"
        "m: close b\n"
    )
    assert opened(ring)[0] == (5, "collector", [])


def test_what_goes_with_the_socket_in_whose_queue_it_flies_is_not_open():
    assert (
        opened(
            "m: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
            "m: pipe -> r w\n"
            'm: sendmsg a iov=["x"] fds=[w]\n'
            "m: close w\n"
            "m: close b\n"
            "m: close a\n"
            'm: read r 1 => ""\n'
        )
        == []
    )


def test_which_of_two_ended_children_a_wait_for_any_takes_leave_of_is_open():
    text = "m: fork -> p\nm: fork -> q\np: exit 1\nq: exit 2\n"
    assert opened(text + "m: wait\nm: wait\n") == [(5, "children", ["p", "q"])]
    assert opened(text + "m: wait p\nm: waitpid q 0\n") == []


@pytest.mark.parametrize("name", gallery.names())
def test_no_scenario_of_the_gallery_has_an_open_step(name):
    assert not [number for number, step in enumerate(once(name)["steps"], 1) if step.get("open")]


def test_outcomes_are_counted_and_told_apart_by_what_was_released():
    run: dict[str, Any] = plain(manager.run(parse(READERS)))
    other = copy.deepcopy(run)
    (winner, result) = next(iter(other["steps"][-1]["completed"].items()))
    loser = "q" if winner == "p" else "p"
    other["steps"][-1]["completed"] = {loser: result | {"of": 7 - result["of"]}}
    other["reason"] = f"at the end {winner} is blocked in read"
    found = tally([typed(other), typed(run), typed(other)])
    assert [one.count for one in found] == [2, 1]
    assert found[0].apart == [
        f'6 m write: {loser} read returned 5 "hello"',
        f"as expected: at the end {winner} is blocked in read",
    ]
    assert [one.apart for one in tally([typed(run), typed(run)])] == [[]]
