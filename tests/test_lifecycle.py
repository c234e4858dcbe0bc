"""The tables and the board: what is decided, told without a process and without waiting."""

from __future__ import annotations

from collections import deque

import pytest

from pairscope.pool.board import DEPTH, RESULTS_MOST, Board, Entry
from pairscope.pool.lifecycle import TABLE, Action, Backoff, Event, State, step


@pytest.mark.parametrize("state", [State.STARTING, State.READY, State.STOPPING])
def test_death_ends_every_life(state):
    assert step(state, Event.DIED)[0] is State.GONE


def test_only_a_child_that_was_asked_to_stop_is_not_replaced():
    actions = {state: step(state, Event.DIED)[1] for state in (State.STARTING, State.READY, State.STOPPING)}
    assert actions == {State.STARTING: Action.BACK_OFF, State.READY: Action.REPLACE, State.STOPPING: Action.NOTHING}


def test_whoever_is_late_is_killed():
    assert {step(state, Event.LATE)[1] for state in State if state is not State.GONE} == {Action.KILL}


def test_nothing_happens_to_the_dead():
    assert not [state for state, _ in TABLE if state is State.GONE]
    with pytest.raises(KeyError):
        step(State.GONE, Event.DIED)


def test_a_child_that_is_no_longer_wanted_before_it_is_ready_is_asked_when_it_listens():
    state, action = step(State.STARTING, Event.STOP)
    assert action is Action.NOTHING
    assert step(state, Event.HELLO) == (State.STOPPING, Action.ASK)


def test_the_pause_after_a_death_at_birth_doubles_to_a_bound_and_a_life_ends_it():
    backoff = Backoff()
    pauses = [backoff.died_at_birth(100.0) - 100.0 for _ in range(10)]
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0] and pauses[-1] == 30.0
    backoff.lived()
    assert backoff.died_at_birth(100.0) == 100.25


class Able:
    def __init__(self, able: bool = True) -> None:
        self.able = able
        self.in_flight: deque[Entry] = deque()


def entry(id: int, quick: bool = False) -> Entry:
    made = Entry(id, "k", "", 0, {}, b"", -1)
    made.quick = quick
    return made


def give_all(board: Board, workers: list[Able]) -> None:
    while board.queue and (worker := board.hand_for(board.queue[0], workers)) is not None:
        worker.in_flight.append(board.queue.popleft())


def test_a_slow_job_gets_a_worker_of_its_own_and_the_next_one_waits():
    board, workers = Board(), [Able(), Able()]
    for id in range(1, 4):
        board.add(entry(id))
    give_all(board, workers)
    assert [[held.id for held in worker.in_flight] for worker in workers] == [[1], [2]]
    assert [held.id for held in board.queue] == [3]


def test_quick_jobs_wait_behind_quick_ones_only_and_up_to_a_bound():
    board, workers = Board(), [Able(), Able()]
    board.add(entry(1))
    for id in range(2, 100):
        board.add(entry(id, quick=True))
    give_all(board, workers)
    assert [len(worker.in_flight) for worker in workers] == [1, DEPTH]


def test_a_quick_job_waits_behind_a_slow_one_only_where_no_other_worker_does_quick_jobs():
    slow, busy, full = Able(), Able(), Able()
    slow.in_flight.append(entry(1, quick=True))
    slow.in_flight[0].slow = True
    busy.in_flight.append(entry(2))
    full.in_flight.extend(entry(id, quick=True) for id in range(3, 3 + DEPTH))
    assert Board.hand_for(entry(99, quick=True), [busy, slow]) is slow
    assert Board.hand_for(entry(99, quick=True), [slow, full]) is None, "the other will have room in a moment"
    assert Board.hand_for(entry(99), [slow]) is None
    full.in_flight.pop()
    assert Board.hand_for(entry(99, quick=True), [slow, full]) is full
    slow.in_flight.extend(entry(id, quick=True) for id in range(1, DEPTH))
    assert Board.hand_for(entry(99, quick=True), [busy, slow]) is None, "nor more than as many as behind any other"


def test_a_worker_that_is_not_ready_gets_nothing():
    assert Board.hand_for(entry(1), [Able(False)]) is None


def test_jobs_that_were_never_begun_come_first_again_and_in_order():
    board = Board()
    jobs = [entry(id, quick=True) for id in range(1, 5)]
    for job in jobs:
        board.add(job)
    worker = Able()
    give_all(board, [worker])
    board.add(entry(5))
    worker.in_flight.popleft()
    board.give_back(worker.in_flight)
    assert [job.id for job in board.queue] == [2, 3, 4, 5]


def test_a_job_ends_exactly_once():
    board = Board()
    job = entry(1)
    board.add(job)
    board.end(job, "cancelled", "by a test")
    assert not board.queue and board.counts["cancelled"] == 1
    with pytest.raises(ValueError, match="ended before"):
        board.end(job, "done", "")


def test_an_ended_job_is_known_until_the_record_has_it():
    board = Board()
    job = entry(1)
    board.add(job)
    ended = board.end(job, "done", "", b'{"size":1}')
    assert board.entries == {} and board.running == 0
    board.forget(10**18)
    assert board.ended == {1: ended}, "its position is not known yet"
    ended.position = 500
    board.forget(499)
    assert (board.ended[1].state, board.result(1)) == ("done", b'{"size":1}')
    board.forget(500)
    assert board.ended == {}


def test_the_results_of_the_jobs_that_ended_last_are_kept():
    board = Board()
    for id in range(1, RESULTS_MOST + 4):
        board.add(entry(id))
        board.end(board.entries[id], "done", "", b"{}")
    assert [id for id in board.ended if not board.result(id)] == [1, 2, 3]
