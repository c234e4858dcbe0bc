"""The supervisor's policies of birth, stop and time, told without a process and without waiting; and the order of its
rooms."""

from __future__ import annotations

import ast
import itertools
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from pairscope.pool import births, closing
from pairscope.pool.agenda import Agenda
from pairscope.pool.closing import TABLE, Act, Left
from pairscope.pool.comers import FREE, HELD_MOST, PAUSE, TOLD_MOST, WAITING_MOST, Comers
from pairscope.pool.lifecycle import BRIEF, Action, Backoff


def agenda(**due: float) -> Agenda:
    """One that has been looked at, and whose snapshot was written, at 100; every half second one, every two if nothing
    changes."""
    made = Agenda(0.5, 2.0)
    made.begin()
    made.shown(100.0, changed=False)
    for what, when in due.items():
        made.put(what, when)
    made.rest(100.0)
    return made


def test_the_earliest_time_is_when_to_look():
    assert agenda(late=101.5, birth=100.25).next == 100.25


def test_with_nothing_due_one_looks_when_a_snapshot_is():
    assert agenda(late=500.0).next == 102.0


def test_what_is_due_is_due_once():
    made = agenda(late=100.5)
    assert [made.due("late", now) for now in (100.4, 100.5, 100.6)] == [False, True, False]


def test_what_was_put_again_is_due_at_the_later_time_alone():
    made = agenda(late=100.5)
    made.put("late", 101.0)
    assert not made.due("late", 100.9) and made.due("late", 101.0)


def test_sooner_brings_nothing_forward_that_is_due_before():
    made = agenda(late=100.5)
    made.sooner("late", 105.0)
    made.sooner("other", 105.0)
    assert made.due("late", 100.5) and made.due("other", 105.0)


def test_what_is_struck_off_is_never_due():
    made = agenda(late=100.5)
    made.strike("late")
    assert not made.due("late", math.inf)


def test_whoever_is_not_taken_off_in_time_wakes_nobody_again():
    """The birth of a recorder in a pool that stops: it stands there, and the loop must not turn for it."""
    made = agenda(recorder=100.5)
    made.begin()
    made.rest(101.0)
    assert made.next == 102.0 and made.due("recorder", 101.0)


def test_what_becomes_due_while_one_looks_is_not_missed():
    made = agenda()
    made.begin()
    made.put("late", 101.1)
    made.rest(101.0)  # the clock may say 101.2 by now
    assert made.next == 101.1


def test_a_change_is_shown_after_half_a_second_and_nothing_new_after_two():
    made = agenda()
    assert (made.to_show(101.9), made.to_show(102.0)) == (False, True)
    made.changed = True
    made.heed()
    assert made.next == 100.5 and (made.to_show(100.4), made.to_show(100.5)) == (False, True)


def test_to_wake_the_agenda_is_to_be_due_now():
    made = agenda()
    made.wake()
    assert made.next == 0.0 and made.changed


@pytest.mark.parametrize(
    ("jobs", "late", "workers", "recorder", "left"),
    [
        (True, False, True, True, Left.JOBS),
        (True, True, True, True, Left.LATE_JOBS),
        (True, True, False, False, Left.LATE_JOBS),
        (False, False, True, True, Left.WORKERS),
        (False, True, True, False, Left.WORKERS),
        (False, False, False, True, Left.RECORDER),
        (False, False, False, False, Left.NOTHING),
    ],
)
def test_a_stop_waits_for_jobs_then_for_workers_then_for_the_recorder(jobs, late, workers, recorder, left):
    assert closing.left(jobs, late, workers, recorder) is left


def test_what_a_stop_still_waits_for_is_not_touched_before():
    """Whoever takes part in what is left keeps its channel: jobs need their clients, and the recorder is the last of
    all."""
    assert TABLE[Left.JOBS] == ()
    for left, acts in TABLE.items():
        assert (Act.ABANDON_JOBS in acts) == (left is Left.LATE_JOBS)
        assert (Act.SHUT_CLIENTS in acts) == (left in (Left.RECORDER, Left.NOTHING)), left
        assert (Act.ASK_RECORDER in acts) == (left is Left.RECORDER)
        assert (Act.FINISH in acts) == (left is Left.NOTHING)
    assert set(TABLE) == set(Left) and {act for acts in TABLE.values() for act in acts} == set(Act)


def stop(jobs: int, workers: int, recorder: bool, grace: int) -> list[Act]:
    """The acts of a whole stop in which each turn brings what was asked for: a job ends, a worker, the recorder."""
    done: list[Act] = []
    for turn in itertools.count():
        assert turn < 50, "it comes to no end"
        left = closing.left(jobs > 0, turn >= grace, workers > 0, recorder)
        done += TABLE[left]
        if left is Left.NOTHING:
            return done
        if Act.ABANDON_JOBS in TABLE[left]:
            jobs = 0
        elif left is Left.JOBS:
            jobs -= 1
        elif left is Left.WORKERS:
            workers -= 1
        else:
            recorder = False
    raise AssertionError("unreachable")


def test_a_stop_abandons_jobs_only_when_they_have_had_their_time():
    assert Act.ABANDON_JOBS not in stop(jobs=3, workers=2, recorder=True, grace=10)
    assert stop(jobs=30, workers=2, recorder=True, grace=10).count(Act.ABANDON_JOBS) == 1


def test_a_stop_ends_whatever_is_there():
    for jobs, workers, recorder in itertools.product((0, 3), (0, 2), (False, True)):
        assert stop(jobs, workers, recorder, grace=2)[-1] is Act.FINISH


@pytest.mark.parametrize(
    ("wanted", "alive", "pauses", "born"),
    [(2, 0, 0, 2), (2, 1, 0, 1), (2, 1, 1, 0), (2, 2, 0, 0), (1, 3, 0, 0), (4, 1, 1, 2)],
)
def test_as_many_are_born_as_are_wanted_and_a_pause_keeps_a_place_empty(wanted, alive, pauses, born):
    assert births.missing(wanted, alive, pauses) == born


def test_who_has_least_in_hand_goes_and_of_these_the_youngest():
    workers = [
        SimpleNamespace(serial=serial, in_flight=["job"] * held) for serial, held in ((1, 0), (2, 3), (3, 0), (4, 1))
    ]
    assert [worker.serial for worker in births.surplus(2, workers)] == [3, 1]
    assert births.surplus(4, workers) == [] and births.surplus(9, workers) == []


def test_a_successor_comes_at_once_after_a_life_and_later_after_each_death_at_birth():
    backoff = Backoff()
    assert births.after(Action.REPLACE, BRIEF, False, backoff, 100.0) == 100.0, "it was old enough"
    assert births.after(Action.REPLACE, 0.1, True, backoff, 100.0) == 100.0, "it was of use"
    assert [
        births.after(Action.REPLACE, 0.1, False, backoff, 100.0),
        births.after(Action.BACK_OFF, 60.0, False, backoff, 100.0),
    ] == [100.25, 100.5]
    assert births.after(Action.REPLACE, BRIEF, False, backoff, 100.0) == 100.0
    assert births.after(Action.BACK_OFF, 0.1, False, backoff, 100.0) == 100.25, "a life had ended the pauses"


def test_a_user_holds_so_many_connections_and_another_user_his_own():
    comers = Comers(80)
    assert comers.most == 10 and Comers(1 << 20).most == HELD_MOST
    for _ in range(comers.most):
        assert not comers.refused(33) and comers.comes(33, 100.0) == 100.0
    assert "user 33 holds 10 connections" in comers.refused(33)
    assert not comers.refused(0)
    comers.goes(33, 100.0)
    assert not comers.refused(33)


def in_vain(comers: Comers, count: int, now: float) -> None:
    for _ in range(count):
        comers.comes(33, now)
        comers.goes(33, now, in_vain=True)


def test_who_comes_for_nothing_again_and_again_waits_and_others_do_not():
    comers = Comers(1000)
    in_vain(comers, int(FREE), 100.0)
    assert comers.comes(33, 100.0) == 100.0, "a few are free"
    comers.goes(33, 100.0, in_vain=True)
    waits = [comers.comes(33, 100.0) for _ in range(WAITING_MOST)]
    assert waits == pytest.approx([100.0 + PAUSE * turn for turn in range(1, WAITING_MOST + 1)])
    assert f"{WAITING_MOST} wait to come in" in comers.refused(33)
    assert not comers.refused(0) and comers.comes(0, 100.0) == 100.0
    comers.waited(33)
    assert not comers.refused(33)


def test_what_somebody_did_in_vain_is_forgotten_in_seconds_however_much_it_was():
    comers = Comers(1000)
    for _ in range(50):
        if comers.comes(33, 100.0) > 100.0:
            comers.waited(33)
        comers.goes(33, 100.0, in_vain=True)
    assert comers.comes(33, 107.9) > 107.9
    comers.waited(33)
    assert comers.comes(33, 108.0) == 108.0


def test_who_goes_in_order_owes_nothing():
    comers = Comers(1000)
    for _ in range(1000):
        assert comers.comes(33, 100.0) == 100.0
        comers.goes(33, 100.0)


def test_the_log_tells_of_some_clients_of_a_user_and_of_the_others_how_many_they_were():
    comers = Comers(1000)
    assert [comers.tells(33, 100.0) for _ in range(TOLD_MOST + 5)] == [True] * TOLD_MOST + [False] * 5
    assert comers.tells(0, 100.0), "another user's lines are his own"
    assert comers.telling == 160.0 and comers.untold(159.9) == []
    assert comers.untold(160.0) == [(33, 5)] and comers.untold(160.0) == [] and comers.telling == math.inf
    assert comers.tells(33, 160.0)


POOL = Path(closing.__file__).parent
PAGE = Path(__file__).parent.parent / "docs/processes.md"


def rooms() -> list[str]:
    """From the table in docs/processes.md, in its order."""
    table = PAGE.read_text().partition("### Inside the supervisor")[2].partition("**One table")[0]
    return [
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)\.py`", line.split("|")[1])
    ]


def test_every_room_of_the_supervisor_stands_in_the_table_and_knows_only_those_above_it():
    above: list[str] = []
    for room in rooms():
        for node in ast.walk(ast.parse((POOL / f"{room}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (
                found := re.fullmatch(r"\w+\.pool(?:\.(\w+))?", node.module or "")
            ):
                known = {found[1]} if found[1] else {name.name for name in node.names}
                assert known <= set(above), f"{room}.py knows {known - set(above)}"
        above.append(room)
    assert set(above) == {path.stem for path in POOL.glob("*.py")} - {"__init__", "__main__"}


def test_what_decides_asks_nobody_for_the_time_and_does_nothing():
    for room in ("lifecycle", "births", "closing", "agenda", "board"):
        tops = {
            name.name.partition(".")[0]
            for node in ast.walk(ast.parse((POOL / f"{room}.py").read_text()))
            if isinstance(node, ast.Import)
            for name in node.names
        }
        tops |= {
            (node.module or "").partition(".")[0]
            for node in ast.walk(ast.parse((POOL / f"{room}.py").read_text()))
            if isinstance(node, ast.ImportFrom)
        }
        assert not tops & {"os", "select", "socket", "time", "signal"}, room


def test_no_file_of_the_pool_is_longer_than_a_person_reads_at_once():
    assert {path.name: lines for path in POOL.glob("*.py") if (lines := len(path.read_text().splitlines())) > 400} == {}
