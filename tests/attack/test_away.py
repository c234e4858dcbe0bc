"""A database that is away for long, or whose commits succeed without an answer, while clients work."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests import database
from tests.attack.ground import Standing, memory, pool
from tests.attack.storm import Storm, back_at
from tests.attack.test_storm import SEED
from tests.database import MariaDB
from tests.eventually import eventually
from tests.test_recorder_process import Relay

pytestmark = [pytest.mark.database, pytest.mark.pool]
LIMIT = 16 << 20
"""Bytes of journal: what comes beyond is refused, and not kept anywhere."""


@pytest.mark.parametrize("seconds", [5.0, pytest.param(300.0, marks=pytest.mark.long)])
def test_without_a_database_jobs_run_until_the_journal_is_full_and_all_is_recorded_when_it_is_back(
    tmp_path: Path, seconds: float
) -> None:
    with (
        database.server() as mariadb,
        pool(tmp_path, mariadb.fresh(), mariadb, journal_limit=LIMIT, journal_segment=1 << 20) as ground,
    ):
        ground.ready()
        before = Standing.of(ground)
        with Storm(ground, SEED) as storm:
            ground.database_away()
            assert storm.while_working(seconds), "clients are told of jobs all the while, or refused"
            view = ground.view()
            assert view.recorder.state == "away" and view.journal.bytes < 1.3 * LIMIT
            assert memory(ground.supervisor.process.pid) < before.memory["supervisor"] + 48_000
            ground.database_back()
        figures = storm.count()
        assert figures["acknowledged"] > 100 and figures["failed"] == 0, figures
        assert figures["refused"] or seconds < 60, "the journal was full by then"
        left = back_at(before, Standing.of(ground), ground.view().results.count)
        assert not left, left


def test_commits_whose_answers_are_lost_under_load_are_not_made_twice(mariadb: MariaDB, tmp_path: Path) -> None:
    relay = Relay(mariadb.port)
    try:
        url = mariadb.fresh()
        through = mariadb.url(str(make_url(url).database), relay.port)
        with pool(tmp_path, url, recorder_url=through, migrate_url=url) as ground:
            ground.ready()
            with Storm(ground, SEED) as storm:
                for number in range(5):
                    relay.to_cut = 1
                    eventually(lambda: relay.cut > number and storm.while_working(0.1), "a commit was cut off", 30)
            figures = storm.count()
            assert relay.cut >= 5 and figures["acknowledged"] > 100, figures
    finally:
        relay.close()
