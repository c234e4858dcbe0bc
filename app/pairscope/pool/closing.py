"""The orderly stop as a table: what it still waits for, and what is done about that. Pure: it decides; the supervisor
does.

Jobs end first, then the workers, then the recorder, then this process. What it waits for can become more again: jobs
that waited behind the one for which a worker was killed come back to the queue. So nothing is remembered: each turn
asks anew, and each act can be done twice.
"""

from __future__ import annotations

import enum


@enum.unique
class Left(enum.Enum):
    """What a stop still waits for: the first of these that is there."""

    JOBS = "jobs"
    """They have time left."""
    LATE_JOBS = "late jobs"
    """Their time is over."""
    WORKERS = "workers"
    RECORDER = "recorder"
    NOTHING = "nothing"


@enum.unique
class Act(enum.Enum):
    """What is done; each can be done twice."""

    ABANDON_JOBS = "abandon jobs"
    """Those that wait end, and whoever has one in hand is killed for it."""
    SHUT_STATIONS = "shut stations"
    """Their channels are closed."""
    ASK_WORKERS = "ask workers"
    """Each is asked to end; one that does not listen yet is killed."""
    SHUT_CLIENTS = "shut clients"
    """Their channels are closed."""
    ASK_RECORDER = "ask recorder"
    """It is asked to drain what is there and to end. This supervisor's own end is the last record that it is asked
    for."""
    FINISH = "finish"
    """This supervisor's own end is recorded, if it was not, and it leaves its loop."""


TABLE: dict[Left, tuple[Act, ...]] = {
    Left.JOBS: (),
    Left.LATE_JOBS: (Act.ABANDON_JOBS, Act.SHUT_STATIONS, Act.ASK_WORKERS),
    Left.WORKERS: (Act.SHUT_STATIONS, Act.ASK_WORKERS),
    Left.RECORDER: (Act.SHUT_STATIONS, Act.SHUT_CLIENTS, Act.ASK_RECORDER),
    Left.NOTHING: (Act.SHUT_STATIONS, Act.SHUT_CLIENTS, Act.FINISH),
}


def left(jobs: bool, late: bool, workers: bool, recorder: bool) -> Left:
    """What is left, by what is there. `late`: the time that jobs have is over."""
    if jobs:
        return Left.LATE_JOBS if late else Left.JOBS
    return Left.WORKERS if workers else Left.RECORDER if recorder else Left.NOTHING
