"""A storm of kills, for moments: nothing that was acknowledged is lost, nothing is done twice, and nothing is left.
script/soak blows longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import database
from tests.attack.ground import Ground, Standing, Whole, pool
from tests.attack.storm import Storm, back_at
from tests.lamp import Lamp

SEED = int(os.environ.get("PAIRSCOPE_SEED", "1"))


SECONDS = 10.0
MOST = 12
"""So many times, on a machine that is busy."""


def blown(ground: Ground) -> None:
    """Lets a storm blow and counts what is left."""
    ground.ready()
    before = Standing.of(ground)
    with Storm(ground, SEED) as storm:
        # Where a start takes seconds nobody may be told of anything within one of these.
        for _ in range(MOST):
            storm.blow(SECONDS)
            if storm.answered() > 200 and sum(storm.strokes.values()) > 10:
                break
    figures = storm.count()
    assert figures["acknowledged"] > 200 and sum(storm.strokes.values()) > 10, figures
    left = back_at(before, Standing.of(ground), ground.view().results.count)
    assert not left, f"seed {SEED}: {left}"


@pytest.mark.database
@pytest.mark.pool
def test_in_a_storm_of_kills_nothing_acknowledged_is_lost_or_done_twice_and_nothing_is_left(tmp_path: Path) -> None:
    with (
        database.server() as mariadb,
        pool(tmp_path, mariadb.fresh(), mariadb, journal_sync="batch") as ground,  # the other policy is Apache's, below
    ):
        blown(ground)


@pytest.mark.long  # on the instance that other tests share
@pytest.mark.lamp
def test_the_same_holds_where_apache_and_its_processes_are_killed_too(lamp: Lamp) -> None:
    blown(Whole(lamp))
